// SPDX-License-Identifier: MIT
/*
 * Opening a function that is bound to vfio-pci.
 *
 * No address space is attached and nothing is mapped for it: the function does no DMA of its own
 * for us, it only lends its memory. The device's descriptor holds group, container and
 * iommufd, so it alone needs to be kept across a restart.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "common/cleanup.h"
#include "common/vfio_abi.h"
#include "vfio_open.h"

static int call(int fd, unsigned long request, void *argument)
{
	int r = ioctl(fd, request, argument);

	return r < 0 ? -errno : r;
}

static int open_at(int dev_fd, const char *path)
{
	int fd = openat(dev_fd, path, O_RDWR | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int open_cdev(int dev_fd, const struct pci_function *function, struct vfio_open *open)
{
	struct vfio_abi_bind_iommufd bind = {.argsz = sizeof(bind)};
	char path[64];

	if (!*function->vfio_dev)
		return -ENOENT;
	snprintf(path, sizeof(path), "vfio/devices/%s", function->vfio_dev);
	open->iommu_fd = open_at(dev_fd, "iommu");
	if (open->iommu_fd < 0)
		return open->iommu_fd;
	open->fd = open_at(dev_fd, path);
	if (open->fd < 0)
		return open->fd;
	bind.iommufd = open->iommu_fd;
	return call(open->fd, VFIO_ABI_BIND_IOMMUFD, &bind);
}

static int open_group(int dev_fd, const struct pci_function *function, struct vfio_open *open)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	unsigned long type = VFIO_TYPE1v2_IOMMU;
	char path[32], name[PCI_ADDRESS_SIZE];
	int r;

	if (function->iommu_group < 0)
		return -EOPNOTSUPP;
	snprintf(path, sizeof(path), "vfio/%d", function->iommu_group);
	open->group_fd = open_at(dev_fd, path);
	if (open->group_fd < 0)
		return open->group_fd;
	open->container_fd = open_at(dev_fd, "vfio/vfio");
	if (open->container_fd < 0)
		return open->container_fd;
	r = call(open->group_fd, VFIO_GROUP_GET_STATUS, &status);
	if (!r && !(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		r = -EBUSY;
	if (!r)
		r = call(open->group_fd, VFIO_GROUP_SET_CONTAINER, &open->container_fd);
	if (!r)
		r = call(open->container_fd, VFIO_SET_IOMMU, (void *)type);
	if (r < 0)
		return r;
	pci_address_format(&function->address, name);
	open->fd = call(open->group_fd, VFIO_GROUP_GET_DEVICE_FD, name);
	return open->fd < 0 ? open->fd : 0;
}

void vfio_close(struct vfio_open *open)
{
	cleanup_close(&open->fd);
	cleanup_close(&open->group_fd);
	cleanup_close(&open->container_fd);
	cleanup_close(&open->iommu_fd);
	*open = (struct vfio_open){-1, -1, -1, -1};
}

int vfio_open(int dev_fd, const struct pci_function *function, struct vfio_open *ret_open)
{
	struct vfio_open open = {-1, -1, -1, -1};
	int r;

	r = open_cdev(dev_fd, function, &open);
	if (r < 0) {
		vfio_close(&open);
		r = open_group(dev_fd, function, &open);
	}
	if (r < 0) {
		vfio_close(&open);
		return r;
	}
	*ret_open = open;
	return 0;
}

static int config_offset(int fd, uint64_t *ret_offset)
{
	struct vfio_region_info info = {.argsz = sizeof(info),
					.index = VFIO_PCI_CONFIG_REGION_INDEX};
	int r = call(fd, VFIO_DEVICE_GET_REGION_INFO, &info);

	if (!r)
		*ret_offset = info.offset;
	return r;
}

int vfio_decode_set(int fd, int is_on)
{
	uint8_t command[2]; /* little-endian, as PCI is */
	uint64_t offset;
	int r;

	r = config_offset(fd, &offset);
	if (r)
		return r;
	if (pread(fd, command, sizeof(command), (off_t)offset + PCI_COMMAND) != sizeof(command))
		return -EIO;
	if (!!(command[0] & PCI_COMMAND_MEMORY) == !!is_on)
		return 0;
	command[0] ^= PCI_COMMAND_MEMORY;
	if (pwrite(fd, command, sizeof(command), (off_t)offset + PCI_COMMAND) != sizeof(command))
		return -EIO;
	return 0;
}

int vfio_prepare(int fd)
{
	struct vfio_device_feature probe = {
		.argsz = sizeof(probe),
		.flags = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET |
			 VFIO_ABI_FEATURE_DMA_BUF,
	};

	if (call(fd, VFIO_DEVICE_FEATURE, &probe) < 0)
		return -EOPNOTSUPP;
	return vfio_decode_set(fd, 1);
}

int vfio_request_set(int fd, int event_fd)
{
	union {
		struct vfio_irq_set set;
		char bytes[sizeof(struct vfio_irq_set) + sizeof(int32_t)];
	} argument = {.set = {
			      .argsz = sizeof(argument),
			      .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			      .index = VFIO_PCI_REQ_IRQ_INDEX,
			      .count = 1,
		      }};
	int32_t value = event_fd;

	memcpy(argument.bytes + sizeof(argument.set), &value, sizeof(value));
	return call(fd, VFIO_DEVICE_SET_IRQS, &argument);
}
