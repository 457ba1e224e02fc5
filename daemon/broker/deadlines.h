/* SPDX-License-Identifier: MIT */
#ifndef DEADLINES_H
#define DEADLINES_H

#include <stddef.h>
#include <stdint.h>

/*
 * Many points in time, of which the next one matters: a binary heap of embedded
 * nodes. Knows no clock and no event loop.
 */
struct deadline {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	size_t place;	  /* in the heap, from 1; 0: not in it */
};

struct deadlines {
	struct deadline **nodes;
	size_t count;
	size_t room;
};

void deadlines_init(struct deadlines *deadlines);
void deadlines_done(struct deadlines *deadlines);

/*
 * Room for @nr_nodes in all, in it now or not: as many as may be in it at the same time. Then
 * deadlines_set() can't fail later. -ENOMEM.
 */
int deadlines_reserve(struct deadlines *deadlines, size_t nr_nodes);

/* Puts it in or moves it. There must be room. */
void deadlines_set(struct deadlines *deadlines, struct deadline *deadline, uint64_t time_ns);
/* Takes it out, if it is in. */
void deadlines_clear(struct deadlines *deadlines, struct deadline *deadline);

/* The next one, NULL for none; it stays in. */
struct deadline *deadlines_first(const struct deadlines *deadlines);

#endif /* DEADLINES_H */
