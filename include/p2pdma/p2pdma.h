/* SPDX-License-Identifier: MIT */
/*
 * libp2pdma: slices of PCI device memory for other devices' DMA engines, under
 * a lease that can be taken back. This header includes all others.
 *
 *   struct p2pdma_context    one user of the library: discovery, errors, events
 *   struct p2pdma_provider   one memory BAR of one PCI function
 *   struct p2pdma_buffer     a slice of it as a DMABUF that can be revoked
 *   struct p2pdma_mr         a slice of a buffer as an RDMA memory region
 *   struct p2pdma_iommufd_mapping   a slice of a buffer for devices of VFIO
 *   struct p2pdma_mr_cache   memory regions that are kept for the next use
 *   struct p2pdma_path       what the kernel decides for a provider and an importer
 *   struct p2pdma_topology   the PCI tree of the machine
 *   struct p2pdma_doctor     what of the machine is in the way
 *   struct p2pdma_event      what happened to them
 *
 * Where p2pd runs, buffers are leases that it grants (<p2pdma/lease.h>). What an administrator
 * asks of it is in <p2pdma/broker.h> and <p2pdma/broker_watch.h>.
 *
 * Rules that hold for every call:
 *  - Errors are negative errno values. p2pdma_context_error() has the cause of
 *    the calling thread's last one in a sentence; p2pdma_explain() finds that of calls
 *    that a program made itself.
 *  - Outputs are untouched on failure, unless the call says otherwise.
 *  - Structures that the caller passes start with their size. One smaller than
 *    the first published is -EINVAL. One larger than the library knows is
 *    accepted: as an input when what is unknown of it is zero (-E2BIG
 *    otherwise), as an output by zeroing that. Unknown flag bits are -EINVAL.
 *  - Any thread may call anything, as long as no object is freed while another
 *    thread uses it.
 *  - Every descriptor is close-on-exec. In a child of fork() nothing may be
 *    called but exec: the child shares the parent's device files, and what was
 *    exported lives until both have closed them. Caches of memory regions know a
 *    child and refuse it.
 */
#ifndef P2PDMA_P2PDMA_H
#define P2PDMA_P2PDMA_H

#include <p2pdma/broker.h>
#include <p2pdma/broker_watch.h>
#include <p2pdma/buffer.h>
#include <p2pdma/context.h>
#include <p2pdma/doctor.h>
#include <p2pdma/drm.h>
#include <p2pdma/event.h>
#include <p2pdma/explain.h>
#include <p2pdma/iommufd.h>
#include <p2pdma/lease.h>
#include <p2pdma/memory.h>
#include <p2pdma/mr.h>
#include <p2pdma/mr_cache.h>
#include <p2pdma/path.h>
#include <p2pdma/pool.h>
#include <p2pdma/provider.h>
#include <p2pdma/version.h>

#endif /* P2PDMA_P2PDMA_H */
