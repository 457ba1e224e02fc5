// SPDX-License-Identifier: MIT
/*
 * xe: vram of Intel's GPUs, and of its memory regions the first of the device.
 *
 * An object that may be in vram only is never moved to system memory: an importer that can't reach
 * the GPU is refused when it attaches. NEEDS_VISIBLE_VRAM keeps it in the part that the BAR shows;
 * the driver exports nothing else. Sizes are multiples of the region's own pages, 64 KiB
 * on most.
 */
#include <errno.h>
#include <inttypes.h>

#include "context/context.h"
#include "object.h"
#include "abi.h"

#define MAX_REGIONS 16

struct regions {
	struct xe_abi_mem_regions head;
	struct xe_abi_mem_region list[MAX_REGIONS];
};

static int query_regions(const struct drm_object *object, struct regions *regions)
{
	struct p2pdma_context *context = object->context;
	struct xe_abi_device_query query = {.query = XE_ABI_QUERY_MEM_REGIONS};
	int r;

	r = drm_ioctl(context, object->fd, XE_ABI_DEVICE_QUERY, &query);
	if (!r && query.size > sizeof(*regions))
		r = -E2BIG;
	query.data = (uintptr_t)regions;
	if (!r)
		r = drm_ioctl(context, object->fd, XE_ABI_DEVICE_QUERY, &query);
	if (!r && (query.size < sizeof(regions->head) ||
		   regions->head.num_mem_regions >
			   (query.size - sizeof(regions->head)) / sizeof(*regions->list)))
		r = -EIO;
	if (r)
		return drm_query_failed(object, "its memory regions", r);
	return 0;
}

/* The first of the device's own, or of system memory; NULL: none. */
static const struct xe_abi_mem_region *find(const struct regions *regions, uint16_t mem_class)
{
	for (uint32_t i = 0; i < regions->head.num_mem_regions; i++) {
		const struct xe_abi_mem_region *region = &regions->list[i];

		if (region->mem_class == mem_class && region->instance < 32)
			return region;
	}
	return NULL;
}

static int create(struct drm_object *object, uint64_t length_bytes, uint32_t placement,
		  bool is_fixed)
{
	struct p2pdma_context *context = object->context;
	struct xe_abi_gem_create argument = {
		.size = length_bytes,
		.placement = placement,
		.flags = XE_ABI_GEM_NEEDS_VISIBLE_VRAM,
		.cpu_caching = XE_ABI_CPU_CACHING_WC,
	};
	int r;

	r = drm_ioctl(context, object->fd, XE_ABI_GEM_CREATE, &argument);
	if (r)
		return drm_allocate_failed(object, length_bytes, r);
	object->handle = argument.handle;
	object->is_fixed = is_fixed;
	return 0;
}

static int allocate(struct drm_object *object, uint64_t length_bytes, bool is_system_allowed)
{
	const struct xe_abi_mem_region *vram, *system;
	struct regions regions = {.head.num_mem_regions = 0};
	uint64_t page;
	int r;

	r = query_regions(object, &regions);
	if (r)
		return r;
	vram = find(&regions, XE_ABI_MEM_CLASS_VRAM);
	if (!vram)
		return context_fail(object->context, -EOPNOTSUPP,
				    "this GPU has no memory of its own");
	page = vram->min_page_size > object->context->page_size_bytes ?
		       vram->min_page_size :
		       object->context->page_size_bytes;
	if (length_bytes > UINT64_MAX - page)
		return context_fail(object->context, -EINVAL, "0x%" PRIx64 " bytes are too many",
				    length_bytes);
	length_bytes = (length_bytes + page - 1) / page * page;
	system = is_system_allowed ? find(&regions, XE_ABI_MEM_CLASS_SYSTEM) : NULL;
	return create(object, length_bytes,
		      1U << vram->instance | (system ? 1U << system->instance : 0), !system);
}

static int memory(const struct drm_object *object, uint64_t *ret_size_bytes)
{
	struct regions regions = {.head.num_mem_regions = 0};
	uint64_t size_bytes = 0;
	int r;

	r = query_regions(object, &regions);
	if (r)
		return r;
	for (uint32_t i = 0; i < regions.head.num_mem_regions; i++) {
		if (regions.list[i].mem_class == XE_ABI_MEM_CLASS_VRAM)
			size_bytes += regions.list[i].total_size;
	}
	*ret_size_bytes = size_bytes;
	return 0;
}

const struct drm_driver drm_xe = {
	.name = "xe",
	.allocate = allocate,
	.place = drm_usage_place,
	.memory = memory,
};
