// SPDX-License-Identifier: MIT
/*
 * Which bytes of one BAR are leased.
 *
 * The array holds the fewest segments that say it: no two neighbours touch and
 * are held alike. Each edge of a segment is then an edge of a range that somebody holds,
 * so n ranges make at most 2n - 1 segments, also while one of them is being cut out.
 * slices_take() makes that room before it changes anything; that is why
 * slices_give() can't fail.
 *
 * Both work alike: cut the segments at the edges of the range, change what lies
 * within, and join neighbours that have become alike. No I/O, no locks.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "slices.h"

void slices_init(struct slices *slices, uint64_t size_bytes)
{
	*slices = (struct slices){.size_bytes = size_bytes};
}

void slices_done(struct slices *slices)
{
	free(slices->segments);
	slices_init(slices, 0);
}

static uint64_t end_of(const struct segment *segment)
{
	return segment->offset_bytes + segment->length_bytes;
}

/* The first segment that ends behind @offset_bytes; the count where none does. */
static size_t first_behind(const struct slices *slices, uint64_t offset_bytes)
{
	size_t low = 0, high = slices->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (end_of(&slices->segments[middle]) > offset_bytes)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* The free extent before segment @i, which may be empty; @i == count: the last one. */
static struct segment extent_before(const struct slices *slices, size_t i)
{
	uint64_t from = i ? end_of(&slices->segments[i - 1]) : 0;
	uint64_t to = i < slices->count ? slices->segments[i].offset_bytes : slices->size_bytes;

	return (struct segment){.offset_bytes = from, .length_bytes = to - from};
}

int slices_find(const struct slices *slices, uint64_t length_bytes, uint64_t align_bytes,
		uint64_t *ret_offset_bytes)
{
	uint64_t best_length = UINT64_MAX, best_offset = 0;

	if (!length_bytes || !align_bytes || (align_bytes & (align_bytes - 1)))
		return -EINVAL;
	for (size_t i = 0; i <= slices->count; i++) {
		struct segment extent = extent_before(slices, i);
		uint64_t padding = -extent.offset_bytes & (align_bytes - 1);

		if (extent.length_bytes >= best_length || padding >= extent.length_bytes ||
		    extent.length_bytes - padding < length_bytes)
			continue;
		best_length = extent.length_bytes;
		best_offset = extent.offset_bytes + padding;
	}
	if (best_length == UINT64_MAX)
		return -ENOSPC;
	*ret_offset_bytes = best_offset;
	return 0;
}

static int make_room(struct slices *slices)
{
	size_t wanted, size;
	struct segment *grown;

	if (__builtin_add_overflow(slices->nr_taken, 1, &wanted) ||
	    __builtin_mul_overflow(wanted, 2, &wanted))
		return -ENOMEM;
	if (wanted <= slices->room)
		return 0;
	/* By halves: the cost of moving the array stays constant for each range. */
	if (__builtin_add_overflow(wanted, wanted / 2, &wanted) ||
	    __builtin_mul_overflow(wanted, sizeof(*grown), &size))
		return -ENOMEM;
	grown = realloc(slices->segments, size);
	if (!grown)
		return -ENOMEM;
	slices->segments = grown;
	slices->room = wanted;
	return 0;
}

static void insert(struct slices *slices, size_t i, struct segment segment)
{
	assert(slices->count < slices->room);
	memmove(&slices->segments[i + 1], &slices->segments[i],
		(slices->count - i) * sizeof(segment));
	slices->segments[i] = segment;
	slices->count++;
}

/* Makes @at_bytes an edge where it lies within a segment. */
static void cut(struct slices *slices, uint64_t at_bytes)
{
	size_t i = first_behind(slices, at_bytes);
	struct segment *segment = &slices->segments[i];
	struct segment left;

	if (i == slices->count || segment->offset_bytes >= at_bytes)
		return;
	left = *segment;
	left.length_bytes = at_bytes - left.offset_bytes;
	segment->offset_bytes = at_bytes;
	segment->length_bytes -= left.length_bytes;
	insert(slices, i, left);
}

/* Joins what is alike between the segment before @from_bytes and the one at @to_bytes. */
static void join(struct slices *slices, uint64_t from_bytes, uint64_t to_bytes)
{
	struct segment *segments = slices->segments;
	size_t last = first_behind(slices, from_bytes);
	size_t next;

	if (last)
		last--;
	for (next = last + 1; next < slices->count; next++) {
		if (segments[next].offset_bytes > to_bytes)
			break;
		if (end_of(&segments[last]) == segments[next].offset_bytes &&
		    segments[last].nr_sharers == segments[next].nr_sharers)
			segments[last].length_bytes += segments[next].length_bytes;
		else
			segments[++last] = segments[next];
	}
	if (next <= slices->count) {
		memmove(&segments[last + 1], &segments[next],
			(slices->count - next) * sizeof(*segments));
		slices->count -= next - (last + 1);
	}
}

static bool is_inside(const struct slices *slices, uint64_t offset_bytes, uint64_t length_bytes)
{
	return length_bytes && offset_bytes <= slices->size_bytes &&
	       length_bytes <= slices->size_bytes - offset_bytes;
}

/* One more sharer of all that is held between the two, and the first of what isn't. */
static void add_sharer(struct slices *slices, uint64_t from_bytes, uint64_t end_bytes)
{
	for (size_t i = first_behind(slices, from_bytes); from_bytes < end_bytes; i++) {
		uint64_t next = i < slices->count ? slices->segments[i].offset_bytes : end_bytes;

		if (next > from_bytes) {
			if (next > end_bytes)
				next = end_bytes;
			insert(slices, i, (struct segment){from_bytes, next - from_bytes, 1});
		} else {
			slices->segments[i].nr_sharers++;
		}
		from_bytes = end_of(&slices->segments[i]);
	}
}

int slices_take(struct slices *slices, uint64_t offset_bytes, uint64_t length_bytes, bool is_shared)
{
	uint64_t end_bytes = offset_bytes + length_bytes;
	size_t first;
	int r;

	if (!is_inside(slices, offset_bytes, length_bytes))
		return -EINVAL;
	first = first_behind(slices, offset_bytes);
	for (size_t i = first; i < slices->count; i++) {
		if (slices->segments[i].offset_bytes >= end_bytes)
			break;
		if (!is_shared || !slices->segments[i].nr_sharers)
			return -EBUSY;
	}
	r = make_room(slices);
	if (r)
		return r;
	if (is_shared) {
		cut(slices, offset_bytes);
		cut(slices, end_bytes);
		add_sharer(slices, offset_bytes, end_bytes);
	} else {
		insert(slices, first, (struct segment){offset_bytes, length_bytes, 0});
	}
	join(slices, offset_bytes, end_bytes);
	slices->nr_taken++;
	return 0;
}

void slices_give(struct slices *slices, uint64_t offset_bytes, uint64_t length_bytes,
		 bool is_shared)
{
	uint64_t end_bytes = offset_bytes + length_bytes;
	size_t kept, i;

	assert(slices->nr_taken && is_inside(slices, offset_bytes, length_bytes));
	cut(slices, offset_bytes);
	cut(slices, end_bytes);
	kept = i = first_behind(slices, offset_bytes);
	for (; i < slices->count && slices->segments[i].offset_bytes < end_bytes; i++) {
		assert(is_shared == (slices->segments[i].nr_sharers > 0));
		if (is_shared && --slices->segments[i].nr_sharers)
			slices->segments[kept++] = slices->segments[i];
	}
	memmove(&slices->segments[kept], &slices->segments[i],
		(slices->count - i) * sizeof(*slices->segments));
	slices->count -= i - kept;
	join(slices, offset_bytes, end_bytes);
	slices->nr_taken--;
}

void slices_summarize(const struct slices *slices, struct slices_summary *ret_summary)
{
	*ret_summary = (struct slices_summary){0};
	for (size_t i = 0; i <= slices->count; i++) {
		uint64_t length_bytes = extent_before(slices, i).length_bytes;

		if (!length_bytes)
			continue;
		ret_summary->free_bytes += length_bytes;
		ret_summary->nr_free_extents++;
		if (length_bytes > ret_summary->largest_free_bytes)
			ret_summary->largest_free_bytes = length_bytes;
	}
}
