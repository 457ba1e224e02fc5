// SPDX-License-Identifier: MIT
/*
 * mr_guard [--json] [--rounds N]: what p2pdma_mr_enter() and p2pdma_mr_exit()
 * cost.
 *
 * Needs no device: the guard is the first word of a memory region by ABI, so a
 * bare guard stands for one. The floor is the least that can count threads: one
 * uncontended atomic addition and one subtraction. The peer is what a program
 * would write otherwise, a mutex. Under callgrind the functions guard_pairs(),
 * floor_pairs() give instructions instead of nanoseconds (instructions).
 */
#include <pthread.h>
#include <stdlib.h>

#include "bench.h"

#define PAIRS 1000000

static struct p2pdma_mr_guard guard;
static uint32_t word;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

__attribute__((noinline)) void guard_pairs(size_t count);
__attribute__((noinline)) void floor_pairs(size_t count);
__attribute__((noinline)) void mutex_pairs(size_t count);

void guard_pairs(size_t count)
{
	struct p2pdma_mr *mr = (struct p2pdma_mr *)(void *)&guard;

	for (size_t i = 0; i < count; i++) {
		if (p2pdma_mr_enter(mr))
			abort();
		p2pdma_mr_exit(mr);
	}
}

void floor_pairs(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		__atomic_fetch_add(&word, 1, __ATOMIC_ACQUIRE);
		__atomic_fetch_sub(&word, 1, __ATOMIC_RELEASE);
	}
}

void mutex_pairs(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		pthread_mutex_lock(&mutex);
		pthread_mutex_unlock(&mutex);
	}
}

static double ns_per_pair(void (*pairs)(size_t count))
{
	uint64_t start = bench_now_ns();

	pairs(PAIRS);
	return (double)(bench_now_ns() - start) / PAIRS;
}

int main(int argc, char **argv)
{
	struct bench_options options = {.rounds = 25};
	struct figure figure = {.bench = "mr_guard", .unit = "ns", .peer = "pthread_mutex"};
	double *value, *floor, *peer;

	bench_parse(&options, argc, argv, 0);
	value = calloc(3 * options.rounds, sizeof(*value));
	if (!value)
		return 1;
	floor = value + options.rounds;
	peer = floor + options.rounds;
	for (size_t i = 0; i < options.rounds; i++) {
		value[i] = ns_per_pair(guard_pairs);
		floor[i] = ns_per_pair(floor_pairs);
		peer[i] = ns_per_pair(mutex_pairs);
	}
	figure.value = bench_median(value, options.rounds);
	figure.floor = bench_median(floor, options.rounds);
	figure.peer_value = bench_median(peer, options.rounds);
	bench_print(&options, &figure);
	free(value);
	return 0;
}
