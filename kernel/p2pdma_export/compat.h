/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernels from 6.19 on, seen as the newest one: fallbacks under today's names,
 * and nothing else. What a kernel has is found by looking into the headers that
 * the module is built against (see Kbuild), never by its version.
 */
#ifndef P2PE_COMPAT_H
#define P2PE_COMPAT_H

#include <linux/dma-buf.h>
#include <linux/dma-buf-mapping.h>
#include <linux/slab.h>

#ifndef P2PE_HAVE_INVALIDATE_MAPPINGS
#define dma_buf_invalidate_mappings	dma_buf_move_notify
#endif

/*
 * Dynamic importers of these kernels always have the call, but for some of them
 * it only warns. Those that do so pin.
 */
#ifndef P2PE_HAVE_ATTACH_REVOCABLE
#define P2PE_CAN_TELL_REVOCABLE		0
#define dma_buf_attach_revocable(attach)	(!!(attach)->importer_ops)
#endif

#ifdef P2PE_HAVE_DMA_BUF_PHYS_VEC
#define phys_vec	dma_buf_phys_vec
#endif

#ifndef kzalloc_obj
#define kzalloc_obj(obj, gfp)	kzalloc(sizeof(obj), gfp)
#define kvzalloc_obj(obj, gfp)	kvzalloc(sizeof(obj), gfp)
#endif

#endif /* P2PE_COMPAT_H */
