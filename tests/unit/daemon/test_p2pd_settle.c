// SPDX-License-Identifier: MIT
/*
 * Leases of a device that is settling: what isn't there yet is neither granted nor refused, and
 * leaves nothing behind.
 */
#include "core.h"

#include <errno.h>

#include "fake_broker.h"

static struct fake fake;
static struct cause cause;
static struct wire_acquire wire;

static int setup(void **state)
{
	struct policy *policy;

	(void)state;
	fake_now_ns = 1000 * SECOND;
	assert_int_equal(policy_new(&policy), 0);
	assert_int_equal(fake_begin(&fake, policy, 0, -1, &cause), 0);
	fake_arrive(&fake, true);
	memset(&wire, 0, sizeof(wire));
	strcpy(wire.selector, "*");
	wire.mode = WIRE_MODE_EXCLUSIVE;
	wire.access = WIRE_ACCESS_READ | WIRE_ACCESS_WRITE;
	wire.length_bytes = FAKE_BYTES;
	wire.align_bytes = 4096;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_end(&fake);
	return 0;
}

static int acquire(struct lease **ret_lease)
{
	struct acquire_request request = {
		.wire = &wire,
		.subject = fake.holder.subject,
		.holder = &fake.holder,
	};
	int fd = -1, r;

	r = broker_acquire(&fake.broker, &request, ret_lease, &fd, &cause);
	assert_int_equal(!r, fd >= 0);
	if (fd >= 0)
		close(fd);
	return r;
}

static struct lease *granted(void)
{
	struct lease *lease;

	assert_int_equal(acquire(&lease), 0);
	return lease;
}

static void assert_untouched(void)
{
	assert_int_equal(fake.broker.leases.count, 0);
	assert_int_equal(fake.broker.leased_bytes, 0);
	assert_int_equal(fake.broker.counters.denied, 0);
	assert_int_equal(fake.happened[WIRE_MONITOR_LEASE_DENIED], 0);
	assert_int_equal(fake.account->used[ACCOUNT_LEASES], 0);
	assert_int_equal(fake.account->used[ACCOUNT_BYTES], 0);
	assert_int_equal(fake.provider->nr_leases, 0);
}

static void acquire_while_settling_einprogress(void **state)
{
	struct lease *lease;

	(void)state;
	fake.device.is_settling = true;
	assert_int_equal(acquire(&lease), -EINPROGRESS);
	assert_untouched();
	assert_int_equal(fake.nr_exported, 0);
	/* What can be said without it is said. */
	wire.length_bytes = 2 * FAKE_BYTES;
	assert_int_equal(acquire(&lease), -EOPNOTSUPP);
	wire.length_bytes = FAKE_BYTES;
	fake.device.is_settling = false;
	assert_int_equal(granted()->state, WIRE_LEASE_ACTIVE);
}

/* The backend begins something for it. */
static void acquire_export_begins_einprogress(void **state)
{
	struct lease *lease;

	(void)state;
	fake.export_error = -EINPROGRESS;
	assert_int_equal(acquire(&lease), -EINPROGRESS);
	assert_untouched();
	fake.export_error = 0;
	assert_int_equal(granted()->id, 1);
}

static void again_while_settling_unchanged(void **state)
{
	struct lease *lease, *found;

	(void)state;
	wire.nonce = 7;
	lease = granted();
	broker_lease_move(&fake.broker, lease, &fake.other);
	broker_holder_lost(&fake.broker, &fake.other);
	fake.device.is_settling = true;
	assert_int_equal(acquire(&found), -EINPROGRESS);
	assert_ptr_equal(lease->holder, &fake.other);
	assert_int_equal(fake.nr_revoked, 0);
	fake.device.is_settling = false;
	assert_ptr_equal(granted(), lease);
	assert_ptr_equal(lease->holder, &fake.holder);
}

/* The kernel's step is under way: over when the device says so, and nobody is told that he could help. */
static void revoke_under_way_ends_when_settled(void **state)
{
	struct revoke_scope all = {.scope = WIRE_SCOPE_ALL};
	struct wire_revoke_reply reply;
	struct lease *lease = granted();

	(void)state;
	fake.revoke_error = -EINPROGRESS;
	broker_revoke(&fake.broker, &all, WIRE_REASON_ADMIN, 0, &reply);
	assert_int_equal(reply.nr_leases, 1);
	assert_int_equal(reply.nr_busy, 0);
	assert_true(lease->is_under_way);
	assert_int_equal(fake.account->nr_under_way, 1);
	assert_int_equal(lease->written.state, WIRE_LEASE_REVOKING);
	fake_now_ns += SECOND;
	broker_tick(&fake.broker);
	assert_int_equal(fake.account->nr_under_way, 1);
	assert_int_equal(fake.nr_requested, 0);
	fake.revoke_error = 0;
	broker_device_settled(&fake.broker, &fake.device);
	assert_int_equal(fake.nr_ended, 1);
	assert_int_equal(fake.account->nr_under_way, 0);
	assert_int_equal(fake.broker.leases.count, 0);
}

/* Who settles for another reason ends nothing. */
static void settled_leaves_others(void **state)
{
	struct lease *lease = granted();

	(void)state;
	broker_device_settled(&fake.broker, &fake.device);
	assert_int_equal(lease->state, WIRE_LEASE_ACTIVE);
	assert_int_equal(fake.nr_revoked, 0);
}

/* Room and quota that are being given back aren't refused, but waited for. */
static void acquire_while_under_way_einprogress(void **state)
{
	struct account_limits *limits = &fake.broker.accounts.limits;
	struct lease *lease = granted(), *found;

	(void)state;
	assert_int_equal(acquire(&found), -EBUSY);
	fake.revoke_error = -EINPROGRESS;
	fake.device.is_settling = true;
	broker_release(&fake.broker, lease);
	assert_int_equal(acquire(&found), -EINPROGRESS);
	fake.device.is_settling = false;
	fake.account->uid = fake.holder.subject.uid = 1000;
	limits->most[ACCOUNT_LEASES] = 1;
	wire.length_bytes = 4096;
	assert_int_equal(account_charge(&fake.broker.accounts, fake.account, ACCOUNT_LEASES, 1),
			 -EDQUOT);
	/* There is room elsewhere, and policy has no limit: that of accounts decides. */
	fake.holder.subject.uid = 0;
	slices_give(&fake.provider->slices, 0, 4096, false);
	assert_int_equal(acquire(&found), -EINPROGRESS);
	assert_int_equal(slices_take(&fake.provider->slices, 0, 4096, false), 0);
	assert_int_equal(fake.broker.counters.denied, 1);
	fake.revoke_error = 0;
	broker_device_settled(&fake.broker, &fake.device);
	assert_int_equal(granted()->id, 2);
	assert_int_equal(acquire(&found), -EDQUOT);
	fake.account->uid = 0;
}

/* Where it has to be taken from whoever got the first answer, and exported anew. */
static void again_under_way_granted_when_settled(void **state)
{
	struct lease *lease, *found;

	(void)state;
	wire.nonce = 7;
	lease = granted();
	broker_lease_move(&fake.broker, lease, &fake.other);
	broker_holder_lost(&fake.broker, &fake.other);
	fake.revoke_error = -EINPROGRESS;
	assert_int_equal(acquire(&found), -EINPROGRESS);
	assert_ptr_equal(lease->holder, &fake.other);
	fake.revoke_error = 0;
	fake.export_error = -EINPROGRESS;
	assert_int_equal(acquire(&found), -EINPROGRESS);
	assert_int_equal(lease->state, WIRE_LEASE_ACTIVE);
	fake.export_error = 0;
	assert_ptr_equal(granted(), lease);
	assert_int_equal(fake.nr_exported, 2);
}

static void end_unkept_tells_those(void **state)
{
	struct lease *lease = granted();

	(void)state;
	fake.device.is_kept = true;
	broker_end_unkept(&fake.broker, true);
	assert_int_equal(fake.nr_ended, 0);
	assert_int_equal(lease->state, WIRE_LEASE_ACTIVE);
	fake.device.is_kept = false;
	broker_end_unkept(&fake.broker, true);
	assert_int_equal(fake.nr_ended, 1);
	assert_int_equal(fake.last_reason, WIRE_REASON_SHUTDOWN);
	/* Without the journal nobody knows of them. */
	granted();
	fake.device.is_kept = true;
	broker_end_unkept(&fake.broker, false);
	assert_int_equal(fake.nr_ended, 2);
	assert_int_equal(fake.broker.leases.count, 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(acquire_while_settling_einprogress),
		CASE(acquire_export_begins_einprogress),
		CASE(again_while_settling_unchanged),
		CASE(revoke_under_way_ends_when_settled),
		CASE(settled_leaves_others),
		CASE(acquire_while_under_way_einprogress),
		CASE(again_under_way_granted_when_settled),
		CASE(end_unkept_tells_those),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
