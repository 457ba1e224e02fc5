// SPDX-License-Identifier: MIT
/*
 * p2pdma_mr_cache PROVIDER RDMADEV: the cache of memory regions on a real NIC. Bytes reach
 * where they belong through regions larger than what was asked for; the NIC holds as many
 * regions as the cache says; a child of fork() leaves them alone; a revocation under traffic
 * empties the cache. Then prints READY, and the loss of the function, which somebody else
 * brings about, has to do the same (TAP).
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selftest.h"

#define PATIENCE_MS 60000
#define NR_PAGES    (SLICE / PAGE)
#define IOVA	    0x7f0000000000ULL

static struct p2pdma_mr_cache *cache;

static int acquire(struct p2pdma_buffer *buffer, uint64_t offset, uint64_t bytes, uint64_t iova,
		   struct p2pdma_mr **ret_mr)
{
	struct p2pdma_mr_attr attr = {
		.size_bytes = sizeof(attr),
		.access = ACCESS,
		.offset_bytes = offset,
		.length_bytes = bytes,
		.iova = iova,
	};

	return p2pdma_mr_cache_acquire(cache, buffer, &attr, ret_mr);
}

static struct p2pdma_mr_cache_status status_of_cache(void)
{
	struct p2pdma_mr_cache_status status = P2PDMA_MR_CACHE_STATUS_INIT;

	p2pdma_mr_cache_query(cache, &status);
	return status;
}

static uint32_t count_mrs(struct p2pdma_buffer *buffer)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;

	if (p2pdma_buffer_query(buffer, &status))
		return UINT32_MAX;
	/* The kernel's word, where there is one. */
	return status.flags & P2PDMA_STATUS_COUNTED ? status.nr_mappings : status.nr_mrs;
}

/* Writes one page at @offset through whatever region the cache has for it. 0 or what went wrong. */
static int write_page(struct p2pdma_buffer *buffer, uint64_t offset, uint64_t iova)
{
	struct p2pdma_mr *mr;
	int r;

	r = acquire(buffer, offset, PAGE, iova, &mr);
	if (r)
		return r;
	r = transfer(IBV_WR_RDMA_WRITE, offset, PAGE, iova, p2pdma_mr_rkey(mr));
	p2pdma_mr_cache_release(mr);
	return r;
}

static void test_bytes(struct p2pdma_buffer *buffer, uint64_t base_iova, const char *name)
{
	struct p2pdma_mr_cache_status before = status_of_cache(), after;
	struct p2pdma_mr *whole = NULL;
	uint8_t *seen = new_map(buffer);
	int r, bad = -1;

	r = acquire(buffer, 0, SLICE, base_iova, &whole);
	story_fill(selftest.pair.host, SLICE, (uint8_t)(3 + (base_iova >> 40)));
	/* Each third page, from the end to the start; the others stay as they were. */
	for (uint64_t page = NR_PAGES; !r && page-- > 0;) {
		memset(seen + page * PAGE, 0, PAGE);
		if (page % 3 == 0)
			r = write_page(buffer, page * PAGE, base_iova + page * PAGE);
	}
	for (uint64_t page = 0; page < NR_PAGES; page++) {
		static const uint8_t none[PAGE];
		const uint8_t *want = page % 3 ? none : selftest.pair.host + page * PAGE;

		if (bad < 0 && memcmp(seen + page * PAGE, want, PAGE))
			bad = (int)page;
	}
	after = status_of_cache();
	tap_ok(!r && bad < 0, name, r ? r : bad);
	tap_ok(after.nr_hits_inside - before.nr_hits_inside == (NR_PAGES + 2) / 3 &&
		       after.nr_misses - before.nr_misses == 1,
	       "one_registration_served_every_page", (long)after.nr_misses);
	p2pdma_mr_cache_release(whole);
	p2pdma_buffer_unmap(buffer, seen);
}

static void test_bounds(struct p2pdma_buffer *buffer)
{
	struct p2pdma_mr_cache *usual = cache;
	struct p2pdma_mr_cache_options options = P2PDMA_MR_CACHE_OPTIONS_INIT;
	uint32_t before = count_mrs(buffer);
	int r;

	options.max_entries = 16;
	r = p2pdma_mr_cache_new(selftest.context, selftest.pair.pd, &options, &cache);
	for (uint64_t page = 0; !r && page < NR_PAGES; page++)
		r = write_page(buffer, page * PAGE, page * PAGE);
	tap_ok(!r && count_mrs(buffer) == before + 16, "nic_holds_what_the_cache_keeps",
	       (long)count_mrs(buffer) - before);
	p2pdma_mr_cache_free(cache);
	cache = usual;
	tap_ok(count_mrs(buffer) == before, "nic_holds_nothing_of_a_cache_that_has_gone",
	       (long)count_mrs(buffer) - before);
}

static int be_a_child(struct p2pdma_buffer *buffer, struct p2pdma_mr *held)
{
	struct p2pdma_mr *mr;

	if (acquire(buffer, 0, SLICE, 0, &mr) != -EOPNOTSUPP)
		return 1;
	if (p2pdma_mr_cache_release(held))
		return 2;
	p2pdma_mr_cache_free(cache);
	return 0;
}

static void test_fork(struct p2pdma_buffer *buffer)
{
	struct p2pdma_mr *held = NULL;
	uint32_t before;
	int r, status = -1;
	pid_t child;

	r = acquire(buffer, 0, SLICE, 0, &held);
	before = count_mrs(buffer);
	fflush(stdout);
	child = fork();
	if (!child)
		_exit(be_a_child(buffer, held));
	if (child > 0)
		waitpid(child, &status, 0);
	tap_ok(!r && !status, "fork_child_is_refused", r ? r : status);
	r = write_page(buffer, PAGE, PAGE);
	tap_ok(!r && count_mrs(buffer) == before, "fork_child_took_nothing_from_its_parent", r);
	p2pdma_mr_cache_release(held);
}

static struct {
	struct p2pdma_buffer *buffer;
	unsigned long done, failed;
	int told;
} traffic;

static void *write_on(void *unused)
{
	uint64_t page = 0;

	while (!traffic.told) {
		uint64_t offset = page++ * 7 % NR_PAGES * PAGE;
		int r = write_page(traffic.buffer, offset, offset);

		if (r < 0)
			traffic.told = r;
		else if (r)
			traffic.failed++;
		else
			__atomic_fetch_add(&traffic.done, 1, __ATOMIC_RELAXED);
	}
	return unused;
}

static void test_revoke_under_traffic(struct p2pdma_buffer *buffer, struct p2pdma_buffer *neighbour)
{
	struct p2pdma_mr *mr;
	pthread_t thread;
	int r;

	traffic.buffer = buffer;
	r = write_page(neighbour, 0, 0);
	if (pthread_create(&thread, NULL, write_on, NULL))
		exit(1);
	for (int i = 0; i < 3000 && __atomic_load_n(&traffic.done, __ATOMIC_RELAXED) < 10; i++)
		usleep(10000);
	tap_ok(!r && status_of_cache().nr_entries > 8, "cache_is_full_of_traffic",
	       status_of_cache().nr_entries);
	r = p2pdma_buffer_revoke(buffer, 0, 5000, NULL);
	/* The neighbour's, and at most the one that the writer is about to fail with. */
	tap_ok(!r && status_of_cache().nr_entries <= 2, "revoke_empties_the_cache_at_once",
	       status_of_cache().nr_entries);
	pthread_join(thread, NULL);
	tap_ok(traffic.told == -ESTALE && traffic.done >= 10 && traffic.failed <= 1,
	       "writer_is_told_estale", traffic.told);
	tap_ok(count_mrs(buffer) == 0 && status_of_cache().nr_ended == 0 &&
		       status_of_cache().nr_entries == 1,
	       "nothing_is_registered_any_more", count_mrs(buffer));
	r = acquire(buffer, 0, PAGE, 0, &mr);
	tap_ok(r == -ESTALE, "acquire_after_revocation_estale", r);
	r = write_page(neighbour, 0, 0);
	tap_ok(!r && status_of_cache().nr_entries == 1, "neighbour_is_served_on", r);
}

static void test_loss(struct p2pdma_buffer *buffer)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;
	struct p2pdma_mr *held = NULL, *mr;
	int r;

	r = acquire(buffer, 0, PAGE, 0, &held);
	drain_events();
	printf("# READY\n");
	tap_ok(!r && wait_event(P2PDMA_EVENT_DEVICE_GONE, PATIENCE_MS, &event), "event_device_gone",
	       r);
	tap_ok(status_of_cache().nr_entries == 0 && status_of_cache().nr_ended == 1,
	       "loss_empties_the_cache", status_of_cache().nr_entries);
	r = acquire(buffer, 0, PAGE, 0, &mr);
	tap_ok(r == -ENODEV, "acquire_after_loss_enodev", r);
	r = p2pdma_mr_enter(held);
	tap_ok(r == -ENODEV, "enter_of_a_held_region_enodev", r);
	r = p2pdma_mr_cache_release(held);
	tap_ok(!r && status_of_cache().nr_ended == 0, "held_region_goes_with_its_release", r);
}

int main(int argc, char **argv)
{
	struct p2pdma_mr_cache_options options = P2PDMA_MR_CACHE_OPTIONS_INIT;
	struct p2pdma_buffer *buffer, *neighbour;
	int fds = count_fds();

	if (argc != 3) {
		story_tell("usage: p2pdma_mr_cache PROVIDER RDMADEV");
		return 2;
	}
	selftest_open(argv[1], argv[2], P2PDMA_BACKEND_AUTO);
	buffer = new_buffer(0, SLICE, 0);
	neighbour = new_buffer(SLICE, SLICE, 0);
	options.flags = P2PDMA_MR_CACHE_SHARE_REMOTE;
	if (!buffer || !neighbour ||
	    p2pdma_mr_cache_new(selftest.context, selftest.pair.pd, &options, &cache))
		return 1;
	test_bytes(buffer, 0, "pages_by_offset_reach_their_place");
	test_bytes(buffer, IOVA, "pages_by_iova_reach_their_place");
	test_bounds(buffer);
	test_fork(buffer);
	p2pdma_mr_cache_drop(cache, NULL);
	tap_ok(count_mrs(buffer) == 0, "drop_deregisters", count_mrs(buffer));
	test_revoke_under_traffic(buffer, neighbour);
	test_loss(neighbour);
	p2pdma_mr_cache_free(cache);
	p2pdma_buffer_free(buffer);
	p2pdma_buffer_free(neighbour);
	selftest_close();
	tap_ok(count_fds() == fds, "no_descriptor_is_left", count_fds() - fds);
	return tap_done();
}
