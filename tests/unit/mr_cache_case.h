/* SPDX-License-Identifier: MIT */
#ifndef MR_CACHE_CASE_H
#define MR_CACHE_CASE_H

#include "mr_cache_fixture.h"

/* Cases with one cache and one buffer of a MiB. */

static struct p2pdma_buffer *buffer;
static struct p2pdma_mr_cache *cache;

static inline int setup(void **state)
{
	fake_setup(state);
	buffer = fake_buffer(0, MIB, 0);
	cache = new_cache(*state, fake_pd(), 0, 0, 0);
	return 0;
}

static inline int teardown(void **state)
{
	p2pdma_mr_cache_free(cache);
	p2pdma_buffer_free(buffer);
	return fake_teardown(state);
}

/* Instead of the fixture's. */
static inline void remake_cache(uint32_t flags, uint32_t max_entries, uint64_t max_bytes)
{
	p2pdma_mr_cache_free(cache);
	cache = new_cache(fake_context(), fake_pd(), flags, max_entries, max_bytes);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif /* MR_CACHE_CASE_H */
