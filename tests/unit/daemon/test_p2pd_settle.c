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
		CASE(end_unkept_tells_those),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
