// SPDX-License-Identifier: MIT
/*
 * Who will import: an RDMA device by name, or a PCI function by address. Soft-RoCE has no
 * function of its own; its network card's is meant.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/sysfs.h"
#include "importer.h"

/* Names of RDMA devices have no slashes and don't begin with a dot. */
static bool is_device_name(const char *name)
{
	return *name && *name != '.' && !strchr(name, '/');
}

/* The last PCI function on the way to a device of a class. -ENODEV. */
static int function_above(int sysfs_fd, const char *class, const char *name,
			  struct pci_address *ret_address)
{
	char path[160], target[PATH_MAX];
	char *rest = target, *part;
	int r = -ENODEV;
	ssize_t length;

	snprintf(path, sizeof(path), "class/%s/%s", class, name);
	length = readlinkat(sysfs_fd, path, target, sizeof(target) - 1);
	if (length < 0)
		return -ENODEV;
	target[length] = '\0';
	while ((part = strsep(&rest, "/")))
		if (!pci_address_parse(part, ret_address))
			r = 0;
	return r;
}

int importer_find(const char *name, struct pci_address *ret_address, struct cause *cause)
{
	cleanup_fd int sysfs_fd = -1;
	char path[160], parent[64];
	int r;

	if (!pci_address_parse(name, ret_address))
		return 0;
	if (!is_device_name(name))
		return cause_fail(cause, -EINVAL, "\"%s\" is no name of an RDMA device", name);
	sysfs_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sysfs_fd < 0)
		return cause_fail(cause, -errno, "sysfs can't be opened");
	if (!function_above(sysfs_fd, "infiniband", name, ret_address))
		return 0;
	snprintf(path, sizeof(path), "class/infiniband/%s/parent", name);
	r = sysfs_read_line(sysfs_fd, path, parent, sizeof(parent));
	if (r || !is_device_name(parent) || function_above(sysfs_fd, "net", parent, ret_address))
		return cause_fail(cause, -ENODEV,
				  "there is no RDMA device \"%s\" with a PCI function", name);
	return 0;
}
