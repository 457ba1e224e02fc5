// SPDX-License-Identifier: MIT
/*
 * VFIO by group and container: /dev/vfio/N in a container of type 1.
 *
 * A group can be open only once in the whole machine, and all functions of it
 * come from that one descriptor; so a context keeps a list of the groups it has
 * open, each with a container of its own, shared by its devices and closed
 * with the last. Nothing is mapped into the container: the function does no DMA
 * of its own for us. Under open_lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend_vfio.h"
#include "common/vfio_abi.h"

struct vfio_group {
	struct list link; /* in context->vfio_groups */
	int32_t number;
	int fd;
	int container_fd;
	unsigned int users;
};

static int check(const struct p2pdma_context *context, const struct pci_function *function,
		 char *ret_why, size_t size)
{
	char path[32];
	int r;

	if (function->iommu_group < 0) {
		snprintf(ret_why, size, "vfio: the function has no IOMMU group (is the IOMMU on?)");
		return -EOPNOTSUPP;
	}
	snprintf(path, sizeof(path), "vfio/%d", function->iommu_group);
	r = context->sys->access_at(context->dev_fd, path, R_OK | W_OK);
	if (r)
		snprintf(ret_why, size, "vfio: /dev/%s can't be opened: %s", path, error_name(r));
	else
		snprintf(ret_why, size, "vfio: through /dev/%s", path);
	return r;
}

static int open_node(const struct p2pdma_context *context, const char *path)
{
	int fd = context->sys->open_at(context->dev_fd, path, O_RDWR);

	if (fd < 0)
		return context_fail(context, fd, "can't open /dev/%s: %s", path,
				    fd == -EBUSY ? "somebody else has it" : error_name(fd));
	return fd;
}

static int set_up(const struct p2pdma_context *context, struct vfio_group *group)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	const struct sys_ops *sys = context->sys;
	unsigned long type = VFIO_TYPE1v2_IOMMU;
	int r;

	r = sys->ioctl(group->fd, VFIO_GROUP_GET_STATUS, &status);
	if (r)
		return context_fail(context, r, "VFIO group %d doesn't answer: %s", group->number,
				    error_name(r));
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return context_fail(context, -EBUSY,
				    "VFIO group %d isn't viable: bind every function of the IOMMU "
				    "group to vfio-pci",
				    group->number);
	if (sys->ioctl(group->container_fd, VFIO_GET_API_VERSION, NULL) != VFIO_API_VERSION)
		return context_fail(context, -EOPNOTSUPP, "unknown version of the VFIO API");
	if (sys->ioctl(group->container_fd, VFIO_CHECK_EXTENSION, (void *)type) <= 0)
		return context_fail(context, -EOPNOTSUPP, "VFIO has no type 1 IOMMU here");
	r = sys->ioctl(group->fd, VFIO_GROUP_SET_CONTAINER, &group->container_fd);
	if (!r)
		r = sys->ioctl(group->container_fd, VFIO_SET_IOMMU, (void *)type);
	if (r)
		return context_fail(context, r, "can't give VFIO group %d an IOMMU container: %s%s",
				    group->number, error_name(r),
				    r == -EPERM ? " (no interrupt remapping?)" : "");
	return 0;
}

static int group_new(struct p2pdma_context *context, int32_t number, struct vfio_group **ret_group)
{
	struct vfio_group *group = calloc(1, sizeof(*group));
	char path[32];
	int r;

	if (!group)
		return context_fail(context, -ENOMEM, "no memory for a VFIO group");
	group->number = number;
	list_init(&group->link);
	snprintf(path, sizeof(path), "vfio/%d", number);
	r = group->fd = open_node(context, path);
	if (r < 0)
		goto free;
	r = group->container_fd = open_node(context, "vfio/vfio");
	if (r < 0)
		goto close_group;
	r = set_up(context, group);
	if (r)
		goto close_container;
	list_append(&context->vfio_groups, &group->link);
	*ret_group = group;
	return 0;

close_container:
	context->sys->close(group->container_fd);
close_group:
	context->sys->close(group->fd);
free:
	free(group);
	return r;
}

static int group_acquire(struct p2pdma_context *context, int32_t number,
			 struct vfio_group **ret_group)
{
	struct vfio_group *found = NULL;
	int r;

	list_for_each_entry(group, &context->vfio_groups, struct vfio_group, link) {
		if (group->number == number)
			found = group;
	}
	if (!found) {
		r = group_new(context, number, &found);
		if (r)
			return r;
	}
	found->users++;
	*ret_group = found;
	return 0;
}

void vfio_group_unref(struct p2pdma_context *context, struct vfio_group *group)
{
	if (!group || --group->users)
		return;
	list_remove(&group->link);
	context->sys->close(group->fd);
	context->sys->close(group->container_fd);
	free(group);
}

static int open_group(struct p2pdma_context *context, struct vfio_device *vfio)
{
	char name[PCI_ADDRESS_SIZE];
	int r;

	r = group_acquire(context, vfio->device.function.iommu_group, &vfio->group);
	if (r)
		return r;
	pci_address_format(&vfio->device.function.address, name);
	r = context->sys->ioctl(vfio->group->fd, VFIO_GROUP_GET_DEVICE_FD, name);
	if (r >= 0) {
		vfio->fd = r;
		return 0;
	}
	vfio_group_unref(context, vfio->group);
	vfio->group = NULL;
	return context_fail(context, r, "VFIO doesn't open %s: %s", name, error_name(r));
}

const struct vfio_access vfio_group = {.name = "group", .check = check, .open = open_group};
