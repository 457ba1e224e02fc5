/* SPDX-License-Identifier: MIT */
#ifndef DEVICE_H
#define DEVICE_H

#include "backend.h"
#include "context/context.h"

struct p2pdma_provider;

/*
 * A PCI function opened through a backend, shared by all buffers of a context
 * on it. Backends embed it as their first member.
 */
struct device {
	struct list link; /* in context->devices */
	struct p2pdma_context *context;
	const struct backend *backend;
	struct pci_function function;
	char name[PCI_ADDRESS_SIZE];
	struct list buffers; /* those not yet freed */
	unsigned int users;  /* buffers, and calls at work; under open_lock */
	bool is_gone;
	bool is_retired; /* revoked for good: no new buffers on it */
};

/* Sets up what all backends share. */
void device_init(struct device *device, struct p2pdma_context *context,
		 const struct backend *backend, const struct pci_function *function);

/* Under open_lock: finds or opens, and counts one user. */
int device_acquire(struct p2pdma_context *context, const struct backend *backend,
		   const struct p2pdma_provider *provider, struct device **ret_device);
/* Under open_lock: the last user closes. */
void device_release(struct device *device);
/* Under open_lock: the device node is closed with the last user, new buffers open it again. */
void device_retire(struct device *device);

/* Under context->lock: its buffers and their guards learn that the device has gone. */
void device_mark_gone(struct device *device, uint32_t reason);
/* Under context->lock: what is in the slot isn't what we opened any more. */
void device_left(struct p2pdma_context *context, const struct pci_address *address);
/* Under context->lock: a driver has let go of what is in the slot. */
void device_unbound(struct p2pdma_context *context, const struct pci_address *address);

#endif /* DEVICE_H */
