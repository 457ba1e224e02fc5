// SPDX-License-Identifier: MIT
/*
 * The journal: what one process writes the next one reads, whatever moment it was cut off at, and
 * nothing is believed that isn't what was written.
 */
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal.h"

#define FIRST	 4096
#define INSTANCE 0x1122334455667788ULL

/* What reading brings. */
struct seen {
	size_t count;
	uint16_t types[64];
	uint64_t first[64]; /* eight bytes of each body */
	size_t sizes[64];
	uint16_t refuse; /* a type that makes no sense */
};

static int see(void *data, uint16_t type, const void *body, size_t size_bytes)
{
	struct seen *seen = data;

	if (type == seen->refuse)
		return -EINVAL;
	if (seen->count < ARRAY_SIZE(seen->types)) {
		seen->types[seen->count] = type;
		memcpy(&seen->first[seen->count], body, size_bytes < 8 ? size_bytes : 8);
		seen->sizes[seen->count] = size_bytes;
	}
	seen->count++;
	return 0;
}

static struct journal *begin(void)
{
	struct journal *journal;

	assert_int_equal(journal_new(INSTANCE, &journal), 0);
	return journal;
}

static void append(struct journal *journal, uint64_t number)
{
	assert_int_equal(journal_append(journal, JOURNAL_NEXT_ID, &number, sizeof(number), 1), 0);
}

/* What the next process gets: the same file, another descriptor. */
static int reopen(int fd, struct seen *seen)
{
	struct journal *journal;
	int r;

	memset(seen, 0, sizeof(*seen));
	r = journal_open(fcntl(fd, F_DUPFD_CLOEXEC, 0), see, seen, &journal);
	if (!r)
		journal_free(journal);
	return r;
}

static int copy_of(int fd, off_t size)
{
	int copy = memfd_create("copy", MFD_CLOEXEC);
	uint8_t bytes[16384];

	assert_true(size <= (off_t)sizeof(bytes));
	assert_int_equal(pread(fd, bytes, (size_t)size, 0), size);
	assert_int_equal(pwrite(copy, bytes, (size_t)size, 0), size);
	return copy;
}

static off_t size_of(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	return status.st_size;
}

static void open_after_append_same_records(void **state)
{
	struct journal *journal = begin();
	uint8_t long_body[600] = {7};
	struct seen seen;

	(void)state;
	assert_int_equal(reopen(journal_fd(journal), &seen), 0);
	assert_int_equal(seen.count, 0);
	append(journal, 42);
	assert_int_equal(journal_append(journal, 9, "abc", 3, 0), 0);
	assert_int_equal(journal_append(journal, 2, long_body, sizeof(long_body), 0), 0);
	assert_int_equal(reopen(journal_fd(journal), &seen), 0);
	assert_int_equal(seen.count, 3);
	assert_int_equal(seen.types[0], JOURNAL_NEXT_ID);
	assert_int_equal(seen.first[0], 42);
	assert_int_equal(seen.sizes[1], 3);
	assert_memory_equal(&seen.first[1], "abc", 3);
	assert_int_equal(seen.sizes[2], sizeof(long_body));
	assert_int_equal(journal_instance(journal), INSTANCE);
	journal_free(journal);
}

static void append_too_long_e2big(void **state)
{
	struct journal *journal = begin();
	static uint8_t body[4096];
	struct seen seen;

	(void)state;
	assert_int_equal(journal_append(journal, 1, body, sizeof(body), 0), -E2BIG);
	assert_int_equal(journal_append(journal, 1, body, sizeof(body) - 16, 0), 0);
	assert_int_equal(reopen(journal_fd(journal), &seen), 0);
	assert_int_equal(seen.count, 1);
	journal_free(journal);
}

/* Cut off at each byte: the whole records before it, and appending goes on behind them. */
static void open_torn_at_each_byte_whole_records(void **state)
{
	struct journal *journal = begin();
	off_t ends[6] = {FIRST}, size;
	uint8_t body[100] = {1};

	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(journal_append(journal, 1, body, 8 + 23U * (unsigned int)i, 0), 0);
		ends[i + 1] = size_of(journal_fd(journal));
	}
	for (size = FIRST; size <= ends[5]; size++) {
		int fd = copy_of(journal_fd(journal), size);
		struct journal *torn;
		struct seen seen = {0};
		size_t whole = 0;

		while (whole < 5 && ends[whole + 1] <= size)
			whole++;
		assert_int_equal(journal_open(fd, see, &seen, &torn), 0);
		assert_int_equal(seen.count, whole);
		append(torn, 5);
		assert_int_equal(reopen(journal_fd(torn), &seen), 0);
		assert_int_equal(seen.count, whole + 1);
		journal_free(torn);
	}
	journal_free(journal);
}

/* Records that wait are written in their order, before anything that doesn't wait. */
static void hold_written_by_flush_or_append(void **state)
{
	struct journal *journal = begin();
	struct seen seen;
	uint64_t number;

	(void)state;
	assert_int_equal(journal_flush(journal), 0);
	for (int turn = 0; turn < 2; turn++) {
		for (number = 10; number < 13; number++)
			assert_int_equal(journal_hold(journal, 9, &number, sizeof(number), 0), 0);
		assert_int_equal(reopen(journal_fd(journal), &seen), 0);
		assert_int_equal(seen.count, turn * 3);
		if (turn)
			append(journal, 13);
		else
			assert_int_equal(journal_flush(journal), 0);
		assert_int_equal(reopen(journal_fd(journal), &seen), 0);
		assert_int_equal(seen.count, turn ? 7 : 3);
		for (size_t i = 0; i < seen.count; i++)
			assert_int_equal(seen.first[i], 10 + (i < 3 ? i : i - 3));
	}
	journal_free(journal);
}

/* More than wait at a time, of odd lengths: not one is lost or comes twice. */
static void hold_many_all_written(void **state)
{
	struct journal *journal = begin();
	uint8_t body[4096 - 16] = {1};
	struct seen seen;

	(void)state;
	for (size_t i = 0; i < 500; i++)
		assert_int_equal(journal_hold(journal, 1, body, i, 0), 0);
	assert_int_equal(journal_hold(journal, 1, body, sizeof(body), 0), 0);
	assert_int_equal(journal_flush(journal), 0);
	assert_int_equal(reopen(journal_fd(journal), &seen), 0);
	assert_int_equal(seen.count, 501);
	for (size_t i = 0; i < ARRAY_SIZE(seen.sizes); i++)
		assert_int_equal(seen.sizes[i], i);
	journal_free(journal);
}

/* The heads cut off: nothing to go by. */
static void open_without_heads_ebadmsg(void **state)
{
	struct journal *journal = begin();
	struct seen seen;

	(void)state;
	append(journal, 1);
	for (off_t size = 0; size < FIRST; size += size < 200 ? 1 : 500) {
		int fd = copy_of(journal_fd(journal), size);

		assert_int_equal(reopen(fd, &seen), -EBADMSG);
		close(fd);
	}
	journal_free(journal);
}

/*
 * Every bit of the head in use and of the records is found out, also where a length passes the end
 * then: that is no torn record.
 */
static void open_with_flipped_bit_not_believed(void **state)
{
	struct journal *journal = begin();
	uint64_t body[60] = {0};
	off_t size;

	(void)state;
	for (body[0] = 0; body[0] < 4; body[0]++)
		assert_int_equal(journal_append(journal, JOURNAL_LEASE, body,
						body[0] % 2 ? sizeof(body) - 3 : 8, 1),
				 0);
	size = size_of(journal_fd(journal));
	for (off_t at = 0; at < size; at = at == 127 ? FIRST : at + 1) {
		for (int bit = 0; bit < 8; bit++) {
			int fd = copy_of(journal_fd(journal), size);
			struct seen seen;
			uint8_t byte;
			int r;

			assert_int_equal(pread(fd, &byte, 1, at), 1);
			byte ^= (uint8_t)(1U << bit);
			assert_int_equal(pwrite(fd, &byte, 1, at), 1);
			r = reopen(fd, &seen);
			/* The head that isn't in use says nothing. */
			assert_int_equal(r, at < 64 ? 0 : -EBADMSG);
			assert_true(r || seen.count == 4);
			for (size_t i = 0; i < seen.count; i++)
				assert_int_equal(seen.first[i], i);
			close(fd);
		}
	}
	journal_free(journal);
}

static void open_of_no_journal_ebadmsg(void **state)
{
	int fd = memfd_create("none", MFD_CLOEXEC), pipe_fds[2];
	uint8_t zero[8192] = {0};
	struct seen seen;

	(void)state;
	assert_int_equal(reopen(fd, &seen), -EBADMSG);
	assert_int_equal(pwrite(fd, zero, sizeof(zero), 0), sizeof(zero));
	assert_int_equal(reopen(fd, &seen), -EBADMSG);
	close(fd);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_int_equal(reopen(pipe_fds[0], &seen), -EBADMSG);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}

static void open_refused_record_ebadmsg(void **state)
{
	struct journal *journal = begin(), *again;
	struct seen seen = {.refuse = JOURNAL_NEXT_ID};

	(void)state;
	append(journal, 1);
	assert_int_equal(journal_open(fcntl(journal_fd(journal), F_DUPFD_CLOEXEC, 0), see, &seen,
				      &again),
			 -EBADMSG);
	journal_free(journal);
}

/*
 * Version 1, byte for byte: a head, and the records 42 and "abc". What released versions have
 * written is read for ever; these bytes never change.
 */
static const uint8_t golden_head[64] = {
	0x70, 0x64, 0x70, 0x32, 0x70, 0x32, 0x64, 0x6a, 0x01, 0x00, 0x00, 0x00, 0x8a, 0x29,
	0xc3, 0xc3, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x00, 0x00,
	0x00, 0x00, 0x00, 0x00, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11,
};
static const uint8_t golden_records[] = {0x18, 0x00, 0x00, 0x00, 0xcf, 0x43, 0xd9, 0x4f, 0x03, 0x00,
					 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x2a, 0x00, 0x00, 0x00,
					 0x00, 0x00, 0x00, 0x00, 0x18, 0x00, 0x00, 0x00, 0x0d, 0x69,
					 0x77, 0xd9, 0x09, 0x00, 0x05, 0x00, 0x00, 0x00, 0x00, 0x00,
					 0x61, 0x62, 0x63, 0x00, 0x00, 0x00, 0x00, 0x00};

static void new_and_append_write_golden_bytes(void **state)
{
	struct journal *journal = begin();
	uint8_t bytes[256];
	ssize_t n;

	(void)state;
	append(journal, 42);
	assert_int_equal(journal_append(journal, 9, "abc", 3, 0), 0);
	assert_int_equal(pread(journal_fd(journal), bytes, 128, 0), 128);
	assert_memory_equal(bytes + 64, golden_head, sizeof(golden_head));
	n = pread(journal_fd(journal), bytes, sizeof(bytes), FIRST);
	assert_int_equal(n, sizeof(golden_records));
	assert_memory_equal(bytes, golden_records, sizeof(golden_records));
	journal_free(journal);
}

static int golden(void)
{
	int fd = memfd_create("golden", MFD_CLOEXEC);

	assert_int_equal(pwrite(fd, golden_head, sizeof(golden_head), 64), sizeof(golden_head));
	assert_int_equal(pwrite(fd, golden_records, sizeof(golden_records), FIRST),
			 sizeof(golden_records));
	return fd;
}

static void open_golden_bytes_read(void **state)
{
	int fd = golden();
	struct seen seen;

	(void)state;
	assert_int_equal(reopen(fd, &seen), 0);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.first[0], 42);
	assert_memory_equal(&seen.first[1], "abc", 3);
	close(fd);
}

/* A head of version 2 with a CRC that is right. */
static void open_newer_version_eprotonosupport(void **state)
{
	static const uint8_t newer[] = {0x02, 0x00, 0x00, 0x00, 0xf3, 0x1d, 0x7c, 0xe5};
	int fd = golden();
	struct seen seen;

	(void)state;
	assert_int_equal(pwrite(fd, newer, sizeof(newer), 64 + 8), sizeof(newer));
	assert_int_equal(reopen(fd, &seen), -EPROTONOSUPPORT);
	close(fd);
}

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

/* -- no room -- */

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
		cmocka_unit_test(open_after_append_same_records),
		cmocka_unit_test(append_too_long_e2big),
		cmocka_unit_test(open_torn_at_each_byte_whole_records),
		cmocka_unit_test(hold_written_by_flush_or_append),
		cmocka_unit_test(hold_many_all_written),
		cmocka_unit_test(open_without_heads_ebadmsg),
		cmocka_unit_test(open_with_flipped_bit_not_believed),
		cmocka_unit_test(open_of_no_journal_ebadmsg),
		cmocka_unit_test(open_refused_record_ebadmsg),
		cmocka_unit_test(new_and_append_write_golden_bytes),
		cmocka_unit_test(open_golden_bytes_read),
		cmocka_unit_test(open_newer_version_eprotonosupport),
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
