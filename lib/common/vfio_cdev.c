// SPDX-License-Identifier: MIT
/*
 * VFIO by character device: /dev/vfio/devices/vfioN bound to an iommufd.
 *
 * Binding is what opens the device; no address space is attached, because the
 * function does no DMA of its own for us. Functions of one IOMMU group must be
 * bound to the same iommufd, so a context has one, shared by all its devices
 * and closed with the last. Under open_lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "backend_vfio.h"
#include "common/vfio_abi.h"

struct vfio_iommufd {
	int fd;
	unsigned int users;
};

static void node_path(const struct pci_function *function, char *path, size_t size)
{
	snprintf(path, size, "vfio/devices/%s", function->vfio_dev);
}

static int check(const struct p2pdma_context *context, const struct pci_function *function,
		 char *ret_why, size_t size)
{
	char path[64];
	int r;

	node_path(function, path, sizeof(path));
	r = *function->vfio_dev ? context->sys->access_at(context->dev_fd, path, R_OK | W_OK) :
				  -ENOENT;
	if (!r)
		r = context->sys->access_at(context->dev_fd, "iommu", R_OK | W_OK);
	if (r)
		snprintf(ret_why, size, "vfio: no cdev and iommufd (%s)", error_name(r));
	else
		snprintf(ret_why, size, "vfio: through /dev/%s and /dev/iommu", path);
	return r;
}

static int iommufd_acquire(struct p2pdma_context *context, struct vfio_iommufd **ret_iommufd)
{
	struct vfio_iommufd *iommufd = context->iommufd;

	if (!iommufd) {
		iommufd = calloc(1, sizeof(*iommufd));
		if (!iommufd)
			return context_fail(context, -ENOMEM, "no memory for an iommufd");
		iommufd->fd = context->sys->open_at(context->dev_fd, "iommu", O_RDWR);
		if (iommufd->fd < 0) {
			int r = iommufd->fd;

			free(iommufd);
			return context_fail(context, r, "can't open /dev/iommu: %s", error_name(r));
		}
		context->iommufd = iommufd;
	}
	iommufd->users++;
	*ret_iommufd = iommufd;
	return 0;
}

void vfio_iommufd_unref(struct p2pdma_context *context, struct vfio_iommufd *iommufd)
{
	if (!iommufd || --iommufd->users)
		return;
	context->iommufd = NULL;
	context->sys->close(iommufd->fd);
	free(iommufd);
}

static int open_cdev(struct p2pdma_context *context, struct vfio_device *vfio)
{
	struct vfio_abi_bind_iommufd bind = {.argsz = sizeof(bind)};
	char path[64];
	int r;

	r = iommufd_acquire(context, &vfio->iommufd);
	if (r)
		return r;
	node_path(&vfio->device.function, path, sizeof(path));
	vfio->fd = context->sys->open_at(context->dev_fd, path, O_RDWR);
	if (vfio->fd < 0) {
		r = vfio->fd;
		context_fail(context, r, "can't open /dev/%s: %s", path, error_name(r));
		goto fail;
	}
	bind.iommufd = vfio->iommufd->fd;
	r = context->sys->ioctl(vfio->fd, VFIO_ABI_BIND_IOMMUFD, &bind);
	if (!r)
		return 0;
	context_fail(context, r, "can't bind /dev/%s to an iommufd: %s", path,
		     r == -EBUSY ? "somebody else has it" : error_name(r));
	context->sys->close(vfio->fd);
fail:
	vfio->fd = -1;
	vfio_iommufd_unref(context, vfio->iommufd);
	vfio->iommufd = NULL;
	return r;
}

const struct vfio_access vfio_cdev = {.name = "cdev", .check = check, .open = open_cdev};
