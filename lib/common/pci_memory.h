/* SPDX-License-Identifier: MIT */
#ifndef COMMON_PCI_MEMORY_H
#define COMMON_PCI_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

/* Memory of a function that its driver divides up: the vram of a GPU, p2pmem. */
struct pci_memory {
	uint64_t size_bytes;  /* 0: the driver doesn't tell */
	char render_node[24]; /* vram: "renderD128"; else "" */
};

/*
 * @function_fd: the function's directory, see pci_function_open().
 * @bar:         PCI_MEMORY_VRAM or PCI_MEMORY_P2PMEM.
 * -ENODEV: it has none; -EIO: what sysfs says makes no sense.
 */
int pci_memory_query(int function_fd, uint32_t bar, struct pci_memory *ret_memory);

/* How full a pool of memory with struct pages is. */
struct pci_p2pmem {
	uint64_t size_bytes;
	uint64_t available_bytes; /* less what processes and the driver itself have of it */
	bool is_published;	  /* kernel drivers may take from it for their own transfers */
};

/* -ENODEV: it has none; -EIO: what sysfs says makes no sense. */
int pci_p2pmem_query(int function_fd, struct pci_p2pmem *ret_pool);

#endif /* COMMON_PCI_MEMORY_H */
