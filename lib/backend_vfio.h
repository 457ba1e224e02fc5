/* SPDX-License-Identifier: MIT */
#ifndef BACKEND_VFIO_H
#define BACKEND_VFIO_H

#include "device.h"

struct vfio_group;
struct vfio_iommufd;

/* A function open through vfio-pci. */
struct vfio_device {
	struct device device;
	int fd;	    /* -1 once closed for good; under open_lock */
	int req_fd; /* eventfd: the kernel wants the device back */
	int err_fd; /* eventfd: PCI error */
	struct event_source req;
	struct event_source err;
	uint64_t config_offset;
	struct vfio_group *group; /* one of the two, by how it was opened */
	struct vfio_iommufd *iommufd;
};

static inline struct vfio_device *vfio_device_of(struct device *device)
{
	return list_entry(device, struct vfio_device, device);
}

/*
 * Two ways to a device descriptor, under open_lock. check() tells without
 * opening whether the nodes are there: 0 or -errno with a sentence. open() fills
 * in fd and what close() releases.
 */
struct vfio_access {
	const char *name;
	int (*check)(const struct p2pdma_context *context, const struct pci_function *function,
		     char *ret_why, size_t size);
	int (*open)(struct p2pdma_context *context, struct vfio_device *vfio);
};

extern const struct vfio_access vfio_cdev;
extern const struct vfio_access vfio_group;

/* NULL is allowed; under open_lock. */
void vfio_iommufd_unref(struct p2pdma_context *context, struct vfio_iommufd *iommufd);
void vfio_group_unref(struct p2pdma_context *context, struct vfio_group *group);

/* Memory decode of the function: while it is off, its DMABUFs are revoked. */
int vfio_decode_set(struct vfio_device *vfio, bool is_on);

/* Events. watch and unwatch under context->lock. */
int vfio_events_open(struct vfio_device *vfio);
void vfio_events_close(struct vfio_device *vfio);
int vfio_events_watch(struct device *device);
void vfio_events_unwatch(struct device *device);

#endif /* BACKEND_VFIO_H */
