/* SPDX-License-Identifier: MIT */
#ifndef SOURCE_VFIO_H
#define SOURCE_VFIO_H

#include "common/vfio.h"
#include "provider.h"

struct broker;
struct event_base;

/*
 * A function that is bound to vfio-pci. Nothing is opened until the first lease: others
 * may want the function, too. @fd: a kept descriptor, or -1; @name: what it is kept as.
 */
int source_vfio_new(struct event_base *base, struct broker *broker, struct vfio_nodes *nodes,
		    const struct pci_function *function, int fd, const char *name,
		    struct device **ret_device);

/* What restored leases say about the kept descriptor; after its providers are added. */
void source_vfio_restored(struct device *device);

#endif /* SOURCE_VFIO_H */
