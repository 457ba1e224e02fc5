// SPDX-License-Identifier: MIT
/*
 * One number for who only has to choose: how far, or that it doesn't work. No state, no locks.
 */
#include <errno.h>

#include "path.h"

int path_distance_query(int sysfs_fd, enum path_answer cpu, const struct pci_address *provider,
			const struct pci_address *importer, int32_t *ret_distance)
{
	int32_t from, to;
	struct pci_tree tree;
	struct path path;
	int r;

	pci_tree_init(&tree);
	r = pci_tree_add(&tree, sysfs_fd, provider, &from);
	if (!r) {
		r = pci_tree_add(&tree, sysfs_fd, importer, &to);
		if (r == -ENODEV)
			r = -ENXIO;
	}
	if (!r) {
		path_compute(&tree, cpu, from, to, &path);
		if (path.is_possible == PATH_MAYBE)
			r = -EOPNOTSUPP;
		else
			*ret_distance = path.distance;
	}
	pci_tree_done(&tree);
	return r;
}
