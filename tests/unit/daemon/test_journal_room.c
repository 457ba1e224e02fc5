// SPDX-License-Identifier: MIT
/*
 * The journal where it is made smaller, and where there is no room: what ends a lease can always be
 * written, and what can't be leaves nothing behind.
 */
#include "journal_case.h"

#include <signal.h>
#include <sys/resource.h>

static void compact_leaves_snapshot_only(void **state)
{
	struct journal *journal = begin();
	uint8_t body[300] = {1};
	struct stat before, after;
	struct seen seen;

	(void)state;
	assert_false(journal_is_large(journal, 0));
	while (!journal_is_large(journal, 1))
		assert_int_equal(journal_append(journal, 1, body, sizeof(body), 1), 0);
	assert_false(journal_is_large(journal, 1000000));
	fstat(journal_fd(journal), &before);
	for (uint64_t turn = 0; turn < 3; turn++) {
		journal_compact_begin(journal);
		append(journal, turn);
		/* Killed here: the old ones, and what there is of the snapshot. */
		assert_int_equal(reopen(journal_fd(journal), &seen), 0);
		assert_true(seen.count > 1);
		assert_int_equal(journal_compact_end(journal, true), 0);
		assert_int_equal(reopen(journal_fd(journal), &seen), 0);
		assert_int_equal(seen.count, 1);
		assert_int_equal(seen.first[0], turn);
		append(journal, 7);
		assert_int_equal(reopen(journal_fd(journal), &seen), 0);
		assert_int_equal(seen.count, 2);
	}
	fstat(journal_fd(journal), &after);
	assert_true(after.st_blocks < before.st_blocks);
	assert_false(journal_is_large(journal, 1));
	journal_free(journal);
}

static void compact_failed_old_records_stay(void **state)
{
	struct journal *journal = begin();
	struct seen seen;
	off_t size;

	(void)state;
	append(journal, 1);
	append(journal, 2);
	size = size_of(journal_fd(journal));
	journal_compact_begin(journal);
	append(journal, 3);
	assert_int_equal(journal_compact_end(journal, false), 0);
	assert_int_equal(size_of(journal_fd(journal)), size);
	append(journal, 4);
	assert_int_equal(reopen(journal_fd(journal), &seen), 0);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.first[2], 4);
	journal_free(journal);
}

static void limit_file_size(uint64_t bytes)
{
	struct rlimit limit;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes ? bytes : limit.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* What may fail does so early enough for what must not. */
static void append_without_room_enospc_but_ends_go_on(void **state)
{
	struct journal_lease_state changed = {.id = 1};
	struct journal *journal = begin();
	uint8_t body[280] = {1};
	size_t nr_live = 0;
	struct seen seen;

	(void)state;
	limit_file_size(200000);
	while (!journal_append(journal, 1, body, sizeof(body), nr_live + 1))
		nr_live++;
	assert_true(nr_live > 50);
	assert_int_equal(journal_append(journal, 1, body, sizeof(body), nr_live + 1), -ENOSPC);
	for (size_t i = 0; i < nr_live; i++) {
		uint64_t id = i;

		for (int turn = 0; turn < 2; turn++)
			assert_int_equal(journal_append(journal, JOURNAL_LEASE_STATE, &changed,
							sizeof(changed), 0),
					 0);
		assert_int_equal(journal_append(journal, 2, &id, sizeof(id), 0), 0);
	}
	/* A drain, and as many restarts as anybody will try. */
	assert_int_equal(
		journal_append(journal, JOURNAL_DRAIN, body, sizeof(struct journal_drain), 0), 0);
	for (uint64_t i = 0; i < 100; i++)
		assert_int_equal(journal_append(journal, JOURNAL_RESTARTED, &i, sizeof(i), 0), 0);
	assert_int_equal(reopen(journal_fd(journal), &seen), 0);
	assert_int_equal(seen.count, nr_live * 4 + 101);
	limit_file_size(0);
	journal_free(journal);
}

/*
 * A long record that is cut off by the limit, and then a short one in its place: nothing of the long
 * one may be left behind it.
 */
static void append_cut_short_leaves_nothing(void **state)
{
	struct journal *journal = begin();
	uint8_t body[1000];
	struct seen seen;
	uint64_t size;

	(void)state;
	memset(body, 0xee, sizeof(body));
	append(journal, 1);
	size = (uint64_t)size_of(journal_fd(journal));
	for (uint64_t room = 1; room < sizeof(body); room += 13) {
		limit_file_size(size + room);
		assert_int_equal(journal_append(journal, 1, body, sizeof(body), 0), -ENOSPC);
		limit_file_size(0);
		assert_int_equal(size_of(journal_fd(journal)), size);
	}
	assert_int_equal(journal_append(journal, 2, body, 8, 0), 0);
	assert_int_equal(reopen(journal_fd(journal), &seen), 0);
	assert_int_equal(seen.count, 2);
	journal_free(journal);
}

/* An end that isn't in it: nothing is granted on top of that, until a snapshot says how things are. */
static void append_after_lost_end_enospc_until_snapshot(void **state)
{
	struct journal *journal = begin();
	uint64_t number = 1;
	struct seen seen;

	(void)state;
	append(journal, 1);
	limit_file_size((uint64_t)size_of(journal_fd(journal)) + 5);
	assert_int_equal(journal_append(journal, 2, &number, sizeof(number), 0), -ENOSPC);
	limit_file_size(0);
	assert_true(journal_is_large(journal, 1));
	assert_int_equal(journal_append(journal, 1, &number, sizeof(number), 1), -ENOSPC);
	journal_compact_begin(journal);
	append(journal, 8);
	assert_int_equal(journal_compact_end(journal, true), 0);
	assert_false(journal_is_large(journal, 1));
	append(journal, 9);
	assert_int_equal(reopen(journal_fd(journal), &seen), 0);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.first[0], 8);
	journal_free(journal);
}

/* Many that don't fit: the file ends where it did before them, and says so. */
static void hold_without_room_enospc_until_snapshot(void **state)
{
	struct journal *journal = begin();
	uint64_t number = 1;
	struct seen seen;

	(void)state;
	append(journal, 1);
	limit_file_size((uint64_t)size_of(journal_fd(journal)) + 100);
	for (int i = 0; i < 10; i++)
		assert_int_equal(journal_hold(journal, 2, &number, sizeof(number), 0), 0);
	assert_int_equal(journal_flush(journal), -ENOSPC);
	assert_int_equal(journal_flush(journal), 0);
	limit_file_size(0);
	assert_int_equal(reopen(journal_fd(journal), &seen), 0);
	assert_int_equal(seen.count, 1);
	assert_true(journal_is_large(journal, 1));
	assert_int_equal(journal_append(journal, 1, &number, sizeof(number), 1), -ENOSPC);
	journal_compact_begin(journal);
	append(journal, 8);
	assert_int_equal(journal_compact_end(journal, true), 0);
	append(journal, 9);
	assert_int_equal(reopen(journal_fd(journal), &seen), 0);
	assert_int_equal(seen.count, 2);
	journal_free(journal);
}

/* A snapshot of which the first part finds no room is none, although what is left of it fits. */
static void compact_without_room_old_records_stay(void **state)
{
	struct journal *journal = begin();
	uint8_t body[4000] = {1};
	struct seen seen;
	int r = 0;

	(void)state;
	append(journal, 1);
	limit_file_size((uint64_t)size_of(journal_fd(journal)) + 1000);
	journal_compact_begin(journal);
	for (int i = 0; i < 5; i++)
		r |= journal_append(journal, 1, body, sizeof(body), 0);
	assert_int_not_equal(r, 0);
	assert_int_equal(journal_compact_end(journal, !r), 0);
	limit_file_size(0);
	assert_int_equal(reopen(journal_fd(journal), &seen), 0);
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.first[0], 1);
	journal_compact_begin(journal);
	append(journal, 8);
	assert_int_equal(journal_compact_end(journal, true), 0);
	assert_int_equal(reopen(journal_fd(journal), &seen), 0);
	assert_int_equal(seen.first[0], 8);
	journal_free(journal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compact_leaves_snapshot_only),
		cmocka_unit_test(compact_failed_old_records_stay),
		cmocka_unit_test(append_without_room_enospc_but_ends_go_on),
		cmocka_unit_test(append_cut_short_leaves_nothing),
		cmocka_unit_test(append_after_lost_end_enospc_until_snapshot),
		cmocka_unit_test(hold_without_room_enospc_until_snapshot),
		cmocka_unit_test(compact_without_room_old_records_stay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
