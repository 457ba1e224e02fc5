/* SPDX-License-Identifier: MIT */
#ifndef MR_CACHE_FIXTURE_H
#define MR_CACHE_FIXTURE_H

#include <infiniband/verbs.h>
#include <p2pdma/p2pdma.h>

#include "fake.h"
#include "fake_vfio.h"

/* What the tests of the cache share: short ways to say what they do. */

#define LOCAL  ((unsigned int)IBV_ACCESS_LOCAL_WRITE)
#define REMOTE (LOCAL | (unsigned int)IBV_ACCESS_REMOTE_WRITE)

static inline struct p2pdma_mr_cache *new_cache(struct p2pdma_context *context, struct ibv_pd *pd,
						uint32_t flags, uint32_t max_entries,
						uint64_t max_bytes)
{
	struct p2pdma_mr_cache_options options = P2PDMA_MR_CACHE_OPTIONS_INIT;
	struct p2pdma_mr_cache *cache = NULL;

	options.flags = flags;
	options.max_entries = max_entries;
	options.max_bytes = max_bytes;
	assert_int_equal(p2pdma_mr_cache_new(context, pd, &options, &cache), 0);
	return cache;
}

/* With iova = offset + @base_iova. */
static inline int acquire_at(struct p2pdma_mr_cache *cache, struct p2pdma_buffer *buffer,
			     uint64_t offset, uint64_t length, uint64_t base_iova,
			     unsigned int access, struct p2pdma_mr **ret_mr)
{
	struct p2pdma_mr_attr attr = {
		.size_bytes = sizeof(attr),
		.access = access,
		.offset_bytes = offset,
		.length_bytes = length,
		.iova = offset + base_iova,
	};

	return p2pdma_mr_cache_acquire(cache, buffer, &attr, ret_mr);
}

static inline struct p2pdma_mr *acquire(struct p2pdma_mr_cache *cache, struct p2pdma_buffer *buffer,
					uint64_t offset, uint64_t length, unsigned int access)
{
	struct p2pdma_mr *mr = NULL;

	assert_int_equal(acquire_at(cache, buffer, offset, length, 0, access, &mr), 0);
	assert_true(p2pdma_mr_iova(mr) <= offset);
	assert_true(p2pdma_mr_iova(mr) + p2pdma_mr_length_bytes(mr) >= offset + length);
	return mr;
}

static inline void release(struct p2pdma_mr *mr)
{
	assert_int_equal(p2pdma_mr_cache_release(mr), 0);
}

/* Acquires and gives back; what served it may be gone then: only for comparing. */
static inline const void *touch(struct p2pdma_mr_cache *cache, struct p2pdma_buffer *buffer,
				uint64_t offset, uint64_t length, unsigned int access)
{
	struct p2pdma_mr *mr = acquire(cache, buffer, offset, length, access);

	release(mr);
	return mr;
}

static inline struct p2pdma_mr_cache_status status_of(struct p2pdma_mr_cache *cache)
{
	struct p2pdma_mr_cache_status status = P2PDMA_MR_CACHE_STATUS_INIT;

	assert_int_equal(p2pdma_mr_cache_query(cache, &status), 0);
	return status;
}

#endif /* MR_CACHE_FIXTURE_H */
