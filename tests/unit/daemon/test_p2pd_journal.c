// SPDX-License-Identifier: MIT
/*
 * What the broker writes down of a lease between its grant and its end: enough for the next p2pd,
 * nothing twice, and also where there is no room for anything new.
 */
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "fake_broker.h"

#define FULL_BYTES 200000 /* more than a new journal allocates at once */

static struct fake fake;
static struct cause cause;
static struct lease *leases[1024];

static int begin_at(int journal_fd)
{
	struct policy *policy;
	int r;

	assert_int_equal(policy_new(&policy), 0);
	r = fake_begin(&fake, policy, 0, journal_fd, &cause);
	fake_arrive(&fake, true);
	return r;
}

static int setup(void **state)
{
	(void)state;
	fake_now_ns = 1000 * SECOND;
	return begin_at(-1);
}

static int teardown(void **state)
{
	(void)state;
	fake_end(&fake);
	return 0;
}

static int acquire(uint32_t nr_ranges, struct lease **ret_lease)
{
	struct wire_range ranges[WIRE_RANGES_MAX];
	struct wire_acquire wire = {
		.selector = "*",
		.mode = WIRE_MODE_SHARED,
		.access = WIRE_ACCESS_READ,
		.nr_ranges = nr_ranges,
	};
	struct acquire_request request = {
		.wire = &wire,
		.ranges = ranges,
		.subject = fake.holder.subject,
		.holder = &fake.holder,
	};
	int fd, r;

	for (uint32_t i = 0; i < nr_ranges; i++)
		ranges[i] = (struct wire_range){8192 * i, 4096};
	r = broker_acquire(&fake.broker, &request, ret_lease, &fd, &cause);
	if (!r)
		close(fd);
	return r;
}

static struct lease *granted(void)
{
	struct lease *lease = NULL;

	assert_int_equal(acquire(1, &lease), 0);
	return lease;
}

static off_t size_of_journal(void)
{
	struct stat status;

	assert_int_equal(fstat(journal_fd(fake.broker.journal), &status), 0);
	return status.st_size;
}

/* This p2pd is killed, and the next one goes on. */
static int restart(void)
{
	int fd = fcntl(journal_fd(fake.broker.journal), F_DUPFD_CLOEXEC, 0);

	fake_end(&fake);
	return begin_at(fd);
}

static struct lease *lease_of(uint64_t id)
{
	return lease_table_find(&fake.broker.leases, id);
}

static void attach(struct lease *lease)
{
	struct wire_attach attach = {.lease_id = lease->id};
	struct lease *found;

	memcpy(attach.token, lease->token, sizeof(attach.token));
	assert_int_equal(broker_attach(&fake.broker, &fake.holder, &attach, &found, &cause), 0);
	assert_ptr_equal(found, lease);
}

static uint32_t revoke_all(uint64_t deadline_ms)
{
	struct revoke_scope all = {.scope = WIRE_SCOPE_ALL};
	struct wire_revoke_reply reply;

	broker_revoke(&fake.broker, &all, WIRE_REASON_ADMIN, deadline_ms, &reply);
	return reply.nr_leases;
}

static void changes_survive_restart(void **state)
{
	uint64_t id = granted()->id, other = granted()->id, expires_ns;

	(void)state;
	assert_int_equal(
		broker_renew(&fake.broker, lease_of(id), &fake.holder.subject, 90000, &cause), 0);
	expires_ns = fake_now_ns + 90 * SECOND;
	fake.holder.pid = 43;
	broker_lease_move(&fake.broker, lease_of(other), &fake.other);
	fake_now_ns += SECOND;
	assert_int_equal(restart(), 0);
	assert_int_equal(lease_of(id)->expires_ns, expires_ns);
	assert_int_equal(lease_of(id)->detached_until_ns, fake_now_ns + 30 * SECOND);
	fake.holder.pid = 44;
	attach(lease_of(id));
	assert_int_equal(revoke_all(5000), 2);
	fake_now_ns += SECOND;
	assert_int_equal(restart(), 0);
	for (int i = 0; i < 2; i++) {
		struct lease *lease = lease_of(i ? other : id);

		assert_int_equal(lease->state, WIRE_LEASE_REVOKING);
		assert_int_equal(lease->reason, WIRE_REASON_ADMIN);
		assert_int_equal(lease->deadline_ns, fake_now_ns + 4 * SECOND);
		/* Who was back has all the time again; who wasn't has what was left. */
		assert_int_equal(lease->detached_until_ns, fake_now_ns + (i ? 29 : 30) * SECOND);
		assert_int_equal(lease->pid, i ? 42 : 44);
		assert_int_equal(lease->expires_ns, i ? 0 : expires_ns);
		assert_int_equal(lease->nr_ranges, 1);
	}
}

/* Coming back to a p2pd that went on, or an importer that lets it wait, costs no room. */
static void unchanged_not_written_again(void **state)
{
	struct lease *lease = granted();
	off_t size = size_of_journal();

	(void)state;
	for (int i = 0; i < 10; i++) {
		broker_lease_move(&fake.broker, lease, &fake.other);
		fake.other.client = NULL;
		attach(lease);
		fake_holder(&fake, &fake.other);
	}
	assert_int_equal(size_of_journal(), size);
	fake.revoke_error = -EBUSY;
	revoke_all(0);
	size = size_of_journal();
	for (int i = 0; i < 10; i++) {
		fake_now_ns += SECOND;
		broker_tick(&fake.broker);
	}
	assert_int_equal(fake.nr_revoked, 11);
	assert_int_equal(size_of_journal(), size);
	fake.revoke_error = 0;
	fake_now_ns += SECOND;
	broker_tick(&fake.broker);
	assert_int_equal(fake.broker.leases.count, 0);
	assert_true(size_of_journal() > size);
}

/* A snapshot that was written while its holder was away must not be what is known of it for ever. */
static void back_after_snapshot_written(void **state)
{
	struct lease *lease = granted();
	uint64_t id = lease->id;

	(void)state;
	broker_lease_move(&fake.broker, lease, &fake.other);
	broker_holder_lost(&fake.broker, &fake.other);
	while (!journal_is_large(fake.broker.journal, 1))
		assert_int_equal(broker_journal_lease(&fake.broker, lease, 0), 0);
	broker_journal_compact(&fake.broker);
	attach(lease);
	assert_int_equal(restart(), 0);
	fake_now_ns += 20 * SECOND;
	assert_int_equal(restart(), 0);
	attach(lease_of(id));
	fake_now_ns += 29 * SECOND;
	assert_int_equal(restart(), 0);
	assert_int_equal(lease_of(id)->detached_until_ns, fake_now_ns + 30 * SECOND);
}

/* -- one revocation of many -- */

#define NR_MANY 900 /* more than the journal writes at once */

static size_t nr_told_early;
static off_t first_size;

static void told(void *data, const struct lease *lease)
{
	fake_requested(data, lease);
	if (!first_size)
		first_size = size_of_journal();
	nr_told_early += size_of_journal() != first_size;
	/* Monitors and the log come after the last holder. */
	nr_told_early += fake.happened[WIRE_MONITOR_LEASE_REVOKING];
}

static void many(void)
{
	static struct broker_ops ops;

	ops = fake_broker_ops;
	ops.tell_requested = told;
	fake.broker.ops = &ops;
	nr_told_early = 0;
	first_size = 0;
	for (size_t i = 0; i < NR_MANY; i++)
		leases[i] = granted();
}

static void assert_all_told_after_all_written(void)
{
	assert_int_equal(nr_told_early, 0);
	assert_int_equal(size_of_journal(), first_size);
	assert_int_equal(fake.nr_requested, NR_MANY);
	assert_int_equal(fake.happened[WIRE_MONITOR_LEASE_REVOKING], NR_MANY);
	assert_int_equal(restart(), 0);
	for (uint64_t id = 1; id <= NR_MANY; id++)
		assert_int_equal(lease_of(id)->state, WIRE_LEASE_REVOKING);
}

static void revoke_all_written_before_first_told(void **state)
{
	(void)state;
	many();
	assert_int_equal(revoke_all(5000), NR_MANY);
	for (size_t i = 0; i < NR_MANY; i++)
		assert_int_equal(leases[i]->deadline_ns, fake_now_ns + 5 * SECOND);
	assert_int_equal(fake.wake_ns, fake_now_ns + 5 * SECOND);
	/* Again, and later: nobody is told twice. */
	assert_int_equal(revoke_all(6000), 0);
	assert_all_told_after_all_written();
}

static void policy_all_written_before_first_told(void **state)
{
	struct policy *policy;

	(void)state;
	many();
	fake.holder.subject.uid = 1000;
	assert_int_equal(policy_new(&policy), 0);
	broker_policy_replace(&fake.broker, policy);
	assert_all_told_after_all_written();
}

static void expiry_all_written_before_first_told(void **state)
{
	(void)state;
	many();
	for (size_t i = 0; i < NR_MANY; i++)
		assert_int_equal(broker_renew(&fake.broker, leases[i], &fake.holder.subject, 1000,
					      &cause),
				 0);
	fake_now_ns += SECOND;
	broker_tick(&fake.broker);
	assert_int_equal(fake.wake_ns, fake_now_ns + 5 * SECOND);
	assert_all_told_after_all_written();
}

/* By id: that one, and no other. */
static void revoke_one_by_id(void **state)
{
	struct revoke_scope scope = {.scope = WIRE_SCOPE_LEASE};
	struct wire_revoke_reply reply;
	struct lease *found[3];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(found); i++)
		found[i] = granted();
	for (uint64_t id = 0; id < 5; id += 2) {
		scope.lease_id = id;
		broker_revoke(&fake.broker, &scope, WIRE_REASON_ADMIN, 5000, &reply);
		assert_int_equal(reply.nr_leases, id == 2);
	}
	for (size_t i = 0; i < ARRAY_SIZE(found); i++)
		assert_int_equal(found[i]->state, i == 1 ? WIRE_LEASE_REVOKING : WIRE_LEASE_ACTIVE);
}

static void senseless_state_ebadmsg(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct journal_lease_state record = {.id = granted()->id,
						     .state = WIRE_LEASE_REVOKING,
						     .reason = WIRE_REASON_ADMIN};
		size_t size_bytes = sizeof(record);

		if (i == 0)
			record.id += 1;
		else if (i == 1)
			record.state = WIRE_LEASE_PENDING;
		else if (i == 2)
			record.reason = WIRE_REASON_MISBEHAVED + 1;
		else
			size_bytes -= 8;
		assert_int_equal(journal_append(fake.broker.journal, JOURNAL_LEASE_STATE, &record,
						size_bytes, 0),
				 0);
		assert_int_equal(restart(), -EBADMSG);
		assert_int_equal(fake.broker.leases.count, 0);
	}
}

/* -- no room -- */

static void limit_file_size(uint64_t bytes)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void assert_nothing_lost(void)
{
	assert_false(journal_is_large(fake.broker.journal, 1000000));
}

/*
 * Full of leases: all are taken up again after a restart, revoked and ended, the next p2pd knows
 * of each, and not one record was lost on the way.
 */
static void full_all_is_written(uint32_t nr_ranges)
{
	size_t count = 0;

	limit_file_size(FULL_BYTES);
	while (!acquire(nr_ranges, &leases[count]))
		count++;
	assert_int_equal(acquire(nr_ranges, &leases[count]), -ENOSPC);
	assert_true(count > 50);
	assert_int_equal(restart(), 0);
	assert_int_equal(fake.broker.leases.count, count);
	for (uint64_t id = 1; id <= count; id++)
		attach(lease_of(id));
	assert_int_equal(revoke_all(5000), count);
	assert_nothing_lost();
	assert_int_equal(restart(), 0);
	for (uint64_t id = 1; id <= count; id++) {
		assert_int_equal(lease_of(id)->state, WIRE_LEASE_REVOKING);
		assert_int_equal(lease_of(id)->nr_ranges, nr_ranges);
	}
	for (uint64_t id = 1; id <= count; id += 2)
		broker_ack(&fake.broker, lease_of(id));
	assert_int_equal(restart(), 0);
	assert_int_equal(fake.broker.leases.count, count / 2);
	revoke_all(0);
	assert_nothing_lost();
	assert_int_equal(restart(), 0);
	assert_int_equal(fake.broker.leases.count, 0);
	limit_file_size(0);
}

static void full_of_small_leases_all_is_written(void **state)
{
	(void)state;
	full_all_is_written(1);
}

static void full_of_leases_of_many_ranges_all_is_written(void **state)
{
	(void)state;
	full_all_is_written(WIRE_RANGES_MAX);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(changes_survive_restart),
		CASE(unchanged_not_written_again),
		CASE(back_after_snapshot_written),
		CASE(revoke_all_written_before_first_told),
		CASE(policy_all_written_before_first_told),
		CASE(expiry_all_written_before_first_told),
		CASE(revoke_one_by_id),
		CASE(senseless_state_ebadmsg),
		CASE(full_of_small_leases_all_is_written),
		CASE(full_of_leases_of_many_ranges_all_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
