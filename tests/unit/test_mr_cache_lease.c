// SPDX-License-Identifier: MIT
/* The cache with leases of p2pd: a lease is never held for a region that nobody holds. */
#include <errno.h>
#include <unistd.h>

#include "fake_p2pd.h"
#include "mr_cache_fixture.h"

static struct p2pdma_mr_cache *cache;
static struct p2pdma_buffer *buffer;

static int setup(void **state)
{
	p2pd_setup(state);
	cache = new_cache(*state, fake_pd(), 0, 0, 0);
	buffer = p2pd_acquire();
	return 0;
}

static int teardown(void **state)
{
	p2pdma_mr_cache_free(cache);
	p2pdma_buffer_free(buffer);
	return p2pd_teardown(state);
}

static void revoked_by_p2pd_empties_cache(void **state)
{
	struct p2pdma_mr *held = acquire(cache, buffer, 0, MIB, REMOTE), *mr = NULL;

	(void)state;
	touch(cache, buffer, 0, 4096, REMOTE);
	p2pd_send_lease_event(WIRE_EVENT_REVOKED, 1, WIRE_REASON_EXPIRED, 0);
	assert_int_equal(p2pd_next_event().type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(fake.nr_mrs, 1);
	assert_int_equal(acquire_at(cache, buffer, 0, MIB, 0, REMOTE, &mr), -ESTALE);
	assert_p2pd_cause("expired");
	assert_int_equal(p2pdma_mr_enter(held), -ESTALE);
	release(held);
	assert_int_equal(fake.nr_mrs, 0);
}

static void requested_then_ack_ends_unused_first(void **state)
{
	struct p2pdma_mr *mr;

	(void)state;
	touch(cache, buffer, 0, 4096, REMOTE);
	p2pd_send_lease_event(WIRE_EVENT_REVOKE_REQUESTED, 1, WIRE_REASON_ADMIN, 123456);
	assert_int_equal(p2pd_next_event().type, P2PDMA_EVENT_REVOKE_REQUESTED);
	/* Until it says so itself, it may go on. */
	mr = acquire(cache, buffer, 0, MIB, REMOTE);
	assert_int_equal(p2pdma_mr_enter(mr), 0);
	assert_int_equal(p2pdma_lease_ack(buffer, 1), -EBUSY);
	/* p2pd wasn't told yet, and what nobody holds has gone. */
	assert_int_equal(p2pd_count(WIRE_ACK), 0);
	assert_int_equal(fake.nr_mrs, 1);
	p2pdma_mr_exit(mr);
	release(mr);
	assert_int_equal(fake.nr_mrs, 0);
	assert_int_equal(p2pdma_lease_ack(buffer, 0), 0);
	assert_int_equal(acquire_at(cache, buffer, 0, MIB, 0, REMOTE, &mr), -ESTALE);
}

static void free_gives_the_lease_back(void **state)
{
	(void)state;
	touch(cache, buffer, 0, MIB, REMOTE);
	p2pdma_buffer_free(buffer);
	buffer = NULL;
	assert_int_equal(fake.nr_mrs, 0);
	assert_int_equal(p2pd_count(WIRE_RELEASE), 1);
}

static void gone_is_enodev(void **state)
{
	struct p2pdma_mr *mr = NULL;

	(void)state;
	touch(cache, buffer, 0, MIB, REMOTE);
	p2pd_send_lease_event(WIRE_EVENT_REVOKED, 1, WIRE_REASON_GONE, 0);
	assert_int_equal(p2pd_next_event().type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(fake.nr_mrs, 0);
	assert_int_equal(acquire_at(cache, buffer, 0, MIB, 0, REMOTE, &mr), -ENODEV);
}

static void close_deregisters_what_nobody_looked_at(void **state)
{
	struct p2pdma_context *context = fake_open_context(P2PDMA_CONTEXT_NO_HOTPLUG);
	struct p2pdma_lease_request request = P2PDMA_LEASE_REQUEST_INIT;
	struct p2pdma_mr_cache *other = new_cache(context, fake_pd(), 0, 0, 0);
	struct p2pdma_buffer *lease = NULL;

	(void)state;
	request.selector = "0000:01:00.0/2";
	request.length_bytes = MIB;
	assert_int_equal(p2pdma_lease_acquire(context, &request, &lease), 0);
	touch(other, lease, 0, MIB, REMOTE);
	/* Heard on the way to another answer, and then the program ends. */
	p2pd_send_lease_event(WIRE_EVENT_REVOKED, 2, WIRE_REASON_ADMIN, 0);
	assert_int_equal(p2pdma_broker_drain(context, "*", 1, 0, NULL), 0);
	assert_int_equal(status_of(other).nr_entries, 0);
	p2pdma_context_close(context);
	assert_int_equal(fake.nr_mrs, 0);
	p2pdma_mr_cache_free(other);
	p2pdma_buffer_free(lease);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(revoked_by_p2pd_empties_cache),
		CASE(requested_then_ack_ends_unused_first),
		CASE(free_gives_the_lease_back),
		CASE(gone_is_enodev),
		CASE(close_deregisters_what_nobody_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
