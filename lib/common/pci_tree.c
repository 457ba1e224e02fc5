// SPDX-License-Identifier: MIT
/*
 * The PCI tree: which function is below which port, and which host bridge is above them.
 *
 * The links in bus/pci/devices tell it: they lead through the directories of all devices above.
 * That is the kernel's own idea of the parent, so a virtual function is where its physical one
 * is, and what is below a VMD has the VMD's host bridge. Functions are looked at when they
 * are asked for, with all above them, and never twice: one query reads a dozen functions of
 * a thousand, and a tree that is queried often is read once.
 *
 * The kernel knows a host bridge by the first function on its root bus, in order of arrival. Its list
 * isn't shown, but kernfs numbers directories in that order, too. A copy of sysfs, as a bug report
 * or a test brings it, keeps no such order: there it is the lowest address.
 *
 * A tree is one thread's, or isn't changed any more.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <linux/magic.h>

#include "cleanup.h"
#include "pci_tree.h"
#include "sysfs.h"

#define HOST_PREFIX  "pci"
#define CLASS_BRIDGE 0x0604U

void pci_tree_init(struct pci_tree *tree)
{
	*tree = (struct pci_tree){.nodes = NULL};
}

void pci_tree_done(struct pci_tree *tree)
{
	free(tree->nodes);
	free(tree->buckets);
	pci_tree_init(tree);
}

/* "pci0000:40" */
static bool is_host(const char *part, size_t length, struct pci_address *ret_address)
{
	char text[PCI_ADDRESS_SIZE];

	if (strncmp(part, HOST_PREFIX, strlen(HOST_PREFIX)))
		return false;
	part += strlen(HOST_PREFIX);
	length -= strlen(HOST_PREFIX);
	if (length + strlen(":00.0") >= sizeof(text))
		return false;
	memcpy(text, part, length);
	strcpy(text + length, ":00.0");
	return !pci_address_parse(text, ret_address);
}

static bool is_function(const char *part, size_t length, struct pci_address *ret_address)
{
	char text[PCI_ADDRESS_SIZE];

	if (length >= sizeof(text))
		return false;
	memcpy(text, part, length);
	text[length] = '\0';
	return !pci_address_parse(text, ret_address);
}

int pci_chain_parse(const char *link, struct pci_chain *ret_chain)
{
	struct pci_chain chain = {.count = 0};
	bool has_host = false;

	for (const char *part = link; *part;) {
		size_t length = strcspn(part, "/");
		struct pci_address address;

		if (is_host(part, length, &address)) {
			/* A host bridge below a function begins anew. */
			has_host = true;
			chain.host = address;
			chain.host_length = (size_t)(part - link) + length;
			chain.count = 0;
		} else if (has_host && is_function(part, length, &address)) {
			if (chain.count == PCI_TREE_MAX_DEPTH)
				return -EIO;
			chain.functions[chain.count++] = address;
		}
		part += length;
		part += *part == '/';
	}
	if (!has_host || !chain.count)
		return -EIO;
	*ret_chain = chain;
	return 0;
}

static size_t hash(const struct pci_address *address, bool is_host_bridge)
{
	uint64_t key = (uint64_t)address->domain << 17 | (uint64_t)address->bus << 9 |
		       (uint64_t)address->devfn << 1 | is_host_bridge;

	return (size_t)(key * 0x9e3779b97f4a7c15ULL >> 20);
}

static int32_t lookup(const struct pci_tree *tree, const struct pci_address *address,
		      bool is_host_bridge)
{
	size_t slot;

	if (!tree->nr_buckets)
		return -1;
	for (slot = hash(address, is_host_bridge) % tree->nr_buckets; tree->buckets[slot] >= 0;
	     slot = (slot + 1) % tree->nr_buckets) {
		const struct pci_node *node = &tree->nodes[tree->buckets[slot]];

		if (is_host_bridge == (node->kind == PCI_KIND_HOST_BRIDGE) &&
		    !pci_address_compare(&node->address, address))
			return tree->buckets[slot];
	}
	return -1;
}

int32_t pci_tree_find(const struct pci_tree *tree, const struct pci_address *address)
{
	return lookup(tree, address, false);
}

static void enter(struct pci_tree *tree, int32_t index)
{
	const struct pci_node *node = &tree->nodes[index];
	size_t slot = hash(&node->address, node->kind == PCI_KIND_HOST_BRIDGE) % tree->nr_buckets;

	while (tree->buckets[slot] >= 0)
		slot = (slot + 1) % tree->nr_buckets;
	tree->buckets[slot] = index;
}

static int grow(struct pci_tree *tree)
{
	size_t room = tree->room ? tree->room * 2 : 32;
	struct pci_node *nodes;
	int32_t *buckets;

	nodes = reallocarray(tree->nodes, room, sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	tree->nodes = nodes;
	buckets = reallocarray(tree->buckets, room * 2, sizeof(*buckets));
	if (!buckets)
		return -ENOMEM;
	tree->buckets = buckets;
	tree->room = room;
	tree->nr_buckets = room * 2;
	memset(buckets, 0xff, tree->nr_buckets * sizeof(*buckets));
	for (size_t i = 0; i < tree->count; i++)
		enter(tree, (int32_t)i);
	return 0;
}

/* Its index, or -ENOMEM. */
static int32_t append(struct pci_tree *tree, const struct pci_node *node)
{
	int r;

	if (tree->count == tree->room) {
		r = grow(tree);
		if (r)
			return r;
	}
	tree->nodes[tree->count] = *node;
	enter(tree, (int32_t)tree->count);
	return (int32_t)tree->count++;
}

static int query_config(int sysfs_fd, const struct pci_address *address, struct pci_config *config)
{
	char name[PCI_ADDRESS_SIZE], path[64];
	cleanup_fd int fd = -1;
	uint64_t id;
	int r;

	pci_address_format(address, name);
	snprintf(path, sizeof(path), "bus/pci/devices/%s", name);
	r = sysfs_open_dir(sysfs_fd, path, &fd);
	if (r)
		return r;
	r = pci_config_query(fd, config);
	/* Virtual functions have no ids in their own space; the kernel knows them. */
	if (!r && config->vendor_id == UINT16_MAX && !sysfs_read_u64(fd, "vendor", &id))
		config->vendor_id = (uint16_t)id;
	if (!r && config->device_id == UINT16_MAX && !sysfs_read_u64(fd, "device", &id))
		config->device_id = (uint16_t)id;
	return r;
}

static bool is_sysfs(int fd)
{
	struct statfs status;

	return !fstatfs(fd, &status) && status.f_type == SYSFS_MAGIC;
}

/* The first function of the root bus; @path is the host bridge's directory. */
static int query_root(int sysfs_fd, const char *path, const struct pci_address *host,
		      struct pci_root *ret_root)
{
	struct pci_address first = {.domain = 0};
	struct pci_root root = {.has_first = false};
	cleanup_dir DIR *dir = NULL;
	uint64_t first_order = 0;
	struct dirent *entry;
	bool is_ordered;
	int r;

	r = sysfs_list(sysfs_fd, path, &dir);
	if (r)
		return r;
	is_ordered = is_sysfs(dirfd(dir));
	while ((entry = readdir(dir))) {
		struct pci_address address;
		uint64_t order;

		if (pci_address_parse(entry->d_name, &address) || address.domain != host->domain ||
		    address.bus != host->bus)
			continue;
		order = is_ordered ? entry->d_ino : address.devfn;
		if (root.has_first && order > first_order)
			continue;
		root.has_first = true;
		first = address;
		first_order = order;
	}
	root.first_devfn = first.devfn;
	if (root.has_first) {
		r = query_config(sysfs_fd, &first, &root.first);
		if (r)
			return r;
	}
	*ret_root = root;
	return 0;
}

static int32_t add_host(struct pci_tree *tree, int sysfs_fd, const struct pci_chain *chain,
			const char *link)
{
	struct pci_node node = {.address = chain->host, .parent = -1};
	int32_t index = lookup(tree, &chain->host, true);
	char path[PATH_MAX];
	int r;

	if (index >= 0)
		return index;
	node.kind = PCI_KIND_HOST_BRIDGE;
	node.host = (int32_t)tree->count;
	snprintf(node.name, sizeof(node.name), HOST_PREFIX "%04" PRIx32 ":%02x", chain->host.domain,
		 chain->host.bus);
	snprintf(path, sizeof(path), "bus/pci/devices/%.*s", (int)chain->host_length, link);
	r = query_root(sysfs_fd, path, &chain->host, &node.root);
	return r ? r : append(tree, &node);
}

/* By its capability, or by where it stands where that can't be seen. */
static enum pci_kind kind_of(const struct pci_config *config, const struct pci_node *parent)
{
	bool is_bridge = config->class_code >> 8 == CLASS_BRIDGE;

	if (config->is_pcie && config->pcie_type == PCI_CONFIG_ROOT_PORT)
		return PCI_KIND_ROOT_PORT;
	if (config->is_pcie && config->pcie_type == PCI_CONFIG_UPSTREAM_PORT)
		return PCI_KIND_UPSTREAM_PORT;
	if (config->is_pcie && config->pcie_type == PCI_CONFIG_DOWNSTREAM_PORT)
		return PCI_KIND_DOWNSTREAM_PORT;
	if (!is_bridge)
		return PCI_KIND_FUNCTION;
	if (config->is_pcie_known)
		return PCI_KIND_BRIDGE;
	if (parent->kind == PCI_KIND_HOST_BRIDGE)
		return PCI_KIND_ROOT_PORT;
	if (parent->kind == PCI_KIND_UPSTREAM_PORT)
		return PCI_KIND_DOWNSTREAM_PORT;
	return parent->kind == PCI_KIND_BRIDGE ? PCI_KIND_BRIDGE : PCI_KIND_UPSTREAM_PORT;
}

static int32_t add_function(struct pci_tree *tree, int sysfs_fd, const struct pci_address *address,
			    int32_t parent)
{
	int32_t index = pci_tree_find(tree, address);
	struct pci_node node = {.address = *address, .parent = parent};
	int r;

	if (index >= 0)
		return index;
	pci_address_format(address, node.name);
	r = pci_generation_query(sysfs_fd, address, &node.generation);
	if (!r)
		r = query_config(sysfs_fd, address, &node.config);
	if (r)
		return r;
	node.host = tree->nodes[parent].host;
	node.kind = kind_of(&node.config, &tree->nodes[parent]);
	return append(tree, &node);
}

static enum pci_iommu query_iommu(int sysfs_fd, const char *function)
{
	static const struct {
		const char *type;
		enum pci_iommu iommu;
	} types[] = {
		{"identity", PCI_IOMMU_IDENTITY}, {"DMA", PCI_IOMMU_TRANSLATED},
		{"DMA-FQ", PCI_IOMMU_TRANSLATED}, {"unmanaged", PCI_IOMMU_UNMANAGED},
		{"blocked", PCI_IOMMU_BLOCKED},
	};
	char path[96], group[16], type[32];
	int r;

	snprintf(path, sizeof(path), "bus/pci/devices/%s/iommu_group", function);
	r = sysfs_read_link_name(sysfs_fd, path, group, sizeof(group));
	if (r)
		return r == -ENODEV ? PCI_IOMMU_NONE : PCI_IOMMU_UNKNOWN;
	snprintf(path, sizeof(path), "kernel/iommu_groups/%s/type", group);
	if (sysfs_read_line(sysfs_fd, path, type, sizeof(type)))
		return PCI_IOMMU_UNKNOWN;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (!strcmp(type, types[i].type))
			return types[i].iommu;
	return PCI_IOMMU_UNKNOWN;
}

int pci_tree_add(struct pci_tree *tree, int sysfs_fd, const struct pci_address *address,
		 int32_t *ret_index)
{
	char name[PCI_ADDRESS_SIZE], path[64], link[PATH_MAX];
	struct pci_chain chain;
	int32_t index;
	ssize_t length;
	int r;

	pci_address_format(address, name);
	snprintf(path, sizeof(path), "bus/pci/devices/%s", name);
	length = readlinkat(sysfs_fd, path, link, sizeof(link) - 1);
	if (length < 0)
		return errno == ENOENT ? -ENODEV : errno == EINVAL ? -EIO : -errno;
	link[length] = '\0';
	r = pci_chain_parse(link, &chain);
	if (r)
		return r;
	if (pci_address_compare(&chain.functions[chain.count - 1], address))
		return -EIO;
	index = add_host(tree, sysfs_fd, &chain, link);
	for (size_t i = 0; i < chain.count && index >= 0; i++)
		index = add_function(tree, sysfs_fd, &chain.functions[i], index);
	if (index < 0)
		return index;
	if (tree->nodes[index].kind == PCI_KIND_FUNCTION && !tree->nodes[index].iommu)
		tree->nodes[index].iommu = query_iommu(sysfs_fd, name);
	tree->nodes[index].is_asked = true;
	*ret_index = index;
	return 0;
}

int pci_tree_add_all(struct pci_tree *tree, int sysfs_fd)
{
	cleanup_free struct pci_address *addresses = NULL;
	size_t count;
	int r;

	r = pci_list_query(sysfs_fd, &addresses, &count);
	if (r)
		return r;
	for (size_t i = 0; i < count; i++) {
		int32_t index;

		r = pci_tree_add(tree, sysfs_fd, &addresses[i], &index);
		if (r && r != -ENODEV && r != -EIO)
			return r;
	}
	return 0;
}
