// SPDX-License-Identifier: MIT
/*
 * What each DRM driver answers, checked as the kernel's own does it (Linux 7.3: the functions named
 * below), and what it does with memory that is imported elsewhere.
 */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <amdgpu_drm.h>
#include <drm_mode.h>
#include <i915_drm.h>
#include <nouveau_drm.h>
#include <virtgpu_drm.h>

#include "drm/abi.h"
#include "fake_drm.h"

#define PAGE	  4096
#define XE_PAGE	  (64 * 1024)
#define XE_SYSTEM 0
#define XE_VRAM	  1

static bool is(const char *driver)
{
	return !strcmp(fake_drm.driver, driver);
}

/* amdgpu_gem_create_ioctl(): what has no room in vram goes to system memory, silently. */
static int amdgpu_create(int fd, union drm_amdgpu_gem_create *argument)
{
	uint32_t handle;
	int r;

	if (argument->in.domains & ~(uint64_t)(AMDGPU_GEM_DOMAIN_VRAM | AMDGPU_GEM_DOMAIN_GTT) ||
	    !argument->in.domains || !argument->in.bo_size ||
	    argument->in.domain_flags & ~(uint64_t)AMDGPU_GEM_CREATE_CPU_ACCESS_REQUIRED)
		return -EINVAL;
	r = fake_drm_make(fd, argument->in.bo_size, FAKE_PLACE_DEVICE | FAKE_PLACE_SYSTEM, &handle);
	if (!r) {
		memset(argument, 0, sizeof(*argument));
		argument->out.handle = handle;
	}
	return r;
}

static int amdgpu_info(const struct drm_amdgpu_info *argument)
{
	struct drm_amdgpu_info_vram_gtt *info = (void *)(uintptr_t)argument->return_pointer;

	if (argument->query != AMDGPU_INFO_VRAM_GTT || argument->return_size != sizeof(*info))
		return -EINVAL;
	info->vram_size = FAKE_DRM_VRAM;
	return 0;
}

/* query_mem_regions() of xe: asked with size 0 it tells the size. */
static int xe_query(struct xe_abi_device_query *argument)
{
	uint32_t count = fake_drm.is_integrated ? 1 : 2;
	struct xe_abi_mem_regions *head = (void *)(uintptr_t)argument->data;
	uint32_t size = (uint32_t)(sizeof(*head) + count * sizeof(struct xe_abi_mem_region));
	struct xe_abi_mem_region *list = (void *)(head + 1);

	if (argument->extensions || argument->query != XE_ABI_QUERY_MEM_REGIONS)
		return -EINVAL;
	if (!argument->size) {
		argument->size = size;
		return 0;
	}
	if (argument->size != size)
		return -EINVAL;
	memset(head, 0, size);
	head->num_mem_regions = count;
	list[0].mem_class = XE_ABI_MEM_CLASS_SYSTEM;
	list[0].instance = XE_SYSTEM;
	list[0].min_page_size = PAGE;
	if (count == 1)
		return 0;
	list[1].mem_class = XE_ABI_MEM_CLASS_VRAM;
	list[1].instance = XE_VRAM;
	list[1].min_page_size = XE_PAGE;
	list[1].total_size = FAKE_DRM_VRAM;
	return 0;
}

/* xe_gem_create_ioctl() */
static int xe_create(int fd, struct xe_abi_gem_create *argument)
{
	uint32_t known = 1U << XE_SYSTEM | (fake_drm.is_integrated ? 0 : 1U << XE_VRAM);
	bool is_vram = argument->placement & 1U << XE_VRAM;

	if (argument->extensions || argument->pad[0] || argument->reserved[0] || argument->handle ||
	    argument->vm_id || !argument->placement || argument->placement & ~known ||
	    argument->flags & ~XE_ABI_GEM_NEEDS_VISIBLE_VRAM || !argument->size ||
	    argument->size % (is_vram ? XE_PAGE : PAGE))
		return -EINVAL;
	if (is_vram ? argument->cpu_caching != XE_ABI_CPU_CACHING_WC : !argument->cpu_caching)
		return -EINVAL;
	return fake_drm_make(fd, argument->size,
			     (is_vram ? FAKE_PLACE_DEVICE : 0) |
				     (argument->placement & 1U << XE_SYSTEM ? FAKE_PLACE_SYSTEM :
									      0),
			     &argument->handle);
}

static int i915_query(const struct drm_i915_query *argument)
{
	struct drm_i915_query_item *item = (void *)(uintptr_t)argument->items_ptr;
	struct drm_i915_query_memory_regions *regions = (void *)(uintptr_t)item->data_ptr;
	uint32_t count = fake_drm.is_integrated ? 1 : 2;

	if (argument->num_items != 1 || argument->flags || item->flags)
		return -EINVAL;
	if (item->query_id != DRM_I915_QUERY_MEMORY_REGIONS ||
	    (size_t)item->length < sizeof(*regions) + count * sizeof(regions->regions[0])) {
		item->length = -EINVAL;
		return 0;
	}
	regions->num_regions = count;
	regions->regions[0].region.memory_class = I915_MEMORY_CLASS_SYSTEM;
	if (count == 1)
		return 0;
	regions->regions[1].region.memory_class = I915_MEMORY_CLASS_DEVICE;
	regions->regions[1].probed_size = FAKE_DRM_VRAM;
	return 0;
}

/* i915_gem_create_ext_ioctl(), set_placements(): pages are made on first use. */
static int i915_create(int fd, struct drm_i915_gem_create_ext *argument)
{
	const struct drm_i915_gem_create_ext_memory_regions *extension =
		(void *)(uintptr_t)argument->extensions;
	const struct drm_i915_gem_memory_class_instance *places;
	uint32_t wanted = 0;
	int r;

	if (!extension || extension->base.name != I915_GEM_CREATE_EXT_MEMORY_REGIONS ||
	    extension->base.next_extension || extension->pad || !extension->num_regions)
		return -EINVAL;
	places = (void *)(uintptr_t)extension->regions;
	for (uint32_t i = 0; i < extension->num_regions; i++) {
		uint32_t place = places[i].memory_class == I915_MEMORY_CLASS_DEVICE ?
					 FAKE_PLACE_DEVICE :
					 FAKE_PLACE_SYSTEM;

		if (wanted & place || places[i].memory_instance)
			return -EINVAL;
		wanted |= place;
	}
	if (argument->flags & I915_GEM_CREATE_EXT_FLAG_NEEDS_CPU_ACCESS &&
	    wanted != (FAKE_PLACE_DEVICE | FAKE_PLACE_SYSTEM))
		return -EINVAL;
	r = fake_drm_make(fd, argument->size, wanted, &argument->handle);
	if (!r)
		fake_drm_last()->is_made = false;
	return r;
}

/* nouveau_gem_new(), of chips that keep to the domains they were asked for. */
static int nouveau_new(int fd, struct drm_nouveau_gem_new *argument)
{
	uint32_t domain = argument->info.domain;

	if (!argument->info.size || !argument->align)
		return -EINVAL;
	return fake_drm_make(fd, argument->info.size,
			     (domain & NOUVEAU_GEM_DOMAIN_VRAM ? FAKE_PLACE_DEVICE : 0) |
				     (domain & NOUVEAU_GEM_DOMAIN_GART ? FAKE_PLACE_SYSTEM : 0),
			     &argument->info.handle);
}

/* nouveau_gem_info(): of one allowed place, that; of two, where it is. */
static int nouveau_info(int fd, struct drm_nouveau_gem_info *argument)
{
	const struct fake_gem *object = fake_drm_find(fd, argument->handle);
	uint32_t place;

	if (!object)
		return -ENOENT;
	place = object->allowed == 3 ? object->place : object->allowed;
	argument->domain =
		place == FAKE_PLACE_DEVICE ? NOUVEAU_GEM_DOMAIN_VRAM : NOUVEAU_GEM_DOMAIN_GART;
	argument->size = object->size_bytes;
	return 0;
}

static int virtio_getparam(const struct drm_virtgpu_getparam *argument)
{
	int *value = (void *)(uintptr_t)argument->value;

	if (argument->param == VIRTIO_ABI_PARAM_RESOURCE_BLOB)
		*value = fake_drm.has_blob;
	else if (argument->param == VIRTGPU_PARAM_3D_FEATURES)
		*value = fake_drm.has_3d;
	else
		return -EINVAL;
	return 0;
}

/* virtio_gpu_resource_create_ioctl() */
static int virtio_create(int fd, struct drm_virtgpu_resource_create *argument)
{
	if (!fake_drm.has_3d && (argument->depth > 1 || argument->nr_samples > 1 ||
				 argument->target != 2 || argument->array_size > 1))
		return -EINVAL;
	/* The host's picture has to have as many bytes as the guest gives it. */
	if (!fake_drm.has_3d)
		assert_int_equal(argument->width * argument->height * 4, argument->size);
	else
		assert_int_equal(argument->width, argument->size);
	fake_drm.last_target = argument->target;
	return fake_drm_make(fd, argument->size, FAKE_PLACE_SYSTEM, &argument->bo_handle);
}

static int virtio_create_blob(int fd, struct virtio_abi_create_blob *argument)
{
	int r;

	if (!fake_drm.has_blob || argument->blob_mem != VIRTIO_ABI_BLOB_MEM_GUEST ||
	    argument->blob_id || argument->cmd_size)
		return -EINVAL;
	r = fake_drm_make(fd, argument->size, FAKE_PLACE_SYSTEM, &argument->bo_handle);
	if (!r)
		fake_drm_last()->blob_mem = argument->blob_mem;
	return r;
}

static int virtio_info(int fd, struct virtio_abi_resource_info *argument)
{
	const struct fake_gem *object = fake_drm_find(fd, argument->bo_handle);

	if (!object)
		return -ENOENT;
	argument->blob_mem = object->blob_mem;
	return 0;
}

static int vgem_create(int fd, struct drm_mode_create_dumb *argument)
{
	uint64_t size_bytes = (uint64_t)argument->width * argument->height;

	if (argument->bpp != 8 || !size_bytes || size_bytes > UINT32_MAX)
		return -EINVAL;
	return fake_drm_make(fd, size_bytes, FAKE_PLACE_SYSTEM, &argument->handle);
}

int fake_drm_driver_ioctl(int fd, unsigned long request, void *argument)
{
	if (is("amdgpu") && request == DRM_IOCTL_AMDGPU_GEM_CREATE)
		return amdgpu_create(fd, argument);
	if (is("amdgpu") && request == DRM_IOCTL_AMDGPU_INFO)
		return amdgpu_info(argument);
	if (is("xe") && request == XE_ABI_DEVICE_QUERY)
		return xe_query(argument);
	if (is("xe") && request == XE_ABI_GEM_CREATE)
		return xe_create(fd, argument);
	if (is("i915") && request == DRM_IOCTL_I915_QUERY)
		return i915_query(argument);
	if (is("i915") && request == DRM_IOCTL_I915_GEM_CREATE_EXT)
		return i915_create(fd, argument);
	if (is("nouveau") && request == NOUVEAU_ABI_GEM_NEW)
		return nouveau_new(fd, argument);
	if (is("nouveau") && request == NOUVEAU_ABI_GEM_INFO)
		return nouveau_info(fd, argument);
	if (is("nouveau") && request == NOUVEAU_ABI_GETPARAM) {
		((struct drm_nouveau_getparam *)argument)->value = FAKE_DRM_VRAM;
		return 0;
	}
	if (is("virtio_gpu") && request == DRM_IOCTL_VIRTGPU_GETPARAM)
		return virtio_getparam(argument);
	if (is("virtio_gpu") && request == DRM_IOCTL_VIRTGPU_RESOURCE_CREATE)
		return virtio_create(fd, argument);
	if (is("virtio_gpu") && request == VIRTIO_ABI_CREATE_BLOB)
		return virtio_create_blob(fd, argument);
	if (is("virtio_gpu") && request == VIRTIO_ABI_RESOURCE_INFO)
		return virtio_info(fd, argument);
	if (is("vgem") && request == DRM_IOCTL_MODE_CREATE_DUMB)
		return vgem_create(fd, argument);
	return -ENOTTY;
}

/*
 * amdgpu_dma_buf_map(), xe_dma_buf_map(), i915_gem_dmabuf_attach(), nouveau_gem_prime_pin(): the
 * first two move what the importer can't reach, the others whatever is imported.
 */
void fake_drm_attach(bool can_reach)
{
	bool is_moving = is("i915") || is("nouveau") || !can_reach;

	for (uint32_t i = 0; i < fake_drm.nr_objects; i++) {
		struct fake_gem *object = &fake_drm.objects[i];

		object->is_made = true;
		if (is_moving && object->allowed & FAKE_PLACE_SYSTEM)
			object->place = FAKE_PLACE_SYSTEM;
	}
}
