// SPDX-License-Identifier: MIT
/*
 * Structures that cross the API and may grow.
 *
 * A program compiled against an older header passes a shorter structure: what it
 * doesn't have is zero. One compiled against a newer header passes a longer one:
 * as an input it works as long as it asks for nothing that this library doesn't
 * know, as an output what this library doesn't know is zero.
 *
 * Pure functions on the caller's memory, no state, no locks.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "options.h"

/* The caller's size, whatever the alignment of its structure. */
static size_t size_of(const void *structure)
{
	uint32_t size;

	memcpy(&size, structure, sizeof(size));
	return size;
}

int options_load(void *ret_known, size_t known, size_t first, const void *options)
{
	size_t size = size_of(options);
	const unsigned char *bytes = options;

	if (size < first)
		return -EINVAL;
	for (size_t i = known; i < size; i++) {
		if (bytes[i])
			return -E2BIG;
	}
	memset(ret_known, 0, known);
	memcpy(ret_known, options, size < known ? size : known);
	return 0;
}

int options_check_output(const void *output, size_t first)
{
	return output && size_of(output) >= first ? 0 : -EINVAL;
}

void options_store(void *output, const void *value, size_t known)
{
	size_t size = size_of(output);
	size_t head = sizeof(uint32_t);
	size_t both = size < known ? size : known;

	memcpy((char *)output + head, (const char *)value + head, both - head);
	memset((char *)output + both, 0, size - both);
}
