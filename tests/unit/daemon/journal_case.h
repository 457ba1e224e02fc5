/* SPDX-License-Identifier: MIT */
#ifndef JOURNAL_CASE_H
#define JOURNAL_CASE_H

#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state/journal.h"

/* A journal that a test writes, and what another process reads of it. */

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

static inline int see(void *data, uint16_t type, const void *body, size_t size_bytes)
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

static inline struct journal *begin(void)
{
	struct journal *journal;

	assert_int_equal(journal_new(INSTANCE, &journal), 0);
	return journal;
}

static inline void append(struct journal *journal, uint64_t number)
{
	assert_int_equal(journal_append(journal, JOURNAL_NEXT_ID, &number, sizeof(number), 1), 0);
}

/* What the next process gets: the same file, another descriptor. */
static inline int reopen(int fd, struct seen *seen)
{
	struct journal *journal;
	int r;

	memset(seen, 0, sizeof(*seen));
	r = journal_open(fcntl(fd, F_DUPFD_CLOEXEC, 0), see, seen, &journal);
	if (!r)
		journal_free(journal);
	return r;
}

static inline int copy_of(int fd, off_t size)
{
	int copy = memfd_create("copy", MFD_CLOEXEC);
	uint8_t bytes[16384];

	assert_true(size <= (off_t)sizeof(bytes));
	assert_int_equal(pread(fd, bytes, (size_t)size, 0), size);
	assert_int_equal(pwrite(copy, bytes, (size_t)size, 0), size);
	return copy;
}

static inline off_t size_of(int fd)
{
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	return status.st_size;
}

#endif
