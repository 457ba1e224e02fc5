// SPDX-License-Identifier: MIT
/*
 * Deadlines: a binary heap whose nodes know their place, so that one can be moved
 * or taken out without a search.
 *
 * The array begins at 0, places at 1 (0: not in it). A node's parent is at half its
 * place. Room is made beforehand by deadlines_reserve(), when an error can still be told.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "deadlines.h"

void deadlines_init(struct deadlines *deadlines)
{
	*deadlines = (struct deadlines){0};
}

void deadlines_done(struct deadlines *deadlines)
{
	free(deadlines->nodes);
	deadlines_init(deadlines);
}

int deadlines_reserve(struct deadlines *deadlines, size_t nr_nodes)
{
	struct deadline **grown;
	size_t wanted, size;

	if (nr_nodes <= deadlines->room)
		return 0;
	if (__builtin_add_overflow(nr_nodes, nr_nodes / 2, &wanted) ||
	    __builtin_mul_overflow(wanted, sizeof(struct deadline *), &size))
		return -ENOMEM;
	grown = realloc(deadlines->nodes, size);
	if (!grown)
		return -ENOMEM;
	deadlines->nodes = grown;
	deadlines->room = wanted;
	return 0;
}

static void put(struct deadlines *deadlines, struct deadline *deadline, size_t place)
{
	deadlines->nodes[place - 1] = deadline;
	deadline->place = place;
}

/* Brings a node from the hole at @place to where it belongs. */
static void settle(struct deadlines *deadlines, struct deadline *deadline, size_t place)
{
	while (place > 1 && deadlines->nodes[place / 2 - 1]->time_ns > deadline->time_ns) {
		put(deadlines, deadlines->nodes[place / 2 - 1], place);
		place /= 2;
	}
	for (;;) {
		size_t child = place * 2;

		if (child > deadlines->count)
			break;
		if (child < deadlines->count &&
		    deadlines->nodes[child]->time_ns < deadlines->nodes[child - 1]->time_ns)
			child++;
		if (deadlines->nodes[child - 1]->time_ns >= deadline->time_ns)
			break;
		put(deadlines, deadlines->nodes[child - 1], place);
		place = child;
	}
	put(deadlines, deadline, place);
}

void deadlines_set(struct deadlines *deadlines, struct deadline *deadline, uint64_t time_ns)
{
	deadline->time_ns = time_ns;
	if (!deadline->place) {
		assert(deadlines->count < deadlines->room);
		put(deadlines, deadline, ++deadlines->count);
	}
	settle(deadlines, deadline, deadline->place);
}

void deadlines_clear(struct deadlines *deadlines, struct deadline *deadline)
{
	size_t place = deadline->place;
	struct deadline *last;

	if (!place)
		return;
	last = deadlines->nodes[--deadlines->count];
	deadline->place = 0;
	if (last != deadline)
		settle(deadlines, last, place);
}

struct deadline *deadlines_first(const struct deadlines *deadlines)
{
	return deadlines->count ? deadlines->nodes[0] : NULL;
}
