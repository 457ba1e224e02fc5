// SPDX-License-Identifier: MIT
/*
 * Paths as a program sees them: the computed one (common/path.c), the kernel's answer where it can
 * be asked, and the sentences.
 *
 * A query looks at the two functions and what is above them, a dozen directories, and keeps
 * nothing: the answer is as true as sysfs was a moment ago. Whoever asks for many paths takes a
 * topology. Any thread, no locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "context/options.h"
#include "path.h"
#include "provider/provider.h"

_Static_assert(PATH_MAP_THRU_HOST_BRIDGE == (int)P2PDMA_MAP_THRU_HOST_BRIDGE, "same numbers");
_Static_assert(PATH_REASON_HOST_UNKNOWN == (int)P2PDMA_PATH_HOST_UNKNOWN, "same numbers");
_Static_assert(PCI_KIND_FUNCTION == (int)P2PDMA_NODE_FUNCTION, "same numbers");
_Static_assert(PCI_IOMMU_BLOCKED == (int)P2PDMA_IOMMU_BLOCKED, "same numbers");

const char *p2pdma_map_type_name(uint32_t map_type)
{
	static const char *const names[] = {"UNKNOWN", "NOT_SUPPORTED", "BUS_ADDR",
					    "THRU_HOST_BRIDGE"};

	return names[map_type <= P2PDMA_MAP_THRU_HOST_BRIDGE ? map_type : P2PDMA_MAP_UNKNOWN];
}

enum path_answer path_context_cpu(struct p2pdma_context *context)
{
	int cpu = __atomic_load_n(&context->cpu, __ATOMIC_RELAXED);

	if (cpu < 0) {
		cpu = (int)(*context->cpuinfo ? path_cpu_query(context->cpuinfo) : path_cpu_here());
		__atomic_store_n(&context->cpu, cpu, __ATOMIC_RELAXED);
	}
	return (enum path_answer)cpu;
}

static void publish_hop(const struct pci_node *node, struct p2pdma_path_hop *hop)
{
	memcpy(hop->name, node->name, sizeof(hop->name));
	hop->kind = node->kind;
	if (node->kind == PCI_KIND_HOST_BRIDGE)
		return;
	if (!node->config.is_acs_known)
		hop->flags |= P2PDMA_NODE_ACS_UNKNOWN;
	if (node->config.has_acs)
		hop->flags |= P2PDMA_NODE_HAS_ACS;
	if (node->config.acs_control & PCI_ACS_REDIRECTS)
		hop->flags |= P2PDMA_NODE_REDIRECTS;
	hop->acs_control = node->config.acs_control;
	hop->link_generation = node->config.link.generation;
	hop->link_width = node->config.link.width;
}

void path_publish(const struct pci_tree *tree, const struct path *path,
		  const struct path_boot *boot, struct p2pdma_path *ret_path)
{
	const struct pci_node *provider = &tree->nodes[path->hops[0]];
	const struct pci_node *importer = &tree->nodes[path->hops[path->nr_hops - 1]];
	struct p2pdma_path *out = ret_path;
	int32_t place = path_place(path);

	memset(out, 0, sizeof(*out));
	out->map_type = out->computed_map_type = path->map;
	out->distance = out->computed_distance = path->distance;
	out->reason = path->reason;
	if (path->is_possible == PATH_YES)
		out->flags |= P2PDMA_PATH_POSSIBLE;
	out->iommu = importer->iommu;
	out->link_generation = path->link.generation;
	out->link_width = path->link.width;
	out->bytes_per_second = path->bytes_per_second;
	memcpy(out->provider, provider->name, sizeof(out->provider));
	memcpy(out->importer, importer->name, sizeof(out->importer));
	if (path->narrowest >= 0)
		memcpy(out->narrowest, tree->nodes[path->narrowest].name, sizeof(out->narrowest));
	if (place >= 0)
		memcpy(out->place, tree->nodes[place].name, sizeof(out->place));
	for (size_t i = 0; i < path->nr_hops; i++) {
		if (i == P2PDMA_PATH_MAX_HOPS) {
			out->flags |= P2PDMA_PATH_CUT;
			break;
		}
		publish_hop(&tree->nodes[path->hops[i]], &out->hops[i]);
		out->nr_hops++;
	}
	path_explain(tree, path, out->why, sizeof(out->why));
	path_advise(tree, path, boot, out->advice, sizeof(out->advice));
}

static int look(struct p2pdma_context *context, struct pci_tree *tree,
		const struct pci_address *address, int32_t *ret_index)
{
	char name[PCI_ADDRESS_SIZE];
	int r;

	r = pci_tree_add(tree, context->sysfs_fd, address, ret_index);
	if (!r)
		return 0;
	pci_address_format(address, name);
	if (r == -ENODEV)
		return context_fail(context, r, "there is no PCI function %s", name);
	return context_fail(context, r, "can't make sense of %s in sysfs: %s", name, error_name(r));
}

/* The provider's, which must be the one that was found once. */
static int look_at_provider(struct p2pdma_context *context, struct pci_tree *tree,
			    const struct p2pdma_provider *provider, int32_t *ret_index)
{
	const struct pci_function *function = &provider->function;
	int r;

	r = look(context, tree, &function->address, ret_index);
	if (r || tree->nodes[*ret_index].generation == function->generation)
		return r;
	return context_fail(context, -ESTALE,
			    "%s is arrival %" PRIu64 ", not %" PRIu64
			    ": the device was exchanged or plugged in again",
			    provider->function_name, tree->nodes[*ret_index].generation,
			    function->generation);
}

static int compute(struct p2pdma_context *context, const struct p2pdma_provider *provider,
		   const struct pci_address *importer, struct p2pdma_path *ret_path)
{
	int32_t from = -1, to = -1;
	struct path_boot boot;
	struct pci_tree tree;
	struct path path;
	int r;

	pci_tree_init(&tree);
	r = look_at_provider(context, &tree, provider, &from);
	if (!r)
		r = look(context, &tree, importer, &to);
	if (!r) {
		path_compute(&tree, path_context_cpu(context), from, to, &path);
		if (path.nr_redirects)
			path_boot_query(context->root, &boot);
		path_publish(&tree, &path, &boot, ret_path);
	}
	pci_tree_done(&tree);
	return r;
}

void path_advise_function(int sysfs_fd, const char *importer, char *ret_text, size_t size)
{
	char path[96];

	snprintf(path, sizeof(path), "class/infiniband/%s/parent", importer);
	if (!faccessat(sysfs_fd, path, F_OK, 0))
		snprintf(ret_text, size,
			 "put rxe on a PCI network card, or name a function in "
			 "/sys/" PCI_RXE_FUNCTION);
	else
		snprintf(ret_text, size, "take an importer that is a PCI device");
}

/* To an importer without a function, by the kernel's rule for these. */
static int refuse(struct p2pdma_context *context, const struct p2pdma_provider *provider,
		  const char *importer, struct p2pdma_path *ret_path)
{
	struct p2pdma_path *out = ret_path;
	struct pci_tree tree;
	int32_t from = -1;
	int r;

	pci_tree_init(&tree);
	r = look_at_provider(context, &tree, provider, &from);
	pci_tree_done(&tree);
	if (r)
		return r;
	memset(out, 0, sizeof(*out));
	out->map_type = out->computed_map_type = P2PDMA_MAP_NOT_SUPPORTED;
	out->distance = out->computed_distance = -1;
	out->reason = P2PDMA_PATH_NOT_PCI;
	memcpy(out->provider, provider->function_name, sizeof(out->provider));
	snprintf(out->why, sizeof(out->why),
		 "%.64s is on no PCI function, and peer memory is mapped for one", importer);
	path_advise_function(context->sysfs_fd, importer, out->advice, sizeof(out->advice));
	return 0;
}

/* By the function, and by what the kernel says to it. */
static int answer(struct p2pdma_context *context, const struct p2pdma_provider *provider,
		  const struct pci_address *importer, struct p2pdma_path *ret_path)
{
	uint32_t map_type;
	int32_t distance;
	int r;

	r = compute(context, provider, importer, ret_path);
	if (r)
		return r;
	if (!path_ask_kernel(context, &provider->function.address, importer, &map_type, &distance))
		path_take_answer(context, map_type, distance, ret_path);
	return 0;
}

int p2pdma_path_query(struct p2pdma_context *context, const struct p2pdma_provider *provider,
		      const char *importer, struct p2pdma_path *ret_path)
{
	struct p2pdma_path path;
	struct pci_address address;
	int r;

	if (!context)
		return -EINVAL;
	if (!provider || !importer)
		return context_fail(context, -EINVAL, "no provider, or no importer");
	if (options_check_output(ret_path, PATH_FIRST_SIZE))
		return context_fail(context, -EINVAL, "the path has a wrong size, or isn't there");
	r = pci_importer_query(context->sysfs_fd, importer, &address);
	if (!r)
		r = answer(context, provider, &address, &path);
	else if (r == -ENXIO)
		r = refuse(context, provider, importer, &path);
	else if (r == -EINVAL)
		context_fail(context, r,
			     "\"%.80s\" is no name of an importer: it looks like mlx5_0 or "
			     "0000:81:00.0",
			     importer);
	else if (r == -ENODEV)
		context_fail(context, r, "there is no importer \"%.80s\"", importer);
	else
		context_fail(context, r, "can't look for the importer \"%.80s\": %s", importer,
			     error_name(r));
	if (!r)
		options_store(ret_path, &path, sizeof(path));
	return r;
}
