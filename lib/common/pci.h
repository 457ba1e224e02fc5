/* SPDX-License-Identifier: MIT */
#ifndef COMMON_PCI_H
#define COMMON_PCI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PCI_NR_BARS	       6
#define PCI_ADDRESS_SIZE       24 /* "ffffffff:ff:1f.7" and room */
#define PCI_PROVIDER_NAME_SIZE 56 /* "ffffffff:ff:1f.7/p2pmem@18446744073709551615" and room */

/* In the place of a BAR: memory of a function that its driver divides up, wherever it lies. */
#define PCI_MEMORY_P2PMEM      16 /* "p2pmem", that of pci_alloc_p2pmem() */
#define PCI_MEMORY_VRAM	       17 /* "vram", of a DRM device */

struct pci_address {
	uint32_t domain;
	uint8_t bus;
	uint8_t devfn;
};

struct pci_bar {
	uint64_t size_bytes; /* 0: none */
	bool is_memory;
	bool is_64bit;
	bool is_prefetchable;
};

/* A PCI function as sysfs shows it. */
struct pci_function {
	struct pci_address address;
	uint64_t generation;
	uint32_t vendor_id;
	uint32_t device_id;
	int32_t numa_node;
	char driver[64];     /* "": none */
	char vfio_dev[32];   /* "vfio3", the name below /dev/vfio/devices; "": none */
	int32_t iommu_group; /* -1: none */
	struct pci_bar bars[PCI_NR_BARS];
};

/* What a provider name says. */
struct pci_provider_name {
	struct pci_address address;
	uint32_t bar; /* 0 to 5, or PCI_MEMORY_* */
	bool has_generation;
	uint64_t generation;
};

/* Text that isn't one is -EINVAL. */
int pci_address_parse(const char *text, struct pci_address *ret_address);
void pci_address_format(const struct pci_address *address, char text[PCI_ADDRESS_SIZE]);
int pci_address_compare(const struct pci_address *a, const struct pci_address *b);
int pci_provider_name_parse(const char *text, struct pci_provider_name *ret_name);
void pci_provider_name_format(const struct pci_provider_name *name,
			      char text[PCI_PROVIDER_NAME_SIZE]);

/* The `resource` attribute: one line for each BAR. */
int pci_parse_resource(const char *text, size_t length, struct pci_bar ret_bars[PCI_NR_BARS]);

/* Which arrival of the function is in the slot now. -ENODEV: none. */
int pci_generation_query(int sysfs_fd, const struct pci_address *address, uint64_t *ret_generation);

/* Its directory in sysfs. -ENODEV: none. */
int pci_function_open(int sysfs_fd, const struct pci_address *address, int *ret_fd);

/* -ENODEV: no such function, or it left while it was looked at. */
int pci_function_query(int sysfs_fd, const struct pci_address *address,
		       struct pci_function *ret_function);

/*
 * The address of every function, sorted. The caller frees *ret_addresses.
 * -ENOENT: no PCI here.
 */
int pci_list_query(int sysfs_fd, struct pci_address **ret_addresses, size_t *ret_count);

#endif /* COMMON_PCI_H */
