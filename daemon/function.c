// SPDX-License-Identifier: MIT
/*
 * What a PCI function offers, as sysfs shows it.
 *
 * Bound to p2pdma_export or vfio-pci, its memory BARs: p2pd makes DMABUFs of slices of them. Bound to
 * another driver that gives its memory to peers itself, that memory, with the reason why p2pd
 * can't lease from it:
 *
 *  - vram, of a DRM device with a render node. A buffer of it belongs to the process that made
 *    it, and only that process can export it; it may publish the DMABUF.
 *  - p2pmem, memory with struct pages (an NVMe controller's buffer, say). A process maps
 *    pages of it from sysfs; there is no DMABUF of them.
 *
 * No state; only files of sysfs are opened.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/message.h"
#include "common/sysfs.h"
#include "common/vfio.h"
#include "function.h"

static const char vram_cause[] = "a buffer of a DRM device is handed out by the process that made "
				 "it: let it export the buffer "
				 "(PRIME) and publish the DMABUF, see p2pdma_publish(3)";
static const char p2pmem_cause[] = "memory with struct pages is mapped from p2pmem/allocate in the "
				   "function's sysfs directory; "
				   "there are no DMABUFs of it";

uint32_t function_backend(const struct pci_function *function)
{
	if (!strcmp(function->driver, "p2pdma_export"))
		return WIRE_BACKEND_EXPORT;
	if (vfio_is_bound(function))
		return WIRE_BACKEND_VFIO;
	return 0;
}

/* -ENODEV: none. */
static int find_render_node(int fd)
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	int r;

	r = sysfs_list(fd, "drm", &dir);
	if (r)
		return r;
	while ((entry = readdir(dir)))
		if (!strncmp(entry->d_name, "renderD", 7))
			return 0;
	return -ENODEV;
}

struct offers {
	const struct pci_function *function;
	struct offer *list;
	size_t count;
	uint32_t pci_class;
};

static void add(struct offers *offers, uint32_t backend, uint32_t bar, uint64_t size_bytes,
		const char *cause)
{
	const struct pci_function *function = offers->function;
	struct pci_provider_name name = {.address = function->address,
					 .bar = bar,
					 .has_generation = true,
					 .generation = function->generation};
	struct offer *offer = &offers->list[offers->count++];
	char text[PCI_PROVIDER_NAME_SIZE];

	*offer = (struct offer){
		.identity =
			{
				.backend = backend,
				.address = function->address,
				.bar = bar,
				.generation = function->generation,
				.vendor_id = function->vendor_id,
				.device_id = function->device_id,
				.pci_class = offers->pci_class,
			},
		.size_bytes = size_bytes,
		.cause = cause,
	};
	pci_provider_name_format(&name, text);
	wire_text_set(offer->identity.name, sizeof(offer->identity.name), text);
}

static void add_bars(struct offers *offers, uint32_t backend)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	for (uint32_t bar = 0; bar < PCI_NR_BARS; bar++) {
		const struct pci_bar *b = &offers->function->bars[bar];

		if (b->is_memory && b->size_bytes && b->size_bytes % page == 0)
			add(offers, backend, bar, b->size_bytes, "");
	}
}

/* What not every function has. */
static int optional(int r)
{
	return r == -ENODEV ? 0 : r;
}

static int add_vram(struct offers *offers, int fd)
{
	uint64_t size_bytes = 0;
	int r;

	r = find_render_node(fd);
	if (r)
		return r;
	/* Few drivers tell it, each by a file of its own. */
	r = optional(sysfs_read_u64(fd, "mem_info_vram_total", &size_bytes));
	if (!r)
		add(offers, WIRE_BACKEND_DRM, PCI_MEMORY_VRAM, size_bytes, vram_cause);
	return r;
}

static int add_p2pmem(struct offers *offers, int fd)
{
	uint64_t size_bytes;
	int r;

	r = sysfs_read_u64(fd, "p2pmem/size", &size_bytes);
	if (!r)
		add(offers, WIRE_BACKEND_P2PMEM, PCI_MEMORY_P2PMEM, size_bytes, p2pmem_cause);
	return r;
}

int function_offers(int sysfs_fd, const struct pci_function *function,
		    struct offer ret_offers[FUNCTION_OFFERS], size_t *ret_count)
{
	struct offers offers = {.function = function, .list = ret_offers};
	uint32_t backend = function_backend(function);
	char path[64], name[PCI_ADDRESS_SIZE];
	cleanup_fd int fd = -1;
	uint64_t class = 0;
	int r;

	pci_address_format(&function->address, name);
	snprintf(path, sizeof(path), "bus/pci/devices/%s", name);
	r = sysfs_open_dir(sysfs_fd, path, &fd);
	if (r)
		return r;
	r = optional(sysfs_read_u64(fd, "class", &class));
	offers.pci_class = (uint32_t) class;
	if (!r && backend)
		add_bars(&offers, backend);
	if (!r && !backend)
		r = optional(add_vram(&offers, fd));
	if (!r && !backend)
		r = optional(add_p2pmem(&offers, fd));
	if (r)
		return r;
	*ret_count = offers.count;
	return 0;
}
