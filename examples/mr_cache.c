// SPDX-License-Identifier: MIT
/*
 * mr_cache PROVIDER RDMADEV [MESSAGES]: another range with each message, registered once.
 *
 *	mr_cache 0000:01:00.0/2 rxe0
 *
 * What a communication library does: somebody hands it ranges of memory, and it moves
 * them. It acquires a region for each from a cache and gives it back when the
 * transfer is complete. Then the memory is taken back; the next message is told
 * so, and the cache is empty without anybody's doing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/rc_pair.h"
#include "common/story.h"

#define SLICE  (256U << 10)
#define PAGE   4096U
#define ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)

static struct p2pdma_context *context;
static struct p2pdma_provider *provider;
static struct p2pdma_buffer *buffer;
static struct p2pdma_mr_cache *cache;
static struct rc_pair pair;

static int prepare(const char *name, const char *device)
{
	struct p2pdma_mr_cache_options options = P2PDMA_MR_CACHE_OPTIONS_INIT;
	struct p2pdma_range range = {0, SLICE};
	int r;

	if (story_open(name, &context, &provider))
		return 1;
	r = rc_pair_open(&pair, device, SLICE);
	if (r)
		return story_fail(NULL, device, r);
	r = p2pdma_buffer_new(context, provider, &range, 1, NULL, &buffer);
	if (r)
		return story_fail(context, "exporting a slice", r);
	/* Room for 8 of the 16 ranges that are used below. */
	options.max_entries = 8;
	r = p2pdma_mr_cache_new(context, pair.pd, &options, &cache);
	return r ? story_fail(context, "making a cache", r) : 0;
}

/* Writes one range. Its address is its offset, whichever region the cache has for it. */
static int send_range(uint64_t offset, uint32_t bytes)
{
	struct p2pdma_mr_attr attr = {
		.size_bytes = sizeof(attr),
		.access = ACCESS,
		.offset_bytes = offset,
		.length_bytes = bytes,
		.iova = offset,
	};
	struct rc_remote remote = {.address = offset};
	struct p2pdma_mr *mr;
	int r;

	r = p2pdma_mr_cache_acquire(cache, buffer, &attr, &mr);
	if (r)
		return r;
	remote.rkey = p2pdma_mr_rkey(mr);
	r = rc_pair_transfer(&pair, IBV_WR_RDMA_WRITE, offset, bytes, &remote);
	p2pdma_mr_cache_release(mr);
	return r;
}

static int send_many(long messages)
{
	struct p2pdma_mr_cache_status status = P2PDMA_MR_CACHE_STATUS_INIT;
	int r = 0;

	/* Three of four messages use the same few ranges, as programs do. */
	for (long i = 0; !r && i < messages; i++)
		r = send_range((uint64_t)(i % 4 ? i % 4 : i / 4 % 16) * 4 * PAGE, 4 * PAGE);
	if (r)
		return story_fail(context, "sending", r);
	p2pdma_mr_cache_query(cache, &status);
	story_tell("%ld messages: %lu found their region, %lu registered one, %u are kept",
		   messages, (unsigned long)status.nr_hits, (unsigned long)status.nr_misses,
		   status.nr_entries);
	return status.nr_entries > 8;
}

static int take_back(void)
{
	struct p2pdma_mr_cache_status status = P2PDMA_MR_CACHE_STATUS_INIT;
	int r;

	r = p2pdma_buffer_revoke(buffer, 0, 1000, NULL);
	if (r)
		return story_fail(context, "revoking", r);
	p2pdma_mr_cache_query(cache, &status);
	r = send_range(0, PAGE);
	story_tell("revoked: the cache has %u regions, and the next message is told \"%s\"",
		   status.nr_entries, strerror(-r));
	return status.nr_entries || r != -ESTALE;
}

int main(int argc, char **argv)
{
	int rc;

	if (argc < 3)
		return story_tell("usage: mr_cache PROVIDER RDMADEV [MESSAGES]"), 2;
	rc = prepare(argv[1], argv[2]) || send_many(argc > 3 ? atol(argv[3]) : 200) || take_back();
	/* Before its protection domain, which is the pair's. */
	p2pdma_mr_cache_free(cache);
	p2pdma_buffer_free(buffer);
	rc_pair_close(&pair);
	p2pdma_provider_unref(provider);
	p2pdma_context_close(context);
	if (!rc)
		story_tell("done: registered seldom, and nothing kept that was taken back");
	return rc;
}
