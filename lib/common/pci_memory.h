/* SPDX-License-Identifier: MIT */
#ifndef COMMON_PCI_MEMORY_H
#define COMMON_PCI_MEMORY_H

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

#endif /* COMMON_PCI_MEMORY_H */
