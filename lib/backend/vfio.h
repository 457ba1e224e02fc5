/* SPDX-License-Identifier: MIT */
#ifndef BACKEND_VFIO_H
#define BACKEND_VFIO_H

#include "device.h"

/* A function open through vfio-pci. */
struct vfio_device {
	struct device device;
	struct vfio_open open; /* its fd is -1 once closed for good; under open_lock */
	int req_fd;	       /* eventfd: the kernel wants the device back */
	int err_fd;	       /* eventfd: PCI error */
	struct event_source req;
	struct event_source err;
};

static inline struct vfio_device *vfio_device_of(struct device *device)
{
	return list_entry(device, struct vfio_device, device);
}

/* Events. watch and unwatch under context->lock. */
int vfio_events_open(struct vfio_device *vfio);
void vfio_events_close(struct vfio_device *vfio);
int vfio_events_watch(struct device *device);
void vfio_events_unwatch(struct device *device);

#endif /* BACKEND_VFIO_H */
