/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_BUFFER_H
#define P2PDMA_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include <p2pdma/provider.h>
#include <p2pdma/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct p2pdma_context;

/*
 * A slice of a provider, or several, as one DMABUF. Importers (RDMA NICs, other
 * devices) map it until it is revoked. A buffer ends in one of two ways:
 * revoked (calls say -ESTALE) or with its device (calls say -ENODEV). The
 * object itself stays until p2pdma_buffer_free() and the last memory region.
 */
struct p2pdma_buffer;

/**
 * struct p2pdma_range - one piece of a BAR, or an amount of vram
 * @offset_bytes: from the start of the BAR, a multiple of the page size; 0 for vram
 * @length_bytes: a multiple of the page size, not zero
 */
struct p2pdma_range {
	uint64_t offset_bytes;
	uint64_t length_bytes;
};

/* The most ranges that one buffer may have; p2pd grants P2PDMA_LEASE_MAX_RANGES. */
#define P2PDMA_BUFFER_MAX_RANGES	512

/* Neither the CPU nor a device may write. Only the export backend can hold devices to it. */
#define P2PDMA_BUFFER_READ_ONLY		(1U << 0)
/* CPU mappings are write-combining instead of uncached. Export backend; others ignore it. */
#define P2PDMA_BUFFER_MMAP_WC		(1U << 1)
/*
 * Importers that can't be revoked may map the buffer too. Taking it back then
 * waits for them. Export backend only; needs CAP_SYS_ADMIN or the administrator's
 * leave for the device (allow_unrevocable in /sys/class/p2pdma_export).
 * A lease of p2pmem needs it, too: p2pd can only ask to have that back.
 */
#define P2PDMA_BUFFER_ALLOW_UNREVOCABLE (1U << 2)
/*
 * Children of fork() share the memory; no other process can. Taking it back then reaches this
 * process alone. p2pmem backend only.
 */
#define P2PDMA_BUFFER_INHERIT		(1U << 3)
/*
 * Take the buffer also where its owner (a GPU's driver, a runtime) has put it, or puts it when an
 * importer attaches, into system memory. Without it that is an error. P2PDMA_STATUS_SYSTEM tells
 * which it was with the drm backend. For what others place; the other backends make no such buffers.
 */
#define P2PDMA_BUFFER_ALLOW_SYSTEM	(1U << 4)
/*
 * Through the PCIe BAR, also where a GPU has another way to the machine's memory: for adapters with
 * a path of their own to the GPU (data direct). CUDA and HSA backends only.
 */
#define P2PDMA_BUFFER_PCIE_MAPPING	(1U << 5)

/**
 * struct p2pdma_buffer_options - how to make a buffer
 * @size_bytes: sizeof(struct p2pdma_buffer_options)
 * @backend:    enum p2pdma_backend
 * @flags:      P2PDMA_BUFFER_*
 * @reserved:   zero
 * @user_data:  for the caller, see p2pdma_buffer_user_data()
 */
struct p2pdma_buffer_options {
	uint32_t size_bytes;
	uint32_t backend;
	uint32_t flags;
	uint32_t reserved;
	void *user_data;
};

#define P2PDMA_BUFFER_OPTIONS_INIT                                                                 \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_buffer_options), 0, 0, 0, 0                         \
	}

/**
 * p2pdma_buffer_new() - make a DMABUF of slices of a BAR, or memory of p2pmem
 * @context:    borrowed; it must outlive the use of the buffer's events
 * @provider:   borrowed
 * @ranges:     the slices; they must not overlap and follow each other in the
 *              buffer in this order. NULL with @nr_ranges 0 is the whole BAR. Of vram
 *              one with offset 0: its driver chooses the place, and rounds the length up
 *              where its pages are larger
 * @nr_ranges:  0 .. P2PDMA_BUFFER_MAX_RANGES
 * @options:    borrowed; NULL means P2PDMA_BUFFER_OPTIONS_INIT
 * @ret_buffer: the buffer, owned by the caller; p2pdma_buffer_free()
 *
 * P2PDMA_BACKEND_AUTO asks p2pd for BARs and p2pmem where its socket is there, and what p2pd says is
 * the answer: a refusal is never worked around. Otherwise, or with P2PDMA_CONTEXT_DIRECT, it takes
 * `export` where the function has a device node of it, and `vfio` where a VFIO driver is bound; a
 * node that this user may not open is no reason to say that nothing can (-EACCES).
 * Vram it takes from its driver (`drm`), also where p2pd is there, unless p2pd lists it as to be
 * leased. Never system memory: a GPU's driver that chooses it makes this fail (-EOPNOTSUPP). A
 * slice that p2pd grants is leased exclusively; see <p2pdma/lease.h>.
 *
 * Of a p2pmem provider it takes one range at offset 0: the kernel chooses where in the pool a
 * buffer lies. That is memory of this process and no DMABUF, for p2pdma_buffer_map() and
 * O_DIRECT; it can't be registered.
 *
 * Blocking: no; until p2pd answers, up to broker_timeout_ms
 * Threads:  any
 * Kernel:   P2PDMA_EXPORT_EXPORT, VFIO_DEVICE_FEATURE with
 *           VFIO_DEVICE_FEATURE_DMA_BUF, or a DRM driver's calls, see
 *           p2pdma_buffer_new_drm(); all probed by asking. mmap of p2pmem/allocate
 * Since:    0.1
 *
 * Return: 0, or -EINVAL for a range or option that can't be; -E2BIG for
 * options from the future; -ENODEV when the function has gone, -ESTALE when
 * another one is in its slot; -EOPNOTSUPP when no backend, or not the one
 * asked for, can export this BAR; -EACCES when the device node may not be
 * opened or p2pd's policy says no; from p2pd also what p2pdma_lease_acquire()
 * says; -EPERM for P2PDMA_BUFFER_ALLOW_UNREVOCABLE without capability or leave, and where the
 * device rules of a container forbid the node; -EBUSY while the function is being reset, suspended, or held by another VFIO
 * user; -ENOSPC when a GPU has no room; -ENOMEM, also for a pool that has no such piece free;
 * -EMFILE, -ENFILE
 */
P2PDMA_API int p2pdma_buffer_new(struct p2pdma_context *context, struct p2pdma_provider *provider,
				 const struct p2pdma_range *ranges, size_t nr_ranges,
				 const struct p2pdma_buffer_options *options,
				 struct p2pdma_buffer **ret_buffer);

/**
 * p2pdma_buffer_adopt() - take part in a DMABUF that somebody else exported
 * @context:    borrowed
 * @fd:         borrowed; the library keeps a duplicate
 * @user_data:  for the caller, see p2pdma_buffer_user_data()
 * @ret_buffer: the buffer, owned by the caller; p2pdma_buffer_free()
 *
 * Proves that @fd is a DMABUF before anything else. An adopted buffer can be
 * mapped and registered; only its exporter can revoke it, and the library
 * learns of that when the next call fails.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   fstatfs (DMA_BUF_MAGIC), lseek, fstat
 * Since:    0.1
 *
 * Return: 0, or -EINVAL when @fd is no DMABUF; -EBADF when it is no
 * descriptor; -ENOMEM, -EMFILE
 */
P2PDMA_API int p2pdma_buffer_adopt(struct p2pdma_context *context, int fd, void *user_data,
				   struct p2pdma_buffer **ret_buffer);

/**
 * p2pdma_buffer_free() - let go of a buffer
 * @buffer: consumed; NULL is allowed
 *
 * Memory regions keep the buffer alive: the last one to go takes it along. Those that a
 * cache (<p2pdma/mr_cache.h>) keeps for nobody go first.
 * Then CPU mappings of it go, and its memory is taken back from whoever got the
 * DMABUF meanwhile: `export` revokes this buffer; `vfio` can only revoke with the
 * last buffer of the function; an adopted one stays with its exporter; p2pd
 * gets its lease back.
 *
 * Blocking: until devices have let go, which importers that can be revoked do
 *           at once; never for importers that can't be revoked. A lease: until p2pd
 *           answers, up to broker_timeout_ms
 * Threads:  any; no other thread may use the buffer any more
 * Kernel:   P2PDMA_EXPORT_REVOKE, close
 * Since:    0.1
 */
P2PDMA_API void p2pdma_buffer_free(struct p2pdma_buffer *buffer);

/**
 * p2pdma_buffer_fd() - the DMABUF
 * @buffer: borrowed
 *
 * To hand to another importer or process. A duplicate made elsewhere is worth
 * nothing after a revocation: nobody can map it any more.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   none
 * Since:    0.1
 *
 * Return: a close-on-exec descriptor owned by the buffer, or -EINVAL for NULL; -EOPNOTSUPP
 * for p2pmem, of which there is no DMABUF
 */
P2PDMA_API int p2pdma_buffer_fd(const struct p2pdma_buffer *buffer);

/**
 * p2pdma_buffer_size_bytes() - the size of the DMABUF
 * @buffer: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: bytes; 0 for NULL
 */
P2PDMA_API uint64_t p2pdma_buffer_size_bytes(const struct p2pdma_buffer *buffer);

/**
 * p2pdma_buffer_backend() - how the DMABUF was made
 * @buffer: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the backend; AUTO for NULL
 */
P2PDMA_API enum p2pdma_backend p2pdma_buffer_backend(const struct p2pdma_buffer *buffer);

/**
 * p2pdma_buffer_name() - what the buffer is a slice of
 * @buffer: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the provider's name with its generation, "dmabuf:INODE" for an
 * adopted one, "drm:DRIVER:INODE" for a GEM object, "heap:INODE" or "udmabuf:INODE" for system
 * memory, "cuda:ADDRESS+LENGTH" (hsa, ze) for a runtime's; it lives as long as the buffer. "" for
 * NULL
 */
P2PDMA_API const char *p2pdma_buffer_name(const struct p2pdma_buffer *buffer);

/**
 * p2pdma_buffer_inode() - a number that is the same for the same DMABUF
 * @buffer: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the inode number; 0 for NULL and for what is no DMABUF
 */
P2PDMA_API uint64_t p2pdma_buffer_inode(const struct p2pdma_buffer *buffer);

/**
 * p2pdma_buffer_exporter() - which part of the kernel made the DMABUF
 * @buffer: borrowed
 *
 * "p2pdma_export_core" for the export backend, "vfio_pci_core" for vfio, "drm" or the name of a GPU's
 * driver for an adopted one; "udmabuf" and the names below /dev/dma_heap ("system") are memory of
 * the machine, not of a device.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   exp_name in /proc/self/fdinfo
 * Since:    0.1
 *
 * Return: the name; it lives as long as the buffer. "" for NULL, and where there is no procfs
 */
P2PDMA_API const char *p2pdma_buffer_exporter(struct p2pdma_buffer *buffer);

/**
 * p2pdma_buffer_user_data() - what the caller gave when it made the buffer
 * @buffer: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the pointer
 */
P2PDMA_API void *p2pdma_buffer_user_data(const struct p2pdma_buffer *buffer);

#define P2PDMA_MAP_READ	 (1U << 0)
#define P2PDMA_MAP_WRITE (1U << 1)

/**
 * p2pdma_buffer_map() - let the CPU see a part of a buffer
 * @buffer:       borrowed
 * @offset_bytes: a multiple of the page size
 * @length_bytes: not zero, up to the end of the buffer
 * @flags:        P2PDMA_MAP_READ, P2PDMA_MAP_WRITE or both
 * @ret_address:  where; p2pdma_buffer_unmap() or the end of the buffer unmaps it
 *
 * SIGBUS: device memory can go at any moment. An access after a revocation or
 * after the device has gone raises SIGBUS in the thread that did it. Whoever
 * maps must either be told before (events, p2pdma_buffer_revoke() by the
 * program itself) or handle the signal. The mapping isn't inherited by fork(),
 * unless the buffer is P2PDMA_BUFFER_INHERIT.
 * Device memory isn't RAM: use it with plain loads and stores of the
 * natural size, not with atomics.
 * A buffer of p2pmem is mapped once, for reading and writing: this gives an address in
 * there, the same again for the same offset.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   mmap of the DMABUF; for `vfio` mmap of the BAR, in pieces
 * Since:    0.1
 *
 * Return: 0, or -EINVAL for a bad range or flag; -EACCES for a writable
 * mapping of a read-only buffer; -EBUSY when the same memory is mapped with another
 * caching (P2PDMA_BUFFER_MMAP_WC); -EOPNOTSUPP when the exporter has no mmap;
 * -ESTALE after a revocation; -ENODEV when the device has gone; -ENOMEM
 */
P2PDMA_API int p2pdma_buffer_map(struct p2pdma_buffer *buffer, uint64_t offset_bytes,
				 uint64_t length_bytes, uint32_t flags, void **ret_address);

/**
 * p2pdma_buffer_unmap() - undo p2pdma_buffer_map()
 * @buffer:  borrowed
 * @address: what p2pdma_buffer_map() returned
 *
 * Works after a revocation and after the device has gone, too.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   munmap
 * Since:    0.1
 *
 * Return: 0, or -EINVAL when nothing of this buffer is mapped there
 */
P2PDMA_API int p2pdma_buffer_unmap(struct p2pdma_buffer *buffer, void *address);

/* Revoke every buffer of this context on the same function, where one alone isn't possible. */
#define P2PDMA_REVOKE_FUNCTION (1U << 0)

/**
 * struct p2pdma_revoke_result - what a revocation did
 * @size_bytes:   in: sizeof(struct p2pdma_revoke_result)
 * @nr_buffers:   buffers that this call revoked; 0 when it was revoked already
 * @nr_posts:     threads that were still between p2pdma_mr_enter() and
 *                p2pdma_mr_exit() when the time was over; the memory was taken
 *                all the same, and what they posted completes with an error
 * @nr_mappings:  device mappings, kernel mappings and pins undone; 0 where the
 *                backend can't count
 * @nr_remaining: those that remain, by importers that can't be revoked
 * @reserved:     zero
 * @duration_ns:  from the call to the end
 * @kernel_ns:    the part of it that the kernel took
 */
struct p2pdma_revoke_result {
	uint32_t size_bytes;
	uint32_t nr_buffers;
	uint32_t nr_posts;
	uint32_t nr_mappings;
	uint32_t nr_remaining;
	uint32_t reserved;
	uint64_t duration_ns;
	uint64_t kernel_ns;
};

#define P2PDMA_REVOKE_RESULT_INIT                                                                  \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_revoke_result), 0, 0, 0, 0, 0, 0, 0                 \
	}

/**
 * p2pdma_buffer_revoke() - take a buffer back from everyone
 * @buffer:     borrowed
 * @flags:      zero or P2PDMA_REVOKE_FUNCTION
 * @timeout_ms: how long to wait, in all, for posts in progress and then for
 *              importers that can't be revoked; 0 doesn't wait
 * @ret_result: NULL is allowed; size_bytes set by the caller. Filled when the
 *              answer is 0, -EBUSY or -EINTR
 *
 * In this order: p2pdma_mr_enter() begins to fail, posts in progress are waited
 * for, the kernel invalidates every mapping. When it returns 0 no device and no
 * CPU reaches the memory through this buffer, and none will again. Idempotent.
 *
 * The vfio backend can only revoke a function as a whole: with other live
 * buffers on it the answer is -EOPNOTSUPP unless P2PDMA_REVOKE_FUNCTION is set. The
 * drm backend can't take memory from who holds it: it waits for this process's memory regions to be
 * deregistered (-EBUSY while there are some), and leaves other processes theirs. A
 * lease goes back to p2pd, which does the last step; when it can't be reached, the
 * buffer can't be used any more all the same, and calling again asks it again.
 * p2pmem goes back to its pool as soon as i/o in flight is done with it, and
 * children that inherited it have given it back.
 *
 * Blocking: up to @timeout_ms; the kernel's own work besides takes microseconds
 * Threads:  any
 * Kernel:   P2PDMA_EXPORT_REVOKE; for `vfio` memory decode off, then close
 * Since:    0.1
 *
 * Return: 0; -EBUSY when the buffer is revoked but importers that can't be
 * revoked still map it (calling again waits again); -EINTR when a signal came
 * while waiting for them, revoked all the same; -EOPNOTSUPP for an adopted
 * buffer and as above; -EINVAL
 */
P2PDMA_API int p2pdma_buffer_revoke(struct p2pdma_buffer *buffer, uint32_t flags,
				    uint32_t timeout_ms, struct p2pdma_revoke_result *ret_result);

enum p2pdma_buffer_state {
	P2PDMA_BUFFER_ACTIVE = 0,   /* importers may map it */
	P2PDMA_BUFFER_REVOKING = 1, /* revoked, and some mapping is still there */
	P2PDMA_BUFFER_REVOKED = 2,  /* revoked: -ESTALE */
	P2PDMA_BUFFER_GONE = 3,	    /* revoked because the device went: -ENODEV */
};

/* The kernel counted: nr_attachments .. revoke_ns are valid. */
#define P2PDMA_STATUS_COUNTED (1U << 0)
/* It is known where the buffer lies now: in system memory if SYSTEM is set, else in the device. */
#define P2PDMA_STATUS_PLACED  (1U << 1)
#define P2PDMA_STATUS_SYSTEM  (1U << 2)

/**
 * struct p2pdma_buffer_status - where a buffer stands
 * @size_bytes:     in: sizeof(struct p2pdma_buffer_status)
 * @flags:          P2PDMA_STATUS_*
 * @state:          enum p2pdma_buffer_state
 * @reason:         enum p2pdma_reason
 * @nr_mrs:         memory regions of this process on it
 * @nr_attachments: devices attached
 * @nr_mappings:    live device mappings
 * @nr_pins:        pins
 * @nr_unrevocable: mappings and pins whose holder can't be revoked
 * @reserved:       zero
 * @mapped_bytes:   bytes of the buffer times live device mappings
 * @revoke_ns:      how long the kernel took to revoke; 0 before
 */
struct p2pdma_buffer_status {
	uint32_t size_bytes;
	uint32_t flags;
	uint32_t state;
	uint32_t reason;
	uint32_t nr_mrs;
	uint32_t nr_attachments;
	uint32_t nr_mappings;
	uint32_t nr_pins;
	uint32_t nr_unrevocable;
	uint32_t reserved;
	uint64_t mapped_bytes;
	uint64_t revoke_ns;
};

#define P2PDMA_BUFFER_STATUS_INIT                                                                  \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_buffer_status), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0     \
	}

/**
 * p2pdma_buffer_query() - ask where a buffer stands
 * @buffer:     borrowed
 * @ret_status: size_bytes set by the caller
 *
 * Works after a revocation and after the device has gone, too. What it learns
 * from the kernel takes effect at once: p2pdma_mr_enter() fails from then on.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   P2PDMA_EXPORT_STATUS; other backends know only what the library saw
 * Since:    0.1
 *
 * Return: 0, or -EINVAL
 */
P2PDMA_API int p2pdma_buffer_query(struct p2pdma_buffer *buffer,
				   struct p2pdma_buffer_status *ret_status);

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_BUFFER_H */
