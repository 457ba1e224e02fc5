// SPDX-License-Identifier: MIT
/*
 * The journal: see journal.h for what is in the file.
 *
 * Every write is one pwrite() of whole records into a memfd, so what a SIGKILL
 * can leave behind is a file that ends inside a record, never a hole. That is the only
 * damage that is taken for normal (journal_read.c). Records are put together in memory: one that
 * counts at once is written at once, those of one revocation and of a snapshot many at a time.
 *
 * Space: memory can run out. Whoever grants a lease allocates the room that its later records need
 * at the same time (reserve_bytes()), and a grant that can't is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "journal_state.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U /* newer than the headers of the oldest distribution */
#endif

#define CHUNK_BYTES   65536
#define OWN_BYTES     4096 /* room for what is about no lease: drains and restarts */
#define TYPICAL_BYTES 320  /* one lease's record */

static int write_at(int fd, const void *data, size_t size_bytes, uint64_t offset)
{
	ssize_t n;

	do {
		n = pwrite(fd, data, size_bytes, (off_t)offset);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EFBIG ? -ENOSPC : -errno;
	return (size_t)n == size_bytes ? 0 : -ENOSPC;
}

static int write_head(struct journal *journal, uint64_t start)
{
	struct journal_head head = journal->head;
	int r;

	head.sequence++;
	head.start = start;
	head.crc = 0;
	head.crc = journal_checksum(&head, sizeof(head));
	r = write_at(journal->fd, &head, sizeof(head), (head.sequence & 1) * sizeof(head));
	if (!r)
		journal->head = head;
	return r;
}

static int allocate_to(struct journal *journal, uint64_t end)
{
	/* KEEP_SIZE: the size of the file is the end of the last record. */
	if (fallocate(journal->fd, FALLOC_FL_KEEP_SIZE, (off_t)journal->allocated,
		      (off_t)(end - journal->allocated)) < 0)
		return errno == EFBIG || errno == ENOMEM || errno == EPERM ? -ENOSPC : -errno;
	journal->allocated = end;
	return 0;
}

/* Room up to @end, in chunks; where there is none for a whole chunk, as much as is needed. */
static int allocate(struct journal *journal, uint64_t end)
{
	if (end <= journal->allocated)
		return 0;
	if (!allocate_to(journal, (end + CHUNK_BYTES - 1) / CHUNK_BYTES * CHUNK_BYTES))
		return 0;
	return allocate_to(journal, end);
}

/*
 * Forgets what may lie behind @end: part of a record, which a shorter one in its place would
 * leave half of behind. Room that was kept goes with it and is asked for anew.
 */
static void cut_at(struct journal *journal, uint64_t end)
{
	uint64_t kept = journal->allocated;

	journal->end = end;
	if (ftruncate(journal->fd, (off_t)end) < 0)
		return;
	journal->allocated = end;
	if (kept > end)
		allocate_to(journal, kept);
}

int journal_new(uint64_t instance, struct journal **ret_journal)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	int r;

	if (!journal)
		return -ENOMEM;
	journal->fd = memfd_create("p2pd-journal", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	if (journal->fd < 0 && errno == EINVAL)
		journal->fd = memfd_create("p2pd-journal", MFD_CLOEXEC);
	if (journal->fd < 0) {
		r = -errno;
		free(journal);
		return r;
	}
	journal->head.magic = JOURNAL_MAGIC;
	journal->head.version = JOURNAL_VERSION;
	journal->head.instance = instance;
	journal->end = JOURNAL_FIRST_RECORD;
	r = allocate(journal, JOURNAL_FIRST_RECORD + CHUNK_BYTES);
	if (!r)
		r = write_head(journal, JOURNAL_FIRST_RECORD);
	if (!r && ftruncate(journal->fd, JOURNAL_FIRST_RECORD) < 0)
		r = -errno;
	if (r) {
		journal_free(journal);
		return r;
	}
	*ret_journal = journal;
	return 0;
}

int journal_open(int fd, journal_read_fn read, void *data, struct journal **ret_journal)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	int r;

	if (!journal) {
		close(fd);
		return -ENOMEM;
	}
	journal->fd = fd;
	r = journal_read_all(journal, read, data);
	if (r) {
		journal_free(journal);
		return r;
	}
	*ret_journal = journal;
	return 0;
}

void journal_free(struct journal *journal)
{
	if (!journal)
		return;
	cleanup_close(&journal->fd);
	free(journal);
}

int journal_fd(const struct journal *journal)
{
	return journal->fd;
}

uint64_t journal_instance(const struct journal *journal)
{
	return journal->head.instance;
}

static size_t length_of(size_t body_bytes)
{
	return (sizeof(struct journal_record) + body_bytes + 7) & ~(size_t)7;
}

/* What may have to be written although there is no more room, see journal_append(). */
static uint64_t reserve_bytes(size_t nr_live)
{
	if (!nr_live)
		return 0;
	return OWN_BYTES + nr_live * (2 * length_of(sizeof(struct journal_lease_state)) +
				      length_of(sizeof(uint64_t)));
}

static void hold(struct journal *journal, uint16_t type, const void *body, size_t size_bytes)
{
	uint8_t *bytes = journal->held + journal->held_bytes;
	size_t length = length_of(size_bytes),
	       pad = length - sizeof(struct journal_record) - size_bytes;
	struct journal_record record = {
		.length = (uint32_t)length, .type = type, .pad = (uint16_t)pad};

	memcpy(bytes, &record, sizeof(record));
	memcpy(bytes + sizeof(record), body, size_bytes);
	memset(bytes + sizeof(record) + size_bytes, 0, pad);
	record.crc = journal_checksum(bytes, length);
	memcpy(bytes, &record, sizeof(record));
	journal->held_bytes += length;
	journal->end += length;
}

int journal_flush(struct journal *journal)
{
	uint64_t start = journal->end - journal->held_bytes;
	int r;

	if (!journal->held_bytes)
		return 0;
	r = write_at(journal->fd, journal->held, journal->held_bytes, start);
	if (r) {
		cut_at(journal, start);
		journal->is_behind |= journal->is_held_needed;
	}
	journal->held_bytes = 0;
	journal->is_held_needed = false;
	return r;
}

int journal_hold(struct journal *journal, uint16_t type, const void *body, size_t size_bytes,
		 size_t nr_live)
{
	bool may_fail = nr_live || journal->snapshot;
	size_t length = length_of(size_bytes);
	int r = 0;

	if (length > JOURNAL_RECORD_MAX)
		return -E2BIG;
	/* What may fail waits until the journal tells the truth again. */
	if (nr_live && journal->is_behind && !journal->snapshot)
		return -ENOSPC;
	if (journal->held_bytes + length > JOURNAL_HELD_BYTES)
		r = journal_flush(journal);
	if (r && may_fail)
		return r;
	r = allocate(journal, journal->end + length + reserve_bytes(nr_live));
	if (r && may_fail)
		return r;
	hold(journal, type, body, size_bytes);
	journal->is_held_needed |= !nr_live;
	return 0;
}

int journal_append(struct journal *journal, uint16_t type, const void *body, size_t size_bytes,
		   size_t nr_live)
{
	int r = journal_hold(journal, type, body, size_bytes, nr_live);

	/* A snapshot counts as a whole, with its head. */
	return r || journal->snapshot ? r : journal_flush(journal);
}

bool journal_is_large(const struct journal *journal, size_t nr_live)
{
	uint64_t used = journal->end - journal->head.start;

	return journal->is_behind ||
	       (used > 4 * CHUNK_BYTES && used > 8 * TYPICAL_BYTES * (uint64_t)nr_live);
}

int journal_compact_begin(struct journal *journal)
{
	int r = journal_flush(journal);

	journal->snapshot = journal->end;
	return r;
}

int journal_compact_end(struct journal *journal, bool is_whole)
{
	uint64_t old = journal->head.start, start = journal->snapshot;
	int r = is_whole ? journal_flush(journal) : -ECANCELED;

	if (!r)
		r = write_head(journal, start);
	journal->snapshot = 0;
	journal->held_bytes = 0;
	journal->is_held_needed = false;
	if (r) {
		/* The old records still say all there is to say. */
		cut_at(journal, start);
		return is_whole ? r : 0;
	}
	journal->is_behind = false;
	/* Whole pages only, and never the heads; that it fails costs memory, nothing else. */
	old = (old + 4095) & ~(uint64_t)4095;
	start &= ~(uint64_t)4095;
	if (start > old)
		fallocate(journal->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)old,
			  (off_t)(start - old));
	return 0;
}
