// SPDX-License-Identifier: MIT
/* The set-up of the benchmarks of the cache, with devices. */
#include "mr_cache.h"

#ifndef BENCH_ALONE
void cache_setup_open(struct cache_setup *setup, struct bench_options *options, int argc,
		      char **argv)
{
	bench_parse(options, argc, argv, 1);
	bench_open(&setup->bench, options, CACHE_PAGE);
	setup->buffer = bench_buffer(&setup->bench, CACHE_BYTES);
	setup->pd = setup->bench.pair.pd;
}

void cache_setup_close(struct cache_setup *setup)
{
	p2pdma_buffer_free(setup->buffer);
	bench_close(&setup->bench);
}
#endif

struct p2pdma_mr_cache *cache_setup_cache(const struct cache_setup *setup, uint32_t max_entries)
{
	struct p2pdma_mr_cache_options options = P2PDMA_MR_CACHE_OPTIONS_INIT;
	struct p2pdma_mr_cache *cache = NULL;

	options.flags = P2PDMA_MR_CACHE_SHARE_REMOTE;
	options.max_entries = max_entries;
	bench_must(&setup->bench, "making a cache",
		   p2pdma_mr_cache_new(setup->bench.context, setup->pd, &options, &cache));
	return cache;
}

struct p2pdma_mr_attr cache_range(size_t page, size_t nr_pages)
{
	return (struct p2pdma_mr_attr){
		.size_bytes = sizeof(struct p2pdma_mr_attr),
		.access = BENCH_ACCESS,
		.offset_bytes = page * CACHE_PAGE,
		.length_bytes = nr_pages * CACHE_PAGE,
		.iova = page * CACHE_PAGE,
	};
}
