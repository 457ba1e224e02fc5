// SPDX-License-Identifier: MIT
/* Leases that have been granted: what p2pd says about them, and their end. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <p2pdma/p2pdma.h>

#include "broker/broker.h"
#include "fake_p2pd.h"

static void revoke_requested_then_ack(void **state)
{
	struct p2pdma_buffer *buffer = p2pd_acquire();
	struct p2pdma_mr *mr = NULL;
	struct p2pdma_event event;
	void *address;

	(void)state;
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, 0, &mr), 0);
	assert_int_equal(p2pdma_lease_ack(buffer, 0), -EINVAL);
	p2pd_send_lease_event(WIRE_EVENT_REVOKE_REQUESTED, 1, WIRE_REASON_ADMIN, 123456);
	event = p2pd_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_REVOKE_REQUESTED);
	assert_int_equal(event.reason, P2PDMA_REASON_ADMIN);
	assert_int_equal(event.deadline_ns, 123456);
	assert_int_equal(event.time_ns, 55);
	assert_ptr_equal(event.buffer, buffer);
	assert_string_equal(event.function, "0000:01:00.0");
	assert_int_equal(p2pd_lease_info(buffer).state, P2PDMA_LEASE_REVOKING);
	assert_int_equal(p2pd_lease_info(buffer).deadline_ns, 123456);

	/* Until it says so itself nothing is shut, and p2pd isn't told while a post goes on. */
	assert_int_equal(p2pdma_mr_enter(mr), 0);
	assert_int_equal(p2pd_count(WIRE_ACK), 0);
	assert_int_equal(p2pdma_lease_ack(buffer, 1), -EBUSY);
	assert_int_equal(p2pd_count(WIRE_ACK), 0);
	p2pdma_mr_exit(mr);
	assert_int_equal(p2pdma_mr_enter(mr), -ESTALE);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, 4096, P2PDMA_MAP_READ, &address), -ESTALE);
	assert_int_equal(p2pdma_lease_ack(buffer, 0), 0);
	assert_int_equal(p2pd_count(WIRE_ACK), 1);
	p2pd_send_lease_event(WIRE_EVENT_REVOKED, 1, WIRE_REASON_ADMIN, 0);
	event = p2pd_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(event.reason, P2PDMA_REASON_ADMIN);
	assert_int_equal(p2pdma_lease_ack(buffer, 0), 0);
	assert_int_equal(p2pd_count(WIRE_ACK), 1);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	p2pdma_buffer_free(buffer);
	/* It was over: nothing to give back. */
	assert_int_equal(p2pd_count(WIRE_RELEASE), 0);
}

static void revoked_is_stale(void **state)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_buffer *buffer = p2pd_acquire();
	struct p2pdma_event event = P2PDMA_EVENT_INIT;
	struct p2pdma_mr *mr = NULL, *other = NULL;

	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, 0, &mr), 0);
	p2pd_send_lease_event(WIRE_EVENT_REVOKED, 1, WIRE_REASON_EXPIRED, 0);
	assert_int_equal(p2pd_next_event().type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(p2pdma_mr_enter(mr), -ESTALE);
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, 0, &other), -ESTALE);
	assert_p2pd_cause("expired");
	assert_int_equal(p2pdma_lease_renew(buffer, 0), -ESTALE);
	assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
	assert_int_equal(status.state, P2PDMA_BUFFER_REVOKED);
	assert_int_equal(status.reason, P2PDMA_REASON_EXPIRED);
	assert_int_equal(p2pd_lease_info(buffer).state, P2PDMA_LEASE_REVOKED);
	/* Told once. */
	p2pd_send_lease_event(WIRE_EVENT_REVOKED, 1, WIRE_REASON_EXPIRED, 0);
	p2pd_send_lease_event(WIRE_EVENT_REVOKE_REQUESTED, 1, WIRE_REASON_ADMIN, 5);
	assert_int_equal(p2pdma_broker_drain(*state, "*", 1, 0, NULL), 0);
	assert_int_equal(p2pdma_next_event(*state, &event), -EAGAIN);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	p2pdma_buffer_free(buffer);
}

static void gone_is_enodev_and_told_after_all(void **state)
{
	struct p2pdma_buffer *a = p2pd_acquire(), *b = p2pd_acquire();
	struct p2pdma_event event = P2PDMA_EVENT_INIT;
	void *address;

	p2pd_send_lease_event(WIRE_EVENT_REVOKED, 1, WIRE_REASON_GONE, 0);
	p2pd_send_lease_event(WIRE_EVENT_REVOKED, 2, WIRE_REASON_GONE, 0);
	assert_int_equal(p2pd_next_event().type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(p2pd_next_event().type, P2PDMA_EVENT_REVOKED);
	event = p2pd_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_DEVICE_GONE);
	assert_string_equal(event.function, "0000:01:00.0");
	assert_int_equal(p2pdma_next_event(*state, &event), -EAGAIN);
	assert_int_equal(p2pdma_buffer_map(a, 0, 4096, P2PDMA_MAP_READ, &address), -ENODEV);
	p2pdma_buffer_free(a);
	p2pdma_buffer_free(b);
}

/* The last lease of it needn't be lost: its owner gave it back in the meantime, or frees it. */
static void gone_is_told_however_the_last_ends(void **state)
{
	for (int is_freed = 0; is_freed < 2; is_freed++) {
		struct p2pdma_buffer *a = p2pd_acquire(), *b = p2pd_acquire();
		struct p2pdma_event event = P2PDMA_EVENT_INIT;

		p2pd_send_lease_event(WIRE_EVENT_REVOKED, p2pd_lease_info(a).id, WIRE_REASON_GONE,
				      0);
		assert_int_equal(p2pd_next_event().type, P2PDMA_EVENT_REVOKED);
		assert_int_equal(p2pdma_next_event(*state, &event), -EAGAIN);
		if (!is_freed)
			assert_int_equal(p2pdma_buffer_revoke(b, 0, 100, NULL), 0);
		p2pdma_buffer_free(b);
		p2pd_wait_for(p2pd_next_event().type == P2PDMA_EVENT_DEVICE_GONE);
		assert_int_equal(p2pdma_next_event(*state, &event), -EAGAIN);
		p2pdma_buffer_free(a);
	}
}

/* Leases on two functions that both go, in turn; the processor time that their ends take. */
static uint64_t time_of_losing(struct p2pdma_context *context, unsigned int nr_leases)
{
	struct broker_lease *leases = calloc(nr_leases, sizeof(*leases));
	struct p2pdma_event event = P2PDMA_EVENT_INIT;
	struct timespec before, after;

	for (unsigned int i = 0; i < nr_leases; i++) {
		struct broker_function *spare = broker_function_new();

		leases[i].broker = context->broker;
		leases[i].device.function.generation = 70 + i % 2;
		broker_function_join(&leases[i], &spare);
		broker_function_free(spare);
	}
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
	for (unsigned int i = 0; i < nr_leases; i++)
		broker_function_lease_ended(&leases[i], true);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
	for (unsigned int i = 0; i < nr_leases; i++)
		broker_function_leave(&leases[i]);
	free(leases);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(p2pdma_next_event(context, &event), 0);
		assert_int_equal(event.type, P2PDMA_EVENT_DEVICE_GONE);
	}
	assert_int_equal(p2pdma_next_event(context, &event), -EAGAIN);
	return (uint64_t)(after.tv_sec - before.tv_sec) * 1000000000 + (uint64_t)after.tv_nsec -
	       (uint64_t)before.tv_nsec;
}

static void gone_with_many_costs_each_the_same(void **state)
{
	uint64_t few, many;

	p2pdma_buffer_free(p2pd_acquire());
	few = time_of_losing(*state, 4000);
	many = time_of_losing(*state, 40000);
	assert_true(many < 10 * 5 * few);
}

static void events_behind_the_reply_are_kept(void **state)
{
	struct p2pdma_buffer *buffer;

	(void)state;
	p2pd_twist(WIRE_ACQUIRE, TWIST_EVENT_AFTER, 0, 1);
	buffer = p2pd_acquire();
	p2pd_wait_for(p2pd_next_event().type == P2PDMA_EVENT_REVOKED);
	assert_int_equal(p2pd_lease_info(buffer).state, P2PDMA_LEASE_REVOKED);
	p2pdma_buffer_free(buffer);
}

static void events_before_a_reply_take_effect(void **state)
{
	struct p2pdma_buffer *buffer = p2pd_acquire();

	(void)state;
	p2pd_twist(WIRE_RENEW, TWIST_EVENT_BEFORE, 0, 1);
	assert_int_equal(p2pdma_lease_renew(buffer, 100), 0);
	assert_int_equal(p2pd_lease_info(buffer).state, P2PDMA_LEASE_REVOKED);
	assert_int_equal(p2pd_next_event().type, P2PDMA_EVENT_REVOKED);
	p2pdma_buffer_free(buffer);
}

static void requested_again_is_one_event(void **state)
{
	struct p2pdma_buffer *buffer = p2pd_acquire();
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	for (uint64_t i = 0; i < 50; i++)
		p2pd_send_lease_event(WIRE_EVENT_REVOKE_REQUESTED, 1, WIRE_REASON_DRAIN, 1000 - i);
	assert_int_equal(p2pdma_broker_drain(*state, "*", 1, 0, NULL), 0);
	assert_int_equal(p2pd_next_event().deadline_ns, 951);
	assert_int_equal(p2pdma_next_event(*state, &event), -EAGAIN);
	p2pdma_buffer_free(buffer);
}

static void revoke_releases(void **state)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_buffer *buffer = p2pd_acquire();
	struct p2pdma_mr *mr = NULL;

	(void)state;
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, 0, &mr), 0);
	assert_int_equal(p2pdma_mr_enter(mr), 0);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 1, &result), 0);
	assert_int_equal(result.nr_buffers, 1);
	assert_int_equal(result.nr_posts, 1);
	p2pdma_mr_exit(mr);
	assert_int_equal(p2pd_count(WIRE_RELEASE), 1);
	assert_int_equal(p2pd_next_event().type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(p2pd_lease_info(buffer).state, P2PDMA_LEASE_RELEASED);
	assert_int_equal(p2pdma_mr_enter(mr), -ESTALE);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	p2pdma_buffer_free(buffer);
	assert_int_equal(p2pd_count(WIRE_RELEASE), 1);
}

static void revoke_refused_can_be_repeated(void **state)
{
	struct p2pdma_buffer *buffer = p2pd_acquire();
	void *address;

	(void)state;
	p2pd_twist(WIRE_RELEASE, TWIST_ERROR, -EBUSY, 1);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), -EBUSY);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, 4096, P2PDMA_MAP_READ, &address), -ESTALE);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	p2pdma_buffer_free(buffer);
	assert_int_equal(p2pd_count(WIRE_RELEASE), 2);
}

static void renew_tells_expiry(void **state)
{
	struct p2pdma_buffer *buffer = p2pd_acquire();
	struct wire_renew wire;

	(void)state;
	assert_int_equal(p2pdma_lease_renew(buffer, 7000), 0);
	p2pd_last(WIRE_RENEW, &wire, sizeof(wire));
	assert_int_equal(wire.lease_id, 1);
	assert_int_equal(wire.ttl_ms, 7000);
	assert_int_equal(p2pd_lease_info(buffer).expires_ns, 4242);
	p2pd_twist(WIRE_RENEW, TWIST_ERROR, -EACCES, 1);
	assert_int_equal(p2pdma_lease_renew(buffer, 7000), -EACCES);
	p2pdma_buffer_free(buffer);
}

static void lease_calls_other_backend_eopnotsupp(void **state)
{
	struct p2pdma_lease_info info = P2PDMA_LEASE_INFO_INIT;
	struct p2pdma_buffer *buffer;

	(void)state;
	p2pd_stop();
	buffer = fake_buffer(0, MIB, 0);
	assert_int_equal(p2pdma_lease_query(buffer, &info), -EOPNOTSUPP);
	assert_int_equal(p2pdma_lease_renew(buffer, 0), -EOPNOTSUPP);
	assert_int_equal(p2pdma_lease_ack(buffer, 0), -EOPNOTSUPP);
	assert_int_equal(p2pdma_lease_query(NULL, &info), -EINVAL);
	assert_int_equal(p2pdma_lease_renew(NULL, 0), -EINVAL);
	assert_int_equal(p2pdma_lease_ack(NULL, 0), -EINVAL);
	assert_int_equal(p2pdma_lease_query(buffer, NULL), -EINVAL);
	p2pdma_buffer_free(buffer);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, p2pd_setup, p2pd_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(revoke_requested_then_ack),
		CASE(revoked_is_stale),
		CASE(gone_is_enodev_and_told_after_all),
		CASE(gone_is_told_however_the_last_ends),
		CASE(gone_with_many_costs_each_the_same),
		CASE(events_behind_the_reply_are_kept),
		CASE(events_before_a_reply_take_effect),
		CASE(requested_again_is_one_event),
		CASE(revoke_releases),
		CASE(revoke_refused_can_be_repeated),
		CASE(renew_tells_expiry),
		CASE(lease_calls_other_backend_eopnotsupp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
