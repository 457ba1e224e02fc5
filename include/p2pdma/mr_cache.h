/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_MR_CACHE_H
#define P2PDMA_MR_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include <p2pdma/mr.h>
#include <p2pdma/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ibv_pd;
struct p2pdma_buffer;
struct p2pdma_context;

/*
 * Memory regions of one protection domain that are kept for the next time they
 * are asked for: registering takes a NIC tens of microseconds, finding what is
 * registered takes less than 100 ns.
 *
 * p2pdma_mr_cache_acquire() hands out a memory region, p2pdma_mr_cache_release()
 * gives it back. What nobody holds stays registered until the cache is full,
 * and the longest unused goes first. A region is found by its DMABUF (by inode,
 * so that duplicates and descriptors with another number are the same, and a
 * number that was closed and used again is not), offset, length, access and
 * where its iova begins.
 *
 * Nothing is handed out any more once its DMABUF was revoked, its device has gone, or
 * the last buffer on it was freed. What nobody holds is then deregistered by the
 * call that learns of it, what is held at its last release.
 *
 * fork(): a child has the parent's cache in its memory and none of its RDMA
 * objects. There acquire, drop and query answer -EOPNOTSUPP, release and free
 * do nothing, and nothing of the parent is touched. The child may make caches of
 * its own with a context and a protection domain of its own.
 */
struct p2pdma_mr_cache;

/* How many memory regions are kept where the options say 0, and the most they may say. */
#define P2PDMA_MR_CACHE_ENTRIES	     1024U
#define P2PDMA_MR_CACHE_MAX_ENTRIES  65536U

/*
 * A range with remote access may be served by a larger region, too. Its rkey then lets the
 * peer reach all of that, not only the range that was asked for.
 */
#define P2PDMA_MR_CACHE_SHARE_REMOTE (1U << 0)

/**
 * struct p2pdma_mr_cache_options - how to make a cache
 * @size_bytes:  sizeof(struct p2pdma_mr_cache_options)
 * @flags:       P2PDMA_MR_CACHE_*
 * @max_entries: memory regions to keep, up to P2PDMA_MR_CACHE_MAX_ENTRIES;
 *               0: P2PDMA_MR_CACHE_ENTRIES
 * @reserved:    zero
 * @max_bytes:   how much they may cover together, bytes that two of them share counted
 *               twice; 0: any amount
 *
 * The bounds count what is handed out, too, but never refuse it: what is too much
 * is deregistered as soon as it is given back. A range larger than @max_bytes is
 * registered for each acquisition and never kept.
 */
struct p2pdma_mr_cache_options {
	uint32_t size_bytes;
	uint32_t flags;
	uint32_t max_entries;
	uint32_t reserved;
	uint64_t max_bytes;
};

#define P2PDMA_MR_CACHE_OPTIONS_INIT                                                               \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_mr_cache_options), 0, 0, 0, 0                       \
	}

/**
 * p2pdma_mr_cache_new() - make a cache for a protection domain
 * @context:   borrowed; the cache takes buffers of this context
 * @pd:        borrowed; must outlive the cache and every memory region of it
 * @options:   borrowed; NULL means P2PDMA_MR_CACHE_OPTIONS_INIT
 * @ret_cache: the cache, owned by the caller; p2pdma_mr_cache_free()
 *
 * Registers nothing. Caches share nothing that a hit needs, so two of them never
 * wait for each other.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   none
 * Since:    0.1
 *
 * Return: 0, or -EINVAL for a bad option; -E2BIG for options from the future;
 * -ENOMEM
 */
P2PDMA_API int p2pdma_mr_cache_new(struct p2pdma_context *context, struct ibv_pd *pd,
				   const struct p2pdma_mr_cache_options *options,
				   struct p2pdma_mr_cache **ret_cache);

/**
 * p2pdma_mr_cache_free() - end a cache
 * @cache: consumed; NULL is allowed
 *
 * Deregisters what nobody holds. What is held stays valid, and is deregistered when
 * it is given back. Does nothing in a forked child.
 *
 * Order of ends: the cache, and its last p2pdma_mr_cache_release(), before
 * ibv_dealloc_pd().
 *
 * Blocking: until the NIC has let go of the regions
 * Threads:  any; no other thread may use the cache any more, but for releases
 * Kernel:   as p2pdma_mr_deregister()
 * Since:    0.1
 */
P2PDMA_API void p2pdma_mr_cache_free(struct p2pdma_mr_cache *cache);

/**
 * p2pdma_mr_cache_acquire() - a memory region for a range of a buffer
 * @cache:  borrowed
 * @buffer: borrowed; of the context of the cache
 * @attr:   borrowed; as for p2pdma_mr_register_attr(), without a DMA handle
 * @ret_mr: the memory region, held until p2pdma_mr_cache_release()
 *
 * Work requests use the addresses that were asked for: the byte at @attr's offset is at
 * @attr's iova, whichever region serves it. That region may be larger than what
 * was asked for, if its iova belongs to its offset in the same way (the
 * difference of the two is equal), and its access is the same: then
 * p2pdma_mr_iova() is lower than @attr's, and p2pdma_mr_length_bytes() larger. A
 * range with remote access is served so only with P2PDMA_MR_CACHE_SHARE_REMOTE;
 * otherwise exactly. Ranges that only overlap are registered each for itself.
 *
 * All who acquire the same range get the same region, and may use it at the
 * same time. Threads that ask at the same time for what isn't registered yet wait for the
 * first of them. When the NIC has no room (-ENOMEM), the longest unused regions
 * are deregistered until it has. p2pdma_mr_buffer() may be another buffer on the same
 * DMABUF.
 *
 * A region acquired before a revocation behaves as any other: p2pdma_mr_enter()
 * says so. An adopted buffer's revocation, which nobody tells, isn't seen here:
 * when work requests fail, p2pdma_mr_cache_drop() it.
 *
 * Blocking: no where it is found; else as p2pdma_mr_register_attr()
 * Threads:  any; a hit takes no lock but the cache's own; -EOPNOTSUPP in a forked child
 * Kernel:   none where it is found; else as p2pdma_mr_register_attr()
 * Since:    0.1
 *
 * Return: 0, or -ESTALE for a revoked buffer; -ENODEV when a device has gone;
 * -EINVAL for a DMA handle or a buffer of another context; -EOPNOTSUPP in a
 * forked child; and what p2pdma_mr_register_attr() says
 */
P2PDMA_API int p2pdma_mr_cache_acquire(struct p2pdma_mr_cache *cache, struct p2pdma_buffer *buffer,
				       const struct p2pdma_mr_attr *attr,
				       struct p2pdma_mr **ret_mr);

/**
 * p2pdma_mr_cache_release() - give a memory region back
 * @mr: what p2pdma_mr_cache_acquire() gave, one reference consumed; NULL is allowed
 *
 * Works after p2pdma_mr_cache_free(). Whoever gives the last reference back has
 * to have left the guard (p2pdma_mr_exit()), and every work request that uses the
 * region has to be complete. Does nothing in a forked child.
 *
 * Blocking: no; the last one of a region that isn't kept as p2pdma_mr_deregister()
 * Threads:  any
 * Kernel:   none, or as p2pdma_mr_deregister()
 * Since:    0.1
 *
 * Return: 0, or -EINVAL when @mr is of no cache
 */
P2PDMA_API int p2pdma_mr_cache_release(struct p2pdma_mr *mr);

/**
 * p2pdma_mr_cache_drop() - forget what is registered
 * @cache:  borrowed
 * @buffer: borrowed; NULL: all of them
 *
 * Nothing that was registered of the DMABUF of @buffer is handed out any more: what
 * nobody holds is deregistered, what is held at its last release. For adopted
 * buffers whose exporter revoked them, and to give the NIC room.
 *
 * Blocking: until the NIC has let go of the regions
 * Threads:  any
 * Kernel:   as p2pdma_mr_deregister()
 * Since:    0.1
 *
 * Return: 0, or -EINVAL; -EOPNOTSUPP in a forked child
 */
P2PDMA_API int p2pdma_mr_cache_drop(struct p2pdma_mr_cache *cache,
				    const struct p2pdma_buffer *buffer);

/**
 * struct p2pdma_mr_cache_status - where a cache stands
 * @size_bytes:     in: sizeof(struct p2pdma_mr_cache_status)
 * @nr_entries:     memory regions that acquisitions may find, held or not
 * @nr_used:        those of them that somebody holds
 * @nr_ended:       those that are registered, but not found any more: held, or just going
 * @bytes:          what @nr_entries cover
 * @nr_hits:        acquisitions that found their range
 * @nr_hits_inside: those that found a larger one
 * @nr_misses:      those that registered
 * @nr_evicted:     regions that went because the cache or the NIC was full
 * @nr_invalidated: regions that went with their DMABUF
 */
struct p2pdma_mr_cache_status {
	uint32_t size_bytes;
	uint32_t nr_entries;
	uint32_t nr_used;
	uint32_t nr_ended;
	uint64_t bytes;
	uint64_t nr_hits;
	uint64_t nr_hits_inside;
	uint64_t nr_misses;
	uint64_t nr_evicted;
	uint64_t nr_invalidated;
};

#define P2PDMA_MR_CACHE_STATUS_INIT                                                                \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_mr_cache_status), 0, 0, 0, 0, 0, 0, 0, 0, 0         \
	}

/**
 * p2pdma_mr_cache_query() - ask where a cache stands
 * @cache:      borrowed
 * @ret_status: size_bytes set by the caller
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   none
 * Since:    0.1
 *
 * Return: 0, or -EINVAL; -EOPNOTSUPP in a forked child
 */
P2PDMA_API int p2pdma_mr_cache_query(struct p2pdma_mr_cache *cache,
				     struct p2pdma_mr_cache_status *ret_status);

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_MR_CACHE_H */
