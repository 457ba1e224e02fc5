// SPDX-License-Identifier: MIT
/*
 * mr_cache_hit PROVIDER RDMADEV [--json] [--rounds N], mr_cache_hit_alone without devices: what
 * it costs to acquire a memory region that is there, and to give it back.
 *
 * Two figures: the range that was registered (mr_cache_hit), and a range inside of one
 * (mr_cache_inside). The floor is a hash table alone: finding the same ranges among as many, with a
 * good hash, without a lock, a reference, an order of use, or any care for what was
 * revoked. The program has a second thread, which sleeps: libc's locks cost less where there is
 * none. The peer is registering and deregistering each time; without devices, the table
 * with the least that makes it safe for threads: a mutex and a count, taken and given
 * back. Under callgrind (instructions) the functions below give instructions instead of
 * nanoseconds.
 */
#include <pthread.h>
#include <stdlib.h>

#include "mr_cache.h"

#define NR_RANGES  1024
#define NR_BUCKETS 1024
#define FINDS	   2000
#define PAGES_EACH 4

struct plain_entry {
	struct plain_entry *next;
	uint64_t inode, offset_bytes, length_bytes, iova;
	uint32_t access;
	uint32_t refs;
	struct p2pdma_mr *mr;
};

static struct cache_setup setup;
static struct p2pdma_mr_cache *cache;
static struct plain_entry plain[NR_RANGES];
static struct plain_entry *buckets[NR_BUCKETS];
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

__attribute__((noinline)) void hit_finds(size_t count);
__attribute__((noinline)) void inside_finds(size_t count);
__attribute__((noinline)) void floor_finds(size_t count);
__attribute__((noinline)) void locked_finds(size_t count);

/* All of them in an order that no prefetcher guesses: 389 and 1024 have no common divisor. */
static size_t nth(size_t i)
{
	return i * 389 % NR_RANGES;
}

static void find(const struct p2pdma_mr_attr *attr)
{
	struct p2pdma_mr *mr;

	if (p2pdma_mr_cache_acquire(cache, setup.buffer, attr, &mr) || p2pdma_mr_cache_release(mr))
		abort();
}

void hit_finds(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct p2pdma_mr_attr attr = cache_range(nth(i) * PAGES_EACH, PAGES_EACH);

		find(&attr);
	}
}

void inside_finds(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct p2pdma_mr_attr attr = cache_range(nth(i) * PAGES_EACH + 1, 2);

		find(&attr);
	}
}

static size_t hash(uint64_t inode, uint64_t offset_bytes, uint64_t length_bytes, uint64_t iova)
{
	uint64_t value = (inode ^ offset_bytes) * 0x9e3779b97f4a7c15ULL;

	value = (value ^ value >> 32 ^ length_bytes ^ iova << 1) * 0x9e3779b97f4a7c15ULL;
	return (value ^ value >> 32) % NR_BUCKETS;
}

static struct plain_entry *find_plainly(uint64_t inode, const struct p2pdma_mr_attr *attr)
{
	struct plain_entry *entry =
		buckets[hash(inode, attr->offset_bytes, attr->length_bytes, attr->iova)];

	while (entry && !(entry->inode == inode && entry->offset_bytes == attr->offset_bytes &&
			  entry->length_bytes == attr->length_bytes && entry->iova == attr->iova &&
			  entry->access == attr->access))
		entry = entry->next;
	return entry;
}

void floor_finds(size_t count)
{
	uint64_t inode = p2pdma_buffer_inode(setup.buffer);

	for (size_t i = 0; i < count; i++) {
		struct p2pdma_mr_attr attr = cache_range(nth(i) * PAGES_EACH, PAGES_EACH);

		if (!find_plainly(inode, &attr))
			abort();
	}
}

void locked_finds(size_t count)
{
	uint64_t inode = p2pdma_buffer_inode(setup.buffer);

	for (size_t i = 0; i < count; i++) {
		struct p2pdma_mr_attr attr = cache_range(nth(i) * PAGES_EACH, PAGES_EACH);
		struct plain_entry *entry;

		pthread_mutex_lock(&mutex);
		entry = find_plainly(inode, &attr);
		if (!entry)
			abort();
		entry->refs++;
		pthread_mutex_unlock(&mutex);
		pthread_mutex_lock(&mutex);
		entry->refs--;
		pthread_mutex_unlock(&mutex);
	}
}

/* Registers them all, once: the regions stay in the cache, which has room for each. */
static void fill(void)
{
	uint64_t inode = p2pdma_buffer_inode(setup.buffer);

	for (size_t i = 0; i < NR_RANGES; i++) {
		struct p2pdma_mr_attr attr = cache_range(i * PAGES_EACH, PAGES_EACH);
		size_t at = hash(inode, attr.offset_bytes, attr.length_bytes, attr.iova);

		plain[i] = (struct plain_entry){
			.next = buckets[at],
			.inode = inode,
			.offset_bytes = attr.offset_bytes,
			.length_bytes = attr.length_bytes,
			.iova = attr.iova,
			.access = attr.access,
		};
		bench_must(&setup.bench, "acquiring",
			   p2pdma_mr_cache_acquire(cache, setup.buffer, &attr, &plain[i].mr));
		p2pdma_mr_cache_release(plain[i].mr);
		buckets[at] = &plain[i];
	}
}

static void *sleep_on(void *barrier)
{
	pthread_barrier_wait(barrier);
	return NULL;
}

static double ns_per_find(void (*finds)(size_t count))
{
	uint64_t start = bench_now_ns();

	finds(FINDS);
	return (double)(bench_now_ns() - start) / FINDS;
}

#ifdef BENCH_ALONE
#define PEER "locked_hash_table"

static double ns_of_peer(void)
{
	return ns_per_find(locked_finds);
}
#else
#define PEER "register_each_time"

static double ns_of_peer(void)
{
	uint64_t start = bench_now_ns();
	struct p2pdma_mr *mr;

	bench_must(&setup.bench, "registering",
		   p2pdma_mr_register(setup.pd, setup.buffer, 0, CACHE_PAGE * PAGES_EACH, 0,
				      BENCH_ACCESS, &mr));
	bench_must(&setup.bench, "deregistering", p2pdma_mr_deregister(mr));
	return (double)(bench_now_ns() - start);
}
#endif

int main(int argc, char **argv)
{
	struct bench_options options = {.rounds = 401};
	struct figure hit = {.bench = "mr_cache_hit", .unit = "ns", .peer = PEER};
	struct figure inside = {.bench = "mr_cache_inside", .unit = "ns", .peer = PEER};
	double *hits, *insides, *floors, *peers;
	pthread_barrier_t barrier;
	pthread_t thread;

	pthread_barrier_init(&barrier, NULL, 2);
	if (pthread_create(&thread, NULL, sleep_on, &barrier))
		return 1;
	cache_setup_open(&setup, &options, argc, argv);
	cache = cache_setup_cache(&setup, NR_RANGES);
	hits = calloc(4 * options.rounds, sizeof(*hits));
	if (!hits)
		return 1;
	insides = hits + options.rounds;
	floors = insides + options.rounds;
	peers = floors + options.rounds;
	fill();
	for (size_t i = 0; i < options.rounds; i++) {
		hits[i] = ns_per_find(hit_finds);
		insides[i] = ns_per_find(inside_finds);
		floors[i] = ns_per_find(floor_finds);
		peers[i] = ns_of_peer();
	}
	hit.value = bench_median(hits, options.rounds);
	inside.value = bench_median(insides, options.rounds);
	hit.floor = inside.floor = bench_median(floors, options.rounds);
	hit.peer_value = inside.peer_value = bench_median(peers, options.rounds);
	bench_print(&options, &hit);
	bench_print(&options, &inside);
	p2pdma_mr_cache_free(cache);
	free(hits);
	cache_setup_close(&setup);
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	return 0;
}
