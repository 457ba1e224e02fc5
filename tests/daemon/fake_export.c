// SPDX-License-Identifier: MIT
/*
 * The `export` backend without a kernel module: takes the place of daemon/source/export.c where discovery
 * itself is tested. All else of that p2pd is the real one.
 *
 * $P2PD_FAKE_NODES is a directory of FIFOs, each the device node of the function of its name. A FIFO
 * can be waited for as a device file can; nothing comes from it. A DMABUF is a memfd. While there is a file
 * "mapped" the kernel lets go of no function.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broker/broker.h"
#include "source/export.h"

static int export(struct device *device, const struct lease *lease, struct source_grant *ret)
{
	static uint32_t next_id;
	int fd = memfd_create("emulated-dmabuf", MFD_CLOEXEC);

	(void)device;
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)lease->size_bytes)) {
		close(fd);
		return -ENOSPC;
	}
	ret->fd = fd;
	ret->export_id = ++next_id;
	return 0;
}

static int take_back(struct device *device, const struct lease *lease,
		     struct source_result *ret_result)
{
	(void)device;
	(void)lease;
	(void)ret_result;
	return 0;
}

static int revoke_all(struct device *device)
{
	(void)device;
	return 0;
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
	.close = close_device,
};

int source_export_open(int dev_fd, const struct pci_function *function, int fd,
		       struct device **ret_device)
{
	struct device *device = calloc(1, sizeof(*device));
	char name[PCI_ADDRESS_SIZE], path[256];

	(void)dev_fd;
	if (!device)
		return -ENOMEM;
	pci_address_format(&function->address, name);
	snprintf(path, sizeof(path), "%s/%s", getenv("P2PD_FAKE_NODES"), name);
	device->fd = fd >= 0 ? fd : open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (device->fd < 0) {
		int r = -errno;

		free(device);
		return r;
	}
	device->ops = &ops;
	device->address = function->address;
	device->generation = function->generation;
	list_init(&device->link);
	list_init(&device->providers);
	*ret_device = device;
	return 0;
}

void source_export_read(struct broker *broker, struct device *device)
{
	(void)broker;
	(void)device;
}

/* Whose function has left its driver is over, unless something of it is mapped. */
bool source_export_is_over(const struct device *device)
{
	char path[256];

	(void)device;
	snprintf(path, sizeof(path), "%s/mapped", getenv("P2PD_FAKE_NODES"));
	return access(path, F_OK) != 0;
}

void source_export_leave(struct broker *broker, struct device *device)
{
	broker_device_wanted(broker, device);
}

int source_export_take_up(const struct pci_function *function, int fd, struct device **ret_device)
{
	int r = source_export_open(-1, function, fd, ret_device);

	if (r || !source_export_is_over(*ret_device))
		return r;
	close_device(*ret_device);
	return -ENODEV;
}
