// SPDX-License-Identifier: MIT
/*
 * From one p2pd to the next: what the journal says becomes leases again.
 */
#include "restore_case.h"

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
		cmocka_unit_test(restore_again_same_deadline),
		cmocka_unit_test(restore_again_same_time_for_publisher),
		cmocka_unit_test(restore_deadline_too_far_is_cut),
		cmocka_unit_test(restore_revoked_is_taken_back_again),
		cmocka_unit_test(restore_provider_gone_or_opened_anew_ends),
		cmocka_unit_test(reload_spares_who_is_not_back),
		cmocka_unit_test(restore_other_sizes),
		cmocka_unit_test(compact_then_restore_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
