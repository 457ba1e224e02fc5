// SPDX-License-Identifier: MIT
/*
 * nouveau: vram of NVIDIA's GPUs, with the kernel's own driver.
 *
 * The driver moves what it exports to system memory when an importer attaches, whoever that is.
 * Of an object that may be in one place only GEM_INFO says that place, even after it was moved. So
 * an object is made for both, and then GEM_INFO tells where it is.
 */
#include <errno.h>
#include <stdint.h>

#include <drm.h>
#include <nouveau_drm.h>

#include "context/context.h"
#include "object.h"
#include "abi.h"

static int allocate(struct drm_object *object, uint64_t length_bytes, bool is_system_allowed)
{
	struct p2pdma_context *context = object->context;
	struct drm_nouveau_gem_new argument = {
		.info =
			{
				.size = length_bytes,
				.domain = NOUVEAU_GEM_DOMAIN_VRAM | NOUVEAU_GEM_DOMAIN_GART |
					  NOUVEAU_GEM_DOMAIN_MAPPABLE,
				.tile_flags = NOUVEAU_GEM_TILE_NONCONTIG,
			},
		.align = (uint32_t)context->page_size_bytes,
	};
	int r;

	(void)is_system_allowed;
	r = drm_ioctl(context, object->fd, NOUVEAU_ABI_GEM_NEW, &argument);
	if (r)
		return drm_allocate_failed(object, length_bytes, r);
	object->handle = argument.info.handle;
	return 0;
}

static int place(const struct drm_object *object, enum drm_place *ret_place)
{
	struct drm_nouveau_gem_info info = {.handle = object->handle};
	int r;

	r = drm_ioctl(object->context, object->fd, NOUVEAU_ABI_GEM_INFO, &info);
	if (r)
		return drm_query_failed(object, "where the object is", r);
	*ret_place = info.domain & NOUVEAU_GEM_DOMAIN_VRAM ? DRM_PLACE_DEVICE : DRM_PLACE_SYSTEM;
	return 0;
}

static int memory(const struct drm_object *object, uint64_t *ret_size_bytes)
{
	struct drm_nouveau_getparam argument = {.param = NOUVEAU_GETPARAM_FB_SIZE};
	int r;

	r = drm_ioctl(object->context, object->fd, NOUVEAU_ABI_GETPARAM, &argument);
	if (r)
		return drm_query_failed(object, "how much vram it has", r);
	*ret_size_bytes = argument.value;
	return 0;
}

const struct drm_driver drm_nouveau = {
	.name = "nouveau",
	.no_peer = "maps memory of the machine only, and can't be revoked",
	.caveat = "it moves what it exports to system memory, which is refused unless allowed",
	.allocate = allocate,
	.place = place,
	.memory = memory,
};
