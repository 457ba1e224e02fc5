// SPDX-License-Identifier: MIT
/*
 * mr_cache_miss PROVIDER RDMADEV [--json] [--rounds N], mr_cache_miss_alone without devices: what a
 * cache costs where it doesn't help. It is full, and each range that is asked for has gone since it
 * was last asked for, so that each acquisition registers one and deregisters another.
 *
 * The floor is to register and to deregister each time, without a cache. Under
 * callgrind the functions below give instructions instead of nanoseconds.
 */
#include <stdlib.h>

#include "mr_cache.h"

#define NR_KEPT	  1024
#define NR_RANGES 2048

static struct cache_setup setup;
static struct p2pdma_mr_cache *cache;
static size_t next_range;

__attribute__((noinline)) void miss_finds(size_t count);
__attribute__((noinline)) void floor_finds(size_t count);

void miss_finds(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct p2pdma_mr_attr attr = cache_range(next_range++ % NR_RANGES, 1);
		struct p2pdma_mr *mr;

		bench_must(&setup.bench, "acquiring",
			   p2pdma_mr_cache_acquire(cache, setup.buffer, &attr, &mr));
		p2pdma_mr_cache_release(mr);
	}
}

void floor_finds(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct p2pdma_mr_attr attr = cache_range(i % NR_RANGES, 1);
		struct p2pdma_mr *mr;

		bench_must(&setup.bench, "registering",
			   p2pdma_mr_register_attr(setup.pd, setup.buffer, &attr, &mr));
		bench_must(&setup.bench, "deregistering", p2pdma_mr_deregister(mr));
	}
}

static double us_per_find(void (*finds)(size_t count), size_t count)
{
	uint64_t start = bench_now_ns();

	finds(count);
	return (double)(bench_now_ns() - start) / 1e3 / (double)count;
}

int main(int argc, char **argv)
{
	struct bench_options options = {.rounds = 101};
	struct figure figure = {.bench = "mr_cache_miss", .unit = "us"};
	struct p2pdma_mr_cache_status status = P2PDMA_MR_CACHE_STATUS_INIT;
	double *values, *floors;

	cache_setup_open(&setup, &options, argc, argv);
	cache = cache_setup_cache(&setup, NR_KEPT);
	values = calloc(2 * options.rounds, sizeof(*values));
	if (!values)
		return 1;
	floors = values + options.rounds;
	while (next_range < NR_KEPT) {
		struct p2pdma_mr_attr attr = cache_range(next_range++, 1);
		struct p2pdma_mr *mr;

		bench_must(&setup.bench, "filling the cache",
			   p2pdma_mr_cache_acquire(cache, setup.buffer, &attr, &mr));
		p2pdma_mr_cache_release(mr);
	}
	for (size_t i = 0; i < options.rounds; i++) {
		values[i] = us_per_find(miss_finds, 10);
		floors[i] = us_per_find(floor_finds, 10);
	}
	figure.value = bench_median(values, options.rounds);
	figure.floor = bench_median(floors, options.rounds);
	p2pdma_mr_cache_query(cache, &status);
	/* Else it has measured something else. */
	if (status.nr_hits + status.nr_hits_inside || status.nr_entries != NR_KEPT)
		return 1;
	bench_print(&options, &figure);
	p2pdma_mr_cache_free(cache);
	free(values);
	cache_setup_close(&setup);
	return 0;
}
