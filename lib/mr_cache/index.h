/* SPDX-License-Identifier: MIT */
#ifndef MR_CACHE_INDEX_H
#define MR_CACHE_INDEX_H

#include <stddef.h>
#include <stdint.h>

struct mr_class;
struct mr_entry;
struct mr_identity;

/* What a registration is found by; the protection domain is the cache's. */
struct mr_key {
	const struct mr_identity *identity;
	uint64_t offset_bytes;
	uint64_t length_bytes; /* not zero, inside the DMABUF */
	uint64_t base_iova; /* where the DMABUF's first byte would be: iova - offset, modulo 2^64 */
	uint32_t access;
};

struct mr_index {
	struct mr_entry **buckets;
	struct mr_class **classes;
	size_t mask;
};

/* @nr_entries: how many it is made for; more make it slower. */
int mr_index_init(struct mr_index *index, size_t nr_entries);
void mr_index_done(struct mr_index *index);

/* Exactly this range, of the identity's generation now; pending ones, too. */
struct mr_entry *mr_index_find(const struct mr_index *index, const struct mr_key *key);

/* A range around it, or NULL. */
struct mr_entry *mr_index_find_around(const struct mr_index *index, const struct mr_key *key);

void mr_index_add(struct mr_index *index, struct mr_entry *entry);
/* From now on it serves ranges inside it. Without memory it doesn't, which is no error. */
void mr_index_share(struct mr_index *index, struct mr_entry *entry);
/* The end of sharing for it, and for all that agree with it in all but the range. */
void mr_index_stop_sharing(struct mr_index *index, const struct mr_entry *entry);
void mr_index_remove(struct mr_index *index, struct mr_entry *entry);

#endif /* MR_CACHE_INDEX_H */
