// SPDX-License-Identifier: MIT
/*
 * Reading a journal that an earlier p2pd has written.
 *
 * It may have been killed at any moment, so the file may end inside a record; what is left of that is cut off.
 * A CRC that is wrong anywhere else, a length that passes the end although the record doesn't, or a
 * head that is no head means that somebody else wrote here, and then nothing in it is believed.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "journal_state.h"

uint32_t journal_checksum(const void *data, size_t size_bytes)
{
	return (uint32_t)crc32(0, data, (uInt)size_bytes);
}

static bool head_is_sound(const struct journal_head *head)
{
	struct journal_head copy = *head;

	copy.crc = 0;
	return head->magic == JOURNAL_MAGIC && journal_checksum(&copy, sizeof(copy)) == head->crc;
}

static int read_heads(struct journal *journal)
{
	struct journal_head heads[2];
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
	if (!is_found || journal->head.start < JOURNAL_FIRST_RECORD || journal->head.start % 8)
		return -EBADMSG;
	return journal->head.version <= JOURNAL_VERSION ? 0 : -EPROTONOSUPPORT;
}

/*
 * A record whose length passes the end of the file was cut short, or it is its length that is
 * wrong. Then it is whole, and its CRC right with another one.
 */
static bool is_whole_but_for_length(union journal_room *room, uint64_t left)
{
	uint32_t crc = room->record.crc;

	room->record.crc = 0;
	for (uint32_t length = sizeof(room->record); length <= left; length += 8) {
		room->record.length = length;
		if (journal_checksum(room->bytes, length) == crc)
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
	union journal_room room;
	uint64_t left = size_bytes - journal->end;
	uint32_t length, crc;
	size_t whole;

	if (left < sizeof(room.record))
		return 0;
	if (pread(journal->fd, &room.record, sizeof(room.record), (off_t)journal->end) !=
	    sizeof(room.record))
		return -EIO;
	length = room.record.length;
	if (length < sizeof(room.record) || length > JOURNAL_RECORD_MAX || length % 8 ||
	    room.record.pad > length - sizeof(room.record) || room.record.zero)
		return -EBADMSG;
	whole = length < left ? length : left;
	if (pread(journal->fd, room.bytes, whole, (off_t)journal->end) != (ssize_t)whole)
		return -EIO;
	if (length > left)
		return is_whole_but_for_length(&room, left) ? -EBADMSG : 0;
	crc = room.record.crc;
	room.record.crc = 0;
	if (journal_checksum(room.bytes, length) != crc)
		return -EBADMSG;
	if (read(data, room.record.type, room.bytes + sizeof(room.record),
		 length - sizeof(room.record) - room.record.pad))
		return -EBADMSG;
	journal->end += length;
	return 1;
}

int journal_read_all(struct journal *journal, journal_read_fn read, void *data)
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
