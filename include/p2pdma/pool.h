/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_POOL_H
#define P2PDMA_POOL_H

#include <stdint.h>

#include <p2pdma/provider.h>
#include <p2pdma/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct p2pdma_context;

/* Kernel drivers (nvmet, say) may take from the pool for their own transfers. */
#define P2PDMA_POOL_PUBLISHED (1U << 0)

/**
 * struct p2pdma_pool_status - how full a pool is
 * @size_bytes:      in: sizeof(struct p2pdma_pool_status)
 * @flags:           P2PDMA_POOL_*
 * @total_bytes:     all of it
 * @available_bytes: what nobody has. A pool is divided up by pages, and a buffer is one
 *                   piece, so less than this may be the most that one can get
 */
struct p2pdma_pool_status {
	uint32_t size_bytes;
	uint32_t flags;
	uint64_t total_bytes;
	uint64_t available_bytes;
};

#define P2PDMA_POOL_STATUS_INIT                                                                    \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_pool_status), 0, 0, 0                               \
	}

/**
 * p2pdma_pool_query() - ask how full a p2pmem provider is
 * @context:    borrowed
 * @provider:   borrowed; of kind P2PDMA_PROVIDER_KIND_P2PMEM
 * @ret_status: size_bytes set by the caller
 *
 * Processes take from the pool, and so does its own driver: nvme puts the queues of a
 * controller there. What is available now may be gone before p2pdma_buffer_new() asks.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   p2pmem/{size,available,published} in the function's sysfs directory
 * Since:    0.1
 *
 * Return: 0, or -EINVAL; -EOPNOTSUPP for a provider that is no pool; -ENODEV when the
 * function or its pool has gone; -ESTALE when another function is in the slot; -EIO when
 * sysfs can't be made sense of; -EMFILE, -ENFILE
 */
P2PDMA_API int p2pdma_pool_query(struct p2pdma_context *context,
				 const struct p2pdma_provider *provider,
				 struct p2pdma_pool_status *ret_status);

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_POOL_H */
