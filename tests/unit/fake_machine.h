/* SPDX-License-Identifier: MIT */
#ifndef FAKE_MACHINE_H
#define FAKE_MACHINE_H

#include "common/pci_tree.h"
#include "fake.h"

/*
 * PCI trees as sysfs shows them: real directories, links and configuration spaces in the fake
 * machine's sysfs. A function is described by what makes a path; the rest is always the same.
 */
struct fake_pci {
	const char *address;
	const char *above;    /* a function, or a host bridge "pci0000:00" */
	uint16_t vendor_id;   /* 0: 0x1af4 */
	uint16_t device_id;   /* 0: 0x1110 */
	uint8_t type;	      /* PCI_CONFIG_*; ports are bridges */
	bool is_conventional; /* no PCIe capability */
	bool is_short;	      /* its space ends at 256 bytes */
	bool is_hidden;	      /* only 64 bytes of it may be read */
	bool has_acs;
	uint16_t acs_control;
	uint32_t class_code;	 /* of no port; 0: 0x020000 */
	uint32_t resizable;	 /* sizes of BAR 2, bit n: 1 MiB << n; 0: it has one */
	bool is_relaxed;	 /* it may order its requests loosely */
	uint8_t link_generation; /* 0: 5 */
	uint8_t link_width;	 /* 0: 16; 255: it is down */
	int numa_node;
	const char *driver; /* NULL: none */
};

void fake_pci_add(const struct fake_pci *function);
/* A root bus whose function 00.0 has these ids. */
void fake_host_add(const char *name, uint16_t vendor_id, uint16_t device_id);
/* In another state than it was. */
void fake_acs_set(const char *address, uint16_t control);
/* "AuthenticAMD" 23, say. */
void fake_cpu_set(const char *vendor, int family);
/* An RDMA device on the function. */
void fake_rdma_add(const char *name, const char *address);
void fake_iommu_set(const char *address, int group, const char *type);

/* Two sockets, four switches with two GPUs and two NICs (mlx5_0 ...) each. */
#define FAKE_NR_GPUS 8
#define FAKE_NR_NICS 8
void fake_server_add(uint16_t host_vendor_id, uint16_t host_device_id);
const char *fake_server_gpu(unsigned int index);
const char *fake_server_nic(unsigned int index);

#endif /* FAKE_MACHINE_H */
