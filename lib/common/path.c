// SPDX-License-Identifier: MIT
/*
 * Paths: what the kernel will decide for a provider and an importer.
 *
 * Its rules (pci_p2pdma_distance() of drivers/pci/p2pdma.c), in our words:
 *
 *  - Walk from the provider upwards, the provider itself first, until a function is met that is also
 *    above the importer or the importer itself: the common port. The steps on both sides are
 *    the distance.
 *  - Where there is one, and neither it nor any function that was passed redirects by ACS,
 *    requests go straight from peer to peer: BUS_ADDR.
 *  - Otherwise they go through the host bridge. An AMD processor of the Zen family or newer
 *    forwards them; else each host bridge on the way must be in the kernel's list, and one that is listed
 *    for peers below itself only must be both peers'. Yes is THRU_HOST_BRIDGE, no is
 *    NOT_SUPPORTED.
 *  - A host bridge is known by the first function on its root bus, if that is device 0 function 0 or
 *    a root port.
 *
 * What can't be seen is told apart from what isn't there: then the answer may still be certain (one
 * redirecting port is enough), be a map type of two, or be unknown. The IOMMU doesn't change the map type.
 *
 * Pure functions over a tree, which stays as it is.
 */
#include "path.h"

#define HOST_BRIDGE_ANY (-1)

static const struct host_bridge {
	uint16_t vendor_id;
	int32_t device_id;
	bool needs_same;
} host_bridges[] = {
#define HOST_BRIDGE(vendor, device, same) {vendor, device, same},
#include "host_bridges.def"
#undef HOST_BRIDGE
};

const char *const path_kernel = HOST_BRIDGES_KERNEL;

static enum path_answer host_forwards(const struct pci_node *host, bool is_same,
				      bool *ret_is_listed)
{
	const struct pci_root *root = &host->root;
	const struct pci_config *first = &root->first;

	*ret_is_listed = false;
	if (!root->has_first)
		return PATH_NO;
	for (size_t i = 0; i < sizeof(host_bridges) / sizeof(host_bridges[0]); i++) {
		const struct host_bridge *entry = &host_bridges[i];

		if (entry->vendor_id != first->vendor_id ||
		    (entry->device_id != HOST_BRIDGE_ANY && entry->device_id != first->device_id))
			continue;
		if (root->first_devfn && !first->is_pcie_known)
			return PATH_MAYBE;
		if (root->first_devfn && first->pcie_type != PCI_CONFIG_ROOT_PORT)
			return PATH_NO;
		*ret_is_listed = true;
		return entry->needs_same && !is_same ? PATH_NO : PATH_YES;
	}
	return PATH_NO;
}

/* Do the host bridges forward? Notes which one decided, and why. */
static enum path_answer forwards(const struct pci_tree *tree, enum path_answer cpu,
				 int32_t provider_host, int32_t importer_host, struct path *path,
				 bool *ret_is_listed)
{
	bool is_same = provider_host == importer_host;
	enum path_answer one, other;

	*ret_is_listed = false;
	path->host = provider_host;
	path->is_by_cpu = cpu == PATH_YES;
	if (cpu == PATH_YES)
		return PATH_YES;
	one = host_forwards(&tree->nodes[provider_host], is_same, ret_is_listed);
	if (one == PATH_YES && !is_same) {
		other = host_forwards(&tree->nodes[importer_host], is_same, ret_is_listed);
		if (other != PATH_YES) {
			path->host = importer_host;
			one = other;
		}
	}
	return one == PATH_NO && cpu == PATH_MAYBE ? PATH_MAYBE : one;
}

/* From a function up to its root bus; how many. */
static size_t climb(const struct pci_tree *tree, int32_t index, int32_t *ret_chain)
{
	size_t count = 0;

	while (tree->nodes[index].kind != PCI_KIND_HOST_BRIDGE && count < PCI_TREE_MAX_DEPTH) {
		ret_chain[count++] = index;
		index = tree->nodes[index].parent;
	}
	return count;
}

static void note_acs(const struct pci_tree *tree, int32_t index, struct path *path)
{
	const struct pci_config *config = &tree->nodes[index].config;

	if (!config->is_acs_known)
		path->hidden[path->nr_hidden++] = index;
	else if (config->has_acs && config->acs_control & PCI_ACS_REDIRECTS)
		path->redirects[path->nr_redirects++] = index;
}

/* Where two chains meet, in steps from either end; false: nowhere. */
static bool meet(const int32_t *up, size_t nr_up, const int32_t *down, size_t nr_down,
		 size_t *ret_up, size_t *ret_down)
{
	for (size_t i = 0; i < nr_up; i++)
		for (size_t k = 0; k < nr_down; k++)
			if (up[i] == down[k]) {
				*ret_up = i;
				*ret_down = k;
				return true;
			}
	return false;
}

static void decide(const struct pci_tree *tree, enum path_answer cpu, struct path *path)
{
	const struct pci_node *provider = &tree->nodes[path->hops[0]];
	const struct pci_node *importer = &tree->nodes[path->hops[path->nr_hops - 1]];
	bool has_common = path->common >= 0, is_listed;

	if (has_common && !path->nr_redirects && !path->nr_hidden) {
		path->map = PATH_MAP_BUS_ADDR;
		path->reason = path->direct;
		path->is_possible = PATH_YES;
		return;
	}
	path->is_possible = forwards(tree, cpu, provider->host, importer->host, path, &is_listed);
	if (has_common && !path->nr_redirects) {
		path->reason = PATH_REASON_ACS_UNKNOWN;
		if (path->is_possible == PATH_NO)
			path->is_possible = PATH_MAYBE;
		return;
	}
	if (path->is_possible == PATH_YES) {
		path->map = PATH_MAP_THRU_HOST_BRIDGE;
		path->reason = has_common ? PATH_REASON_ACS : PATH_REASON_HOST_BRIDGE;
	} else if (path->is_possible == PATH_MAYBE) {
		path->reason = PATH_REASON_HOST_UNKNOWN;
	} else {
		path->map = PATH_MAP_NOT_SUPPORTED;
		path->distance = -1;
		path->reason = has_common ? PATH_REASON_ACS_BLOCKED :
			       is_listed  ? PATH_REASON_DIFFERENT_HOSTS :
					    PATH_REASON_NOT_FORWARDED;
	}
}

/* Through the host bridges: everything on both sides is on the way. */
static void route_through_hosts(const struct pci_tree *tree, const int32_t *up, size_t nr_up,
				const int32_t *down, size_t nr_down, struct path *path)
{
	int32_t one = tree->nodes[up[0]].host, other = tree->nodes[down[0]].host;

	path->nr_hops = 0;
	for (size_t i = 0; i < nr_up; i++)
		path->hops[path->nr_hops++] = up[i];
	path->hops[path->nr_hops++] = one;
	if (other != one)
		path->hops[path->nr_hops++] = other;
	for (size_t i = nr_down; i > 0; i--)
		path->hops[path->nr_hops++] = down[i - 1];
}

static void find_narrowest(const struct pci_tree *tree, struct path *path)
{
	path->narrowest = -1;
	path->bytes_per_second = 0;
	if (path->nr_hops < 2)
		return;
	for (size_t i = 0; i < path->nr_hops; i++) {
		const struct pci_node *node = &tree->nodes[path->hops[i]];
		uint64_t rate = pci_link_bytes_per_second(node->config.link);

		/* The link of an upstream port leads up, where a direct request doesn't go. */
		if (!rate ||
		    (path->hops[i] == path->common && !path->nr_redirects &&
		     (node->kind == PCI_KIND_UPSTREAM_PORT || node->kind == PCI_KIND_BRIDGE)))
			continue;
		if (path->narrowest < 0 || rate < path->bytes_per_second) {
			path->narrowest = path->hops[i];
			path->bytes_per_second = rate;
			path->link = node->config.link;
		}
	}
}

void path_compute(const struct pci_tree *tree, enum path_answer cpu, int32_t provider,
		  int32_t importer, struct path *ret_path)
{
	int32_t up[PCI_TREE_MAX_DEPTH], down[PCI_TREE_MAX_DEPTH];
	size_t nr_up = climb(tree, provider, up), nr_down = climb(tree, importer, down);
	size_t to_up = nr_up, to_down = nr_down;
	struct path path = {.common = -1,
			    .host = -1,
			    .provider_host = tree->nodes[provider].host,
			    .narrowest = -1};

	if (meet(up, nr_up, down, nr_down, &to_up, &to_down)) {
		path.common = up[to_up];
		for (size_t i = 0; i <= to_up; i++)
			note_acs(tree, up[i], &path);
		for (size_t i = 0; i < to_down; i++)
			note_acs(tree, down[i], &path);
		for (size_t i = 0; i <= to_up; i++)
			path.hops[path.nr_hops++] = up[i];
		for (size_t i = to_down; i > 0; i--)
			path.hops[path.nr_hops++] = down[i - 1];
		path.direct = PATH_REASON_COMMON_PORT;
		if (provider == importer)
			path.direct = PATH_REASON_SAME_FUNCTION;
		else if (to_up == 1 && to_down == 1 &&
			 tree->nodes[provider].address.bus == tree->nodes[importer].address.bus &&
			 tree->nodes[path.common].kind != PCI_KIND_UPSTREAM_PORT &&
			 tree->nodes[path.common].kind != PCI_KIND_BRIDGE)
			path.direct = PATH_REASON_SAME_DEVICE;
	} else {
		route_through_hosts(tree, up, nr_up, down, nr_down, &path);
	}
	path.distance = (int32_t)(to_up + to_down);
	decide(tree, cpu, &path);
	if (path.common >= 0 && path.nr_redirects)
		route_through_hosts(tree, up, nr_up, down, nr_down, &path);
	find_narrowest(tree, &path);
	*ret_path = path;
}
