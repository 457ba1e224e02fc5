// SPDX-License-Identifier: MIT
/*
 * The `export` backend: slices through our kernel module.
 *
 * The kernel gives an export an id that is never used again on the same file, and the
 * file is kept across restarts, so (file, id) names a lease's export as long as it
 * lives. What the kernel revokes by itself (unbind, reset, suspend) is read from the
 * file; where events were lost, every lease is asked for its state instead.
 *
 * A function that leaves its driver disappears from sysfs first, and is let go of last: the
 * kernel waits in between for importers that can't be revoked. Their leases aren't
 * over before it says so, whatever sysfs shows.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/p2pdma_export.h>

#include "broker/broker.h"
#include "report/log.h"
#include "export.h"

static int call(const struct device *device, unsigned long request, void *argument)
{
	return ioctl(device->fd, request, argument) < 0 ? -errno : 0;
}

static int export(struct device *device, const struct lease *lease, struct source_grant *ret)
{
	struct p2pdma_export_range ranges[WIRE_RANGES_MAX];
	struct p2pdma_export_export argument = {
		.argsz = sizeof(argument),
		.bar = lease->provider->identity.bar,
		.nr_ranges = lease->nr_ranges,
		.ranges = (uintptr_t)ranges,
		.open_flags = O_CLOEXEC,
	};
	int r;

	for (uint32_t i = 0; i < lease->nr_ranges; i++) {
		ranges[i].offset = lease->ranges[i].offset_bytes;
		ranges[i].length = lease->ranges[i].length_bytes;
	}
	argument.open_flags |= lease->access & WIRE_ACCESS_WRITE ? O_RDWR : O_RDONLY;
	if (lease->flags & WIRE_ACQUIRE_MMAP_WC)
		argument.flags |= P2PDMA_EXPORT_F_MMAP_WC;
	if (lease->flags & WIRE_ACQUIRE_ALLOW_UNREVOCABLE)
		argument.flags |= P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE;
	r = call(device, P2PDMA_EXPORT_EXPORT, &argument);
	if (r)
		return r;
	ret->fd = argument.fd;
	ret->export_id = argument.export_id;
	return 0;
}

static int take_back(struct device *device, const struct lease *lease,
		     struct source_result *ret_result)
{
	struct p2pdma_export_revoke argument = {
		.argsz = sizeof(argument),
		.export_id = lease->export_id,
	};
	int r;

	r = call(device, P2PDMA_EXPORT_REVOKE, &argument);
	/* All its descriptors and mappings are gone: there is nothing to take back. */
	if (r == -ENOENT)
		return 0;
	ret_result->nr_mappings = argument.nr_mappings;
	ret_result->nr_remaining = argument.nr_remaining;
	return r;
}

static int revoke_all(struct device *device)
{
	struct p2pdma_export_revoke argument = {
		.argsz = sizeof(argument),
		.flags = P2PDMA_EXPORT_REVOKE_ALL,
	};

	return call(device, P2PDMA_EXPORT_REVOKE, &argument);
}

static int distance(struct device *device, const struct pci_address *importer,
		    int32_t *ret_distance)
{
	struct p2pdma_export_path argument = {
		.argsz = sizeof(argument),
		.client_domain = importer->domain,
		.client_bus = importer->bus,
		.client_devfn = importer->devfn,
	};
	int r;

	r = call(device, P2PDMA_EXPORT_PATH, &argument);
	if (!r)
		*ret_distance = argument.distance;
	return r;
}

static void close_device(struct device *device)
{
	close(device->fd);
	free(device);
}

static const struct source_ops ops = {
	.backend = WIRE_BACKEND_EXPORT,
	.force = WIRE_FORCE_LEASE,
	.export = export,
	.revoke = take_back,
	.revoke_all = revoke_all,
	.distance = distance,
	.close = close_device,
};

/* Is the file of this function? */
static int check_function(const struct device *device)
{
	struct p2pdma_export_info info = {.argsz = sizeof(info)};
	int r;

	r = call(device, P2PDMA_EXPORT_INFO, &info);
	if (r)
		return r;
	return info.domain == device->address.domain && info.bus == device->address.bus &&
			       info.devfn == device->address.devfn ?
		       0 :
		       -ESTALE;
}

static int new_device(const struct pci_function *function, int fd, struct device **ret_device)
{
	struct device *device = calloc(1, sizeof(*device));

	if (!device) {
		if (fd >= 0)
			close(fd);
		return -ENOMEM;
	}
	device->ops = &ops;
	device->address = function->address;
	device->generation = function->generation;
	device->fd = fd;
	list_init(&device->link);
	list_init(&device->providers);
	*ret_device = device;
	return 0;
}

int source_export_open(int dev_fd, const struct pci_function *function, int fd,
		       struct device **ret_device)
{
	char name[PCI_ADDRESS_SIZE], path[64];
	struct device *device;
	int r;

	pci_address_format(&function->address, name);
	snprintf(path, sizeof(path), P2PDMA_EXPORT_DIR "/%s", name);
	if (fd < 0)
		fd = openat(dev_fd, path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = new_device(function, fd, &device);
	if (r)
		return r;
	r = check_function(device);
	if (r) {
		close_device(device);
		return r;
	}
	*ret_device = device;
	return 0;
}

int source_export_take_up(const struct pci_function *function, int fd, struct device **ret_device)
{
	struct device *device;
	int r;

	r = new_device(function, fd, &device);
	if (r)
		return r;
	/* Whose removal is pending doesn't say any more of which function it is; its file does, by its name. */
	if (!source_export_is_over(device) && check_function(device) == -ENODEV) {
		*ret_device = device;
		return 0;
	}
	close_device(device);
	return -ENODEV;
}

static uint32_t reason_of(uint32_t kernel_reason)
{
	switch (kernel_reason) {
	case P2PDMA_EXPORT_REASON_REMOVE:
		return WIRE_REASON_GONE;
	case P2PDMA_EXPORT_REASON_SHUTDOWN:
		return WIRE_REASON_SHUTDOWN;
	default:
		return WIRE_REASON_KERNEL;
	}
}

static struct lease *lease_by_export(struct device *device, uint32_t export_id)
{
	list_for_each_entry(provider, &device->providers, struct provider, link_of_device)
		list_for_each_entry(lease, &provider->leases, struct lease, link_of_provider)
			if (lease->export_id == export_id)
				return lease;
	return NULL;
}

/* Events were lost: what does the kernel say about each? */
static void ask_for_all(struct broker *broker, struct device *device)
{
	list_for_each_entry(provider, &device->providers, struct provider, link_of_device) {
		list_for_each_entry_safe(lease, &provider->leases, struct lease, link_of_provider) {
			struct p2pdma_export_status status = {
				.argsz = sizeof(status),
				.export_id = lease->export_id,
			};

			if (!call(device, P2PDMA_EXPORT_STATUS, &status) &&
			    status.state == P2PDMA_EXPORT_STATE_REVOKED)
				broker_kernel_revoked(broker, lease, reason_of(status.reason));
		}
	}
}

void source_export_leave(struct broker *broker, struct device *device)
{
	ask_for_all(broker, device);
	broker_device_wanted(broker, device);
}

static void take_event(struct broker *broker, struct device *device,
		       const struct p2pdma_export_event *event)
{
	struct lease *lease;

	if (event->lost)
		ask_for_all(broker, device);
	switch (event->type) {
	case P2PDMA_EXPORT_EVENT_REVOKED:
		/* What we did ourselves, we know; looking for it is a walk over all its leases. */
		if (event->reason == P2PDMA_EXPORT_REASON_IOCTL)
			break;
		lease = lease_by_export(device, event->export_id);
		if (lease)
			broker_kernel_revoked(broker, lease, reason_of(event->reason));
		break;
	case P2PDMA_EXPORT_EVENT_REMOVAL_PENDING:
		/* The function is wanted, and an importer that can't be revoked holds it up. */
		source_export_leave(broker, device);
		break;
	default:
		break;
	}
}

void source_export_read(struct broker *broker, struct device *device)
{
	struct p2pdma_export_event events[32];
	ssize_t n;

	do {
		n = read(device->fd, events, sizeof(events));
		for (ssize_t at = 0; at < n;) {
			const struct p2pdma_export_event *event =
				(const void *)((const char *)events + at);

			if (event->size < sizeof(*event) || event->size > (size_t)(n - at))
				break;
			take_event(broker, device, event);
			at += event->size;
		}
	} while (n == (ssize_t)sizeof(events));
}

bool source_export_is_over(const struct device *device)
{
	struct pollfd file = {.fd = device->fd};

	/* The last thing that the driver does is to hang up. */
	return poll(&file, 1, 0) > 0 && file.revents & POLLHUP;
}
