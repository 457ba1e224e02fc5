// SPDX-License-Identifier: MIT
/*
 * Holders that are lost and come back: what is still theirs, also where the answer that granted it
 * never came.
 */
#include "grant_case.h"

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

/* Nobody says a nonce twice but for the same request; who does would have so many looked at. */
static void again_one_has_the_nonce(void **state)
{
	struct lease *first, *second;

	(void)state;
	wire.nonce = 7;
	first = granted();
	broker_lease_move(&fake.broker, first, &fake.other);
	second = granted();
	assert_ptr_not_equal(second, first);
	assert_int_equal(first->nonce, 7);
	assert_int_equal(second->nonce, 0);
	broker_holder_lost(&fake.broker, &fake.other);
	assert_ptr_equal(granted(), first);
	assert_int_equal(fake.broker.leases.count, 2);
	/* One that is being taken back is of no use to who repeats a request. */
	lease_revoke(first, fake_now_ns, WIRE_REASON_ADMIN, 1000);
	second = granted();
	assert_int_equal(first->nonce, 0);
	assert_int_equal(second->nonce, 7);
	assert_ptr_equal(granted(), second);
	broker_holder_died(&fake.broker, &fake.holder);
	broker_holder_died(&fake.broker, &fake.other);
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
		CASE(holder_lost_then_died),
		CASE(holder_lost_and_late_ends),
		CASE(attach_errors),
		CASE(again_same_lease_exported_anew),
		CASE(again_while_broken_same_lease),
		CASE(again_one_has_the_nonce),
		CASE(again_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
