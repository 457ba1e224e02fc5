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
 *    pages of it from sysfs; there is no DMABUF of them. Where p2pd may open the file, it leases
 *    the pool as a whole (source/p2pmem.c).
 *
 * No state; only files of sysfs are opened.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/message.h"
#include "common/pci_memory.h"
#include "common/sysfs.h"
#include "common/vfio.h"
#include "function.h"

static const char vram_cause[] = "memory of a DRM device is handed out by the process that makes a "
				 "buffer of it: let it publish the DMABUF, see p2pdma_publish(3)";
static const char p2pmem_cause[] =
	"there are no DMABUFs of memory with struct pages, which is mapped from p2pmem/allocate in "
	"the function's sysfs directory, and p2pd may not open that: see p2pd(8)";

uint32_t function_backend(const struct pci_function *function)
{
	if (!strcmp(function->driver, "p2pdma_export"))
		return WIRE_BACKEND_EXPORT;
	if (vfio_is_bound(function))
		return WIRE_BACKEND_VFIO;
	return 0;
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

static int add_memory(struct offers *offers, int fd, uint32_t bar)
{
	bool is_vram = bar == PCI_MEMORY_VRAM;
	struct pci_memory memory;
	int r;

	r = pci_memory_query(fd, bar, &memory);
	if (!r)
		add(offers, is_vram ? WIRE_BACKEND_DRM : WIRE_BACKEND_P2PMEM, bar,
		    memory.size_bytes, is_vram ? vram_cause : p2pmem_cause);
	return optional(r);
}

int function_offers(int sysfs_fd, const struct pci_function *function,
		    struct offer ret_offers[FUNCTION_OFFERS], size_t *ret_count)
{
	struct offers offers = {.function = function, .list = ret_offers};
	uint32_t backend = function_backend(function);
	cleanup_fd int fd = -1;
	uint64_t class = 0;
	int r;

	r = pci_function_open(sysfs_fd, &function->address, &fd);
	if (r)
		return r;
	r = optional(sysfs_read_u64(fd, "class", &class));
	offers.pci_class = (uint32_t) class;
	if (!r && backend)
		add_bars(&offers, backend);
	if (!r && !backend)
		r = add_memory(&offers, fd, PCI_MEMORY_VRAM);
	if (!r && !backend)
		r = add_memory(&offers, fd, PCI_MEMORY_P2PMEM);
	if (r)
		return r;
	*ret_count = offers.count;
	return 0;
}
