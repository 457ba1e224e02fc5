// SPDX-License-Identifier: MIT
/*
 * Which PCI function an importer is.
 *
 * A device of a class is a link that leads through the directories of all devices above
 * it; the last PCI function on the way is the one that sends its requests. Soft-RoCE has none: it
 * says the name of a network interface, whose function is meant. No state, no locks.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pci_tree.h"
#include "sysfs.h"

/* Names of devices have no slashes and don't begin with a dot. */
static bool is_device_name(const char *name)
{
	return *name && *name != '.' && !strchr(name, '/') && strlen(name) < 64;
}

int pci_function_above(int sysfs_fd, const char *path, struct pci_address *ret_address)
{
	char target[PATH_MAX];
	char *rest = target, *part;
	int r = -ENODEV;
	ssize_t length;

	length = readlinkat(sysfs_fd, path, target, sizeof(target) - 1);
	if (length < 0)
		return -ENODEV;
	target[length] = '\0';
	while ((part = strsep(&rest, "/")))
		if (!pci_address_parse(part, ret_address))
			r = 0;
	return r;
}

/* Of a device of a class. */
static int function_above(int sysfs_fd, const char *class, const char *name,
			  struct pci_address *ret_address)
{
	char path[160];

	snprintf(path, sizeof(path), "class/%s/%s", class, name);
	return pci_function_above(sysfs_fd, path, ret_address);
}

int pci_importer_query(int sysfs_fd, const char *name, struct pci_address *ret_address)
{
	char path[160], parent[64];

	if (!pci_address_parse(name, ret_address))
		return 0;
	if (!is_device_name(name))
		return -EINVAL;
	if (!function_above(sysfs_fd, "infiniband", name, ret_address) ||
	    !function_above(sysfs_fd, "drm", name, ret_address) ||
	    !function_above(sysfs_fd, "block", name, ret_address))
		return 0;
	snprintf(path, sizeof(path), "class/infiniband/%s/parent", name);
	if (sysfs_read_line(sysfs_fd, path, parent, sizeof(parent)) || !is_device_name(parent))
		return -ENODEV;
	return function_above(sysfs_fd, "net", parent, ret_address);
}
