/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * p2pdma_edu: QEMU's edu device as an importer of DMABUFs, for tests.
 *
 * One character device per edu function, /dev/p2pdma-edu/<dddd:bb:dd.f>. An open
 * file has at most one DMABUF attached and at most one mapped for the kernel (vmap),
 * which may be the same; closing it undoes both. The rules of
 * <uapi/linux/p2pdma_export.h> for argsz, unknown tails and reserved fields hold
 * here, too.
 *
 * This is a test instrument: it shows DMA addresses to whoever may open it.
 */
#ifndef P2PDMA_EDU_H
#define P2PDMA_EDU_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define P2PDMA_EDU_IOC		0xDC

/* The device nodes live in /dev/P2PDMA_EDU_DIR, named by PCI address. */
#define P2PDMA_EDU_DIR		"p2pdma-edu"

/*
 * The engine moves at most so many bytes in one step, and a step takes about 100 ms.
 * Its buffer has 4096, but QEMU 7.2 aborts when a step reaches its end.
 */
#define P2PDMA_EDU_STEP_BYTES	4088

/* What the engine does with the memory of the DMABUF. */
#define P2PDMA_EDU_READ		0x01
#define P2PDMA_EDU_WRITE	0x02

/*
 * Attach as an importer that can't be revoked: pin, and have no callback for
 * invalidation.
 */
#define P2PDMA_EDU_ATTACH_PIN	0x01

/**
 * struct p2pdma_edu_attach - argument of P2PDMA_EDU_ATTACH
 * @argsz: in: size of this structure as the caller knows it
 * @flags: in: P2PDMA_EDU_ATTACH_*
 * @fd: in: the DMABUF
 * @access: in: P2PDMA_EDU_READ, P2PDMA_EDU_WRITE or both
 * @size: out: bytes of the DMABUF
 * @nr_entries: out: entries of the scatterlist
 * @reserved: zero
 *
 * Return: 0; -EBUSY when something is attached already; -EINVAL; -EBADF;
 * -ENODEV when the edu device is gone; what the exporter says.
 */
struct p2pdma_edu_attach {
	__u32 argsz;
	__u32 flags;
	__s32 fd;
	__u32 access;
	__aligned_u64 size;
	__u32 nr_entries;
	__u32 reserved;
};

/* No user memory: what is in the engine's own buffer is the source or the sink. */
#define P2PDMA_EDU_DMA_INTERNAL	0x01

/**
 * struct p2pdma_edu_dma - argument of P2PDMA_EDU_DMA
 * @argsz: in: size of this structure as the caller knows it
 * @flags: in: P2PDMA_EDU_DMA_*
 * @access: in: P2PDMA_EDU_WRITE (user memory to the DMABUF) or
 *	P2PDMA_EDU_READ (the other way)
 * @reserved: zero
 * @offset: in: bytes from the start of the DMABUF
 * @length: in: bytes, not zero
 * @user: in: address of @length bytes; zero with P2PDMA_EDU_DMA_INTERNAL
 * @done: out: bytes moved, also after a failure
 *
 * The bytes go from user memory to a coherent buffer by the CPU and from there
 * through the engine's buffer to the DMABUF by DMA, or back: two steps for each
 * P2PDMA_EDU_STEP_BYTES, one with P2PDMA_EDU_DMA_INTERNAL.
 *
 * Return: 0; -ENOENT when nothing is attached; -ENODEV when the mapping was
 * invalidated, or the edu device is gone; -EACCES when it was attached for the
 * other direction; -EINTR; -EIO when the engine hangs; -EFAULT; -EINVAL.
 */
struct p2pdma_edu_dma {
	__u32 argsz;
	__u32 flags;
	__u32 access;
	__u32 reserved;
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 user;
	__aligned_u64 done;
};

#define P2PDMA_EDU_STATUS_ATTACHED	0x01
#define P2PDMA_EDU_STATUS_MAPPED	0x02
/* The exporter invalidated the mapping. */
#define P2PDMA_EDU_STATUS_REVOKED	0x04
#define P2PDMA_EDU_STATUS_PINNED	0x08
/* The edu device is gone. */
#define P2PDMA_EDU_STATUS_GONE		0x10

/**
 * struct p2pdma_edu_status - argument of P2PDMA_EDU_STATUS
 * @argsz: in: size of this structure as the caller knows it
 * @flags: in: zero; out: P2PDMA_EDU_STATUS_*
 * @index: in: which entry of the scatterlist @dma_addr and @dma_len describe
 * @nr_entries: out: entries of the scatterlist, 0 when nothing is mapped
 * @dma_addr: out: DMA address of the entry, 0 when there is none
 * @dma_len: out: its length
 * @nr_steps: out: steps that the engine made for this file since it was opened
 *
 * Waits for a step in progress. Return: 0; -EINVAL.
 */
struct p2pdma_edu_status {
	__u32 argsz;
	__u32 flags;
	__u32 index;
	__u32 nr_entries;
	__aligned_u64 dma_addr;
	__aligned_u64 dma_len;
	__aligned_u64 nr_steps;
};

/**
 * struct p2pdma_edu_vmap - argument of P2PDMA_EDU_VMAP
 * @argsz: in: size of this structure as the caller knows it
 * @flags: in: zero
 * @fd: in: the DMABUF; it need not be attached
 * @reserved: zero
 * @size: out: bytes of the DMABUF
 *
 * The kernel mapping stays until P2PDMA_EDU_VUNMAP or the last close, whatever
 * becomes of the edu device. Return: 0; -EBUSY when something is vmapped already;
 * -EINVAL; -EBADF; what the exporter says.
 */
struct p2pdma_edu_vmap {
	__u32 argsz;
	__u32 flags;
	__s32 fd;
	__u32 reserved;
	__aligned_u64 size;
};

/**
 * struct p2pdma_edu_vmap_copy - argument of P2PDMA_EDU_VMAP_COPY
 * @argsz: in: size of this structure as the caller knows it
 * @flags: in: zero
 * @access: in: P2PDMA_EDU_WRITE (user memory to the DMABUF) or
 *	P2PDMA_EDU_READ (the other way)
 * @reserved: zero
 * @offset: in: bytes from the start of the DMABUF
 * @length: in: bytes, not zero
 * @user: in: address of @length bytes
 * @done: out: bytes moved, also after a failure
 *
 * By the CPU, through the kernel mapping. Return: 0; -ENOENT when nothing is
 * vmapped; -EINTR; -EFAULT; -EINVAL.
 */
struct p2pdma_edu_vmap_copy {
	__u32 argsz;
	__u32 flags;
	__u32 access;
	__u32 reserved;
	__aligned_u64 offset;
	__aligned_u64 length;
	__aligned_u64 user;
	__aligned_u64 done;
};

#define P2PDMA_EDU_ATTACH	_IO(P2PDMA_EDU_IOC, 0x00)
#define P2PDMA_EDU_DMA		_IO(P2PDMA_EDU_IOC, 0x01)
#define P2PDMA_EDU_STATUS	_IO(P2PDMA_EDU_IOC, 0x02)
/* The argument is zero. Return: 0; -ENOENT when nothing is attached. */
#define P2PDMA_EDU_DETACH	_IO(P2PDMA_EDU_IOC, 0x03)
#define P2PDMA_EDU_VMAP		_IO(P2PDMA_EDU_IOC, 0x04)
#define P2PDMA_EDU_VMAP_COPY	_IO(P2PDMA_EDU_IOC, 0x05)
/* The argument is zero. Return: 0; -ENOENT when nothing is vmapped. */
#define P2PDMA_EDU_VUNMAP	_IO(P2PDMA_EDU_IOC, 0x06)

#endif /* P2PDMA_EDU_H */
