/* SPDX-License-Identifier: MIT */
#ifndef BENCH_MR_CACHE_H
#define BENCH_MR_CACHE_H

#include "bench.h"

/*
 * What the cache is measured on: an RDMA device and a provider, or, in programs built with
 * BENCH_ALONE, a stand-in for both that registers nothing (mr_cache_alone.c). There the cost of the
 * library alone is seen, on the processor as it is and by counting instructions.
 */
struct cache_setup {
	struct bench_setup bench;
	struct p2pdma_buffer *buffer;
	struct ibv_pd *pd;
};

void cache_setup_open(struct cache_setup *setup, struct bench_options *options, int argc,
		      char **argv);
void cache_setup_close(struct cache_setup *setup);

struct p2pdma_mr_cache *cache_setup_cache(const struct cache_setup *setup, uint32_t max_entries);

/* A page of the buffer, iova = offset. */
#define CACHE_PAGE  4096U
#define CACHE_BYTES (16U << 20)
struct p2pdma_mr_attr cache_range(size_t page, size_t nr_pages);

#endif /* BENCH_MR_CACHE_H */
