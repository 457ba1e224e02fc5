/* SPDX-License-Identifier: MIT */
#ifndef SOURCE_VFIO_H
#define SOURCE_VFIO_H

#include "provider/provider.h"
#include "vfio_jobs.h"

struct broker;
struct event_base;

/* What all functions have in common; borrowed, and lives as long as they do. */
struct source_vfio_owner {
	struct event_base *base;
	struct broker *broker;
	struct vfio_jobs *jobs;
	int sysfs_fd;
	/* It has been opened or closed, or that failed; called from the loop. */
	void (*settled)(void *data, struct device *device);
	void *data;
	bool is_ending; /* what is kept stays open there */
};

/*
 * A function that is bound to vfio-pci. Nothing is opened until the first lease: others
 * may want the function, too. @fd: a kept descriptor, or -1; @name: what it is kept as.
 */
int source_vfio_new(const struct source_vfio_owner *owner, const struct pci_function *function,
		    int fd, const char *name, struct device **ret_device);

/*
 * It has left its driver. True: that waits for it to be closed, and its leases are asked for; then it is
 * let go.
 */
bool source_vfio_leave(struct device *device);
bool source_vfio_is_let_go(struct device *device);

/* What restored leases say about the kept descriptor; after its providers are added. */
void source_vfio_restored(struct device *device);

#endif /* SOURCE_VFIO_H */
