/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_MEMORY_H
#define P2PDMA_MEMORY_H

#include <stdint.h>

#include <p2pdma/buffer.h>

#ifdef __cplusplus
extern "C" {
#endif

struct p2pdma_context;

/*
 * Buffers that are no slices of a provider. They are mapped, registered, queried and freed like
 * all others, and none of them can be revoked: their importers keep the memory until they let go.
 */

/**
 * p2pdma_buffer_new_system() - make a DMABUF of system memory
 * @context:    borrowed; it must outlive the use of the buffer's events
 * @size_bytes: a multiple of the page size, not zero
 * @options:    borrowed; NULL means P2PDMA_BUFFER_OPTIONS_INIT
 * @ret_buffer: the buffer, zeroed, owned by the caller; p2pdma_buffer_free()
 *
 * For comparison, and as a fallback that the caller chooses: no other call ever makes system
 * memory. P2PDMA_BACKEND_AUTO takes
 * P2PDMA_BACKEND_HEAP where the system heap's node may be opened, and
 * P2PDMA_BACKEND_UDMABUF otherwise. Neither asks p2pd. The only flag is
 * P2PDMA_BUFFER_MMAP_WC, which system memory ignores.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   DMA_HEAP_IOCTL_ALLOC on /dev/dma_heap/system; UDMABUF_CREATE on /dev/udmabuf
 *           with a sealed memfd; both probed by asking
 * Since:    0.1
 *
 * Return: 0, or -EINVAL for a size or option that can't be, and for more than udmabuf's
 * size_limit_mb; -E2BIG for options from the future; -EOPNOTSUPP when the machine has no such
 * node, or for a flag that system memory can't honour; -EACCES when the node may not be opened;
 * -EFBIG, -ENOMEM, -EMFILE, -ENFILE
 */
P2PDMA_API int p2pdma_buffer_new_system(struct p2pdma_context *context, uint64_t size_bytes,
					const struct p2pdma_buffer_options *options,
					struct p2pdma_buffer **ret_buffer);

/**
 * p2pdma_backend_query() - can this machine and process make DMABUFs this way?
 * @context: borrowed
 * @backend: P2PDMA_BACKEND_HEAP or P2PDMA_BACKEND_UDMABUF
 * @ret_why: a sentence that says why, or what is missing; borrowed from the library until the
 *           calling thread's next call of it. NULL is allowed
 *
 * Backends that export slices of providers are asked by p2pdma_provider_can_export().
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   access() to the device node
 * Since:    0.1
 *
 * Return: 1 for yes; 0 for no; -EINVAL for another backend or NULL
 */
P2PDMA_API int p2pdma_backend_query(struct p2pdma_context *context, enum p2pdma_backend backend,
				    const char **ret_why);

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_MEMORY_H */
