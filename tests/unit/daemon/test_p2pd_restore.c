// SPDX-License-Identifier: MIT
/*
 * From one p2pd to the next: what the journal says becomes leases again, and what it can't say
 * truthfully ends all of them instead of the process.
 */
#include "core.h"

#include <errno.h>
#include <fcntl.h>

#include "fake_broker.h"

static struct fake fake;
static struct cause cause;

/* What a p2pd wrote; then it was killed. */
struct written {
	struct journal_lease lease;
	struct wire_range ranges[3];
};

static struct written a_lease(uint64_t id, uint64_t offset_bytes)
{
	struct written written = {
		.lease = {.size_bytes = sizeof(written.lease),
			  .nr_ranges = 1,
			  .id = id,
			  .token = {1, 2, 3},
			  .provider = FAKE_NAME,
			  .label = "mine",
			  .backend = WIRE_BACKEND_EXPORT,
			  .mode = WIRE_MODE_EXCLUSIVE,
			  .access = WIRE_ACCESS_READ,
			  .force = WIRE_FORCE_LEASE,
			  .state = WIRE_LEASE_ACTIVE,
			  .uid = 1000,
			  .gid = 1000,
			  .pid = 42,
			  .export_id = 9,
			  .size_of_lease_bytes = 4096,
			  .provider_bytes = FAKE_BYTES},
		.ranges = {{offset_bytes, 4096}, {offset_bytes + 8192, 4096}, {offset_bytes, 4096}},
	};

	return written;
}

static struct journal *begin(void)
{
	struct journal *journal;

	assert_int_equal(journal_new(7, &journal), 0);
	return journal;
}

static void put(struct journal *journal, const struct written *written)
{
	struct written whole = *written;
	size_t head = written->lease.size_bytes, ranges = written->lease.nr_ranges * 16U;
	uint8_t body[1024];

	memcpy(body, &whole.lease, head < sizeof(whole.lease) ? head : sizeof(whole.lease));
	if (head > sizeof(whole.lease))
		memset(body + sizeof(whole.lease), 0x55, head - sizeof(whole.lease));
	memcpy(body + head, whole.ranges, ranges);
	assert_int_equal(journal_append(journal, JOURNAL_LEASE, body, head + ranges, 0), 0);
}

static int restore_now(struct journal *journal)
{
	int fd = fcntl(journal_fd(journal), F_DUPFD_CLOEXEC, 0);
	struct policy *policy;

	assert_int_equal(policy_new(&policy), 0);
	return fake_begin(&fake, policy, 1000, fd, &cause);
}

static int restore(struct journal *journal)
{
	fake_now_ns = 1000 * SECOND;
	return restore_now(journal);
}

/* It isn't believed; the next p2pd begins with nothing, and works. */
static void assert_damaged(struct journal *journal)
{
	assert_int_equal(restore(journal), -EBADMSG);
	assert_non_null(strstr(cause.text, "damaged"));
	assert_non_null(fake.broker.journal);
	assert_int_equal(fake.broker.leases.count, 0);
	assert_int_equal(fake.broker.nr_providers, 0);
	assert_int_equal(fake.broker.leased_bytes, 0);
	assert_int_not_equal(journal_instance(fake.broker.journal), 7);
	fake_arrive(&fake, true);
	fake_end(&fake);
	journal_free(journal);
}

static struct lease *lease_of(uint64_t id)
{
	return lease_table_find(&fake.broker.leases, id);
}

static void restore_lease_as_it_was(void **state)
{
	struct written written = a_lease(5, 4096);
	struct journal *journal = begin();
	uint64_t next = 77, gone = 6;
	struct wire_attach attach = {.lease_id = 5, .token = {1, 2, 3}};
	struct lease *lease, *found;

	(void)state;
	put(journal, &written);
	written.lease.expires_ns = 5000 * SECOND;
	written.lease.nonce = 99;
	put(journal, &written);
	written = a_lease(6, 65536);
	put(journal, &written);
	journal_append(journal, JOURNAL_LEASE_GONE, &gone, sizeof(gone), 0);
	journal_append(journal, JOURNAL_NEXT_ID, &next, sizeof(next), 0);
	assert_int_equal(restore(journal), 0);
	assert_int_equal(fake.broker.leases.count, 1);
	assert_int_equal(fake.broker.next_lease_id, 77);
	lease = lease_of(5);
	assert_int_equal(lease->expires_ns, 5000 * SECOND);
	assert_int_equal(lease->export_id, 9);
	assert_int_equal(lease->nonce, 99);
	assert_string_equal(lease->label, "mine");
	assert_int_equal(fake.account->used[ACCOUNT_BYTES], 4096);
	assert_int_equal(fake.account->leases.count, 1);
	assert_ptr_equal(lease_table_after(&fake.account->leases, 0), lease);
	fake_arrive(&fake, true);
	broker_restored(&fake.broker);
	assert_int_equal(fake.broker.leases.count, 1);
	/* Without a rule for it the policy of this p2pd doesn't allow it: taken back gracefully. */
	assert_int_equal(broker_attach(&fake.broker, &fake.holder, &attach, &found, &cause), 0);
	assert_ptr_equal(found, lease);
	assert_int_equal(lease->state, WIRE_LEASE_REVOKING);
	assert_int_equal(lease->reason, WIRE_REASON_POLICY);
	assert_int_equal(lease->deadline_ns, fake_now_ns + 5 * SECOND);
	fake_now_ns += 5 * SECOND;
	broker_tick(&fake.broker);
	assert_int_equal(fake.broker.leases.count, 0);
	assert_int_equal(fake.account->used[ACCOUNT_LEASES], 0);
	fake_end(&fake);
	journal_free(journal);
}

static void restore_unclaimed_ends(void **state)
{
	struct written written = a_lease(5, 4096);
	struct journal *journal = begin();

	(void)state;
	put(journal, &written);
	assert_int_equal(restore(journal), 0);
	fake_arrive(&fake, true);
	fake_now_ns += 31 * SECOND;
	broker_tick(&fake.broker);
	assert_int_equal(fake.nr_revoked, 1);
	assert_int_equal(fake.broker.leases.count, 0);
	fake_end(&fake);
	journal_free(journal);
}

/* A p2pd that crashes again and again, also with a snapshot in between. */
static void restore_again_same_deadline(void **state)
{
	struct written written = a_lease(5, 4096);
	struct wire_attach attach = {.lease_id = 6, .token = {1, 2, 3}};
	struct journal *journal = begin();
	struct lease *found;

	(void)state;
	written.lease.uid = 0;
	put(journal, &written);
	written = a_lease(6, 65536);
	written.lease.uid = 0;
	put(journal, &written);
	fake_now_ns = 1000 * SECOND;
	for (int turn = 0; turn < 3; turn++) {
		struct policy *policy;

		assert_int_equal(policy_new(&policy), 0);
		assert_int_equal(fake_begin(&fake, policy, 0,
					    fcntl(journal_fd(journal), F_DUPFD_CLOEXEC, 0), &cause),
				 0);
		fake_arrive(&fake, true);
		assert_int_equal(broker_attach(&fake.broker, &fake.holder, &attach, &found, &cause),
				 0);
		assert_int_equal(lease_of(5)->detached_until_ns, 1030 * SECOND);
		if (turn == 1) {
			while (!journal_is_large(fake.broker.journal, fake.broker.leases.count))
				broker_journal_lease(&fake.broker, lease_of(5), 0);
			broker_journal_compact(&fake.broker);
		}
		fake_now_ns += 9 * SECOND;
		broker_tick(&fake.broker);
		assert_int_equal(fake.broker.leases.count, 2);
		fake_end(&fake);
	}
	fake_now_ns += 4 * SECOND;
	assert_int_equal(restore_now(journal), 0);
	fake_arrive(&fake, true);
	/* Who was back has all the time again. */
	assert_int_equal(lease_of(6)->detached_until_ns, fake_now_ns + 30 * SECOND);
	broker_tick(&fake.broker);
	assert_null(lease_of(5));
	assert_non_null(lease_of(6));
	fake_end(&fake);
	journal_free(journal);
}

/* A publisher that doesn't come back, and holders that do: each restart counts from the first. */
static void restore_again_same_time_for_publisher(void **state)
{
	struct written written = a_lease(5, 0);
	struct wire_attach attach = {.lease_id = 5, .token = {1, 2, 3}};
	struct journal *journal = begin();
	struct lease *found;

	(void)state;
	wire_text_set(written.lease.provider, sizeof(written.lease.provider), "buffer");
	written.lease.backend = WIRE_BACKEND_PUBLISHED;
	put(journal, &written);
	fake_now_ns = 1000 * SECOND;
	for (int turn = 0; turn < 3; turn++) {
		assert_int_equal(restore_now(journal), 0);
		assert_int_equal(lease_of(5)->provider->publisher_until_ns, 1030 * SECOND);
		assert_int_equal(broker_attach(&fake.broker, &fake.holder, &attach, &found, &cause),
				 0);
		if (turn == 1) {
			while (!journal_is_large(fake.broker.journal, fake.broker.leases.count))
				broker_journal_lease(&fake.broker, lease_of(5), 0);
			broker_journal_compact(&fake.broker);
		}
		fake_now_ns += 4 * SECOND;
		fake_end(&fake);
	}
	/* It came back to this one, which says so; then its time begins anew. */
	assert_int_equal(restore_now(journal), 0);
	lease_of(5)->provider->publisher_until_ns = 0;
	broker_journal_lease(&fake.broker, lease_of(5), 0);
	fake_end(&fake);
	assert_int_equal(restore_now(journal), 0);
	assert_int_equal(lease_of(5)->provider->publisher_until_ns, fake_now_ns + 30 * SECOND);
	fake_end(&fake);
	/* No journal makes it longer than policy has it. */
	journal_free(journal);
	journal = begin();
	written.lease.publisher_until_ns = UINT64_MAX;
	put(journal, &written);
	assert_int_equal(restore_now(journal), 0);
	assert_int_equal(lease_of(5)->provider->publisher_until_ns, fake_now_ns + 30 * SECOND);
	fake_end(&fake);
	journal_free(journal);
}

/* No journal makes a lease wait longer than policy has it. */
static void restore_deadline_too_far_is_cut(void **state)
{
	struct written written = a_lease(5, 4096);
	struct journal *journal = begin();

	(void)state;
	written.lease.detached_until_ns = UINT64_MAX;
	put(journal, &written);
	assert_int_equal(restore(journal), 0);
	assert_int_equal(lease_of(5)->detached_until_ns, 1030 * SECOND);
	fake_end(&fake);
	journal_free(journal);
}

/* Its end is all that is missing; the kernel is asked once more, as nobody says that it was. */
static void restore_revoked_is_taken_back_again(void **state)
{
	struct written written = a_lease(5, 4096);
	struct journal *journal = begin();

	(void)state;
	written.lease.state = WIRE_LEASE_REVOKED;
	written.lease.deadline_ns = UINT64_MAX;
	put(journal, &written);
	assert_int_equal(restore(journal), 0);
	fake_arrive(&fake, true);
	broker_restored(&fake.broker);
	broker_tick(&fake.broker);
	assert_int_equal(fake.nr_revoked, 1);
	assert_int_equal(fake.broker.leases.count, 0);
	assert_int_equal(fake.broker.leased_bytes, 0);
	fake_end(&fake);
	journal_free(journal);
}

static void restore_provider_gone_or_opened_anew_ends(void **state)
{
	struct written written = a_lease(5, 4096);

	(void)state;
	for (int is_there = 0; is_there < 2; is_there++) {
		struct journal *journal = begin();

		put(journal, &written);
		assert_int_equal(restore(journal), 0);
		if (is_there)
			fake_arrive(&fake, false);
		broker_restored(&fake.broker);
		assert_int_equal(fake.broker.leases.count, 0);
		assert_int_equal(fake.broker.nr_providers, is_there);
		assert_int_equal(fake.nr_revoked, 0);
		fake_end(&fake);
		journal_free(journal);
	}
}

/* A policy that is loaded before its holder is back judges it when it is. */
static void reload_spares_who_is_not_back(void **state)
{
	struct written written = a_lease(5, 4096);
	struct journal *journal = begin();
	struct policy *policy;

	(void)state;
	put(journal, &written);
	assert_int_equal(restore(journal), 0);
	fake_arrive(&fake, true);
	assert_int_equal(policy_new(&policy), 0);
	broker_policy_replace(&fake.broker, policy);
	assert_int_equal(lease_of(5)->state, WIRE_LEASE_ACTIVE);
	fake_end(&fake);
	journal_free(journal);
}

/* Shorter and longer records: of other versions. */
static void restore_other_sizes(void **state)
{
	struct written shorter = a_lease(5, 4096), longer = a_lease(6, 8192);
	struct journal *journal = begin();

	(void)state;
	shorter.lease.size_bytes = offsetof(struct journal_lease, deadline_ns);
	longer.lease.size_bytes += 64;
	put(journal, &shorter);
	put(journal, &longer);
	assert_int_equal(restore(journal), 0);
	assert_int_equal(lease_of(5)->deadline_ns, 0);
	assert_int_equal(lease_of(6)->ranges[0].offset_bytes, 8192);
	fake_end(&fake);
	journal_free(journal);
}

static void one_damaged(void (*damage)(struct written *written))
{
	struct written written = a_lease(5, 4096);
	struct journal *journal = begin();

	damage(&written);
	put(journal, &written);
	assert_damaged(journal);
}

#define DAMAGE(name, what)                                                                         \
	static void name(struct written *written)                                                  \
	{                                                                                          \
		what;                                                                              \
	}
DAMAGE(no_id, written->lease.id = 0)
DAMAGE(last_id, written->lease.id = UINT64_MAX)
DAMAGE(pending, written->lease.state = WIRE_LEASE_PENDING)
DAMAGE(no_state, written->lease.state = 5)
DAMAGE(no_reason, written->lease.reason = 77)
DAMAGE(no_mode, written->lease.mode = 0)
DAMAGE(no_ranges, written->lease.nr_ranges = 0)
DAMAGE(outside, written->ranges[0].offset_bytes = FAKE_BYTES)
DAMAGE(around, written->ranges[0].length_bytes = UINT64_MAX)
DAMAGE(no_end, memset(written->lease.provider, 'x', sizeof(written->lease.provider)))
DAMAGE(odd_size, written->lease.size_bytes -= 4)
DAMAGE(too_short, written->lease.size_bytes = 64)
/* The second or third range fails when the first is taken. */
DAMAGE(overlap, written->lease.nr_ranges = 3)

static void restore_senseless_record_ebadmsg(void **state)
{
	static void (*const damages[])(struct written *) = {
		no_id,	 last_id, pending, no_state, no_reason, no_mode, no_ranges,
		outside, around,  no_end,  odd_size, too_short, overlap,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(damages); i++)
		one_damaged(damages[i]);
}

/* The same lease twice, and not the same: neither is to be believed. */
static void restore_contradicting_records_ebadmsg(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		struct written written = a_lease(5, 4096);
		struct journal *journal = begin();

		put(journal, &written);
		if (i == 0)
			written.lease.mode = WIRE_MODE_SHARED;
		else if (i == 1)
			written.lease.uid = 0;
		else if (i == 2)
			written.ranges[0].offset_bytes = 8192;
		else if (i == 3)
			written.lease.nr_ranges = 2;
		else
			written.lease.id = 6;
		put(journal, &written);
		assert_damaged(journal);
	}
}

static void restore_other_records_ebadmsg(void **state)
{
	uint64_t all = UINT64_MAX, none = 0;

	(void)state;
	for (int i = 0; i < 5; i++) {
		struct written written = a_lease(5, 4096);
		struct journal *journal = begin();

		put(journal, &written);
		if (i == 0)
			journal_append(journal, 99, "", 0, 0);
		else if (i == 1)
			journal_append(journal, JOURNAL_NEXT_ID, &all, sizeof(all), 0);
		else if (i == 2)
			journal_append(journal, JOURNAL_LEASE_GONE, "abc", 3, 0);
		else if (i == 3)
			journal_append(journal, JOURNAL_RESTARTED, &none, sizeof(none), 0);
		else
			journal_append(journal, JOURNAL_DRAIN, "abc", 3, 0);
		assert_damaged(journal);
	}
}

/* Compaction keeps everything that counts. */
static void compact_then_restore_same(void **state)
{
	struct journal *journal = begin();
	struct wire_revoke_reply reply;
	struct selector all;
	uint64_t instance;
	int fd;

	(void)state;
	for (uint64_t i = 0; i < 20; i++) {
		struct written written = a_lease(5 + i, 4096 * i);

		put(journal, &written);
	}
	assert_int_equal(restore(journal), 0);
	fake_arrive(&fake, true);
	assert_int_equal(selector_parse("*", &all), 0);
	for (int i = 0; i < 5; i++)
		broker_release(&fake.broker, lease_of(5 + (uint64_t)i));
	broker_drain(&fake.broker, &all, true, 60000, &reply);
	assert_int_equal(reply.nr_leases, 15);
	while (!journal_is_large(fake.broker.journal, fake.broker.leases.count))
		assert_int_equal(broker_journal_lease(&fake.broker, lease_of(10), 0), 0);
	broker_journal_compact(&fake.broker);
	assert_false(journal_is_large(fake.broker.journal, fake.broker.leases.count));
	instance = journal_instance(fake.broker.journal);
	fd = fcntl(journal_fd(fake.broker.journal), F_DUPFD_CLOEXEC, 0);
	fake_end(&fake);
	journal_free(journal);
	assert_int_equal(journal_new(1, &journal), 0);
	dup2(fd, journal_fd(journal));
	close(fd);
	assert_int_equal(restore(journal), 0);
	assert_int_equal(journal_instance(fake.broker.journal), instance);
	assert_int_equal(fake.broker.leases.count, 15);
	assert_int_equal(fake.broker.next_lease_id, 25);
	assert_int_equal(lease_of(10)->state, WIRE_LEASE_REVOKING);
	fake_arrive(&fake, true);
	assert_true(fake.provider->is_draining);
	fake_end(&fake);
	journal_free(journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restore_lease_as_it_was),
		cmocka_unit_test(restore_unclaimed_ends),
		cmocka_unit_test(restore_again_same_time_for_publisher),
		cmocka_unit_test(restore_again_same_deadline),
		cmocka_unit_test(restore_deadline_too_far_is_cut),
		cmocka_unit_test(restore_revoked_is_taken_back_again),
		cmocka_unit_test(restore_provider_gone_or_opened_anew_ends),
		cmocka_unit_test(reload_spares_who_is_not_back),
		cmocka_unit_test(restore_other_sizes),
		cmocka_unit_test(restore_senseless_record_ebadmsg),
		cmocka_unit_test(restore_contradicting_records_ebadmsg),
		cmocka_unit_test(restore_other_records_ebadmsg),
		cmocka_unit_test(compact_then_restore_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
