/* SPDX-License-Identifier: MIT */
#ifndef UEVENTS_H
#define UEVENTS_H

#include <event2/event.h>

#include "common/pci.h"

/* Says which PCI functions to look at; what has happened there is for sysfs to tell. */
struct uevents;

struct uevents_ops {
	/* Once for all events about one function that came together. */
	void (*look)(void *data, const struct pci_address *address);
	/* Some were lost: anything may have happened anywhere. */
	void (*lost)(void *data);
};

/* Listens to udevd, or to the kernel where there is none. -ENOMEM, -EIO, errno of sockets. */
int uevents_new(struct event_base *base, const struct uevents_ops *ops, void *data,
		struct uevents **ret_uevents);
void uevents_free(struct uevents *uevents);

#endif /* UEVENTS_H */
