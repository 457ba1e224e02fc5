// SPDX-License-Identifier: MIT
/*
 * vgem, a DRM device without hardware: for tests, and for software renderers. And DRM drivers that
 * this library knows nothing of.
 *
 * vgem makes what it is asked for as a picture, on its primary node only (a render node allows no
 * such calls). Of an unknown driver only what fdinfo tells is believed.
 */
#include <errno.h>
#include <inttypes.h>

#include <drm.h>
#include <drm_mode.h>

#include "context/context.h"
#include "object.h"

static int allocate(struct drm_object *object, uint64_t length_bytes, bool is_system_allowed)
{
	struct p2pdma_context *context = object->context;
	uint64_t page = context->page_size_bytes;
	struct drm_mode_create_dumb argument = {.bpp = 8};
	int r;

	(void)is_system_allowed;
	/* The kernel counts the bytes of a picture in 32 bits. */
	if (length_bytes > UINT32_MAX)
		return context_fail(context, -EINVAL,
				    "vgem makes no object of 0x%" PRIx64 " bytes, only below 4 GiB",
				    length_bytes);
	argument.width = (uint32_t)page;
	argument.height = (uint32_t)(length_bytes / page);
	r = drm_ioctl(context, object->fd, DRM_IOCTL_MODE_CREATE_DUMB, &argument);
	if (r)
		return drm_allocate_failed(object, length_bytes, r);
	object->handle = argument.handle;
	return 0;
}

const struct drm_driver drm_vgem = {
	.name = "vgem",
	.no_peer = "maps no memory of other devices, and can't be revoked",
	.system_cause = "it has no device, all its objects are system memory",
	.allocate = allocate,
};

const struct drm_driver drm_other = {
	.place = drm_usage_place,
};
