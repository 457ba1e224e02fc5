// SPDX-License-Identifier: MIT
/*
 * PCI functions that are open.
 *
 * One device for each (function, backend) in use; buffers share it, and the last
 * one closes it. A device that was revoked as a whole (vfio) is retired: its
 * buffers keep it until they are freed, but new buffers open the function again,
 * so that nothing old can come back to life.
 *
 * A device in the list is identified by its function's generation as well as
 * its address: one that was opened before a hot-plug is never used for what is
 * in the slot now. Opening, closing and counting users happen under open_lock,
 * the list and the marks under context->lock.
 */
#include <errno.h>
#include <stdlib.h>

#include "buffer/buffer.h"
#include "event/queue.h"
#include "provider/provider.h"

void device_init(struct device *device, struct p2pdma_context *context,
		 const struct backend *backend, const struct pci_function *function)
{
	list_init(&device->link);
	list_init(&device->buffers);
	device->context = context;
	device->backend = backend;
	device->function = *function;
	device->users = 1;
	pci_address_format(&function->address, device->name);
}

/* Is what the caller looked at still what is in the slot? */
static int check_generation(struct p2pdma_context *context, const struct p2pdma_provider *provider)
{
	uint64_t generation;
	int r;

	r = pci_generation_query(context->sysfs_fd, &provider->function.address, &generation);
	if (r == -ENODEV)
		return context_fail(context, r, "%s has gone", provider->function_name);
	if (r)
		return context_fail(context, r, "can't look at %s in sysfs: %s",
				    provider->function_name, error_name(r));
	if (generation != provider->function.generation)
		return context_fail(context, -ESTALE,
				    "%s is another arrival of a function than %s: look it up again",
				    provider->function_name, provider->unique_name);
	return 0;
}

static struct device *find(struct p2pdma_context *context, const struct backend *backend,
			   const struct p2pdma_provider *provider)
{
	struct device *found = NULL;

	pthread_mutex_lock(&context->lock);
	list_for_each_entry(device, &context->devices, struct device, link) {
		if (device->backend == backend && !device->is_gone && !device->is_retired &&
		    !pci_address_compare(&device->function.address, &provider->function.address) &&
		    device->function.generation == provider->function.generation)
			found = device;
	}
	pthread_mutex_unlock(&context->lock);
	return found;
}

int device_acquire(struct p2pdma_context *context, const struct backend *backend,
		   const struct p2pdma_provider *provider, struct device **ret_device)
{
	struct device *device;
	int r;

	r = check_generation(context, provider);
	if (r)
		return r;
	device = find(context, backend, provider);
	if (device) {
		device->users++;
		*ret_device = device;
		return 0;
	}
	r = backend->open(context, &provider->function, &device);
	if (r)
		return r;
	/* Its address was looked up once more by open: is it still the same function? */
	r = check_generation(context, provider);
	if (r) {
		backend->close(device);
		return r;
	}
	pthread_mutex_lock(&context->lock);
	r = backend->watch ? backend->watch(device) : 0;
	if (!r)
		list_append(&context->devices, &device->link);
	pthread_mutex_unlock(&context->lock);
	if (r) {
		backend->close(device);
		return context_fail(context, r, "can't watch %s for events: %s",
				    provider->function_name, error_name(r));
	}
	*ret_device = device;
	return 0;
}

void device_retire(struct device *device)
{
	pthread_mutex_lock(&device->context->lock);
	device->is_retired = true;
	pthread_mutex_unlock(&device->context->lock);
}

void device_release(struct device *device)
{
	struct p2pdma_context *context = device->context;

	if (--device->users)
		return;
	pthread_mutex_lock(&context->lock);
	if (device->backend->unwatch)
		device->backend->unwatch(device);
	list_remove(&device->link);
	pthread_mutex_unlock(&context->lock);
	device->backend->close(device);
}

void device_mark_gone(struct device *device, uint32_t reason)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	if (device->is_gone)
		return;
	device->is_gone = true;
	list_for_each_entry(buffer, &device->buffers, struct p2pdma_buffer, link)
		buffer_revoked(buffer, reason, 0);
	event.type = P2PDMA_EVENT_DEVICE_GONE;
	event.reason = reason;
	pci_address_format(&device->function.address, event.function);
	event_queue_push(device->context, &event);
}

void device_left(struct p2pdma_context *context, const struct pci_address *address)
{
	list_for_each_entry(device, &context->devices, struct device, link) {
		uint64_t generation;

		if (pci_address_compare(&device->function.address, address))
			continue;
		/* A removal heard late may be about an arrival before this one. */
		if (pci_generation_query(context->sysfs_fd, address, &generation) ||
		    generation != device->function.generation)
			device_mark_gone(device, P2PDMA_REASON_REMOVE);
	}
}

void device_unbound(struct p2pdma_context *context, const struct pci_address *address)
{
	list_for_each_entry(device, &context->devices, struct device, link) {
		if (!pci_address_compare(&device->function.address, address) &&
		    device->backend->has_left && device->backend->has_left(device))
			device_mark_gone(device, P2PDMA_REASON_REMOVE);
	}
}
