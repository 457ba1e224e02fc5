/* SPDX-License-Identifier: MIT */
#ifndef JOURNAL_H
#define JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/wire.h"

/*
 * What must outlive the process: a memfd that the service manager keeps. Its file:
 *
 *	two heads	where the records begin; the valid one with the higher sequence counts
 *	records		each with its length and a CRC over all of it
 *
 * A record stands for the whole of what it is about and replaces earlier ones, so that
 * replaying twice is replaying once. Compaction writes a snapshot behind the last
 * record, then a new head, then gives the space before it back to the kernel: offsets only grow,
 * and the descriptor stays the same for ever.
 */
struct journal;

#define JOURNAL_VERSION 1

enum journal_type {
	JOURNAL_LEASE = 1,	/* struct journal_lease, then its ranges */
	JOURNAL_LEASE_GONE = 2, /* u64 id */
	JOURNAL_NEXT_ID = 3,	/* u64: the next lease's */
	JOURNAL_DRAIN = 4,	/* struct journal_drain */
	/*
	 * u64: p2pd was started, and the leases so far wait for their holders until then, but for
	 * those that waited already; so do publications for their publishers. A lease's own record
	 * overrides it.
	 */
	JOURNAL_RESTARTED = 5,
	JOURNAL_LEASE_STATE = 6, /* struct journal_lease_state, of a lease that is in it already */
};

/* A lease as it stands. It may grow at its end: shorter ones are filled up with zeroes. */
struct journal_lease {
	uint32_t size_bytes; /* of this structure, the ranges follow it */
	uint32_t nr_ranges;
	uint64_t id;
	uint8_t token[WIRE_TOKEN_SIZE];
	char provider[WIRE_NAME_SIZE];
	char label[WIRE_NAME_SIZE];
	uint32_t backend;
	uint32_t mode;
	uint32_t access;
	uint32_t flags;
	uint32_t force;
	uint32_t priority;
	uint32_t state;
	uint32_t reason;
	uint32_t uid;
	uint32_t gid;
	int32_t pid;
	uint32_t export_id;
	uint64_t size_of_lease_bytes;
	uint64_t provider_bytes;
	uint64_t granted_ns;
	uint64_t expires_ns;
	uint64_t deadline_ns;
	uint32_t publisher_uid; /* of a published provider */
	uint32_t reserved;
	uint64_t detached_until_ns;
	uint64_t nonce;
	uint64_t
		publisher_until_ns; /* of a published provider; the last record of any lease counts */
};

/*
 * What has changed in a lease since its own record: all of what may, except for a new export. It
 * is as long for a lease of many ranges as for one of few, so that the room for a lease's end is
 * known when it begins.
 */
struct journal_lease_state {
	uint64_t id;
	uint32_t state;
	uint32_t reason;
	int32_t pid;
	uint32_t reserved;
	uint64_t expires_ns;
	uint64_t deadline_ns;
	uint64_t detached_until_ns;
};

struct journal_drain {
	char provider[WIRE_NAME_SIZE];
	uint32_t is_on;
	uint32_t reserved;
};

/* Called for each record in order. Not 0: the record makes no sense, and reading ends. */
typedef int (*journal_read_fn)(void *data, uint16_t type, const void *body, size_t size_bytes);

/* A new, empty one. */
int journal_new(uint64_t instance, struct journal **ret_journal);

/*
 * One that was kept. Takes @fd over, also where it fails. A last record that is cut short is dropped: its
 * answer never left. Anything else that is wrong: -EBADMSG, and the state is lost;
 * -EPROTONOSUPPORT: written by a newer version.
 */
int journal_open(int fd, journal_read_fn read, void *data, struct journal **ret_journal);

/* Keeps the file for whoever holds its descriptor. NULL is allowed. */
void journal_free(struct journal *journal);

int journal_fd(const struct journal *journal);
uint64_t journal_instance(const struct journal *journal);

/*
 * Appends. A record that may fail (a grant) says how many leases there are with it, and room stays
 * for what must not fail: of each of them its state twice (wanted back; taken up again after a
 * restart) and its end. Those records say 0. -ENOSPC. Where one of them fails all the same, no more
 * is granted until a snapshot has made up for it (journal_is_large()).
 */
int journal_append(struct journal *journal, uint16_t type, const void *body, size_t size_bytes,
		   size_t nr_live);

/*
 * The same, but it may be written later: with the next one that is appended, or by journal_flush(), which
 * says whether all of them are. Nobody may be told of it before.
 */
int journal_hold(struct journal *journal, uint16_t type, const void *body, size_t size_bytes,
		 size_t nr_live);
int journal_flush(struct journal *journal);

/* Has it grown to several times of what a snapshot of @nr_live things takes, or does it lack one? */
bool journal_is_large(const struct journal *journal, size_t nr_live);

/* Between these, journal_append() writes the snapshot, and holds what it likes until the end. */
int journal_compact_begin(struct journal *journal);
/* @is_whole false: forget what was appended since, the old records stay. */
int journal_compact_end(struct journal *journal, bool is_whole);

#endif /* JOURNAL_H */
