/* SPDX-License-Identifier: MIT */
#ifndef COMMON_VFIO_ABI_H
#define COMMON_VFIO_ABI_H

#include <linux/vfio.h>

/*
 * Parts of the VFIO ABI that are newer than the headers of the oldest
 * distribution we build on. Numbers and layout are the kernel's; whether the
 * running kernel has them is found out by asking it.
 */

#define VFIO_ABI_FEATURE_DMA_BUF 11

struct vfio_abi_dma_range {
	__u64 offset;
	__u64 length;
};

/* The head of a VFIO_DEVICE_FEATURE, and the payload; nr_ranges ranges follow. */
struct vfio_abi_dma_buf {
	__u32 argsz;
	__u32 feature_flags;
	__u32 region_index;
	__u32 open_flags;
	__u32 flags;
	__u32 nr_ranges;
};

struct vfio_abi_bind_iommufd {
	__u32 argsz;
	__u32 flags;
	__s32 iommufd;
	__u32 out_devid;
};

#define VFIO_ABI_BIND_IOMMUFD _IO(VFIO_TYPE, VFIO_BASE + 18)

#endif /* COMMON_VFIO_ABI_H */
