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
		return cause_fail_node(ret_why, r, path);
	return cause_fail(ret_why, 0, "vfio: through /dev/%s", path);
}

static int open_node(const struct vfio_nodes *nodes, const char *path, struct cause *ret_why)
{
	int fd = nodes->sys->open_at(nodes->dev_fd, path, O_RDWR);

	return fd < 0 ? cause_fail_node(ret_why, fd, path) : fd;
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

static void kept_names(int32_t number, char ret_group[32], char ret_container[32])
{
	snprintf(ret_group, 32, "vfio-group-%d", number);
	snprintf(ret_container, 32, "vfio-container-%d", number);
}

static void keep(const struct vfio_nodes *nodes, const struct vfio_group *group)
{
	char name[32], container_name[32];

	kept_names(group->number, name, container_name);
	vfio_keep(nodes, name, group->fd);
	vfio_keep(nodes, container_name, group->container_fd);
}

static void forget(const struct vfio_nodes *nodes, const struct vfio_group *group)
{
	char name[32], container_name[32];

	kept_names(group->number, name, container_name);
	vfio_forget(nodes, name);
	vfio_forget(nodes, container_name);
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
	keep(nodes, group);
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

static struct vfio_group *find(struct vfio_nodes *nodes, int32_t number)
{
	list_for_each_entry(group, &nodes->groups, struct vfio_group, link) {
		if (group->number == number)
			return group;
	}
	return NULL;
}

static struct vfio_group *group_taken(struct vfio_nodes *nodes, int32_t number)
{
	char name[32], container_name[32];
	struct vfio_group taken = {.number = number}, *group;

	kept_names(number, name, container_name);
	taken.fd = vfio_take(nodes, name);
	taken.container_fd = vfio_take(nodes, container_name);
	group = taken.fd < 0 || taken.container_fd < 0 ? NULL : malloc(sizeof(*group));
	if (!group) {
		if (taken.fd >= 0)
			nodes->sys->close(taken.fd);
		if (taken.container_fd >= 0)
			nodes->sys->close(taken.container_fd);
		return NULL;
	}
	*group = taken;
	list_append(&nodes->groups, &group->link);
	return group;
}

struct vfio_group *vfio_group_adopt(struct vfio_nodes *nodes, int32_t number)
{
	struct vfio_group *group = find(nodes, number);

	if (!group)
		group = group_taken(nodes, number);
	if (group)
		group->users++;
	return group;
}

static int group_acquire(struct vfio_nodes *nodes, int32_t number, struct cause *ret_why,
			 struct vfio_group **ret_group)
{
	struct vfio_group *found = find(nodes, number);
	int r;

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
	forget(nodes, group);
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
