// SPDX-License-Identifier: MIT
/*
 * Uevents: where to look.
 *
 * Where udevd runs we listen to it instead of the kernel, because the permissions of a device node are its
 * work. The function that an event is about is the last PCI address in the path of its device:
 * that of the function itself, of its node, of a DRM or NVMe device below it (some of
 * what a driver shows in sysfs comes after its probe, and without an event of the function).
 *
 * Anybody who may write a `uevent` file can make as many as they like. So a few are read at a
 * time, and then it is somebody else's turn; those of one function that were read together are one look.
 * libudev drops events that its filter doesn't want in a loop of its own, which doesn't end while
 * they come faster than that. The filter is therefore only set where the kernel applies it, to
 * what udevd sends; the kernel's own events are all read, and counted.
 *
 * When they come faster than they are read, the socket runs over and its next read
 * says ENOBUFS, once.
 */
#include <errno.h>
#include <libudev.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "uevents.h"

#define RECEIVE_BUFFER (8 << 20)
#define MAX_AT_ONCE    64

static const char *const subsystems[] = {"pci", "p2pdma_export", "drm", "nvme"};

#define NR_SUBSYSTEMS (sizeof(subsystems) / sizeof(subsystems[0]))

struct uevents {
	const struct uevents_ops *ops;
	void *data;
	struct udev *udev;
	struct udev_monitor *monitor;
	struct event *event;
};

static bool is_wanted(struct udev_device *device)
{
	const char *subsystem = udev_device_get_subsystem(device);

	for (size_t i = 0; subsystem && i < NR_SUBSYSTEMS; i++)
		if (!strcmp(subsystem, subsystems[i]))
			return true;
	return false;
}

/* "/devices/pci0000:00/0000:00:01.0/0000:01:00.0/nvme/nvme0": 0000:01:00.0. */
static bool find_function(const char *path, struct pci_address *ret_address)
{
	bool is_found = false;

	while (path && *path) {
		size_t length = strcspn(path, "/");
		char part[PCI_ADDRESS_SIZE];

		if (length < sizeof(part)) {
			memcpy(part, path, length);
			part[length] = '\0';
			is_found |= !pci_address_parse(part, ret_address);
		}
		path += length + (path[length] == '/');
	}
	return is_found;
}

/* Those of one batch, each once. */
struct batch {
	struct pci_address addresses[MAX_AT_ONCE];
	size_t count;
};

static void batch_add(struct batch *batch, const struct pci_address *address)
{
	for (size_t i = 0; i < batch->count; i++)
		if (!pci_address_compare(&batch->addresses[i], address))
			return;
	batch->addresses[batch->count++] = *address;
}

static void on_uevent(evutil_socket_t fd, short what, void *data)
{
	struct uevents *uevents = data;
	struct batch batch = {.count = 0};
	bool is_lost = false;

	(void)fd;
	(void)what;
	for (int i = 0; i < MAX_AT_ONCE; i++) {
		struct udev_device *device;
		struct pci_address address;

		errno = 0;
		device = udev_monitor_receive_device(uevents->monitor);
		if (!device && errno == ENOBUFS) {
			is_lost = true;
			continue;
		}
		if (!device)
			break;
		if (is_wanted(device) && find_function(udev_device_get_devpath(device), &address))
			batch_add(&batch, &address);
		udev_device_unref(device);
	}
	for (size_t i = 0; i < batch.count; i++)
		uevents->ops->look(uevents->data, &batch.addresses[i]);
	if (is_lost)
		uevents->ops->lost(uevents->data);
}

static int listen_to(struct uevents *uevents, const char *group)
{
	uevents->udev = udev_new();
	if (!uevents->udev)
		return -ENOMEM;
	uevents->monitor = udev_monitor_new_from_netlink(uevents->udev, group);
	if (!uevents->monitor)
		return errno ? -errno : -ENOMEM;
	for (size_t i = 0; !strcmp(group, "udev") && i < NR_SUBSYSTEMS; i++)
		udev_monitor_filter_add_match_subsystem_devtype(uevents->monitor, subsystems[i],
								NULL);
	/* Without CAP_NET_ADMIN at most net.core.rmem_max; what doesn't fit is lost, and known to be. */
	udev_monitor_set_receive_buffer_size(uevents->monitor, RECEIVE_BUFFER);
	return udev_monitor_enable_receiving(uevents->monitor) < 0 ? -EIO : 0;
}

int uevents_new(struct event_base *base, const struct uevents_ops *ops, void *data,
		struct uevents **ret_uevents)
{
	const char *group = access("/run/udev/control", F_OK) ? "kernel" : "udev";
	struct uevents *uevents = calloc(1, sizeof(*uevents));
	int r;

	if (!uevents)
		return -ENOMEM;
	uevents->ops = ops;
	uevents->data = data;
	r = listen_to(uevents, group);
	if (!r) {
		uevents->event = event_new(base, udev_monitor_get_fd(uevents->monitor),
					   EV_READ | EV_PERSIST, on_uevent, uevents);
		r = uevents->event && !event_add(uevents->event, NULL) ? 0 : -ENOMEM;
	}
	if (r) {
		uevents_free(uevents);
		return r;
	}
	*ret_uevents = uevents;
	return 0;
}

void uevents_free(struct uevents *uevents)
{
	if (!uevents)
		return;
	if (uevents->event)
		event_free(uevents->event);
	udev_monitor_unref(uevents->monitor);
	udev_unref(uevents->udev);
	free(uevents);
}
