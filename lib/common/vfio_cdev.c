// SPDX-License-Identifier: MIT
/*
 * VFIO by character device: /dev/vfio/devices/vfioN bound to an iommufd.
 *
 * Binding is what opens the device. Functions of one IOMMU group must be bound to
 * the same iommufd, so there is one for all of them, closed with the last.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "vfio_abi.h"
#include "vfio_access.h"

#define KEPT_AS "vfio-iommu"

static void node_path(const struct pci_function *function, char *path, size_t size)
{
	snprintf(path, size, "vfio/devices/%s", function->vfio_dev);
}

static int check(const struct vfio_nodes *nodes, const struct pci_function *function,
		 struct cause *ret_why)
{
	char path[64];
	int r;

	node_path(function, path, sizeof(path));
	r = *function->vfio_dev ? nodes->sys->access_at(nodes->dev_fd, path, R_OK | W_OK) : -ENOENT;
	if (!r)
		r = nodes->sys->access_at(nodes->dev_fd, "iommu", R_OK | W_OK);
	if (r)
		return cause_fail(ret_why, r, "vfio: no cdev and iommufd (%s)", error_name(r));
	return cause_fail(ret_why, 0, "vfio: through /dev/%s and /dev/iommu", path);
}

static int iommu_ref(struct vfio_nodes *nodes, struct cause *ret_why)
{
	if (!nodes->nr_iommu_users) {
		int fd = nodes->sys->open_at(nodes->dev_fd, "iommu", O_RDWR);

		if (fd < 0)
			return cause_fail_node(ret_why, fd, "iommu");
		nodes->iommu_fd = fd;
		vfio_keep(nodes, KEPT_AS, fd);
	}
	nodes->nr_iommu_users++;
	return 0;
}

bool vfio_iommu_adopt(struct vfio_nodes *nodes)
{
	if (!nodes->nr_iommu_users)
		nodes->iommu_fd = vfio_take(nodes, KEPT_AS);
	if (nodes->iommu_fd < 0)
		return false;
	nodes->nr_iommu_users++;
	return true;
}

void vfio_iommu_unref(struct vfio_nodes *nodes)
{
	if (--nodes->nr_iommu_users)
		return;
	vfio_forget(nodes, KEPT_AS);
	nodes->sys->close(nodes->iommu_fd);
	nodes->iommu_fd = -1;
}

/* A descriptor that is bound, or -errno. */
static int open_bound(const struct vfio_nodes *nodes, const struct pci_function *function,
		      struct cause *ret_why)
{
	struct vfio_abi_bind_iommufd bind = {.argsz = sizeof(bind), .iommufd = nodes->iommu_fd};
	char path[64];
	int fd, r;

	node_path(function, path, sizeof(path));
	fd = nodes->sys->open_at(nodes->dev_fd, path, O_RDWR);
	if (fd < 0)
		return cause_fail_node(ret_why, fd, path);
	r = nodes->sys->ioctl(fd, VFIO_ABI_BIND_IOMMUFD, &bind);
	if (!r)
		return fd;
	nodes->sys->close(fd);
	return cause_fail(ret_why, r, "can't bind /dev/%s to an iommufd: %s", path,
			  r == -EBUSY ? "somebody else has it" : error_name(r));
}

static int open_cdev(struct vfio_nodes *nodes, const struct pci_function *function,
		     struct cause *ret_why, struct vfio_open *ret_open)
{
	int r;

	r = iommu_ref(nodes, ret_why);
	if (r)
		return r;
	r = open_bound(nodes, function, ret_why);
	if (r < 0) {
		vfio_iommu_unref(nodes);
		return r;
	}
	*ret_open = (struct vfio_open){.fd = r, .has_iommu_fd = true};
	return 0;
}

const struct vfio_access vfio_cdev = {.check = check, .open = open_cdev};
