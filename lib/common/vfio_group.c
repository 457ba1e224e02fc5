// SPDX-License-Identifier: MIT
/*
 * VFIO by group and container: /dev/vfio/N in a container of type 1.
 *
 * A group can be open only once in the whole machine, and all functions of it
 * come from that one descriptor; so there is a list of the groups that are open,
 * each with a container of its own, shared by its functions and closed with the last.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "vfio_abi.h"
#include "vfio_access.h"

struct vfio_group {
	struct list link;
	int32_t number;
	int fd;
	int container_fd;
	unsigned int users;
};

static int check(const struct vfio_nodes *nodes, const struct pci_function *function,
		 struct cause *ret_why)
{
	char path[32];
	int r;

	if (function->iommu_group < 0)
		return cause_fail(ret_why, -EOPNOTSUPP,
				  "vfio: the function has no IOMMU group (is the IOMMU on?)");
	snprintf(path, sizeof(path), "vfio/%d", function->iommu_group);
	r = nodes->sys->access_at(nodes->dev_fd, path, R_OK | W_OK);
	if (r)
		return cause_fail(ret_why, r, "vfio: /dev/%s can't be opened: %s", path,
				  error_name(r));
	return cause_fail(ret_why, 0, "vfio: through /dev/%s", path);
}

static int open_node(const struct vfio_nodes *nodes, const char *path, struct cause *ret_why)
{
	int fd = nodes->sys->open_at(nodes->dev_fd, path, O_RDWR);

	if (fd < 0)
		return cause_fail(ret_why, fd, "can't open /dev/%s: %s", path,
				  fd == -EBUSY ? "somebody else has it" : error_name(fd));
	return fd;
}

static int set_up(const struct sys_ops *sys, struct vfio_group *group, struct cause *ret_why)
{
	struct vfio_group_status status = {.argsz = sizeof(status)};
	unsigned long type = VFIO_TYPE1v2_IOMMU;
	int r;

	r = sys->ioctl(group->fd, VFIO_GROUP_GET_STATUS, &status);
	if (r)
		return cause_fail(ret_why, r, "VFIO group %d doesn't answer: %s", group->number,
				  error_name(r));
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE))
		return cause_fail(ret_why, -EBUSY,
				  "VFIO group %d isn't viable: bind every function of the IOMMU "
				  "group to vfio-pci",
				  group->number);
	if (sys->ioctl(group->container_fd, VFIO_GET_API_VERSION, NULL) != VFIO_API_VERSION)
		return cause_fail(ret_why, -EOPNOTSUPP, "unknown version of the VFIO API");
	if (sys->ioctl(group->container_fd, VFIO_CHECK_EXTENSION, (void *)type) <= 0)
		return cause_fail(ret_why, -EOPNOTSUPP, "VFIO has no type 1 IOMMU here");
	r = sys->ioctl(group->fd, VFIO_GROUP_SET_CONTAINER, &group->container_fd);
	if (!r)
		r = sys->ioctl(group->container_fd, VFIO_SET_IOMMU, (void *)type);
	if (r)
		return cause_fail(ret_why, r, "can't give VFIO group %d an IOMMU container: %s%s",
				  group->number, error_name(r),
				  r == -EPERM ? " (no interrupt remapping?)" : "");
	return 0;
}

static int group_new(struct vfio_nodes *nodes, int32_t number, struct cause *ret_why,
		     struct vfio_group **ret_group)
{
	struct vfio_group *group = calloc(1, sizeof(*group));
	char path[32];
	int r;

	if (!group)
		return cause_fail(ret_why, -ENOMEM, "no memory for a VFIO group");
	group->number = number;
	list_init(&group->link);
	snprintf(path, sizeof(path), "vfio/%d", number);
	r = group->fd = open_node(nodes, path, ret_why);
	if (r < 0)
		goto free;
	r = group->container_fd = open_node(nodes, "vfio/vfio", ret_why);
	if (r < 0)
		goto close_group;
	r = set_up(nodes->sys, group, ret_why);
	if (r)
		goto close_container;
	list_append(&nodes->groups, &group->link);
	*ret_group = group;
	return 0;

close_container:
	nodes->sys->close(group->container_fd);
close_group:
	nodes->sys->close(group->fd);
free:
	free(group);
	return r;
}

static int group_acquire(struct vfio_nodes *nodes, int32_t number, struct cause *ret_why,
			 struct vfio_group **ret_group)
{
	struct vfio_group *found = NULL;
	int r;

	list_for_each_entry(group, &nodes->groups, struct vfio_group, link) {
		if (group->number == number)
			found = group;
	}
	if (!found) {
		r = group_new(nodes, number, ret_why, &found);
		if (r)
			return r;
	}
	found->users++;
	*ret_group = found;
	return 0;
}

void vfio_group_unref(struct vfio_nodes *nodes, struct vfio_group *group)
{
	if (!group || --group->users)
		return;
	list_remove(&group->link);
	nodes->sys->close(group->fd);
	nodes->sys->close(group->container_fd);
	free(group);
}

static int open_group(struct vfio_nodes *nodes, const struct pci_function *function,
		      struct cause *ret_why, struct vfio_open *ret_open)
{
	struct vfio_group *group;
	char name[PCI_ADDRESS_SIZE];
	int r;

	r = group_acquire(nodes, function->iommu_group, ret_why, &group);
	if (r)
		return r;
	pci_address_format(&function->address, name);
	r = nodes->sys->ioctl(group->fd, VFIO_GROUP_GET_DEVICE_FD, name);
	if (r < 0) {
		vfio_group_unref(nodes, group);
		return cause_fail(ret_why, r, "VFIO doesn't open %s: %s", name, error_name(r));
	}
	*ret_open = (struct vfio_open){.fd = r, .group = group};
	return 0;
}

const struct vfio_access vfio_group = {.check = check, .open = open_group};
