// SPDX-License-Identifier: MIT
/*
 * All leases by id.
 *
 * Ids are given out in order and never again, so an array that grows at its end is
 * sorted by itself, and a binary search finds what a hash table would. As long as no id is
 * missing it finds it at the first look. A removed lease leaves its slot empty; when half of them
 * are, the array is closed up.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lease.h"
#include "lease_table.h"

void lease_table_done(struct lease_table *table)
{
	free(table->slots);
	memset(table, 0, sizeof(*table));
}

/* The first slot whose id isn't below @id. */
static size_t lower_bound(const struct lease_table *table, uint64_t id)
{
	size_t low = 0, high = table->end;
	uint64_t ahead;

	if (!high || table->slots[0].id >= id)
		return 0;
	/* Each id is above the one before it: it isn't further from the first than they differ. */
	ahead = id - table->slots[0].id;
	if (ahead < high && table->slots[ahead].id == id)
		return ahead;
	if (ahead < high)
		high = ahead;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (table->slots[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void close_up(struct lease_table *table)
{
	size_t to = 0;

	for (size_t i = 0; i < table->end; i++)
		if (table->slots[i].lease)
			table->slots[to++] = table->slots[i];
	table->end = to;
}

int lease_table_add(struct lease_table *table, struct lease *lease)
{
	size_t place;

	if (table->end == table->room) {
		size_t room = table->room ? table->room * 2 : 64;
		struct lease_slot *grown;

		grown = reallocarray(table->slots, room, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		table->slots = grown;
		table->room = room;
	}
	place = lower_bound(table, lease->id);
	memmove(&table->slots[place + 1], &table->slots[place],
		(table->end - place) * sizeof(*table->slots));
	table->slots[place].id = lease->id;
	table->slots[place].lease = lease;
	table->end++;
	table->count++;
	return 0;
}

void lease_table_remove(struct lease_table *table, const struct lease *lease)
{
	size_t place = lower_bound(table, lease->id);

	if (place == table->end || table->slots[place].lease != lease)
		return;
	table->slots[place].lease = NULL;
	table->count--;
	if (table->end > 64 && table->count < table->end / 2)
		close_up(table);
}

struct lease *lease_table_find(const struct lease_table *table, uint64_t id)
{
	size_t place = lower_bound(table, id);

	return place < table->end && table->slots[place].id == id ? table->slots[place].lease :
								    NULL;
}

struct lease *lease_table_after(const struct lease_table *table, uint64_t id)
{
	for (size_t i = lower_bound(table, id + 1); i < table->end; i++)
		if (table->slots[i].lease)
			return table->slots[i].lease;
	return NULL;
}
