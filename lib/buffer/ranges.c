// SPDX-License-Identifier: MIT
/*
 * The rules for slices of a BAR, checked before the kernel is asked so that a
 * refusal names the range. They are the kernel's own rules for
 * P2PDMA_EXPORT_EXPORT, and the vfio backend gets the same although vfio itself
 * would let ranges overlap. Pure functions, no state.
 */
#include <errno.h>
#include <inttypes.h>

#include "buffer.h"

static bool overlap(const struct p2pdma_range *a, const struct p2pdma_range *b)
{
	/* Neither end can overflow: both have been found inside the BAR. */
	return a->offset_bytes < b->offset_bytes + b->length_bytes &&
	       b->offset_bytes < a->offset_bytes + a->length_bytes;
}

static int check_one(const struct p2pdma_context *context, const char *name, uint64_t bar_bytes,
		     const struct p2pdma_range *range, size_t index)
{
	uint64_t offset = range->offset_bytes;
	uint64_t length = range->length_bytes;
	uint64_t page = context->page_size_bytes;

	if (!length)
		return context_fail(context, -EINVAL, "range %zu is empty", index);
	if (offset % page || length % page)
		return context_fail(context, -EINVAL,
				    "range %zu (offset 0x%" PRIx64 ", length 0x%" PRIx64
				    ") isn't a multiple of the page size %" PRIu64,
				    index, offset, length, page);
	if (offset > bar_bytes || length > bar_bytes - offset)
		return context_fail(context, -EINVAL,
				    "range %zu (offset 0x%" PRIx64 ", length 0x%" PRIx64
				    ") passes the end of %s, which has 0x%" PRIx64 " bytes",
				    index, offset, length, name, bar_bytes);
	return 0;
}

int ranges_check_amount(const struct p2pdma_context *context, const char *name,
			uint64_t memory_bytes, const struct p2pdma_range *ranges, size_t nr_ranges)
{
	uint64_t page = context->page_size_bytes;

	if (nr_ranges != 1 || ranges->offset_bytes)
		return context_fail(context, -EINVAL,
				    "the driver of %s lays it out: one range with offset 0 is an "
				    "amount of it",
				    name);
	if (!ranges->length_bytes || ranges->length_bytes % page)
		return context_fail(context, -EINVAL,
				    "0x%" PRIx64
				    " bytes of %s: a multiple of the page size %" PRIu64
				    " is wanted",
				    ranges->length_bytes, name, page);
	if (memory_bytes && ranges->length_bytes > memory_bytes)
		return context_fail(context, -EINVAL,
				    "0x%" PRIx64 " bytes of %s, which has 0x%" PRIx64,
				    ranges->length_bytes, name, memory_bytes);
	return 0;
}

int ranges_check(const struct p2pdma_context *context, const char *name, uint64_t bar_bytes,
		 const struct p2pdma_range *ranges, size_t nr_ranges, uint64_t *ret_size_bytes)
{
	uint64_t sum = 0;
	int r;

	if (!nr_ranges || nr_ranges > P2PDMA_BUFFER_MAX_RANGES)
		return context_fail(context, -EINVAL, "%zu ranges: a buffer has 1 to %d", nr_ranges,
				    P2PDMA_BUFFER_MAX_RANGES);
	for (size_t i = 0; i < nr_ranges; i++) {
		r = check_one(context, name, bar_bytes, &ranges[i], i);
		if (r)
			return r;
		for (size_t j = 0; j < i; j++) {
			if (overlap(&ranges[i], &ranges[j]))
				return context_fail(context, -EINVAL, "ranges %zu and %zu overlap",
						    j, i);
		}
		/* Disjoint parts of one BAR: the sum is at most its size. */
		sum += ranges[i].length_bytes;
	}
	*ret_size_bytes = sum;
	return 0;
}
