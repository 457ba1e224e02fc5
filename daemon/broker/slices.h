/* SPDX-License-Identifier: MIT */
#ifndef SLICES_H
#define SLICES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Which bytes of one BAR are leased: a sorted array of segments, each held either
 * exclusively or by a number of sharers; neighbours that are held alike are one segment.
 * Everything between them is free.
 */
struct slices {
	uint64_t size_bytes;
	struct segment *segments;
	size_t count;
	size_t room;
	size_t nr_taken; /* ranges that slices_give() hasn't seen again */
};

struct segment {
	uint64_t offset_bytes;
	uint64_t length_bytes;
	size_t nr_sharers; /* 0: exclusive */
};

/* How much is free, and in how many pieces. */
struct slices_summary {
	uint64_t free_bytes;
	uint64_t largest_free_bytes;
	uint32_t nr_free_extents;
};

void slices_init(struct slices *slices, uint64_t size_bytes);
void slices_done(struct slices *slices);

/*
 * Where would @length_bytes fit? The smallest free extent that takes it (so that large ones
 * stay whole), aligned to @align_bytes, a power of two. -ENOSPC. -EINVAL: no length, or
 * no power of two.
 */
int slices_find(const struct slices *slices, uint64_t length_bytes, uint64_t align_bytes,
		uint64_t *ret_offset_bytes);

/*
 * Takes a range. Exclusive ones overlap nothing, shared ones only shared ones. -EBUSY;
 * -EINVAL: not in the BAR or empty; -ENOMEM. Nothing is taken when it fails.
 */
int slices_take(struct slices *slices, uint64_t offset_bytes, uint64_t length_bytes,
		bool is_shared);

/* Gives back what was taken with the same arguments. Never fails: room is kept for it. */
void slices_give(struct slices *slices, uint64_t offset_bytes, uint64_t length_bytes,
		 bool is_shared);

void slices_summarize(const struct slices *slices, struct slices_summary *ret_summary);

#endif /* SLICES_H */
