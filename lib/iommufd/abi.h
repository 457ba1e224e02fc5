/* SPDX-License-Identifier: MIT */
#ifndef IOMMUFD_ABI_H
#define IOMMUFD_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>

/*
 * Parts of iommufd's ABI, whose header the oldest distribution we build on lacks. Numbers and
 * layout are the kernel's; whether the running kernel has them is found out by asking it.
 */

#define IOMMUFD_ABI_TYPE	   ';'

#define IOMMUFD_ABI_MAP_FIXED_IOVA 1U
#define IOMMUFD_ABI_MAP_WRITEABLE  2U
#define IOMMUFD_ABI_MAP_READABLE   4U

struct iommufd_abi_ioas_map_file {
	__u32 size;
	__u32 flags;
	__u32 ioas_id;
	__s32 fd;
	__aligned_u64 start;
	__aligned_u64 length;
	__aligned_u64 iova;
};

struct iommufd_abi_ioas_unmap {
	__u32 size;
	__u32 ioas_id;
	__aligned_u64 iova;
	__aligned_u64 length;
};

struct iommufd_abi_iova_range {
	__aligned_u64 start;
	__aligned_u64 last;
};

/* num_iovas: in: for how many there is room; out: how many there are, also with -EMSGSIZE. */
struct iommufd_abi_ioas_iova_ranges {
	__u32 size;
	__u32 ioas_id;
	__u32 num_iovas;
	__u32 reserved;
	__aligned_u64 allowed_iovas;
	__aligned_u64 out_iova_alignment;
};

#define IOMMUFD_ABI_IOAS_IOVA_RANGES _IO(IOMMUFD_ABI_TYPE, 0x84)
#define IOMMUFD_ABI_IOAS_UNMAP	     _IO(IOMMUFD_ABI_TYPE, 0x86)
#define IOMMUFD_ABI_IOAS_MAP_FILE    _IO(IOMMUFD_ABI_TYPE, 0x8f)

#endif /* IOMMUFD_ABI_H */
