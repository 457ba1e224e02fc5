// SPDX-License-Identifier: MIT
/* Taking buffers back, with and without memory regions and posts in progress. */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <p2pdma/p2pdma.h>

#include "fake.h"

#define ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)

static struct p2pdma_mr *new_mr(struct p2pdma_buffer *buffer)
{
	struct p2pdma_mr *mr = NULL;

	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, ACCESS, &mr), 0);
	return mr;
}

static void revoke_tells_what_it_did(void **state)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	struct p2pdma_event event;

	(void)state;
	fake.exports[0].nr_mappings = 2;
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 100, &result), 0);
	assert_int_equal(result.nr_buffers, 1);
	assert_int_equal(result.nr_mappings, 2);
	assert_int_equal(result.nr_remaining, 0);
	assert_int_equal(result.nr_posts, 0);
	assert_true(result.duration_ns >= result.kernel_ns);
	assert_in_range(fake.last_timeout_ms, 1, 100);
	event = fake_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(event.reason, P2PDMA_REASON_OWNER);
	assert_ptr_equal(event.buffer, buffer);
	fake_no_event();
	p2pdma_buffer_free(buffer);
}

static void revoke_twice_idempotent(void **state)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);

	(void)state;
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, &result), 0);
	assert_int_equal(result.nr_buffers, 0);
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_REVOKED);
	fake_no_event();
	p2pdma_buffer_free(buffer);
	/* Freeing what is revoked doesn't revoke it again. */
	assert_int_equal(fake.nr_revokes, 2);
}

static void revoke_leaves_neighbour_alone(void **state)
{
	struct p2pdma_buffer *a = fake_buffer(0, MIB, 0);
	struct p2pdma_buffer *b = fake_buffer(MIB, MIB, 0);
	struct p2pdma_mr *mr = new_mr(b);

	(void)state;
	assert_int_equal(p2pdma_buffer_revoke(a, 0, 0, NULL), 0);
	assert_int_equal(p2pdma_mr_enter(mr), 0);
	p2pdma_mr_exit(mr);
	assert_int_equal(fake.exports[1].state, P2PDMA_EXPORT_STATE_ACTIVE);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	p2pdma_buffer_free(a);
	p2pdma_buffer_free(b);
}

static void revoke_bad_arguments_einval(void **state)
{
	struct p2pdma_revoke_result small = {.size_bytes = 8};
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);

	(void)state;
	assert_int_equal(p2pdma_buffer_revoke(NULL, 0, 0, NULL), -EINVAL);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 2, 0, NULL), -EINVAL);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, &small), -EINVAL);
	assert_int_equal(fake.nr_revokes, 0);
	p2pdma_buffer_free(buffer);
}

static void revoke_unrevocable_importer_ebusy(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, P2PDMA_BUFFER_ALLOW_UNREVOCABLE);
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_mr *mr = new_mr(buffer);

	(void)state;
	fake.exports[0].nr_mappings = 3;
	fake.exports[0].nr_remaining = 1;
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 10, &result), -EBUSY);
	assert_cause("can't be revoked remain");
	assert_int_equal(result.nr_mappings, 2);
	assert_int_equal(result.nr_remaining, 1);
	assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
	assert_int_equal(status.state, P2PDMA_BUFFER_REVOKING);
	assert_int_equal(p2pdma_mr_enter(mr), -ESTALE);
	fake_no_event();
	/* The importer lets go; asking again finishes. */
	fake.exports[0].nr_remaining = 0;
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 10, &result), 0);
	assert_int_equal(result.nr_mappings, 1);
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	p2pdma_buffer_free(buffer);
}

static void revoke_interrupted_eintr(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);

	(void)state;
	fake_fail(P2PDMA_EXPORT_REVOKE, -EINTR, 0);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 10, NULL), -EINTR);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 10, NULL), 0);
	p2pdma_buffer_free(buffer);
}

static void revoke_shuts_every_guard(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	struct p2pdma_mr *a = new_mr(buffer), *b = new_mr(buffer), *c;

	(void)state;
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	assert_int_equal(p2pdma_mr_enter(a), -ESTALE);
	assert_int_equal(p2pdma_mr_enter(b), -ESTALE);
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, ACCESS, &c), -ESTALE);
	assert_cause("has been revoked (owner)");
	assert_int_equal(p2pdma_mr_deregister(a), 0);
	assert_int_equal(p2pdma_mr_deregister(b), 0);
	p2pdma_buffer_free(buffer);
}

static void revoke_post_never_ends_counts_it(void **state)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	struct p2pdma_mr *mr = new_mr(buffer);

	(void)state;
	assert_int_equal(p2pdma_mr_enter(mr), 0);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 20, &result), 0);
	assert_int_equal(result.nr_posts, 1);
	assert_true(result.duration_ns >= 20000000);
	/* The time is used up: the kernel isn't given any more. */
	assert_int_equal(fake.last_timeout_ms, 0);
	assert_int_equal(p2pdma_mr_deregister(mr), -EBUSY);
	p2pdma_mr_exit(mr);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	p2pdma_buffer_free(buffer);
}

/* Later than the revocation begins, however late that is. */
static void *leave_later(void *mr)
{
	while (!p2pdma_mr_enter(mr)) {
		p2pdma_mr_exit(mr);
		usleep(1000);
	}
	usleep(30000);
	p2pdma_mr_exit(mr);
	return NULL;
}

static void revoke_waits_for_post(void **state)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	struct p2pdma_mr *mr = new_mr(buffer);
	pthread_t thread;

	(void)state;
	assert_int_equal(p2pdma_mr_enter(mr), 0);
	assert_int_equal(pthread_create(&thread, NULL, leave_later, mr), 0);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 20000, &result), 0);
	pthread_join(thread, NULL);
	assert_int_equal(result.nr_posts, 0);
	assert_true(result.duration_ns >= 20000000);
	assert_true(result.duration_ns < 15000000000ULL);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	p2pdma_buffer_free(buffer);
}

static void revoke_after_device_left(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	struct p2pdma_mr *mr = new_mr(buffer);

	(void)state;
	fake_leave();
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(p2pdma_mr_enter(mr), -ENODEV);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	assert_int_equal(p2pdma_mr_enter(mr), -ENODEV);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	p2pdma_buffer_free(buffer);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(revoke_tells_what_it_did),
		CASE(revoke_twice_idempotent),
		CASE(revoke_leaves_neighbour_alone),
		CASE(revoke_bad_arguments_einval),
		CASE(revoke_unrevocable_importer_ebusy),
		CASE(revoke_interrupted_eintr),
		CASE(revoke_shuts_every_guard),
		CASE(revoke_post_never_ends_counts_it),
		CASE(revoke_waits_for_post),
		CASE(revoke_after_device_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
