/* SPDX-License-Identifier: MIT */
#ifndef DRM_ABI_H
#define DRM_ABI_H

#include <drm.h>

/*
 * Parts of the ABI of DRM drivers that are newer than the libdrm of the oldest
 * distribution we build on. Numbers and layout are the kernel's; whether the
 * running kernel has them is found out by asking it.
 */

/* xe: all of it is newer. */
#define XE_ABI_DEVICE_QUERY	 DRM_IOWR(DRM_COMMAND_BASE + 0x00, struct xe_abi_device_query)
#define XE_ABI_GEM_CREATE	 DRM_IOWR(DRM_COMMAND_BASE + 0x01, struct xe_abi_gem_create)

#define XE_ABI_QUERY_MEM_REGIONS 1

struct xe_abi_device_query {
	__u64 extensions;
	__u32 query;
	__u32 size; /* 0 asks for it */
	__u64 data;
	__u64 reserved[2];
};

#define XE_ABI_MEM_CLASS_SYSTEM 0
#define XE_ABI_MEM_CLASS_VRAM	1

struct xe_abi_mem_region {
	__u16 mem_class;
	__u16 instance; /* its bit in the placement of an object */
	__u32 min_page_size;
	__u64 total_size;
	__u64 used;
	__u64 cpu_visible_size;
	__u64 cpu_visible_used;
	__u64 reserved[6];
};

/* The regions follow. */
struct xe_abi_mem_regions {
	__u32 num_mem_regions;
	__u32 pad;
};

#define XE_ABI_GEM_NEEDS_VISIBLE_VRAM (1U << 2)
#define XE_ABI_CPU_CACHING_WC	      2

struct xe_abi_gem_create {
	__u64 extensions;
	__u64 size;
	__u32 placement;
	__u32 flags;
	__u32 vm_id;
	__u32 handle;
	__u16 cpu_caching;
	__u16 pad[3];
	__u64 reserved[2];
};

/* virtio-gpu: blobs. */
#define VIRTIO_ABI_CREATE_BLOB	       DRM_IOWR(DRM_COMMAND_BASE + 0x0a, struct virtio_abi_create_blob)

#define VIRTIO_ABI_PARAM_RESOURCE_BLOB 3

#define VIRTIO_ABI_BLOB_MEM_GUEST      1
#define VIRTIO_ABI_BLOB_MEM_HOST3D     2
#define VIRTIO_ABI_BLOB_USE_MAPPABLE   0x1U
#define VIRTIO_ABI_BLOB_USE_SHAREABLE  0x2U

struct virtio_abi_create_blob {
	__u32 blob_mem;
	__u32 blob_flags;
	__u32 bo_handle;
	__u32 res_handle;
	__u64 size;
	__u32 pad;
	__u32 cmd_size;
	__u64 cmd;
	__u64 blob_id;
};

/* The last member was once called stride, and always 0. */
struct virtio_abi_resource_info {
	__u32 bo_handle;
	__u32 res_handle;
	__u32 size;
	__u32 blob_mem; /* 0: no blob */
};

#define VIRTIO_ABI_RESOURCE_INFO DRM_IOWR(DRM_COMMAND_BASE + 0x05, struct virtio_abi_resource_info)

/* nouveau: its numbers, which libdrm keeps to itself. */
#define NOUVEAU_ABI_GETPARAM	 DRM_IOWR(DRM_COMMAND_BASE + 0x00, struct drm_nouveau_getparam)
#define NOUVEAU_ABI_GEM_NEW	 DRM_IOWR(DRM_COMMAND_BASE + 0x40, struct drm_nouveau_gem_new)
#define NOUVEAU_ABI_GEM_INFO	 DRM_IOWR(DRM_COMMAND_BASE + 0x44, struct drm_nouveau_gem_info)

#endif /* DRM_ABI_H */
