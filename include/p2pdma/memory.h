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
 * P2PDMA_BACKEND_UDMABUF otherwise. Neither asks p2pd. The flags
 * P2PDMA_BUFFER_MMAP_WC and _ALLOW_SYSTEM change nothing; there are no others for it.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   DMA_HEAP_IOCTL_ALLOC on /dev/dma_heap/system; UDMABUF_CREATE on /dev/udmabuf
 *           with a sealed memfd; both probed by asking
 * Since:    0.1
 *
 * Return: 0, or -EINVAL for a size or option that can't be, and for more than udmabuf's
 * size_limit_mb; -E2BIG for options from the future; -EOPNOTSUPP when the machine has no such
 * node, or for a flag that system memory can't honour; -EACCES or -EPERM when the node may not be
 * opened; -EFBIG, -ENOMEM, -EMFILE, -ENFILE
 */
P2PDMA_API int p2pdma_buffer_new_system(struct p2pdma_context *context, uint64_t size_bytes,
					const struct p2pdma_buffer_options *options,
					struct p2pdma_buffer **ret_buffer);

/**
 * struct p2pdma_pointer_options - how to make a buffer of a runtime's memory
 * @size_bytes:      sizeof(struct p2pdma_pointer_options)
 * @backend:         P2PDMA_BACKEND_CUDA, _HSA or _ZE; AUTO asks those that the process has loaded
 * @flags:           P2PDMA_BUFFER_READ_ONLY, which the library alone holds to, _ALLOW_SYSTEM and
 *                   _PCIE_MAPPING; _MMAP_WC is ignored
 * @reserved:        zero
 * @user_data:       for the caller, see p2pdma_buffer_user_data()
 * @runtime_context: Level Zero: the ze_context_handle_t that the memory was allocated in, without
 *                   which AUTO leaves Level Zero out; NULL for the others
 */
struct p2pdma_pointer_options {
	uint32_t size_bytes;
	uint32_t backend;
	uint32_t flags;
	uint32_t reserved;
	void *user_data;
	void *runtime_context;
};

#define P2PDMA_POINTER_OPTIONS_INIT                                                                \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_pointer_options), 0, 0, 0, 0, 0                     \
	}

/**
 * p2pdma_buffer_new_pointer() - make a DMABUF of memory that a GPU runtime owns
 * @context:          borrowed; it must outlive the use of the buffer's events
 * @address:          a device pointer of CUDA, HIP (ROCm) or Level Zero, of any alignment
 * @length_bytes:     not zero; within one allocation
 * @options:          borrowed; NULL means P2PDMA_POINTER_OPTIONS_INIT
 * @ret_buffer:       the buffer, owned by the caller; p2pdma_buffer_free()
 * @ret_offset_bytes: where in the buffer @address is; the buffer may begin before it and
 *                    end behind the last byte. Register from here on
 *
 * The runtime must be loaded in this process: the library links to none, and loads none here.
 * Whether the address is the runtime's, the bounds of the allocation, that the memory is a
 * device's, that what comes back is a DMABUF of it and large enough is all checked; without
 * P2PDMA_BUFFER_ALLOW_SYSTEM, managed, shared, host and integrated memory is refused.
 *
 * The offset has the same place in a page as the address, so @address is always a valid iova for
 * it. Each call makes a new DMABUF with an inode of its own: keep the buffer of memory that is
 * registered again and again. Free it before the memory.
 *
 * Blocking: no; as long as the runtime takes
 * Threads:  any; CUDA: no context needs to be current, and the current one stays it
 * Kernel:   none itself; fstatfs, lseek and fdinfo of what the runtime made
 * Since:    0.1
 *
 * Return: 0, or -EINVAL for an option that can't be, and for a range that is empty or passes the
 * end of the allocation; -E2BIG for options from the future; -ENOENT when the runtime, or none of
 * this process with AUTO, knows the address; -EOPNOTSUPP when the runtime isn't loaded, is too
 * old, or can't export this memory or with these flags, and when it is the machine's memory; -EIO
 * when the runtime fails, or when what it made can't be the memory asked for; -EPERM, -ENOMEM,
 * -EMFILE
 */
P2PDMA_API int p2pdma_buffer_new_pointer(struct p2pdma_context *context, const void *address,
					 uint64_t length_bytes,
					 const struct p2pdma_pointer_options *options,
					 struct p2pdma_buffer **ret_buffer,
					 uint64_t *ret_offset_bytes);

/**
 * p2pdma_backend_query() - can this machine and process make DMABUFs this way?
 * @context: borrowed
 * @backend: P2PDMA_BACKEND_HEAP, _UDMABUF, _CUDA, _HSA or _ZE
 * @ret_why: a sentence that says why, or what is missing; borrowed from the library until the
 *           calling thread's next call of it. NULL is allowed
 *
 * A runtime's library is loaded for the answer where the process hasn't yet, by its soname, and
 * stays; no device is initialised. Backends that export slices of providers are asked by
 * p2pdma_provider_can_export().
 *
 * Blocking: no; as long as loading a library takes
 * Threads:  any
 * Kernel:   access() to the device node; dlopen()
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
