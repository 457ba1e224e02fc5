// SPDX-License-Identifier: MIT
/*
 * A journal that can't be true: it ends all leases instead of the process.
 */
#include "restore_case.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(restore_senseless_record_ebadmsg),
		cmocka_unit_test(restore_contradicting_records_ebadmsg),
		cmocka_unit_test(restore_other_records_ebadmsg),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
