// SPDX-License-Identifier: MIT
/*
 * amdgpu: vram of AMD GPUs.
 *
 * What is asked for in vram is put there as long as there is room, else the driver takes system
 * memory and says nothing. It also moves an object to system memory when an importer attaches
 * that can't reach the GPU. CPU_ACCESS_REQUIRED keeps it in the part of vram that the BAR
 * shows, and is a wish, too. So all of it is looked at afterwards. What GEM_OP tells is where the
 * object was wished to be, not where it is; fdinfo tells that.
 */
#include <amdgpu_drm.h>

#include "context/context.h"
#include "object.h"

static int allocate(struct drm_object *object, uint64_t length_bytes, bool is_system_allowed)
{
	struct p2pdma_context *context = object->context;
	union drm_amdgpu_gem_create create = {
		.in =
			{
				.bo_size = length_bytes,
				.alignment = context->page_size_bytes,
				.domains = AMDGPU_GEM_DOMAIN_VRAM,
				.domain_flags = AMDGPU_GEM_CREATE_CPU_ACCESS_REQUIRED,
			},
	};
	int r;

	if (is_system_allowed)
		create.in.domains |= AMDGPU_GEM_DOMAIN_GTT;
	r = drm_ioctl(context, object->fd, DRM_IOCTL_AMDGPU_GEM_CREATE, &create);
	if (r)
		return drm_allocate_failed(object, length_bytes, r);
	object->handle = create.out.handle;
	return 0;
}

static int memory(const struct drm_object *object, uint64_t *ret_size_bytes)
{
	struct drm_amdgpu_info_vram_gtt info = {.vram_size = 0};
	struct drm_amdgpu_info argument = {
		.return_pointer = (uintptr_t)&info,
		.return_size = sizeof(info),
		.query = AMDGPU_INFO_VRAM_GTT,
	};
	int r;

	r = drm_ioctl(object->context, object->fd, DRM_IOCTL_AMDGPU_INFO, &argument);
	if (r)
		return drm_query_failed(object, "how much vram it has", r);
	*ret_size_bytes = info.vram_size;
	return 0;
}

const struct drm_driver drm_amdgpu = {
	.name = "amdgpu",
	.allocate = allocate,
	.place = drm_usage_place,
	.memory = memory,
};
