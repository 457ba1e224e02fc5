// SPDX-License-Identifier: MIT
/*
 * Granting in the broker: each error that it promises, and that nothing is left behind where it
 * refuses.
 */
#include "grant_case.h"

static void acquire_errors_leave_nothing(void **state)
{
	static const int kernel[][2] = {
		{-EINVAL, -EOPNOTSUPP}, {-EMFILE, -EMFILE},	{-ENODEV, -ENODEV},
		{-ENOMEM, -ENOMEM},	{-EBUSY, -EBUSY},	{-EPERM, -EOPNOTSUPP},
		{-EACCES, -EOPNOTSUPP}, {-ENOENT, -EOPNOTSUPP},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kernel); i++) {
		fake.export_error = kernel[i][0];
		fake.export_why = NULL;
		refused(kernel[i][1]);
		assert_nothing_held();
		fake.export_why = "the group isn't viable";
		refused(kernel[i][1]);
		assert_non_null(strstr(cause.text, "the group isn't viable"));
		assert_nothing_held();
	}
	fake.export_error = 0;
	strcpy(wire.selector, "!");
	refused(-EINVAL);
	strcpy(wire.selector, "0000:02:00.0/0");
	refused(-ENODEV);
	strcpy(wire.selector, "0000:01:00.0/2@6");
	refused(-ESTALE);
	strcpy(wire.selector, FAKE_NAME);
	wire.length_bytes = FAKE_BYTES * 2;
	refused(-EOPNOTSUPP);
	wire.length_bytes = 0;
	wire.nr_ranges = 2;
	ranges[0] = (struct wire_range){0, 4096};
	ranges[1] = (struct wire_range){FAKE_BYTES, 4096};
	refused(-EINVAL);
	ranges[1] = (struct wire_range){0, 4096};
	refused(-EBUSY);
	ranges[0] = ranges[1] = (struct wire_range){0, UINT64_MAX & ~4095ULL};
	refused(-EINVAL);
	assert_nothing_held();
	assert_int_equal(fake.nr_exported, 0);
}

static void acquire_path_errors(void **state)
{
	static const struct pci_address nic = {.bus = 9};

	(void)state;
	importer = &nic;
	fake.distance = -1;
	refused(-EOPNOTSUPP);
	fake.distance = 3;
	fake.distance_error = -ENXIO;
	refused(-ENODEV);
	fake.distance_error = -EIO;
	refused(-EOPNOTSUPP);
	fake.distance_error = 0;
	broker_release(&fake.broker, granted());
	importer = NULL;
	assert_nothing_held();
}

static void acquire_unavailable_draining_gone(void **state)
{
	struct wire_revoke_reply reply;
	struct selector all;

	(void)state;
	assert_int_equal(selector_parse("*", &all), 0);
	broker_drain(&fake.broker, &all, true, 0, &reply);
	refused(-EBUSY);
	broker_drain(&fake.broker, &all, false, 0, &reply);
	fake.provider->device = NULL;
	strcpy(fake.provider->cause, "why not");
	refused(-EOPNOTSUPP);
	assert_non_null(strstr(cause.text, "why not"));
	fake.provider->device = &fake.device;
	broker_release(&fake.broker, granted());
	fake.provider->is_gone = true;
	refused(-ENODEV);
	fake.provider->is_gone = false;
	assert_nothing_held();
}

static void acquire_quota_edquot(void **state)
{
	(void)state;
	/* Nobody but root without a rule. */
	fake_end(&fake);
	begin_as(1000);
	refused(-EACCES);
	fake.holder.subject.uid = 0;
	fake.broker.accounts.limits.most[ACCOUNT_LEASES] = 0;
	refused(-EDQUOT);
	assert_non_null(strstr(cause.text, "leases"));
	fake.broker.accounts.limits.most[ACCOUNT_LEASES] = 1;
	fake.broker.accounts.limits.most[ACCOUNT_BYTES] = 4096;
	refused(-EDQUOT);
	assert_non_null(strstr(cause.text, "bytes"));
	assert_nothing_held();
}

static void release_and_again_same_slice(void **state)
{
	struct lease *first = granted(), *found;
	uint64_t id = first->id;

	(void)state;
	wire.length_bytes = FAKE_BYTES;
	refused(-EBUSY);
	broker_release(&fake.broker, first);
	assert_nothing_held();
	assert_int_equal(fake.nr_ended, 0);
	assert_int_equal(broker_lease_of(&fake.broker, &fake.holder, id, &found, &cause), -ESTALE);
	assert_int_equal(broker_lease_of(&fake.broker, &fake.holder, id + 1, &found, &cause),
			 -ENOENT);
	assert_int_equal(broker_lease_of(&fake.broker, &fake.holder, 0, &found, &cause), -ENOENT);
	broker_release(&fake.broker, granted());
}

static void lease_of_another_holder_estale(void **state)
{
	struct lease *lease = granted(), *found;

	(void)state;
	assert_int_equal(broker_lease_of(&fake.broker, &fake.other, lease->id, &found, &cause),
			 -ESTALE);
	broker_release(&fake.broker, lease);
}

static void renew_errors(void **state)
{
	struct lease *lease;

	(void)state;
	wire.ttl_ms = 1000;
	lease = granted();
	fake_now_ns += 500 * MS;
	assert_int_equal(broker_renew(&fake.broker, lease, &fake.holder.subject, 1000, &cause), 0);
	assert_int_equal(lease->expires_ns, fake_now_ns + 1000 * MS);
	fake_now_ns += 1000 * MS;
	assert_int_equal(broker_renew(&fake.broker, lease, &fake.holder.subject, 1000, &cause),
			 -ESTALE);
	broker_tick(&fake.broker);
	assert_int_equal(lease->state, WIRE_LEASE_REVOKING);
	assert_int_equal(fake.nr_requested, 1);
	assert_int_equal(fake.last_reason, WIRE_REASON_EXPIRED);
	assert_int_equal(broker_renew(&fake.broker, lease, &fake.holder.subject, 1000, &cause),
			 -ESTALE);
	fake_now_ns += 60 * SECOND;
	broker_tick(&fake.broker);
	assert_int_equal(fake.nr_ended, 1);
	wire.ttl_ms = 0;
	lease = granted();
	fake.holder.subject.uid = 1000;
	assert_int_equal(broker_renew(&fake.broker, lease, &fake.holder.subject, 1000, &cause),
			 -EACCES);
	assert_int_equal(lease->expires_ns, 0);
	fake.holder.subject.uid = 0;
	broker_release(&fake.broker, lease);
	assert_nothing_held();
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(acquire_errors_leave_nothing),
		CASE(acquire_path_errors),
		CASE(acquire_unavailable_draining_gone),
		CASE(acquire_quota_edquot),
		CASE(release_and_again_same_slice),
		CASE(lease_of_another_holder_estale),
		CASE(renew_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
