/* SPDX-License-Identifier: MIT */
#ifndef BACKEND_DRM_H
#define BACKEND_DRM_H

#include "device.h"
#include "drm/object.h"

/* One object of a DRM device; there is one for each buffer. */
struct drm_device {
	struct device device;
	/* Of the object, which a revocation ends while it is asked about; none is taken inside. */
	pthread_mutex_t lock;
	struct drm_object object;
	bool is_listed;	  /* its function is known, and may leave */
	uint64_t binding; /* of the function to its driver: another one has another number */
};

static inline struct drm_device *drm_device_of(struct device *device)
{
	return list_entry(device, struct drm_device, device);
}

/* Under context->lock: has the function been unplugged, or lost its driver? */
bool drm_device_has_left(const struct drm_device *drm);
/* Frees what drm_device_new() made, but for the object. */
void drm_device_free(struct drm_device *drm);

/* Takes the object over. @function: NULL for a DRM device that is no PCI function's. */
int drm_device_new(struct p2pdma_context *context, const struct pci_function *function,
		   const struct drm_object *object, struct drm_device **ret_device);

#endif /* BACKEND_DRM_H */
