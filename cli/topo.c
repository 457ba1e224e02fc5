// SPDX-License-Identifier: MIT
/*
 * What `topo` shows of a machine, and the names it gives to it.
 *
 * Rows are functions with a BAR of 1 MiB and more that aren't network cards, columns are those that
 * import by a name or for VFIO. Paths are computed when they are printed: a machine of a
 * thousand functions has a million of them.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "topo.h"

#define SMALLEST_BAR  (1ULL << 20)
#define CLASS_NETWORK 0x02

const struct topo_legend topo_legend[TOPO_NR_CODES] = {
	[TOPO_SAME] = {"X", "#9aa5b1", NULL, "one and the same function"},
	[TOPO_DEVICE] = {"FN", "#1b8a5a", "green", "two functions of one device (BUS_ADDR)"},
	[TOPO_PORT] = {"SW", "#2fb344", "green",
		       "straight from peer to peer, below one port (BUS_ADDR)"},
	[TOPO_HOST] = {"HB", "#f2c037", "yellow", "through one host bridge (THRU_HOST_BRIDGE)"},
	[TOPO_HOSTS] = {"HH", "#f29f37", "yellow", "through two host bridges (THRU_HOST_BRIDGE)"},
	[TOPO_ACS] = {"ACS", "#e8833a", "yellow",
		      "through the host bridge, because ACS redirects (THRU_HOST_BRIDGE)"},
	[TOPO_NO] = {"NO", "#d6336c", "red", "not supported: registration fails"},
	[TOPO_WORKS] = {"?+", "#4dabf7", "green", "works, which way is shown to root only"},
	[TOPO_UNKNOWN] = {"?", "#ced4da", "red", "whether it works is shown to root only"},
};

static void *must(void *pointer)
{
	if (!pointer)
		errx(EXIT_FAILED, "out of memory");
	return pointer;
}

static bool is_row(const struct p2pdma_node *node, bool is_all)
{
	if (!(node->flags & P2PDMA_NODE_PROVIDER))
		return false;
	return is_all ||
	       (node->bar_bytes >= SMALLEST_BAR && node->class_code >> 16 != CLASS_NETWORK);
}

static bool is_column(const struct p2pdma_node *node, bool is_all)
{
	return node->kind == P2PDMA_NODE_FUNCTION && (is_all || node->flags & P2PDMA_NODE_IMPORTER);
}

static void show(struct topo *topo, size_t index)
{
	for (int32_t i = (int32_t)index; i >= 0 && !topo->is_shown[i]; i = topo->nodes[i].parent)
		topo->is_shown[i] = true;
}

static void choose(struct topo *topo, bool is_all)
{
	for (size_t i = 0; i < topo->nr_nodes; i++) {
		struct p2pdma_node *node = &topo->nodes[i];

		*node = (struct p2pdma_node)P2PDMA_NODE_INIT;
		if (p2pdma_topology_node(topo->topology, i, node))
			errx(EXIT_FAILED, "this p2pctl is newer than its library");
		if (is_row(node, is_all))
			topo->providers[topo->nr_providers++] = i;
		if (is_column(node, is_all))
			topo->importers[topo->nr_importers++] = i;
		if (is_row(node, is_all) || is_column(node, is_all))
			show(topo, i);
	}
}

int topo_open(struct cli *cli, bool is_all, struct topo *ret_topo)
{
	struct topo topo = {.topology = NULL};
	int r;

	r = cli_open(cli, P2PDMA_CONTEXT_DIRECT);
	if (r)
		return r;
	r = p2pdma_topology_query(cli->context, &topo.topology);
	if (r)
		return cli_failed(cli, r, "can't look at the PCI tree");
	topo.nr_nodes = p2pdma_topology_count(topo.topology);
	topo.nodes = must(calloc(topo.nr_nodes + 1, sizeof(*topo.nodes)));
	topo.is_shown = must(calloc(topo.nr_nodes + 1, sizeof(*topo.is_shown)));
	topo.providers = must(calloc(topo.nr_nodes + 1, sizeof(*topo.providers)));
	topo.importers = must(calloc(topo.nr_nodes + 1, sizeof(*topo.importers)));
	choose(&topo, is_all);
	*ret_topo = topo;
	return EXIT_OK;
}

void topo_close(struct topo *topo)
{
	p2pdma_topology_free(topo->topology);
	free(topo->nodes);
	free(topo->is_shown);
	free(topo->providers);
	free(topo->importers);
}

void topo_path(const struct topo *topo, size_t provider, size_t importer,
	       struct p2pdma_path *ret_path)
{
	ret_path->size_bytes = sizeof(*ret_path);
	if (p2pdma_topology_path(topo->topology, topo->providers[provider],
				 topo->importers[importer], ret_path))
		errx(EXIT_FAILED, "this p2pctl is newer than its library");
}

const struct p2pdma_node *topo_find(const struct topo *topo, const char *name)
{
	for (size_t i = 0; i < topo->nr_nodes; i++)
		if (!strcmp(topo->nodes[i].name, name))
			return &topo->nodes[i];
	return NULL;
}

const char *topo_importer_name(const struct topo *topo, size_t importer)
{
	const struct p2pdma_node *node = &topo->nodes[topo->importers[importer]];

	return *node->device ? node->device : node->name;
}

void topo_provider_name(const struct topo *topo, size_t provider, char *text, size_t size)
{
	const struct p2pdma_node *node = &topo->nodes[topo->providers[provider]];

	snprintf(text, size, "%s/%u", node->name, node->bar);
}

static bool has_two_hosts(const struct p2pdma_path *path)
{
	unsigned int nr_hosts = 0;

	for (uint32_t i = 0; i < path->nr_hops; i++)
		nr_hosts += path->hops[i].kind == P2PDMA_NODE_HOST_BRIDGE;
	return nr_hosts > 1;
}

enum topo_code topo_code(const struct p2pdma_path *path)
{
	switch (path->map_type) {
	case P2PDMA_MAP_NOT_SUPPORTED:
		return TOPO_NO;
	case P2PDMA_MAP_BUS_ADDR:
		return path->reason == P2PDMA_PATH_SAME_FUNCTION ? TOPO_SAME :
		       path->reason == P2PDMA_PATH_SAME_DEVICE	 ? TOPO_DEVICE :
								   TOPO_PORT;
	case P2PDMA_MAP_THRU_HOST_BRIDGE:
		return path->reason == P2PDMA_PATH_ACS ? TOPO_ACS :
		       has_two_hosts(path)	       ? TOPO_HOSTS :
							 TOPO_HOST;
	default:
		return path->flags & P2PDMA_PATH_POSSIBLE ? TOPO_WORKS : TOPO_UNKNOWN;
	}
}

void link_format(uint32_t generation, uint32_t width, char *text, size_t size)
{
	if (generation)
		snprintf(text, size, "%u.0 x%u", generation, width);
	else
		snprintf(text, size, "-");
}

const char *iommu_name(uint32_t iommu)
{
	static const char *const names[] = {
		[P2PDMA_IOMMU_UNKNOWN] = "unknown",	[P2PDMA_IOMMU_NONE] = "none",
		[P2PDMA_IOMMU_IDENTITY] = "identity",	[P2PDMA_IOMMU_TRANSLATED] = "translated",
		[P2PDMA_IOMMU_UNMANAGED] = "unmanaged", [P2PDMA_IOMMU_BLOCKED] = "blocked",
	};

	return names[iommu < sizeof(names) / sizeof(*names) ? iommu : 0];
}

const char *kind_name(uint32_t kind)
{
	static const char *const names[] = {
		[0] = "unknown",
		[P2PDMA_NODE_HOST_BRIDGE] = "host-bridge",
		[P2PDMA_NODE_ROOT_PORT] = "root-port",
		[P2PDMA_NODE_UPSTREAM_PORT] = "upstream-port",
		[P2PDMA_NODE_DOWNSTREAM_PORT] = "downstream-port",
		[P2PDMA_NODE_BRIDGE] = "bridge",
		[P2PDMA_NODE_FUNCTION] = "function",
	};

	return names[kind < sizeof(names) / sizeof(*names) ? kind : 0];
}
