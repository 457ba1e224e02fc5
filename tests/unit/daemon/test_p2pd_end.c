// SPDX-License-Identifier: MIT
/*
 * How a lease ends in the broker: its exporter takes it back, its holder lets it go, its function
 * leaves.
 */
#include "grant_case.h"

/* An importer that can't be revoked: asked again each second, and the slice isn't given to others. */
static void revoke_busy_tried_again(void **state)
{
	struct revoke_scope all = {.scope = WIRE_SCOPE_ALL};
	struct wire_revoke_reply reply;
	struct lease *lease = granted();

	(void)state;
	fake.revoke_error = -EBUSY;
	broker_revoke(&fake.broker, &all, WIRE_REASON_ADMIN, 0, &reply);
	assert_int_equal(reply.nr_leases, 1);
	assert_int_equal(reply.nr_busy, 1);
	/* Nobody was to be asked, but only its holder can end it now. */
	assert_int_equal(fake.nr_requested, 1);
	assert_int_equal(fake.wake_ns, fake_now_ns + SECOND);
	wire.length_bytes = FAKE_BYTES;
	refused(-EBUSY);
	fake_now_ns += SECOND;
	broker_tick(&fake.broker);
	assert_int_equal(fake.nr_revoked, 2);
	assert_int_equal(fake.nr_requested, 1);
	assert_int_equal(lease->state, WIRE_LEASE_REVOKING);
	fake.revoke_error = 0;
	fake_now_ns += SECOND;
	broker_tick(&fake.broker);
	assert_int_equal(fake.nr_ended, 1);
	assert_int_equal(fake.wake_ns, 0);
	assert_nothing_held();
}

static struct lease *granted_of_function(void)
{
	struct lease *lease = granted();

	lease->force = WIRE_FORCE_FUNCTION;
	return lease;
}

static void revoke_function_draws_in_all_of_it(void **state)
{
	struct lease *first = granted_of_function(), *second = granted_of_function();
	struct lease *other = granted(), *later;
	struct revoke_scope one = {.scope = WIRE_SCOPE_LEASE, .lease_id = second->id};
	struct revoke_scope nobody = {.scope = WIRE_SCOPE_UID, .uid = 4711, .is_function = true};
	struct wire_revoke_reply reply;

	(void)state;
	broker_revoke(&fake.broker, &one, WIRE_REASON_ADMIN, 5000, &reply);
	assert_int_equal(reply.nr_leases, 1);
	assert_int_equal(first->state, WIRE_LEASE_ACTIVE);
	one.is_function = true;
	broker_revoke(&fake.broker, &one, WIRE_REASON_ADMIN, 5000, &reply);
	assert_int_equal(reply.nr_leases, 1);
	assert_int_equal(first->state, WIRE_LEASE_REVOKING);
	assert_int_equal(second->state, WIRE_LEASE_REVOKING);
	/* The kernel can force that one by itself. */
	assert_int_equal(other->state, WIRE_LEASE_ACTIVE);
	/* What one revocation drew in is nothing to the next. */
	later = granted_of_function();
	broker_revoke(&fake.broker, &nobody, WIRE_REASON_ADMIN, 5000, &reply);
	assert_int_equal(reply.nr_leases, 0);
	assert_int_equal(later->state, WIRE_LEASE_ACTIVE);
	broker_release(&fake.broker, first);
	broker_release(&fake.broker, second);
	broker_release(&fake.broker, other);
	broker_release(&fake.broker, later);
	assert_nothing_held();
}

static void revoke_enodev_is_gone(void **state)
{
	struct revoke_scope all = {.scope = WIRE_SCOPE_ALL};
	struct wire_revoke_reply reply;

	(void)state;
	granted();
	fake.revoke_error = -ENODEV;
	broker_revoke(&fake.broker, &all, WIRE_REASON_ADMIN, 0, &reply);
	assert_int_equal(reply.nr_busy, 0);
	assert_int_equal(fake.nr_ended, 1);
	assert_nothing_held();
}

static void ack_ends_before_deadline(void **state)
{
	struct revoke_scope scope = {.scope = WIRE_SCOPE_LEASE};
	struct wire_revoke_reply reply;
	struct lease *lease = granted();

	(void)state;
	broker_ack(&fake.broker, lease);
	assert_int_equal(lease->state, WIRE_LEASE_ACTIVE);
	scope.lease_id = lease->id;
	broker_revoke(&fake.broker, &scope, WIRE_REASON_ADMIN, 5000, &reply);
	assert_int_equal(fake.nr_requested, 1);
	assert_int_equal(fake.nr_revoked, 0);
	broker_ack(&fake.broker, lease);
	assert_int_equal(fake.nr_ended, 1);
	assert_int_equal(fake.last_reason, WIRE_REASON_ADMIN);
	assert_nothing_held();
}

static void provider_gone_ends_leases(void **state)
{
	struct lease *lease = granted();

	(void)state;
	(void)lease;
	granted();
	broker_provider_remove(&fake.broker, fake.provider, WIRE_REASON_GONE);
	fake.provider = NULL;
	assert_int_equal(fake.nr_ended, 2);
	assert_int_equal(fake.broker.nr_providers, 0);
	assert_nothing_held();
	refused(-ENODEV);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(revoke_busy_tried_again),	 CASE(revoke_function_draws_in_all_of_it),
		CASE(revoke_enodev_is_gone),	 CASE(ack_ends_before_deadline),
		CASE(provider_gone_ends_leases),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
