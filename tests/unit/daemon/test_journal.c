// SPDX-License-Identifier: MIT
/*
 * The journal: what one process writes the next one reads, whatever moment it was cut off at, and
 * nothing is believed that isn't what was written.
 */
#include "journal_case.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
