// SPDX-License-Identifier: MIT
/*
 * PCI functions that come and go, heard from the kernel's uevents.
 *
 * The monitor listens to the kernel itself and not to udevd: a removal must be
 * told even where udevd is busy, late or absent (a container, an initrd), and
 * nothing that udevd's rules add is needed. Devices that hold buffers have
 * better sources of their own (their file, their eventfds); for them a removal
 * heard here is the last resort. p2pmem and GPUs have none, and live on their driver's leave.
 *
 * A source of the context: all of it runs under context->lock.
 */
#include <errno.h>
#include <libudev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/pci.h"
#include "backend/device.h"
#include "queue.h"
#include "hotplug.h"

/* Each look takes at most this many; level-triggered polling comes back for the rest. */
#define MAX_AT_ONCE 64

struct hotplug {
	struct event_source source;
	struct p2pdma_context *context;
	struct udev *udev;
	struct udev_monitor *monitor;
};

void hotplug_handle(struct p2pdma_context *context, const char *action, const char *function)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;
	struct pci_address address;

	/* Only the name of a PCI function gets further. */
	if (pci_address_parse(function, &address))
		return;
	pci_address_format(&address, event.function);
	if (!strcmp(action, "add")) {
		event.type = P2PDMA_EVENT_FUNCTION_ADDED;
	} else if (!strcmp(action, "remove")) {
		event.type = P2PDMA_EVENT_FUNCTION_GONE;
		device_left(context, &address);
	} else {
		if (!strcmp(action, "unbind"))
			device_unbound(context, &address);
		return;
	}
	event_queue_push(context, &event);
}

static void ready(struct event_source *source)
{
	struct hotplug *hotplug = list_entry(source, struct hotplug, source);

	for (int i = 0; i < MAX_AT_ONCE; i++) {
		struct udev_device *device = udev_monitor_receive_device(hotplug->monitor);
		const char *action, *name;

		if (!device)
			return;
		action = udev_device_get_action(device);
		name = udev_device_get_sysname(device);
		if (action && name)
			hotplug_handle(hotplug->context, action, name);
		udev_device_unref(device);
	}
}

int hotplug_new(struct p2pdma_context *context, struct hotplug **ret_hotplug)
{
	struct hotplug *hotplug = calloc(1, sizeof(*hotplug));
	int r;

	if (!hotplug)
		return -ENOMEM;
	hotplug->context = context;
	hotplug->source.ready = ready;
	hotplug->source.fd = -1;
	hotplug->udev = udev_new();
	if (hotplug->udev)
		hotplug->monitor = udev_monitor_new_from_netlink(hotplug->udev, "kernel");
	if (!hotplug->monitor) {
		r = errno ? -errno : -ENOMEM;
		goto fail;
	}
	r = udev_monitor_filter_add_match_subsystem_devtype(hotplug->monitor, "pci", NULL);
	if (r < 0)
		goto fail;
	r = udev_monitor_enable_receiving(hotplug->monitor);
	if (r < 0)
		goto fail;
	hotplug->source.fd = udev_monitor_get_fd(hotplug->monitor);
	r = context_watch(context, &hotplug->source);
	if (r)
		goto fail;
	*ret_hotplug = hotplug;
	return 0;

fail:
	hotplug->source.fd = -1;
	hotplug_free(hotplug);
	return r;
}

void hotplug_free(struct hotplug *hotplug)
{
	if (!hotplug)
		return;
	if (hotplug->source.fd >= 0)
		context_unwatch(hotplug->context, &hotplug->source);
	udev_monitor_unref(hotplug->monitor);
	udev_unref(hotplug->udev);
	free(hotplug);
}
