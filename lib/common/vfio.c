// SPDX-License-Identifier: MIT
/*
 * A function that is bound to a VFIO driver: opening it, and what is asked of it then.
 *
 * No address space is attached and nothing is mapped for it: the function does no DMA of its own
 * for us, it only lends its memory. There are two ways to its descriptor, each a file of its own
 * (vfio_cdev.c, vfio_group.c); the first whose nodes are there and that opens is taken.
 *
 * What VFIO knows of revocation is memory decode: while it is off the function's DMABUFs are
 * revoked, and they come back to life with it; only closing the device is for good.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <linux/pci_regs.h>

#include "vfio_abi.h"
#include "vfio_access.h"

static const struct vfio_access *const accesses[] = {&vfio_cdev, &vfio_group};

#define NR_ACCESSES (sizeof(accesses) / sizeof(accesses[0]))

void vfio_nodes_init(struct vfio_nodes *nodes, const struct sys_ops *sys, int dev_fd)
{
	*nodes = (struct vfio_nodes){.sys = sys, .dev_fd = dev_fd, .iommu_fd = -1};
	list_init(&nodes->groups);
}

bool vfio_is_bound(const struct pci_function *function)
{
	/* Kernels without vfio-dev/ know only vfio-pci by name. */
	return *function->vfio_dev || !strcmp(function->driver, "vfio-pci");
}

int vfio_check(const struct vfio_nodes *nodes, const struct pci_function *function,
	       struct cause *ret_why)
{
	int r = -EOPNOTSUPP;

	for (size_t i = 0; i < NR_ACCESSES && r; i++)
		r = accesses[i]->check(nodes, function, ret_why);
	return r;
}

int vfio_open(struct vfio_nodes *nodes, const struct pci_function *function, struct cause *ret_why,
	      struct vfio_open *ret_open)
{
	struct vfio_open open = VFIO_OPEN_INIT;
	bool was_there = false;
	int r = -EOPNOTSUPP;

	for (size_t i = 0; i < NR_ACCESSES; i++) {
		struct cause why;
		int error = accesses[i]->check(nodes, function, &why);
		bool is_there = !error;

		if (is_there)
			error = accesses[i]->open(nodes, function, &why, &open);
		if (!error) {
			*ret_open = open;
			return 0;
		}
		/* Why a way that is there failed says more than that another one isn't. */
		if (was_there && !is_there)
			continue;
		was_there = is_there;
		*ret_why = why;
		r = error;
	}
	return r;
}

void vfio_adopt(struct vfio_nodes *nodes, const struct pci_function *function, int fd,
		struct vfio_open *ret_open)
{
	struct vfio_group *group = vfio_group_adopt(nodes, function->iommu_group);

	/* Which of the two ways it was opened shows in what was kept with it. */
	*ret_open = (struct vfio_open){
		.fd = fd,
		.group = group,
		.has_iommu_fd = !group && vfio_iommu_adopt(nodes),
	};
}

void vfio_keep(const struct vfio_nodes *nodes, const char *name, int fd)
{
	if (nodes->keeper)
		nodes->keeper->keep(name, fd, nodes->keeper->data);
}

void vfio_forget(const struct vfio_nodes *nodes, const char *name)
{
	if (nodes->keeper)
		nodes->keeper->forget(name, nodes->keeper->data);
}

int vfio_take(const struct vfio_nodes *nodes, const char *name)
{
	return nodes->keeper ? nodes->keeper->take(name, nodes->keeper->data) : -1;
}

void vfio_close(struct vfio_nodes *nodes, struct vfio_open *open)
{
	if (open->fd >= 0)
		nodes->sys->close(open->fd);
	vfio_group_unref(nodes, open->group);
	if (open->has_iommu_fd)
		vfio_iommu_unref(nodes);
	*open = (struct vfio_open)VFIO_OPEN_INIT;
}

int vfio_can_export(const struct sys_ops *sys, int fd)
{
	struct vfio_device_feature probe = {
		.argsz = sizeof(probe),
		.flags = VFIO_DEVICE_FEATURE_PROBE | VFIO_DEVICE_FEATURE_GET |
			 VFIO_ABI_FEATURE_DMA_BUF,
	};

	return sys->ioctl(fd, VFIO_DEVICE_FEATURE, &probe) ? -EOPNOTSUPP : 0;
}

int vfio_region_query(const struct sys_ops *sys, int fd, uint32_t index, uint64_t *ret_offset)
{
	struct vfio_region_info info = {.argsz = sizeof(info), .index = index};
	int r = sys->ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &info);

	if (!r)
		*ret_offset = info.offset;
	return r;
}

int vfio_decode_set(const struct sys_ops *sys, int fd, bool is_on)
{
	uint64_t where;
	uint8_t bytes[2];
	ssize_t n;
	int r;

	r = vfio_region_query(sys, fd, VFIO_PCI_CONFIG_REGION_INDEX, &where);
	if (r)
		return r;
	where += PCI_COMMAND;
	/* Little-endian, as PCI is. The command's memory bit is in its first byte. */
	n = sys->pread(fd, bytes, sizeof(bytes), where);
	if (n != (ssize_t)sizeof(bytes))
		return n < 0 ? (int)n : -EIO;
	if (!!(bytes[0] & PCI_COMMAND_MEMORY) == is_on)
		return 0;
	bytes[0] ^= PCI_COMMAND_MEMORY;
	n = sys->pwrite(fd, bytes, sizeof(bytes), where);
	if (n != (ssize_t)sizeof(bytes))
		return n < 0 ? (int)n : -EIO;
	return 0;
}

int vfio_irq_set(const struct sys_ops *sys, int fd, uint32_t index, int event_fd)
{
	union {
		struct vfio_irq_set set;
		char bytes[sizeof(struct vfio_irq_set) + sizeof(int32_t)];
	} argument = {.set = {
			      .argsz = sizeof(argument),
			      .flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			      .index = index,
			      .count = 1,
		      }};
	int32_t value = event_fd;

	memcpy(argument.bytes + sizeof(argument.set), &value, sizeof(value));
	return sys->ioctl(fd, VFIO_DEVICE_SET_IRQS, &argument);
}
