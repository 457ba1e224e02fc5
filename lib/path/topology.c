// SPDX-License-Identifier: MIT
/*
 * The topology of a machine: the whole PCI tree with what a person wants to know of each node.
 *
 * It is taken in one go and never changes, so that every pair of its functions can be asked for
 * without a system call. Which functions import is told by their device classes: RDMA, then
 * DRM; a function that VFIO holds can import, too, but has no name of its own. Any thread, no locks.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/sysfs.h"
#include "context/options.h"
#include "path.h"

/* What a node has besides its place. */
struct extra {
	uint32_t flags;
	int32_t numa_node;
	uint32_t bar;
	uint64_t bar_bytes;
	char driver[32];
	char device[64];
	char devices[192];
};

struct p2pdma_topology {
	struct pci_tree tree;
	enum path_answer cpu;
	struct path_boot boot;
	struct extra *extras;
};

static void note_function(const struct pci_function *function, struct extra *extra)
{
	snprintf(extra->driver, sizeof(extra->driver), "%.31s", function->driver);
	extra->numa_node = function->numa_node;
	if (*function->vfio_dev || !strcmp(function->driver, "vfio-pci"))
		extra->flags |= P2PDMA_NODE_IMPORTER;
	for (uint32_t bar = 0; bar < PCI_NR_BARS; bar++) {
		const struct pci_bar *found = &function->bars[bar];

		if (!found->is_memory || found->size_bytes <= extra->bar_bytes)
			continue;
		extra->flags |= P2PDMA_NODE_PROVIDER;
		extra->bar = bar;
		extra->bar_bytes = found->size_bytes;
	}
}

/* Functions that leave meanwhile, or say what makes no sense, stay as bare nodes. */
static int note_all(const struct p2pdma_context *context, struct p2pdma_topology *topology)
{
	for (size_t i = 0; i < topology->tree.count; i++) {
		const struct pci_node *node = &topology->tree.nodes[i];
		struct pci_function function;
		int r;

		topology->extras[i].numa_node = -1;
		/* A port's own registers are nobody's target. */
		if (node->kind != PCI_KIND_FUNCTION)
			continue;
		r = pci_function_query(context->sysfs_fd, &node->address, &function);
		if (r && r != -ENODEV && r != -EIO)
			return r;
		if (r || function.generation != node->generation)
			continue;
		note_function(&function, &topology->extras[i]);
		if (topology->extras[node->host].numa_node < 0)
			topology->extras[node->host].numa_node = function.numa_node;
	}
	return 0;
}

/* The first name is the one to call it by. */
static void add_name(struct extra *extra, const char *name)
{
	size_t length = strlen(extra->devices);

	if (!*extra->device)
		snprintf(extra->device, sizeof(extra->device), "%.63s", name);
	if (length + 1 + strlen(name) < sizeof(extra->devices))
		snprintf(extra->devices + length, sizeof(extra->devices) - length, "%s%s",
			 length ? " " : "", name);
}

static void note_importer(const struct p2pdma_context *context, struct p2pdma_topology *topology,
			  const char *name)
{
	struct pci_address address;
	int32_t index;

	/* Connectors of a card have a dash. */
	if (strchr(name, '-') || pci_importer_query(context->sysfs_fd, name, &address))
		return;
	index = pci_tree_find(&topology->tree, &address);
	if (index < 0)
		return;
	topology->extras[index].flags |= P2PDMA_NODE_IMPORTER;
	add_name(&topology->extras[index], name);
}

/* mlx5_2 before mlx5_10, whatever the locale. */
static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strverscmp((*a)->d_name, (*b)->d_name);
}

static int note_class(const struct p2pdma_context *context, struct p2pdma_topology *topology,
		      const char *class)
{
	struct dirent **entries;
	int count;

	count = scandirat(context->sysfs_fd, class, &entries, NULL, compare_names);
	/* Without a driver of that class there is no such directory. */
	if (count < 0)
		return errno == ENOMEM || errno == EMFILE || errno == ENFILE ? -errno : 0;
	for (int i = 0; i < count; i++) {
		note_importer(context, topology, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return 0;
}

int p2pdma_topology_query(struct p2pdma_context *context, struct p2pdma_topology **ret_topology)
{
	struct p2pdma_topology *topology;
	int r;

	if (!context)
		return -EINVAL;
	if (!ret_topology)
		return context_fail(context, -EINVAL, "no place for the topology was given");
	topology = calloc(1, sizeof(*topology));
	if (!topology)
		return context_fail(context, -ENOMEM, "no memory for a topology");
	pci_tree_init(&topology->tree);
	topology->cpu = path_context_cpu(context);
	path_boot_query(context->root, &topology->boot);
	r = pci_tree_add_all(&topology->tree, context->sysfs_fd);
	if (!r) {
		topology->extras = calloc(topology->tree.count + 1, sizeof(*topology->extras));
		r = topology->extras ? note_all(context, topology) : -ENOMEM;
	}
	/* The first word is the RDMA device's. */
	if (!r)
		r = note_class(context, topology, "class/infiniband");
	if (!r)
		r = note_class(context, topology, "class/drm");
	if (r) {
		p2pdma_topology_free(topology);
		return context_fail(context, r, "can't look at the PCI tree in sysfs: %s",
				    error_name(r));
	}
	*ret_topology = topology;
	return 0;
}

void p2pdma_topology_free(struct p2pdma_topology *topology)
{
	if (!topology)
		return;
	pci_tree_done(&topology->tree);
	free(topology->extras);
	free(topology);
}

size_t p2pdma_topology_count(const struct p2pdma_topology *topology)
{
	return topology ? topology->tree.count : 0;
}

static void publish_config(const struct pci_config *config, struct p2pdma_node *out)
{
	out->vendor_id = config->vendor_id;
	out->device_id = config->device_id;
	out->class_code = config->class_code;
}

static void publish_node(const struct pci_node *node, struct p2pdma_node *out)
{
	const struct pci_config *config = &node->config;

	out->kind = node->kind;
	out->parent = node->parent;
	out->host = node->host;
	memcpy(out->name, node->name, sizeof(out->name));
	if (node->kind == PCI_KIND_HOST_BRIDGE) {
		publish_config(&node->root.first, out);
		return;
	}
	publish_config(config, out);
	out->flags |= config->has_acs ? P2PDMA_NODE_HAS_ACS : 0;
	out->flags |= config->is_acs_known ? 0 : P2PDMA_NODE_ACS_UNKNOWN;
	out->flags |= config->acs_control & PCI_ACS_REDIRECTS ? P2PDMA_NODE_REDIRECTS : 0;
	out->acs_capability = config->acs_capability;
	out->acs_control = config->acs_control;
	out->link_generation = config->link.generation;
	out->link_width = config->link.width;
	out->max_link_generation = config->max_link.generation;
	out->max_link_width = config->max_link.width;
	out->iommu = node->iommu;
}

int p2pdma_topology_node(const struct p2pdma_topology *topology, size_t index,
			 struct p2pdma_node *ret_node)
{
	struct p2pdma_node node;
	const struct extra *extra;

	if (!topology || index >= topology->tree.count ||
	    options_check_output(ret_node, sizeof(node)))
		return -EINVAL;
	memset(&node, 0, sizeof(node));
	publish_node(&topology->tree.nodes[index], &node);
	extra = &topology->extras[index];
	node.flags |= extra->flags;
	node.numa_node = extra->numa_node;
	node.bar = extra->bar;
	node.bar_bytes = extra->bar_bytes;
	memcpy(node.driver, extra->driver, sizeof(node.driver));
	memcpy(node.device, extra->device, sizeof(node.device));
	memcpy(node.devices, extra->devices, sizeof(node.devices));
	options_store(ret_node, &node, sizeof(node));
	return 0;
}

static bool is_function(const struct p2pdma_topology *topology, size_t index)
{
	return index < topology->tree.count &&
	       topology->tree.nodes[index].kind != PCI_KIND_HOST_BRIDGE;
}

int p2pdma_topology_path(const struct p2pdma_topology *topology, size_t provider, size_t importer,
			 struct p2pdma_path *ret_path)
{
	struct p2pdma_path out;
	struct path path;

	if (!topology || !is_function(topology, provider) || !is_function(topology, importer) ||
	    options_check_output(ret_path, PATH_FIRST_SIZE))
		return -EINVAL;
	path_compute(&topology->tree, topology->cpu, (int32_t)provider, (int32_t)importer, &path);
	path_publish(&topology->tree, &path, &topology->boot, &out);
	options_store(ret_path, &out, sizeof(out));
	return 0;
}

int p2pdma_topology_advise(const struct p2pdma_topology *topology, const struct p2pdma_pair *pairs,
			   size_t nr_pairs, struct p2pdma_path *ret_path)
{
	struct path path, other;
	struct p2pdma_path out;

	if (!topology || !pairs || !nr_pairs || options_check_output(ret_path, PATH_FIRST_SIZE))
		return -EINVAL;
	for (size_t i = 0; i < nr_pairs; i++) {
		if (!is_function(topology, pairs[i].provider) ||
		    !is_function(topology, pairs[i].importer))
			return -EINVAL;
		path_compute(&topology->tree, topology->cpu, (int32_t)pairs[i].provider,
			     (int32_t)pairs[i].importer, &other);
		if (!i)
			path = other;
		else if (!path_join(&other, &path))
			return -EINVAL;
	}
	path_publish(&topology->tree, &path, &topology->boot, &out);
	options_store(ret_path, &out, sizeof(out));
	return 0;
}

void topology_advise_acs(const struct p2pdma_topology *topology, const char *const *ports,
			 size_t nr_ports, char *ret_text, size_t size)
{
	path_advise_acs(&topology->boot, ports, nr_ports, ret_text, size);
}
