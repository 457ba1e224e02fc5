/* SPDX-License-Identifier: MIT */
#ifndef COMMON_PCI_TREE_H
#define COMMON_PCI_TREE_H

#include "pci.h"
#include "pci_config.h"

#define PCI_TREE_MAX_DEPTH 32

enum pci_kind {
	PCI_KIND_HOST_BRIDGE = 1,
	PCI_KIND_ROOT_PORT = 2,
	PCI_KIND_UPSTREAM_PORT = 3,
	PCI_KIND_DOWNSTREAM_PORT = 4,
	PCI_KIND_BRIDGE = 5, /* to or of conventional PCI */
	PCI_KIND_FUNCTION = 6,
};

/* Who translates the addresses that a function sends. */
enum pci_iommu {
	PCI_IOMMU_UNKNOWN = 0,
	PCI_IOMMU_NONE = 1,
	PCI_IOMMU_IDENTITY = 2,	  /* one that passes them through */
	PCI_IOMMU_TRANSLATED = 3, /* the kernel's own mappings */
	PCI_IOMMU_UNMANAGED = 4,  /* somebody else's: VFIO */
	PCI_IOMMU_BLOCKED = 5,
};

/* What the kernel compares with its list of host bridges: the first function of the root bus. */
struct pci_root {
	bool has_first;
	uint8_t first_devfn;
	struct pci_config first;
};

/* A host bridge or a function. */
struct pci_node {
	struct pci_address address; /* of a host bridge: its domain and root bus */
	char name[PCI_ADDRESS_SIZE];
	uint64_t generation;
	int32_t parent; /* -1: a host bridge */
	int32_t host;	/* its own index for a host bridge */
	enum pci_kind kind;
	bool is_asked;		  /* for, and not only above one that was */
	struct pci_config config; /* not of a host bridge */
	enum pci_iommu iommu;	  /* of functions that were asked for */
	struct pci_root root;	  /* of a host bridge */
};

/* A picture of the PCI tree, or of the parts of it that were asked for. */
struct pci_tree {
	struct pci_node *nodes; /* parents before children */
	size_t count;
	size_t room;
	int32_t *buckets; /* indices by address; -1: free */
	size_t nr_buckets;
};

void pci_tree_init(struct pci_tree *tree);
void pci_tree_done(struct pci_tree *tree);

/* Looks at a function and all above it, unless it has. -ENODEV: no such function; -EIO; -ENOMEM. */
int pci_tree_add(struct pci_tree *tree, int sysfs_fd, const struct pci_address *address,
		 int32_t *ret_index);
/* Looks at every function. Those that leave meanwhile or make no sense are left out. -ENOENT. */
int pci_tree_add_all(struct pci_tree *tree, int sysfs_fd);
/* -1: isn't there. */
int32_t pci_tree_find(const struct pci_tree *tree, const struct pci_address *address);

/* What a link below bus/pci/devices says. */
struct pci_chain {
	struct pci_address host; /* domain and bus */
	size_t host_length;	 /* the link up to and with the host bridge */
	size_t count;
	struct pci_address functions[PCI_TREE_MAX_DEPTH]; /* from the root bus downwards */
};

/* -EIO: it makes no sense. */
int pci_chain_parse(const char *link, struct pci_chain *ret_chain);

/*
 * The PCI function behind the name of an importer: a function's own address, an RDMA device (rxe: the
 * function that it imports for), a DRM device, a disk. -EINVAL: no name; -ENODEV: there is no such
 * importer; -ENXIO: it is on no function.
 */
int pci_importer_query(int sysfs_fd, const char *name, struct pci_address *ret_address);

/* What soft-RoCE imports for, relative to sysfs: a parameter of its module. */
#define PCI_RXE_FUNCTION "module/rdma_rxe/parameters/dmabuf_device"

/* The last PCI function on the way to which a link leads, relative to @sysfs_fd. -ENODEV: none. */
int pci_function_above(int sysfs_fd, const char *path, struct pci_address *ret_address);

#endif /* COMMON_PCI_TREE_H */
