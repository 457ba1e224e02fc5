// SPDX-License-Identifier: MIT
/*
 * How a cache finds its entries.
 *
 * By exactly what was registered: a hash table with chains, made for as many
 * entries as the cache keeps.
 *
 * By a range inside: entries that agree in all but their range (a class, found
 * by another hash table) are in an array sorted by offset, each with the
 * furthest end of all up to it. These ends never go down along the array, so a
 * binary search finds the first entry that reaches the end of the range. No entry
 * before it does, and all behind it begin later or at the same offset: if it begins
 * too late there is none. Finding takes a logarithm; adding and removing move the
 * array's tail, which is little beside a registration. Where all of a class end
 * together the array goes first, and at once.
 *
 * Pure data, no locks of its own: everything happens under cache->lock.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mr_cache.h"

struct span {
	uint64_t offset_bytes;
	uint64_t furthest_end; /* of this and all before it */
	struct mr_entry *entry;
};

struct mr_class {
	struct mr_class *next;
	const struct mr_identity *identity;
	uint64_t base_iova;
	uint32_t access;
	size_t nr_spans;
	size_t room;
	struct span *spans;
};

static uint64_t end_of(const struct mr_key *key)
{
	return key->offset_bytes + key->length_bytes;
}

/* Three multiplications by odd numbers that a processor does at the same time. */
static uint64_t hash_class(const struct mr_key *key)
{
	return ((uintptr_t)key->identity + key->access) * 0x9e3779b97f4a7c15ULL + key->base_iova;
}

static size_t class_bucket(const struct mr_index *index, const struct mr_key *key)
{
	uint64_t hash = hash_class(key);

	return (hash ^ hash >> 32) & index->mask;
}

static size_t bucket(const struct mr_index *index, const struct mr_key *key)
{
	uint64_t hash = hash_class(key) ^ key->offset_bytes * 0xbf58476d1ce4e5b9ULL ^
			key->length_bytes * 0x94d049bb133111ebULL;

	return (hash ^ hash >> 32) & index->mask;
}

int mr_index_init(struct mr_index *index, size_t nr_entries)
{
	size_t nr_buckets = 16;

	while (nr_buckets < nr_entries)
		nr_buckets *= 2;
	index->buckets = calloc(nr_buckets, sizeof(*index->buckets));
	index->classes = calloc(nr_buckets, sizeof(*index->classes));
	index->mask = nr_buckets - 1;
	if (index->buckets && index->classes)
		return 0;
	mr_index_done(index);
	return -ENOMEM;
}

void mr_index_done(struct mr_index *index)
{
	free(index->buckets);
	free(index->classes);
}

static bool is_current(const struct mr_entry *entry)
{
	return entry->generation ==
	       __atomic_load_n(&entry->key.identity->generation, __ATOMIC_ACQUIRE);
}

static bool is_equal(const struct mr_key *a, const struct mr_key *b)
{
	return a->identity == b->identity && a->offset_bytes == b->offset_bytes &&
	       a->length_bytes == b->length_bytes && a->base_iova == b->base_iova &&
	       a->access == b->access;
}

struct mr_entry *mr_index_find(const struct mr_index *index, const struct mr_key *key)
{
	struct mr_entry *entry = index->buckets[bucket(index, key)];

	while (entry && !(is_equal(&entry->key, key) && is_current(entry)))
		entry = entry->next;
	return entry;
}

static struct mr_class **find_class(const struct mr_index *index, const struct mr_key *key)
{
	struct mr_class **place = &index->classes[class_bucket(index, key)];

	while (*place &&
	       !((*place)->identity == key->identity && (*place)->base_iova == key->base_iova &&
		 (*place)->access == key->access))
		place = &(*place)->next;
	return place;
}

struct mr_entry *mr_index_find_around(const struct mr_index *index, const struct mr_key *key)
{
	const struct mr_class *class = *find_class(index, key);
	uint64_t end = end_of(key);
	const struct span *span;

	if (!class)
		return NULL;
	span = class->spans;
	/* Where it goes on is computed, not jumped to: nobody could guess the jumps. */
	for (size_t left = class->nr_spans; left > 1; left -= left / 2)
		span += span[left / 2 - 1].furthest_end < end ? left / 2 : 0;
	if (span->furthest_end < end || span->offset_bytes > key->offset_bytes ||
	    !is_current(span->entry))
		return NULL;
	return span->entry;
}

void mr_index_add(struct mr_index *index, struct mr_entry *entry)
{
	struct mr_entry **place = &index->buckets[bucket(index, &entry->key)];

	entry->next = *place;
	*place = entry;
}

static struct mr_class *add_class(struct mr_index *index, const struct mr_key *key)
{
	struct mr_class **place = find_class(index, key);

	if (*place)
		return *place;
	*place = calloc(1, sizeof(**place));
	if (!*place)
		return NULL;
	(*place)->identity = key->identity;
	(*place)->base_iova = key->base_iova;
	(*place)->access = key->access;
	return *place;
}

static void drop_class_if_empty(struct mr_index *index, const struct mr_key *key)
{
	struct mr_class **place = find_class(index, key);
	struct mr_class *class = *place;

	if (class->nr_spans)
		return;
	*place = class->next;
	free(class->spans);
	free(class);
}

static int make_room(struct mr_class *class)
{
	size_t room = class->room ? 2 * class->room : 4;
	struct span *spans;

	if (class->nr_spans < class->room)
		return 0;
	spans = reallocarray(class->spans, room, sizeof(*spans));
	if (!spans)
		return -ENOMEM;
	class->spans = spans;
	class->room = room;
	return 0;
}

/* The first that begins there or later. */
static size_t first_from(const struct mr_class *class, uint64_t offset_bytes)
{
	size_t low = 0, high = class->nr_spans;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (class->spans[middle].offset_bytes < offset_bytes)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Up to where it is as it was, and so is all behind. */
static void renew_ends(struct mr_class *class, size_t from)
{
	uint64_t furthest = from ? class->spans[from - 1].furthest_end : 0;

	for (size_t i = from; i < class->nr_spans; i++) {
		uint64_t end = end_of(&class->spans[i].entry->key);

		furthest = end > furthest ? end : furthest;
		if (class->spans[i].furthest_end == furthest)
			return;
		class->spans[i].furthest_end = furthest;
	}
}

void mr_index_share(struct mr_index *index, struct mr_entry *entry)
{
	struct mr_class *class = add_class(index, &entry->key);
	struct span *place;
	size_t at;

	if (!class)
		return;
	if (make_room(class)) {
		drop_class_if_empty(index, &entry->key);
		return;
	}
	at = first_from(class, entry->key.offset_bytes);
	place = &class->spans[at];
	memmove(place + 1, place, (class->nr_spans - at) * sizeof(*place));
	place->offset_bytes = entry->key.offset_bytes;
	place->furthest_end = 0;
	place->entry = entry;
	class->nr_spans++;
	renew_ends(class, at);
	entry->is_shared = true;
}

void mr_index_stop_sharing(struct mr_index *index, const struct mr_entry *entry)
{
	struct mr_class *class = *find_class(index, &entry->key);

	if (!entry->is_shared)
		return;
	for (size_t i = 0; i < class->nr_spans; i++)
		class->spans[i].entry->is_shared = false;
	class->nr_spans = 0;
	drop_class_if_empty(index, &entry->key);
}

static void stop_sharing(struct mr_index *index, struct mr_entry *entry)
{
	struct mr_class *class = *find_class(index, &entry->key);
	size_t at = first_from(class, entry->key.offset_bytes);

	while (class->spans[at].entry != entry)
		at++;
	class->nr_spans--;
	memmove(&class->spans[at], &class->spans[at + 1],
		(class->nr_spans - at) * sizeof(class->spans[0]));
	renew_ends(class, at);
	entry->is_shared = false;
	drop_class_if_empty(index, &entry->key);
}

void mr_index_remove(struct mr_index *index, struct mr_entry *entry)
{
	struct mr_entry **place = &index->buckets[bucket(index, &entry->key)];

	while (*place != entry)
		place = &(*place)->next;
	*place = entry->next;
	if (entry->is_shared)
		stop_sharing(index, entry);
}
