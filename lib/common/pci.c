// SPDX-License-Identifier: MIT
/*
 * PCI functions as sysfs shows them.
 *
 * The generation of a function is the inode number of its sysfs directory.
 * kernfs gives each new directory the next free number and counts wrap-arounds
 * in the upper half, so an arrival always has a larger one than those before
 * it, whether or not any driver or daemon was there to see. It is read before
 * and after the attributes: when it changed, the function was exchanged while we
 * looked, and what was read is a mix of two devices.
 *
 * The directory is walked directly. libudev would walk the same directory, and
 * what it adds (properties made by udevd's rules) is nothing that we need.
 *
 * No state, no locks; the parser of the `resource` attribute is fuzzed.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "pci.h"
#include "sysfs.h"

/* Flags of <linux/ioport.h>, which sysfs shows to userspace as they are. */
#define RESOURCE_MEMORY	      0x00000200U
#define RESOURCE_PREFETCHABLE 0x00002000U
#define RESOURCE_64BIT	      0x00100000U

static int parse_resource_line(const char *line, struct pci_bar *ret_bar)
{
	uint64_t start, end, flags;
	int used = 0;

	/* The kernel writes three numbers of a fixed width. */
	if (sscanf(line, "0x%16" SCNx64 " 0x%16" SCNx64 " 0x%16" SCNx64 "%n", &start, &end, &flags,
		   &used) != 3 ||
	    line[used])
		return -EIO;
	memset(ret_bar, 0, sizeof(*ret_bar));
	if (!flags || (!start && !end))
		return 0;
	if (end < start || end - start == UINT64_MAX)
		return -EIO;
	ret_bar->size_bytes = end - start + 1;
	ret_bar->is_memory = flags & RESOURCE_MEMORY;
	ret_bar->is_64bit = flags & RESOURCE_64BIT;
	ret_bar->is_prefetchable = flags & RESOURCE_PREFETCHABLE;
	return 0;
}

int pci_parse_resource(const char *text, size_t length, struct pci_bar ret_bars[PCI_NR_BARS])
{
	struct pci_bar bars[PCI_NR_BARS];

	for (size_t i = 0; i < PCI_NR_BARS; i++) {
		const char *newline = memchr(text, '\n', length);
		char line[80];
		size_t n;
		int r;

		if (!newline)
			return -EIO;
		n = (size_t)(newline - text);
		r = sysfs_parse_line(text, n, line, sizeof(line));
		if (r)
			return r;
		r = parse_resource_line(line, &bars[i]);
		if (r)
			return r;
		text += n + 1;
		length -= n + 1;
	}
	memcpy(ret_bars, bars, sizeof(bars));
	return 0;
}

static void function_path(const struct pci_address *address, char *path, size_t size)
{
	char text[PCI_ADDRESS_SIZE];

	pci_address_format(address, text);
	snprintf(path, size, "bus/pci/devices/%s", text);
}

int pci_generation_query(int sysfs_fd, const struct pci_address *address, uint64_t *ret_generation)
{
	struct stat status;
	char path[64];

	function_path(address, path, sizeof(path));
	if (fstatat(sysfs_fd, path, &status, 0) < 0)
		return errno == ENOENT ? -ENODEV : -errno;
	*ret_generation = status.st_ino;
	return 0;
}

int pci_function_open(int sysfs_fd, const struct pci_address *address, int *ret_fd)
{
	char path[64];

	function_path(address, path, sizeof(path));
	return sysfs_open_dir(sysfs_fd, path, ret_fd);
}

/* An attribute that not every function has. */
static int optional(int r)
{
	return r == -ENODEV ? 0 : r;
}

/* The name of the only entry of vfio-dev/, which is there while a VFIO driver is bound. */
static int read_vfio_dev(int fd, char *ret_name, size_t size)
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	int r;

	r = sysfs_list(fd, "vfio-dev", &dir);
	if (r)
		return optional(r);
	while ((entry = readdir(dir))) {
		if (!strncmp(entry->d_name, "vfio", 4))
			return sysfs_parse_line(entry->d_name, strlen(entry->d_name), ret_name,
						size);
	}
	return 0;
}

static int read_attributes(int fd, struct pci_function *function)
{
	uint64_t vendor, device;
	char text[2048], group[16];
	size_t length;
	int r;

	if ((r = sysfs_read_u64(fd, "vendor", &vendor)) ||
	    (r = sysfs_read_u64(fd, "device", &device)) ||
	    (r = sysfs_read(fd, "resource", text, sizeof(text), &length)) ||
	    (r = pci_parse_resource(text, length, function->bars)) ||
	    (r = optional(sysfs_read_s32(fd, "numa_node", &function->numa_node))) ||
	    (r = optional(sysfs_read_link_name(fd, "driver", function->driver,
					       sizeof(function->driver)))) ||
	    (r = read_vfio_dev(fd, function->vfio_dev, sizeof(function->vfio_dev))))
		return r;
	if (vendor > UINT16_MAX || device > UINT16_MAX)
		return -EIO;
	function->vendor_id = (uint32_t)vendor;
	function->device_id = (uint32_t)device;

	r = sysfs_read_link_name(fd, "iommu_group", group, sizeof(group));
	if (!r)
		r = sysfs_parse_s32(group, &function->iommu_group);
	return optional(r);
}

int pci_function_query(int sysfs_fd, const struct pci_address *address,
		       struct pci_function *ret_function)
{
	struct pci_function function = {.numa_node = -1, .iommu_group = -1};
	cleanup_fd int fd = -1;
	uint64_t generation;
	int r;

	function.address = *address;
	r = pci_generation_query(sysfs_fd, address, &function.generation);
	if (r)
		return r;
	r = pci_function_open(sysfs_fd, address, &fd);
	if (r)
		return r;
	r = read_attributes(fd, &function);
	if (r)
		return r;
	r = pci_generation_query(sysfs_fd, address, &generation);
	if (r)
		return r;
	if (generation != function.generation)
		return -ENODEV;
	*ret_function = function;
	return 0;
}

static int compare_addresses(const void *a, const void *b)
{
	return pci_address_compare(a, b);
}

int pci_list_query(int sysfs_fd, struct pci_address **ret_addresses, size_t *ret_count)
{
	cleanup_free struct pci_address *addresses = NULL;
	cleanup_dir DIR *dir = NULL;
	size_t count = 0, room = 0;
	struct dirent *entry;
	int r;

	r = sysfs_list(sysfs_fd, "bus/pci/devices", &dir);
	if (r)
		return r == -ENODEV ? -ENOENT : r;
	while ((entry = readdir(dir))) {
		struct pci_address address;

		if (pci_address_parse(entry->d_name, &address))
			continue;
		if (count == room) {
			struct pci_address *grown;

			room = room ? room * 2 : 64;
			grown = reallocarray(addresses, room, sizeof(*addresses));
			if (!grown)
				return -ENOMEM;
			addresses = grown;
		}
		addresses[count++] = address;
	}
	if (count)
		qsort(addresses, count, sizeof(*addresses), compare_addresses);
	*ret_addresses = addresses;
	*ret_count = count;
	addresses = NULL;
	return 0;
}
