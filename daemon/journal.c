// SPDX-License-Identifier: MIT
/*
 * The journal: see journal.h for what is in the file.
 *
 * Every write is one pwrite() of whole records into a memfd, so what a SIGKILL
 * can leave behind is a file that ends inside a record, never a hole. That is the only
 * damage that is taken for normal; it is cut off. Records are put together in memory: one that
 * counts at once is written at once, those of one revocation and of a snapshot many at a time. A
 * CRC that is wrong anywhere else, a length that passes the end although the record doesn't, or a
 * head that is no head means that somebody else wrote here, and then nothing in it is believed.
 *
 * Space: memory can run out. Whoever grants a lease allocates the room that its later records need
 * at the same time (reserve_bytes()), and a grant that can't is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "common/cleanup.h"
#include "journal.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U /* newer than the headers of the oldest distribution */
#endif

#define MAGIC	      0x6a64327032706470ULL
#define FIRST_RECORD  4096
#define CHUNK_BYTES   65536
#define HELD_BYTES    16384
#define OWN_BYTES     4096 /* room for what is about no lease: drains and restarts */
#define TYPICAL_BYTES 320  /* one lease's record */
#define RECORD_MAX    4096

struct head {
	uint64_t magic;
	uint32_t version;
	uint32_t crc; /* over the head with this as zero */
	uint64_t sequence;
	uint64_t start;
	uint64_t instance;
	uint64_t reserved[3];
};

struct record {
	uint32_t length; /* of the whole record, a multiple of 8 */
	uint32_t crc;	 /* over all of it with this as zero */
	uint16_t type;
	uint16_t pad; /* bytes after the body */
	uint32_t zero;
};

union room {
	struct record record;
	uint8_t bytes[RECORD_MAX];
	uint64_t aligned[RECORD_MAX / 8]; /* bodies are looked at in place */
};

struct journal {
	int fd;
	struct head head;
	uint64_t end;	    /* of the last record, also of one that is held */
	uint64_t allocated; /* room in the file */
	uint64_t snapshot;  /* where the one being written begins; 0: none is */
	bool is_behind;	    /* something that happened isn't in it: only a snapshot helps */
	bool is_held_needed;
	size_t held_bytes; /* the last records, which aren't in the file yet */
	uint8_t held[HELD_BYTES];
};

static uint32_t checksum(const void *data, size_t size_bytes)
{
	return (uint32_t)crc32(0, data, (uInt)size_bytes);
}

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
	struct head head = journal->head;
	int r;

	head.sequence++;
	head.start = start;
	head.crc = 0;
	head.crc = checksum(&head, sizeof(head));
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
	journal->head.magic = MAGIC;
	journal->head.version = JOURNAL_VERSION;
	journal->head.instance = instance;
	journal->end = FIRST_RECORD;
	r = allocate(journal, FIRST_RECORD + CHUNK_BYTES);
	if (!r)
		r = write_head(journal, FIRST_RECORD);
	if (!r && ftruncate(journal->fd, FIRST_RECORD) < 0)
		r = -errno;
	if (r) {
		journal_free(journal);
		return r;
	}
	*ret_journal = journal;
	return 0;
}

static bool head_is_sound(const struct head *head)
{
	struct head copy = *head;

	copy.crc = 0;
	return head->magic == MAGIC && checksum(&copy, sizeof(copy)) == head->crc;
}

static int read_heads(struct journal *journal)
{
	struct head heads[2];
	bool is_found = false;

	if (pread(journal->fd, heads, sizeof(heads), 0) != sizeof(heads))
		return -EBADMSG;
	for (int i = 0; i < 2; i++) {
		if (!head_is_sound(&heads[i]))
			continue;
		if (!is_found || heads[i].sequence > journal->head.sequence)
			journal->head = heads[i];
		is_found = true;
	}
	if (!is_found || journal->head.start < FIRST_RECORD || journal->head.start % 8)
		return -EBADMSG;
	return journal->head.version <= JOURNAL_VERSION ? 0 : -EPROTONOSUPPORT;
}

/*
 * A record whose length passes the end of the file was cut short, or it is its length that is
 * wrong. Then it is whole, and its CRC right with another one.
 */
static bool is_whole_but_for_length(union room *room, uint64_t left)
{
	uint32_t crc = room->record.crc;

	room->record.crc = 0;
	for (uint32_t length = sizeof(room->record); length <= left; length += 8) {
		room->record.length = length;
		if (checksum(room->bytes, length) == crc)
			return true;
	}
	return false;
}

/*
 * One record at journal->end of a file of @size_bytes. 1: read; 0: the file ends here, perhaps
 * inside a record.
 */
static int read_record(struct journal *journal, uint64_t size_bytes, journal_read_fn read,
		       void *data)
{
	union room room;
	uint64_t left = size_bytes - journal->end;
	uint32_t length, crc;
	size_t whole;

	if (left < sizeof(room.record))
		return 0;
	if (pread(journal->fd, &room.record, sizeof(room.record), (off_t)journal->end) !=
	    sizeof(room.record))
		return -EIO;
	length = room.record.length;
	if (length < sizeof(room.record) || length > RECORD_MAX || length % 8 ||
	    room.record.pad > length - sizeof(room.record) || room.record.zero)
		return -EBADMSG;
	whole = length < left ? length : left;
	if (pread(journal->fd, room.bytes, whole, (off_t)journal->end) != (ssize_t)whole)
		return -EIO;
	if (length > left)
		return is_whole_but_for_length(&room, left) ? -EBADMSG : 0;
	crc = room.record.crc;
	room.record.crc = 0;
	if (checksum(room.bytes, length) != crc)
		return -EBADMSG;
	if (read(data, room.record.type, room.bytes + sizeof(room.record),
		 length - sizeof(room.record) - room.record.pad))
		return -EBADMSG;
	journal->end += length;
	return 1;
}

static int read_all(struct journal *journal, journal_read_fn read, void *data)
{
	struct stat status;
	uint64_t size_bytes;
	int r;

	if (fstat(journal->fd, &status) < 0)
		return -errno;
	size_bytes = (uint64_t)status.st_size;
	r = read_heads(journal);
	if (r)
		return r;
	if (journal->head.start > size_bytes)
		return -EBADMSG;
	journal->end = journal->head.start;
	do {
		r = read_record(journal, size_bytes, read, data);
	} while (r > 0);
	if (r < 0)
		return r;
	/* What was cut short goes, so that the next record follows the last whole one. */
	if (journal->end < size_bytes && ftruncate(journal->fd, (off_t)journal->end) < 0)
		return -errno;
	journal->allocated = journal->end;
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
	r = read_all(journal, read, data);
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
	return (sizeof(struct record) + body_bytes + 7) & ~(size_t)7;
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
	size_t length = length_of(size_bytes), pad = length - sizeof(struct record) - size_bytes;
	struct record record = {.length = (uint32_t)length, .type = type, .pad = (uint16_t)pad};

	memcpy(bytes, &record, sizeof(record));
	memcpy(bytes + sizeof(record), body, size_bytes);
	memset(bytes + sizeof(record) + size_bytes, 0, pad);
	record.crc = checksum(bytes, length);
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

	if (length > RECORD_MAX)
		return -E2BIG;
	/* What may fail waits until the journal tells the truth again. */
	if (nr_live && journal->is_behind && !journal->snapshot)
		return -ENOSPC;
	if (journal->held_bytes + length > HELD_BYTES)
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
