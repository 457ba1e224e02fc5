/* SPDX-License-Identifier: MIT */
#ifndef DISCOVERY_STATE_H
#define DISCOVERY_STATE_H

#include "discovery.h"
#include "inventory.h"
#include "source/vfio.h"

/* What discovery.c and discovery_open.c share. */
struct discovery {
	struct server *server;
	struct service_fds *kept; /* only while starting */
	bool is_distrusted;
	bool is_ending;
	struct uevents *uevents;
	struct event *retry;
	struct event *after_loss;
	int nr_retries;
	int sysfs_fd;
	int dev_fd;
	struct source_vfio_owner vfio;
	struct list devices;
};

/* -- discovery.c -- */

/* Looks at everything again in a moment, a few times in a row at most. */
void discovery_try_again(struct discovery *discovery);
/* There is something to read from the file of a device of p2pdma_export; an event's callback. */
void discovery_on_device(int fd, short what, void *device);
struct device *discovery_device_at(struct discovery *discovery, const struct pci_address *address);

/* -- discovery_open.c -- */

void discovery_device_name(const struct device *device, char *name, size_t size);
/* Lists a function as it was seen, with what leases are made from. */
void discovery_add_export(struct discovery *discovery, const struct sighting *seen);
void discovery_add_vfio(struct discovery *discovery, const struct sighting *seen);
void discovery_add_pool(struct discovery *discovery, const struct sighting *seen);
void discovery_add_other(struct discovery *discovery, const struct sighting *seen,
			 const char *cause);
/* After all functions: kept devices whose functions have left their driver, and can't go for us. */
void discovery_add_leaving(struct discovery *discovery);
/* Prepares for functions of VFIO. */
int discovery_vfio_init(struct discovery *discovery);

#endif /* DISCOVERY_STATE_H */
