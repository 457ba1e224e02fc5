// SPDX-License-Identifier: MIT
/*
 * Memory of a function that isn't a BAR as a whole: its driver divides it up, and gives parts of
 * it to peers by itself.
 *
 *  - vram, of a DRM device with a render node. Few drivers tell its size in sysfs, each by a file
 *    of its own.
 *  - p2pmem, memory with struct pages (an NVMe controller's buffer, say), whose size the PCI core
 *    tells.
 *
 * No state; only files of sysfs are opened.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "pci.h"
#include "pci_memory.h"
#include "sysfs.h"

static int query_render_node(int function_fd, char *ret_name, size_t size)
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	int r;

	r = sysfs_list(function_fd, "drm", &dir);
	if (r)
		return r;
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, "renderD", 7))
			return sysfs_parse_line(entry->d_name, strlen(entry->d_name), ret_name,
						size);
	return -ENODEV;
}

static int query_vram(int function_fd, struct pci_memory *memory)
{
	int r;

	r = query_render_node(function_fd, memory->render_node, sizeof(memory->render_node));
	if (r)
		return r;
	r = sysfs_read_u64(function_fd, "mem_info_vram_total", &memory->size_bytes);
	return r == -ENODEV ? 0 : r;
}

int pci_memory_query(int function_fd, uint32_t bar, struct pci_memory *ret_memory)
{
	struct pci_memory memory = {.size_bytes = 0};
	int r;

	if (bar == PCI_MEMORY_VRAM)
		r = query_vram(function_fd, &memory);
	else
		r = sysfs_read_u64(function_fd, "p2pmem/size", &memory.size_bytes);
	if (r)
		return r;
	*ret_memory = memory;
	return 0;
}

int pci_p2pmem_query(int function_fd, struct pci_p2pmem *ret_pool)
{
	struct pci_p2pmem pool = {.size_bytes = 0};
	uint64_t is_published = 0;
	int r;

	r = sysfs_read_u64(function_fd, "p2pmem/size", &pool.size_bytes);
	if (!r)
		r = sysfs_read_u64(function_fd, "p2pmem/available", &pool.available_bytes);
	if (!r)
		r = sysfs_read_u64(function_fd, "p2pmem/published", &is_published);
	if (!r && (pool.available_bytes > pool.size_bytes || is_published > 1))
		r = -EIO;
	if (r)
		return r;
	pool.is_published = is_published;
	*ret_pool = pool;
	return 0;
}
