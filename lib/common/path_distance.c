// SPDX-License-Identifier: MIT
/*
 * One number for who only has to choose: how far, or that it doesn't work. No state, no locks.
 */
#include <errno.h>

#include "path.h"

/* One that is only above another one hasn't been looked at as a whole. */
static int find(struct pci_tree *tree, int sysfs_fd, const struct pci_address *address,
		int32_t *ret_index)
{
	int32_t index = pci_tree_find(tree, address);

	if (index < 0 || !tree->nodes[index].is_asked)
		return pci_tree_add(tree, sysfs_fd, address, ret_index);
	*ret_index = index;
	return 0;
}

int path_distance_in(struct pci_tree *tree, int sysfs_fd, enum path_answer cpu,
		     const struct pci_address *provider, const struct pci_address *importer,
		     int32_t *ret_distance)
{
	struct path path;
	int32_t from, to;
	int r;

	r = find(tree, sysfs_fd, provider, &from);
	if (r)
		return r;
	r = find(tree, sysfs_fd, importer, &to);
	if (r)
		return r == -ENODEV ? -ENXIO : r;
	path_compute(tree, cpu, from, to, &path);
	if (path.is_possible == PATH_MAYBE)
		return -EOPNOTSUPP;
	*ret_distance = path.distance;
	return 0;
}

int path_distance_query(int sysfs_fd, enum path_answer cpu, const struct pci_address *provider,
			const struct pci_address *importer, int32_t *ret_distance)
{
	struct pci_tree tree;
	int r;

	pci_tree_init(&tree);
	r = path_distance_in(&tree, sysfs_fd, cpu, provider, importer, ret_distance);
	pci_tree_done(&tree);
	return r;
}
