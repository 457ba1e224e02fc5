// SPDX-License-Identifier: MIT
/*
 * virtio-gpu: a virtual machine's GPU.
 *
 * Its objects are pages of the guest, which the host is told of: as a blob where the host
 * knows these, else as a buffer of its 3D side, else as a picture of four bytes a pixel. Only blobs
 * of the host's, which a 3D driver makes, lie in a BAR of the device.
 */
#include <errno.h>

#include <virtgpu_drm.h>

#include "context/context.h"
#include "object.h"
#include "abi.h"

/* Of the host's 3D side, in its own numbers. */
#define TARGET_BUFFER	0
#define TARGET_2D	2
#define FORMAT_R8	64
#define FORMAT_B8G8R8A8 1
#define BIND_CUSTOM	(1U << 17)
#define BYTES_PER_PIXEL 4U

/* The host's features; what it doesn't know is 0. */
static int query(const struct drm_object *object, uint64_t param)
{
	int value = 0;
	struct drm_virtgpu_getparam argument = {.param = param, .value = (uintptr_t)&value};

	if (drm_ioctl(object->context, object->fd, DRM_IOCTL_VIRTGPU_GETPARAM, &argument))
		return 0;
	return value;
}

static int create_blob(struct drm_object *object, uint64_t length_bytes)
{
	struct virtio_abi_create_blob argument = {
		.blob_mem = VIRTIO_ABI_BLOB_MEM_GUEST,
		.blob_flags = VIRTIO_ABI_BLOB_USE_MAPPABLE | VIRTIO_ABI_BLOB_USE_SHAREABLE,
		.size = length_bytes,
	};
	int r;

	r = drm_ioctl(object->context, object->fd, VIRTIO_ABI_CREATE_BLOB, &argument);
	if (!r)
		object->handle = argument.bo_handle;
	return r;
}

static int create_resource(struct drm_object *object, uint32_t length_bytes, bool has_3d)
{
	uint32_t page = (uint32_t)object->context->page_size_bytes;
	struct drm_virtgpu_resource_create argument = {
		.target = has_3d ? TARGET_BUFFER : TARGET_2D,
		.format = has_3d ? FORMAT_R8 : FORMAT_B8G8R8A8,
		.bind = has_3d ? BIND_CUSTOM : 0,
		.width = has_3d ? length_bytes : page / BYTES_PER_PIXEL,
		.height = has_3d ? 1 : length_bytes / page,
		.depth = 1,
		.array_size = 1,
		.size = length_bytes,
	};
	int r;

	r = drm_ioctl(object->context, object->fd, DRM_IOCTL_VIRTGPU_RESOURCE_CREATE, &argument);
	if (!r)
		object->handle = argument.bo_handle;
	return r;
}

static int allocate(struct drm_object *object, uint64_t length_bytes, bool is_system_allowed)
{
	int r;

	(void)is_system_allowed;
	if (query(object, VIRTIO_ABI_PARAM_RESOURCE_BLOB))
		r = create_blob(object, length_bytes);
	else if (length_bytes > UINT32_MAX)
		r = -EINVAL;
	else
		r = create_resource(object, (uint32_t)length_bytes,
				    query(object, VIRTGPU_PARAM_3D_FEATURES));
	if (r)
		return drm_allocate_failed(object, length_bytes, r);
	return 0;
}

static int place(const struct drm_object *object, enum drm_place *ret_place)
{
	struct virtio_abi_resource_info info = {.bo_handle = object->handle};
	int r;

	r = drm_ioctl(object->context, object->fd, VIRTIO_ABI_RESOURCE_INFO, &info);
	if (r)
		return drm_query_failed(object, "where the object is", r);
	*ret_place =
		info.blob_mem == VIRTIO_ABI_BLOB_MEM_HOST3D ? DRM_PLACE_DEVICE : DRM_PLACE_SYSTEM;
	return 0;
}

const struct drm_driver drm_virtio = {
	.name = "virtio_gpu",
	.bound = "virtio-pci",
	.system_cause = "what it allocates is system memory, the guest's",
	.allocate = allocate,
	.place = place,
};
