// SPDX-License-Identifier: MIT
/*
 * i915: local memory of Intel's GPUs.
 *
 * The driver moves what it exports to system memory before any importer maps it, and refuses the
 * importer where the object may not be there. So an object that may be in local memory only
 * stays there, and most kernels let nobody in; one that may be in both is in system memory as
 * soon as it is used. Kernels with Intel's own i915 let peers reach local memory.
 *
 * Pages are made when the object is first used: until then fdinfo has nothing of it.
 */
#include <errno.h>

#include <i915_drm.h>

#include "context/context.h"
#include "object.h"

#define MAX_REGIONS 16

struct regions {
	struct drm_i915_query_memory_regions head;
	struct drm_i915_memory_region_info list[MAX_REGIONS];
};

static int query_regions(const struct drm_object *object, struct regions *regions)
{
	struct p2pdma_context *context = object->context;
	struct drm_i915_query_item item = {
		.query_id = DRM_I915_QUERY_MEMORY_REGIONS,
		.length = sizeof(*regions),
		.data_ptr = (uintptr_t)regions,
	};
	struct drm_i915_query query = {.num_items = 1, .items_ptr = (uintptr_t)&item};
	int r;

	r = drm_ioctl(context, object->fd, DRM_IOCTL_I915_QUERY, &query);
	/* An item has an answer of its own. */
	if (!r && item.length < 0)
		r = item.length;
	if (!r && regions->head.num_regions > MAX_REGIONS)
		r = -E2BIG;
	if (r)
		return drm_query_failed(object, "its memory regions", r);
	return 0;
}

static const struct drm_i915_gem_memory_class_instance *find(const struct regions *regions,
							     uint16_t memory_class)
{
	for (uint32_t i = 0; i < regions->head.num_regions; i++) {
		if (regions->list[i].region.memory_class == memory_class)
			return &regions->list[i].region;
	}
	return NULL;
}

static int create(struct drm_object *object, uint64_t length_bytes,
		  const struct drm_i915_gem_memory_class_instance *places, uint32_t nr_places)
{
	struct p2pdma_context *context = object->context;
	struct drm_i915_gem_create_ext_memory_regions regions = {
		.base.name = I915_GEM_CREATE_EXT_MEMORY_REGIONS,
		.num_regions = nr_places,
		.regions = (uintptr_t)places,
	};
	struct drm_i915_gem_create_ext argument = {
		.size = length_bytes,
		/* What the BAR shows; the kernel takes it only where it may spill. */
		.flags = nr_places > 1 ? I915_GEM_CREATE_EXT_FLAG_NEEDS_CPU_ACCESS : 0,
		.extensions = (uintptr_t)&regions,
	};
	int r;

	r = drm_ioctl(context, object->fd, DRM_IOCTL_I915_GEM_CREATE_EXT, &argument);
	if (r)
		return drm_allocate_failed(object, length_bytes, r);
	object->handle = argument.handle;
	object->is_fixed = nr_places == 1;
	return 0;
}

static int allocate(struct drm_object *object, uint64_t length_bytes, bool is_system_allowed)
{
	const struct drm_i915_gem_memory_class_instance *local, *system;
	struct drm_i915_gem_memory_class_instance places[2];
	struct regions regions = {.head.num_regions = 0};
	int r;

	r = query_regions(object, &regions);
	if (r)
		return r;
	local = find(&regions, I915_MEMORY_CLASS_DEVICE);
	if (!local)
		return context_fail(object->context, -EOPNOTSUPP,
				    "this GPU has no memory of its own");
	system = is_system_allowed ? find(&regions, I915_MEMORY_CLASS_SYSTEM) : NULL;
	places[0] = *local;
	if (system)
		places[1] = *system;
	return create(object, length_bytes, places, system ? 2 : 1);
}

static int memory(const struct drm_object *object, uint64_t *ret_size_bytes)
{
	struct regions regions = {.head.num_regions = 0};
	uint64_t size_bytes = 0;
	int r;

	r = query_regions(object, &regions);
	if (r)
		return r;
	for (uint32_t i = 0; i < regions.head.num_regions; i++) {
		if (regions.list[i].region.memory_class == I915_MEMORY_CLASS_DEVICE)
			size_bytes += regions.list[i].probed_size;
	}
	*ret_size_bytes = size_bytes;
	return 0;
}

const struct drm_driver drm_i915 = {
	.name = "i915",
	.no_peer = "maps memory of the machine only, and can't be revoked",
	.caveat = "most kernels let no other device reach its local memory",
	.allocate = allocate,
	.place = drm_usage_place,
	.memory = memory,
};
