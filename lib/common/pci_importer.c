// SPDX-License-Identifier: MIT
/*
 * Which PCI function an importer is.
 *
 * A device of a class is a link that leads through the directories of all devices above
 * it; the last PCI function on the way is the one that sends its requests.
 *
 * Soft-RoCE has none: the CPU copies, and rxe imports for the function that its module's parameter
 * dmabuf_device lends to all of its devices, else for that of its network interface, else for the first that
 * is found below that: a bond, a bridge and a VLAN are made of others. Which of several is the first
 * one only the kernel knows; here it is the oldest, by its index. No state, no locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
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

/* What may be below an interface: as deep as the kernel looks. */
#define MAX_NESTING 8

/* -ENXIO: none is on it or below. */
static int function_of_interface(int sysfs_fd, const char *name, unsigned int depth,
				 struct pci_address *ret_address)
{
	static const char prefix[] = "lower_";
	cleanup_dir DIR *dir = NULL;
	uint64_t index, oldest = UINT64_MAX;
	struct pci_address address;
	struct dirent *entry;
	char path[320];
	int r;

	if (!function_above(sysfs_fd, "net", name, ret_address))
		return 0;
	snprintf(path, sizeof(path), "class/net/%s", name);
	if (depth == MAX_NESTING)
		return -ENXIO;
	r = sysfs_list(sysfs_fd, path, &dir);
	if (r)
		return r == -ENODEV ? -ENXIO : r;
	r = -ENXIO;
	while ((entry = readdir(dir))) {
		const char *lower = entry->d_name + strlen(prefix);

		if (strncmp(entry->d_name, prefix, strlen(prefix)) != 0 || !is_device_name(lower))
			continue;
		snprintf(path, sizeof(path), "class/net/%s/ifindex", lower);
		if (sysfs_read_u64(sysfs_fd, path, &index) || index >= oldest ||
		    function_of_interface(sysfs_fd, lower, depth + 1, &address))
			continue;
		oldest = index;
		*ret_address = address;
		r = 0;
	}
	return r;
}

static int function_of_rxe(int sysfs_fd, const char *interface, struct pci_address *ret_address)
{
	char lent[PCI_ADDRESS_SIZE], path[64];

	if (!sysfs_read_line(sysfs_fd, PCI_RXE_FUNCTION, lent, sizeof(lent)) &&
	    !pci_address_parse(lent, ret_address)) {
		snprintf(path, sizeof(path), "bus/pci/devices/%s", lent);
		return faccessat(sysfs_fd, path, F_OK, 0) ? -ENXIO : 0;
	}
	return function_of_interface(sysfs_fd, interface, 0, ret_address);
}

int pci_importer_query(int sysfs_fd, const char *name, struct pci_address *ret_address)
{
	static const char *const classes[] = {"infiniband", "drm", "block"};
	char path[160], interface[64];
	int r = -ENODEV;

	if (!pci_address_parse(name, ret_address))
		return 0;
	if (!is_device_name(name))
		return -EINVAL;
	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		if (!function_above(sysfs_fd, classes[i], name, ret_address))
			return 0;
		snprintf(path, sizeof(path), "class/%s/%s", classes[i], name);
		if (!faccessat(sysfs_fd, path, F_OK, AT_SYMLINK_NOFOLLOW))
			r = -ENXIO;
	}
	snprintf(path, sizeof(path), "class/infiniband/%s/parent", name);
	if (sysfs_read_line(sysfs_fd, path, interface, sizeof(interface)) ||
	    !is_device_name(interface))
		return r;
	return function_of_rxe(sysfs_fd, interface, ret_address);
}
