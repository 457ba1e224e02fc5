// SPDX-License-Identifier: MIT
/*
 * Granting and ending in the broker: each error that it promises, and that nothing is left behind
 * where it refuses.
 */
#include "core.h"

#include <errno.h>
#include <fcntl.h>

#include "fake_broker.h"

static struct fake fake;
static struct cause cause;
static struct wire_acquire wire;
static struct wire_range ranges[WIRE_RANGES_MAX];

static int begin_as(uid_t uid)
{
	struct policy *policy;

	fake_now_ns = 1000 * SECOND;
	assert_int_equal(policy_new(&policy), 0);
	assert_int_equal(fake_begin(&fake, policy, uid, -1, &cause), 0);
	fake_arrive(&fake, true);
	memset(&wire, 0, sizeof(wire));
	strcpy(wire.selector, "*");
	wire.mode = WIRE_MODE_EXCLUSIVE;
	wire.access = WIRE_ACCESS_READ | WIRE_ACCESS_WRITE;
	wire.length_bytes = 8192;
	wire.align_bytes = 4096;
	return 0;
}

static int setup(void **state)
{
	(void)state;
	return begin_as(0);
}

static int teardown(void **state)
{
	(void)state;
	fake_end(&fake);
	return 0;
}

static const struct pci_address *importer;

static int acquire(struct lease **ret_lease)
{
	struct acquire_request request = {
		.wire = &wire,
		.ranges = ranges,
		.subject = fake.holder.subject,
		.holder = &fake.holder,
		.importer = importer,
	};
	int fd = -1, r;

	r = broker_acquire(&fake.broker, &request, ret_lease, &fd, &cause);
	if (!r) {
		assert_true(fd >= 0);
		close(fd);
	} else {
		assert_int_equal(fd, -1);
		assert_true(cause.text[0]);
	}
	return r;
}

static struct lease *granted(void)
{
	struct lease *lease;

	assert_int_equal(acquire(&lease), 0);
	return lease;
}

/* Nothing is held by anybody. */
static void assert_nothing_held(void)
{
	struct slices_summary summary;

	assert_int_equal(fake.broker.leases.count, 0);
	assert_int_equal(fake.broker.leased_bytes, 0);
	assert_int_equal(fake.holder.nr_leases, 0);
	assert_true(list_is_empty(&fake.holder.leases));
	for (size_t i = 0; i < ACCOUNT_NR_KINDS; i++)
		assert_int_equal(fake.account->used[i], 0);
	assert_int_equal(fake.account->leases.count, 0);
	if (fake.provider) {
		slices_summarize(&fake.provider->slices, &summary);
		assert_int_equal(summary.free_bytes, FAKE_BYTES);
		assert_int_equal(fake.provider->nr_leases, 0);
	}
}

static void refused(int error)
{
	unsigned int denied = fake.happened[WIRE_MONITOR_LEASE_DENIED];
	struct lease *lease;

	assert_int_equal(acquire(&lease), error);
	assert_int_equal(fake.happened[WIRE_MONITOR_LEASE_DENIED], denied + 1);
}

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

static void holder_lost_then_died(void **state)
{
	(void)state;
	granted();
	granted();
	broker_holder_lost(&fake.broker, &fake.holder);
	assert_int_equal(fake.nr_idle, 0);
	assert_int_equal(fake.broker.leases.count, 2);
	assert_int_equal(fake.account->leases.count, 2);
	broker_holder_died(&fake.broker, &fake.holder);
	assert_int_equal(fake.nr_idle, 1);
	assert_int_equal(fake.nr_revoked, 2);
	assert_nothing_held();
}

static void holder_lost_and_late_ends(void **state)
{
	(void)state;
	granted();
	broker_holder_lost(&fake.broker, &fake.holder);
	fake_now_ns += 29 * SECOND;
	broker_tick(&fake.broker);
	assert_int_equal(fake.broker.leases.count, 1);
	fake_now_ns += SECOND;
	broker_tick(&fake.broker);
	assert_int_equal(fake.nr_idle, 1);
	assert_nothing_held();
}

static void attach_errors(void **state)
{
	struct lease *lease = granted(), *found;
	struct wire_attach attach = {.lease_id = lease->id};

	(void)state;
	assert_int_equal(broker_attach(&fake.broker, &fake.other, &attach, &found, &cause),
			 -ESTALE);
	memcpy(attach.token, lease->token, sizeof(attach.token));
	assert_int_equal(broker_attach(&fake.broker, &fake.other, &attach, &found, &cause), -EBUSY);
	assert_int_equal(broker_attach(&fake.broker, &fake.holder, &attach, &found, &cause), 0);
	attach.lease_id++;
	assert_int_equal(broker_attach(&fake.broker, &fake.other, &attach, &found, &cause),
			 -ENOENT);
	attach.lease_id--;
	broker_holder_lost(&fake.broker, &fake.holder);
	assert_int_equal(broker_attach(&fake.broker, &fake.other, &attach, &found, &cause), 0);
	assert_ptr_equal(found, lease);
	assert_int_equal(fake.nr_idle, 1);
	assert_int_equal(fake.other.nr_leases, 1);
	fake_now_ns += 100 * SECOND;
	broker_tick(&fake.broker);
	assert_int_equal(fake.broker.leases.count, 1);
	broker_release(&fake.broker, lease);
	assert_int_equal(fake.other.nr_leases, 0);
	assert_nothing_held();
}

/* A lease whose answer was lost, asked for once more. */
static struct lease *lost(void)
{
	struct lease *lease;

	wire.nonce = 7;
	lease = granted();
	broker_lease_move(&fake.broker, lease, &fake.other);
	broker_holder_lost(&fake.broker, &fake.other);
	return lease;
}

static void again_same_lease_exported_anew(void **state)
{
	struct lease *lease = lost();
	uint32_t export_id = lease->export_id;

	(void)state;
	assert_ptr_equal(granted(), lease);
	assert_int_equal(fake.nr_revoked, 1);
	assert_int_equal(lease->export_id, export_id + 1);
	assert_int_equal(lease->detached_until_ns, 0);
	assert_ptr_equal(lease->holder, &fake.holder);
	assert_int_equal(fake.nr_idle, 1);
	assert_int_equal(fake.happened[WIRE_MONITOR_LEASE_GRANTED], 1);
	wire.nonce = 8;
	assert_ptr_not_equal(granted(), lease);
	broker_holder_died(&fake.broker, &fake.holder);
	assert_nothing_held();
}

/* The old connection has broken, and the loop hasn't come to it. */
static void again_while_broken_same_lease(void **state)
{
	struct wire_attach attach;
	struct lease *lease, *found;

	(void)state;
	wire.nonce = 7;
	lease = granted();
	broker_lease_move(&fake.broker, lease, &fake.other);
	attach.lease_id = lease->id;
	memcpy(attach.token, lease->token, sizeof(attach.token));
	assert_int_equal(broker_attach(&fake.broker, &fake.holder, &attach, &found, &cause),
			 -EBUSY);
	fake.broken = &fake.other;
	assert_ptr_equal(granted(), lease);
	assert_ptr_equal(lease->holder, &fake.holder);
	/* And then the loop does. */
	broker_holder_lost(&fake.broker, &fake.other);
	assert_int_equal(lease->detached_until_ns, 0);
	fake.broken = &fake.holder;
	fake.other.client = fake.holder.client;
	assert_int_equal(broker_attach(&fake.broker, &fake.other, &attach, &found, &cause), 0);
	assert_ptr_equal(lease->holder, &fake.other);
	broker_release(&fake.broker, lease);
	assert_nothing_held();
}

static void again_errors(void **state)
{
	struct lease *lease = lost(), *found;

	(void)state;
	wire.access = WIRE_ACCESS_READ;
	assert_int_equal(acquire(&found), -EINVAL);
	wire.access |= WIRE_ACCESS_WRITE;
	/* Somebody still has it mapped, and can't be revoked: nothing changes. */
	fake.revoke_error = -EBUSY;
	assert_int_equal(acquire(&found), -EBUSY);
	fake.revoke_error = 0;
	assert_int_equal(fake.broker.leases.count, 1);
	/* There is nothing to give, and nobody has it: it ends. */
	fake.export_error = -EMFILE;
	assert_int_equal(acquire(&found), -EMFILE);
	assert_nothing_held();
	fake.export_error = 0;
	lease = lost();
	/* Being taken back, it isn't granted to anybody. */
	lease_revoke(lease, fake_now_ns, WIRE_REASON_ADMIN, 1000);
	assert_ptr_not_equal(granted(), lease);
	broker_holder_died(&fake.broker, &fake.holder);
	broker_holder_died(&fake.broker, &fake.other);
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
		CASE(revoke_busy_tried_again),
		CASE(revoke_function_draws_in_all_of_it),
		CASE(revoke_enodev_is_gone),
		CASE(ack_ends_before_deadline),
		CASE(provider_gone_ends_leases),
		CASE(holder_lost_then_died),
		CASE(holder_lost_and_late_ends),
		CASE(attach_errors),
		CASE(again_same_lease_exported_anew),
		CASE(again_while_broken_same_lease),
		CASE(again_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
