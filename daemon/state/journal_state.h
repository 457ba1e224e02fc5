/* SPDX-License-Identifier: MIT */
#ifndef JOURNAL_STATE_H
#define JOURNAL_STATE_H

#include <stdbool.h>

#include "journal.h"

/* What journal.c and journal_read.c share: the file as it is, and what is known of it. */

#define JOURNAL_MAGIC	     0x6a64327032706470ULL
#define JOURNAL_FIRST_RECORD 4096
#define JOURNAL_HELD_BYTES   16384
#define JOURNAL_RECORD_MAX   4096

struct journal_head {
	uint64_t magic;
	uint32_t version;
	uint32_t crc; /* over the head with this as zero */
	uint64_t sequence;
	uint64_t start;
	uint64_t instance;
	uint64_t reserved[3];
};

struct journal_record {
	uint32_t length; /* of the whole record, a multiple of 8 */
	uint32_t crc;	 /* over all of it with this as zero */
	uint16_t type;
	uint16_t pad; /* bytes after the body */
	uint32_t zero;
};

union journal_room {
	struct journal_record record;
	uint8_t bytes[JOURNAL_RECORD_MAX];
	uint64_t aligned[JOURNAL_RECORD_MAX / 8]; /* bodies are looked at in place */
};

struct journal {
	int fd;
	struct journal_head head;
	uint64_t end;	    /* of the last record, also of one that is held */
	uint64_t allocated; /* room in the file */
	uint64_t snapshot;  /* where the one being written begins; 0: none is */
	bool is_behind;	    /* something that happened isn't in it: only a snapshot helps */
	bool is_held_needed;
	size_t held_bytes; /* the last records, which aren't in the file yet */
	uint8_t held[JOURNAL_HELD_BYTES];
};

/* CRC-32. */
uint32_t journal_checksum(const void *data, size_t size_bytes);

/* From the head to the last whole record; what is behind it is cut off. */
int journal_read_all(struct journal *journal, journal_read_fn read, void *data);

#endif /* JOURNAL_STATE_H */
