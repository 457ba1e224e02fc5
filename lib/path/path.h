/* SPDX-License-Identifier: MIT */
#ifndef PATH_H
#define PATH_H

#include <p2pdma/path.h>

#include "common/path.h"
#include "context/context.h"

/* Asked once for each context. */
enum path_answer path_context_cpu(struct p2pdma_context *context);

/* Fills all but what only the kernel knows, and size_bytes. @boot: asked where ACS redirects. */
void path_publish(const struct pci_tree *tree, const struct path *path,
		  const struct path_boot *boot, struct p2pdma_path *ret_path);

/* The node of a provider, to ask it by; the caller closes it. -EOPNOTSUPP: it can't be opened. */
int path_open_kernel(const struct p2pdma_context *context, const struct pci_address *provider);
/*
 * P2PDMA_EXPORT_PATH of that node. -EOPNOTSUPP: it doesn't answer. @ret_map_type is
 * P2PDMA_MAP_UNKNOWN where the kernel part doesn't tell it.
 */
int path_ask(const struct p2pdma_context *context, int fd, const struct pci_address *importer,
	     uint32_t *ret_map_type, int32_t *ret_distance);
/* Both, for one importer. */
int path_ask_kernel(const struct p2pdma_context *context, const struct pci_address *provider,
		    const struct pci_address *importer, uint32_t *ret_map_type,
		    int32_t *ret_distance);

/* What to do about an importer that is on no PCI function. */
void path_advise_function(int sysfs_fd, const char *importer, char *ret_text, size_t size);

/* The kernel's answer beside what was computed. */
void path_take_answer(const struct p2pdma_context *context, uint32_t map_type, int32_t distance,
		      struct p2pdma_path *path);

/* How these ports of it are kept from redirecting. */
void topology_advise_acs(const struct p2pdma_topology *topology, const char *const *ports,
			 size_t nr_ports, char *ret_text, size_t size);

/* ret_path->size_bytes as the first published one. */
#define PATH_FIRST_SIZE sizeof(struct p2pdma_path)

#endif /* PATH_H */
