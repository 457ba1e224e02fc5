/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_MR_H
#define P2PDMA_MR_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

#include <p2pdma/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ibv_dmah;
struct ibv_mr;
struct ibv_pd;
struct p2pdma_buffer;

/*
 * A slice of a buffer registered with an RDMA device. Work requests use its
 * keys as those of any memory region, and nothing of this library is in their
 * way. A memory region keeps its buffer alive. After a revocation it has to be
 * deregistered like any other; work requests that use it complete with an
 * error.
 *
 * Order of ends: deregister before ibv_dealloc_pd() and ibv_close_device().
 */
struct p2pdma_mr;

/* How the memory region was registered. */
enum p2pdma_mr_method {
	P2PDMA_MR_METHOD_NONE = 0,
	P2PDMA_MR_METHOD_VERBS = 1,    /* ibv_reg_dmabuf_mr() */
	P2PDMA_MR_METHOD_VERBS_EX = 2, /* ibv_reg_mr_ex() */
	P2PDMA_MR_METHOD_UVERBS = 3,   /* the kernel's own method, past the provider library */
};

/**
 * struct p2pdma_mr_attr - what to register
 * @size_bytes:   sizeof(struct p2pdma_mr_attr)
 * @access:       IBV_ACCESS_* of <infiniband/verbs.h>
 * @offset_bytes: from the start of the buffer, any alignment
 * @length_bytes: not zero, up to the end of the buffer
 * @iova:         the address that work requests use for @offset_bytes; must
 *                agree with it below the page size
 * @dmah:         a DMA handle of ibv_alloc_dmah(), or NULL
 */
struct p2pdma_mr_attr {
	uint32_t size_bytes;
	uint32_t access;
	uint64_t offset_bytes;
	uint64_t length_bytes;
	uint64_t iova;
	struct ibv_dmah *dmah;
};

/**
 * p2pdma_mr_register_attr() - register a slice of a buffer, all choices open
 * @pd:     borrowed; must outlive the memory region
 * @buffer: borrowed; the memory region takes a reference
 * @attr:   borrowed
 * @ret_mr: the memory region, owned by the caller; p2pdma_mr_deregister()
 *
 * Checks every rule that the kernel has before it is asked, so that the cause
 * of a refusal is a sentence. The access flags may be IBV_ACCESS_LOCAL_WRITE,
 * REMOTE_WRITE, REMOTE_READ, REMOTE_ATOMIC and RELAXED_ORDERING: those that the
 * kernel takes for a DMABUF. Other flags of IBV_ACCESS_OPTIONAL_RANGE are
 * dropped, as their name promises.
 *
 * Tries ibv_reg_dmabuf_mr() first. Where the provider library doesn't have it,
 * the kernel's method is called directly; p2pdma_mr_method() says which it was.
 *
 * Blocking: until the NIC has the region, as ibv_reg_mr() does
 * Threads:  any; not in a forked child
 * Kernel:   UVERBS_METHOD_REG_DMABUF_MR, probed by calling it
 * Since:    0.1
 *
 * Return: 0, or -EINVAL for a range outside the buffer, an iova that disagrees
 * with the offset, or access flags that can't be; -E2BIG for an attribute
 * structure from the future; -EACCES for writing to a read-only buffer;
 * -ESTALE for a revoked buffer; -ENODEV when a device has gone; -EOPNOTSUPP when
 * the NIC can't import this DMABUF, or @dmah is set and libibverbs has no
 * ibv_reg_mr_ex(); -EPROTONOSUPPORT when the kernel has no such method;
 * -ENOMEM; and what else the NIC's driver says
 */
P2PDMA_API int p2pdma_mr_register_attr(struct ibv_pd *pd, struct p2pdma_buffer *buffer,
				       const struct p2pdma_mr_attr *attr,
				       struct p2pdma_mr **ret_mr);

/**
 * p2pdma_mr_register() - register a slice of a buffer
 * @pd:           borrowed; must outlive the memory region
 * @buffer:       borrowed; the memory region takes a reference
 * @offset_bytes: from the start of the buffer, any alignment
 * @length_bytes: not zero, up to the end of the buffer
 * @iova:         the address that work requests use; agrees with @offset_bytes
 *                below the page size
 * @access:       IBV_ACCESS_*
 * @ret_mr:       the memory region, owned by the caller; p2pdma_mr_deregister()
 *
 * p2pdma_mr_register_attr() without a DMA handle.
 *
 * Blocking: as p2pdma_mr_register_attr()
 * Threads:  any; not in a forked child
 * Kernel:   UVERBS_METHOD_REG_DMABUF_MR, probed by calling it
 * Since:    0.1
 *
 * Return: as p2pdma_mr_register_attr()
 */
P2PDMA_API int p2pdma_mr_register(struct ibv_pd *pd, struct p2pdma_buffer *buffer,
				  uint64_t offset_bytes, uint64_t length_bytes, uint64_t iova,
				  unsigned int access, struct p2pdma_mr **ret_mr);

/**
 * p2pdma_mr_deregister() - end a memory region
 * @mr: consumed when the answer is 0; NULL is allowed
 *
 * Works after a revocation, after the buffer's device has gone and after the
 * NIC itself has gone (the kernel has then ended the region already).
 *
 * Blocking: until the NIC has let go of the region
 * Threads:  any; no other thread may use @mr any more
 * Kernel:   ibv_dereg_mr(), or UVERBS_METHOD_MR_DESTROY
 * Since:    0.1
 *
 * Return: 0, or -EBUSY while a thread is between p2pdma_mr_enter() and
 * p2pdma_mr_exit(), or while memory windows are bound to it; -EINVAL for one of a
 * cache, which p2pdma_mr_cache_release() gives back
 */
P2PDMA_API int p2pdma_mr_deregister(struct p2pdma_mr *mr);

/**
 * p2pdma_mr_lkey() - the key for scatter/gather entries
 * @mr: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the key; 0 for NULL
 */
P2PDMA_API uint32_t p2pdma_mr_lkey(const struct p2pdma_mr *mr);

/**
 * p2pdma_mr_rkey() - the key for the peer
 * @mr: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the key; 0 for NULL
 */
P2PDMA_API uint32_t p2pdma_mr_rkey(const struct p2pdma_mr *mr);

/**
 * p2pdma_mr_iova() - the address that work requests use for the first byte
 * @mr: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the address; 0 for NULL
 */
P2PDMA_API uint64_t p2pdma_mr_iova(const struct p2pdma_mr *mr);

/**
 * p2pdma_mr_length_bytes() - how much is registered
 * @mr: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: bytes; 0 for NULL
 */
P2PDMA_API uint64_t p2pdma_mr_length_bytes(const struct p2pdma_mr *mr);

/**
 * p2pdma_mr_buffer() - the buffer that the region is a part of
 * @mr: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the buffer, borrowed from the region; NULL for NULL
 */
P2PDMA_API struct p2pdma_buffer *p2pdma_mr_buffer(const struct p2pdma_mr *mr);

/**
 * p2pdma_mr_method() - how the region was registered
 * @mr: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the method; NONE for NULL
 */
P2PDMA_API enum p2pdma_mr_method p2pdma_mr_method(const struct p2pdma_mr *mr);

/**
 * p2pdma_mr_ibv_mr() - libibverbs' own object, where there is one
 * @mr: borrowed
 *
 * Don't deregister it.
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the object, borrowed from the region; NULL when the method is
 * P2PDMA_MR_METHOD_UVERBS, and for NULL
 */
P2PDMA_API struct ibv_mr *p2pdma_mr_ibv_mr(const struct p2pdma_mr *mr);

/*
 * The guard. A program that posts work requests may put each post between
 * p2pdma_mr_enter() and p2pdma_mr_exit(). Then p2pdma_buffer_revoke() waits for
 * posts in progress, and a post after the revocation doesn't happen.
 *
 * It is one word: a count of threads inside, and two bits that say why nobody
 * may enter any more. Entering is an atomic addition and leaving a
 * subtraction, both on this word, so they and the revoker's atomic OR have one
 * order: an entry is either counted before the revoker looks, or sees the bit.
 * The guard is the first member of every struct p2pdma_mr. This is ABI.
 */
struct p2pdma_mr_guard {
	uint32_t word;
};

#define P2PDMA_MR_GUARD_COUNT 0x3fffffffU
#define P2PDMA_MR_GUARD_STALE 0x40000000U
#define P2PDMA_MR_GUARD_GONE  0x80000000U
#define P2PDMA_MR_GUARD_SHUT  (P2PDMA_MR_GUARD_STALE | P2PDMA_MR_GUARD_GONE)

/**
 * p2pdma_mr_guard_wake() - the slow part of p2pdma_mr_exit(); not to be called
 * @word: only its address is used
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   futex
 * Since:    0.1
 */
P2PDMA_API void p2pdma_mr_guard_wake(const uint32_t *word);

/**
 * p2pdma_mr_exit() - a post is done
 * @mr: borrowed
 *
 * Blocking: no
 * Threads:  any; the one that entered
 * Kernel:   none; a futex wake-up when a revocation waits for this thread
 * Since:    0.1
 */
static inline void p2pdma_mr_exit(struct p2pdma_mr *mr)
{
	uint32_t *word = &((struct p2pdma_mr_guard *)(void *)mr)->word;
	uint32_t before = __atomic_fetch_sub(word, 1, __ATOMIC_RELEASE);

	/* From here on the region may be gone: only the address is used. */
	if (__builtin_expect((before & P2PDMA_MR_GUARD_SHUT) != 0, 0) &&
	    (before & P2PDMA_MR_GUARD_COUNT) == 1)
		p2pdma_mr_guard_wake(word);
}

/**
 * p2pdma_mr_enter() - a post is about to begin
 * @mr: borrowed
 *
 * After 0, call p2pdma_mr_exit() when the post is done; after an error don't.
 * Keep what is between short: a revocation waits for it. It may be nested.
 *
 * A revocation by the program itself is seen at once; one by others as soon as
 * p2pdma_next_event() or p2pdma_buffer_query() has heard of it.
 *
 * Blocking: no
 * Threads:  any; not in a signal handler that may interrupt a revocation
 * Kernel:   none
 * Since:    0.1
 *
 * Return: 0, or -ESTALE after a revocation; -ENODEV when the device has gone
 */
static inline int p2pdma_mr_enter(struct p2pdma_mr *mr)
{
	uint32_t *word = &((struct p2pdma_mr_guard *)(void *)mr)->word;
	uint32_t before = __atomic_load_n(word, __ATOMIC_RELAXED);

	/* Look first: threads that keep trying must not keep the count above zero. */
	if (__builtin_expect((before & P2PDMA_MR_GUARD_SHUT) == 0, 1)) {
		before = __atomic_fetch_add(word, 1, __ATOMIC_ACQUIRE);
		if (__builtin_expect((before & P2PDMA_MR_GUARD_SHUT) == 0, 1))
			return 0;
		p2pdma_mr_exit(mr);
	}
	return before & P2PDMA_MR_GUARD_GONE ? -ENODEV : -ESTALE;
}

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_MR_H */
