/* SPDX-License-Identifier: MIT */
#ifndef COMMON_VFIO_H
#define COMMON_VFIO_H

#include <stdbool.h>
#include <stdint.h>

#include "cause.h"
#include "list.h"
#include "pci.h"
#include "sys.h"

struct vfio_group;

/*
 * Somebody who keeps beyond this process what functions share, as he does the functions' own
 * descriptors. Without it, whoever goes on with a function can't open another of its group.
 */
struct vfio_keeper {
	void (*keep)(const char *name, int fd, void *data);
	/* His copy must be closed before the next call of vfio_open(). */
	void (*forget)(const char *name, void *data);
	int (*take)(const char *name, void *data); /* what an earlier process had; -1: nothing */
	void *data;
};

/*
 * Where VFIO's nodes are, and what the functions that one process has open share. No locks: the
 * owner calls under one of its own, or from one thread.
 */
struct vfio_nodes {
	const struct sys_ops *sys;
	const struct vfio_keeper *keeper; /* NULL: nobody */
	int dev_fd;			  /* borrowed */
	struct list groups;
	int iommu_fd; /* -1: nobody uses it */
	unsigned int nr_iommu_users;
};

/* A function as VFIO gives it. */
struct vfio_open {
	int fd;			  /* the device; -1: not open */
	struct vfio_group *group; /* one of the two, by how it was opened */
	bool has_iommu_fd;
};

#define VFIO_OPEN_INIT                                                                             \
	{                                                                                          \
		.fd = -1                                                                           \
	}

void vfio_nodes_init(struct vfio_nodes *nodes, const struct sys_ops *sys, int dev_fd);

/* Does it belong to a VFIO driver? */
bool vfio_is_bound(const struct pci_function *function);

/*
 * By character device and iommufd where there are both, else by group and container. Failing,
 * they leave a sentence; vfio_check() opens nothing, needs no lock and leaves one in any case.
 */
int vfio_check(const struct vfio_nodes *nodes, const struct pci_function *function,
	       struct cause *ret_why);
int vfio_open(struct vfio_nodes *nodes, const struct pci_function *function, struct cause *ret_why,
	      struct vfio_open *ret_open);
/* Goes on with @fd, a function that an earlier process opened; takes it over. */
void vfio_adopt(struct vfio_nodes *nodes, const struct pci_function *function, int fd,
		struct vfio_open *ret_open);
/* Idempotent. */
void vfio_close(struct vfio_nodes *nodes, struct vfio_open *open);

/* What is asked of an open device; 0 or -errno. */
int vfio_can_export(const struct sys_ops *sys, int fd); /* DMABUFs: -EOPNOTSUPP */
int vfio_region_query(const struct sys_ops *sys, int fd, uint32_t index, uint64_t *ret_offset);
/* Memory decode: while it is off, its DMABUFs are revoked. */
int vfio_decode_set(const struct sys_ops *sys, int fd, bool is_on);
/* @event_fd is signalled by interrupt @index, one of VFIO's own. */
int vfio_irq_set(const struct sys_ops *sys, int fd, uint32_t index, int event_fd);

#endif /* COMMON_VFIO_H */
