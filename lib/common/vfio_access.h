/* SPDX-License-Identifier: MIT */
#ifndef COMMON_VFIO_ACCESS_H
#define COMMON_VFIO_ACCESS_H

#include "vfio.h"

/*
 * A way to a device descriptor. check() tells without opening whether the nodes are there: 0 or
 * -errno, with a sentence in each case. open() fills in what vfio_close() releases, or nothing.
 */
struct vfio_access {
	int (*check)(const struct vfio_nodes *nodes, const struct pci_function *function,
		     struct cause *ret_why);
	int (*open)(struct vfio_nodes *nodes, const struct pci_function *function,
		    struct cause *ret_why, struct vfio_open *ret_open);
};

extern const struct vfio_access vfio_cdev;
extern const struct vfio_access vfio_group;

void vfio_keep(const struct vfio_nodes *nodes, const char *name, int fd);
void vfio_forget(const struct vfio_nodes *nodes, const char *name);
int vfio_take(const struct vfio_nodes *nodes, const char *name);

/* What an earlier process kept; false, or NULL: nothing. */
bool vfio_iommu_adopt(struct vfio_nodes *nodes);
struct vfio_group *vfio_group_adopt(struct vfio_nodes *nodes, int32_t number);
void vfio_iommu_unref(struct vfio_nodes *nodes);
void vfio_group_unref(struct vfio_nodes *nodes, struct vfio_group *group);

#endif /* COMMON_VFIO_ACCESS_H */
