/* SPDX-License-Identifier: MIT */
#ifndef VFIO_OPEN_H
#define VFIO_OPEN_H

#include <stdint.h>

#include "common/pci.h"

/* A function as VFIO gives it; what isn't used is -1. */
struct vfio_open {
	int fd; /* the device: it holds the rest as long as it is open */
	int group_fd;
	int container_fd;
	int iommu_fd;
};

/* By character device and iommufd where there are both, else by group and container. */
int vfio_open(int dev_fd, const struct pci_function *function, struct vfio_open *ret_open);
void vfio_close(struct vfio_open *open);

/* Can it export DMABUFs? -EOPNOTSUPP. Turns memory decode on. */
int vfio_prepare(int fd);
/* What it exported is out of reach while this is off. */
int vfio_decode_set(int fd, int is_on);

/* @event_fd is signalled when the kernel wants the device back; repeatedly. */
int vfio_request_set(int fd, int event_fd);

#endif /* VFIO_OPEN_H */
