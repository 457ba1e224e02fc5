/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_IOMMUFD_H
#define P2PDMA_IOMMUFD_H

#include <stdint.h>

#include <p2pdma/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct p2pdma_buffer;

/*
 * A slice of a buffer in an I/O address space of iommufd: the importer is another
 * device that a user-space driver owns through VFIO. Every device that is attached to
 * the address space reaches the slice at its I/O virtual address.
 *
 * The kernel takes DMABUFs of VFIO with one range (with CONFIG_IOMMUFD, and a VFIO that exports),
 * and no others. A mapping keeps its buffer alive. After a revocation nothing is behind its
 * addresses, for good: what the device still does there fails at the IOMMU. It has to be
 * unmapped like any other.
 */
struct p2pdma_iommufd_mapping;

#define P2PDMA_IOMMUFD_READ	  0x1U /* devices may read the slice */
#define P2PDMA_IOMMUFD_WRITE	  0x2U /* devices may write it */
#define P2PDMA_IOMMUFD_FIXED_IOVA 0x4U /* iova says where; else the kernel chooses */

/**
 * struct p2pdma_iommufd_attr - what to map, and where
 * @size_bytes:   sizeof(struct p2pdma_iommufd_attr)
 * @flags:        P2PDMA_IOMMUFD_*; READ, WRITE or both
 * @iommufd:      a descriptor of /dev/iommu; the mapping keeps a duplicate
 * @ioas_id:      an I/O address space of it (IOMMU_IOAS_ALLOC)
 * @offset_bytes: from the start of the buffer, whole pages
 * @length_bytes: whole pages, up to the end of the buffer
 * @iova:         with FIXED_IOVA: where, a multiple of the page size
 * @importer:     borrowed for the call: the PCI function that is attached to the address space
 *                ("0000:81:00.0"), whose path to the buffer is then checked; or NULL
 */
struct p2pdma_iommufd_attr {
	uint32_t size_bytes;
	uint32_t flags;
	int32_t iommufd;
	uint32_t ioas_id;
	uint64_t offset_bytes;
	uint64_t length_bytes;
	uint64_t iova;
	const char *importer;
};

/**
 * p2pdma_iommufd_map() - map a slice of a buffer for devices of VFIO
 * @buffer:      borrowed; the mapping takes a reference
 * @attr:        borrowed
 * @ret_mapping: the mapping, owned by the caller; p2pdma_iommufd_unmap()
 *
 * Checks every rule that can be known before the kernel is asked. The kernel itself does not
 * look at the path between the two devices, nor at P2PDMA_BUFFER_READ_ONLY: with @importer the
 * path is checked here, and the buffer's flag always is.
 *
 * Blocking: no
 * Threads:  any; not in a forked child
 * Kernel:   IOMMU_IOAS_MAP_FILE, probed by calling it
 * Since:    0.1
 *
 * Return: 0, or -EINVAL for unknown flags, a range that is outside the buffer, empty or not of
 * whole pages, or an address space without room there; -E2BIG for an attribute structure from
 * the future; -EACCES for WRITE to a read-only buffer; -EOPNOTSUPP for a buffer that iommufd
 * doesn't take (not of VFIO, more than one range), a kernel that takes none, or a path that
 * isn't there, and when @iommufd is no iommufd; -EBADF when it isn't open; -ENOENT when there is no such address space;
 * -EADDRINUSE or -ENOSPC when the addresses are taken; -ESTALE for a revoked buffer; -ENODEV when
 * a device has gone; -EMFILE, -ENOMEM
 */
P2PDMA_API int p2pdma_iommufd_map(struct p2pdma_buffer *buffer,
				  const struct p2pdma_iommufd_attr *attr,
				  struct p2pdma_iommufd_mapping **ret_mapping);

/**
 * p2pdma_iommufd_unmap() - end a mapping
 * @mapping: consumed when the answer is 0; NULL is allowed
 *
 * Works after a revocation. Unmap before the address space is destroyed: its number may name
 * another one then.
 *
 * Blocking: until the IOMMU has forgotten the addresses
 * Threads:  any; no other thread may use @mapping any more
 * Kernel:   IOMMU_IOAS_UNMAP
 * Since:    0.1
 *
 * Return: 0, or -EBUSY while the kernel needs the addresses
 */
P2PDMA_API int p2pdma_iommufd_unmap(struct p2pdma_iommufd_mapping *mapping);

/**
 * p2pdma_iommufd_iova() - the address that devices use for the first byte
 * @mapping: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the I/O virtual address; 0 for NULL
 */
P2PDMA_API uint64_t p2pdma_iommufd_iova(const struct p2pdma_iommufd_mapping *mapping);

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_IOMMUFD_H */
