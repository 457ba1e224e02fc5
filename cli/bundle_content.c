// SPDX-License-Identifier: MIT
/*
 * What stands in a report besides the findings: the machine as far as peer-to-peer DMA depends on it.
 *
 * Everything is text, so that people can read it before they send it. Nothing is in it that only its owner
 * should know: of the kernel's command line only parameters of the subjects that matter here (others
 * may hold passwords), no tokens of leases, no environment, no log. Serial numbers and GUIDs are left out.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bundle.h"

#define LARGEST_FILE 65536

/* A file as text, behind its name; nothing where it can't be read. */
static void copy(FILE *out, int dir_fd, const char *path)
{
	char text[4096];
	size_t total = 0;
	ssize_t n;
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	bool has_name = false;

	if (fd < 0)
		return;
	while ((n = read(fd, text, sizeof(text))) > 0 && total < LARGEST_FILE) {
		if (!has_name)
			fprintf(out, "== %s\n", path);
		has_name = true;
		for (ssize_t i = 0; i < n; i++)
			fputc((text[i] >= ' ' && text[i] < 0x7f) || text[i] == '\n' ||
					      text[i] == '\t' ?
				      text[i] :
				      '?',
			      out);
		total += (size_t)n;
	}
	close(fd);
}

/* The same file of every entry of a directory. */
static void copy_each(FILE *out, int dir_fd, const char *directory, const char *const *files)
{
	int fd = openat(dir_fd, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	char path[512];

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return;
	}
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		for (size_t i = 0; files[i]; i++) {
			snprintf(path, sizeof(path), "%s/%s%s%s", directory, entry->d_name,
				 *files[i] ? "/" : "", files[i]);
			copy(out, dir_fd, path);
		}
	}
	closedir(dir);
}

static bool is_wanted(const char *parameter)
{
	static const char *const prefixes[] = {
		"amd_iommu",
		"intel_iommu",
		"iommu",
		"pci",
		"pcie_",
		"vfio",
		"p2pdma",
		"rdma",
		"mlx5",
		"nvidia",
		"amdgpu",
		"i915",
		"xe.",
		"lockdown",
		"mem=",
		"memmap",
		"hugepages",
		"module_blacklist",
		"modprobe.blacklist",
	};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		if (!strncmp(parameter, prefixes[i], strlen(prefixes[i])))
			return true;
	return false;
}

static void write_command_line(FILE *out, int root_fd)
{
	int fd = openat(root_fd, "proc/cmdline", O_RDONLY | O_CLOEXEC);
	char line[4096], *rest = line, *parameter;
	size_t nr_hidden = 0;
	ssize_t n;

	n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return;
	line[n] = '\0';
	fprintf(out, "== proc/cmdline\n");
	while ((parameter = strsep(&rest, " \n"))) {
		if (is_wanted(parameter))
			fprintf(out, "%s ", parameter);
		else
			nr_hidden += *parameter != '\0';
	}
	fprintf(out, "(and %zu parameters of other subjects)\n", nr_hidden);
}

static void write_system(FILE *out, int root_fd)
{
	struct utsname name;

	fprintf(out, "p2pctl %s\n", p2pdma_version_string());
	/* Not the name of the host. */
	if (!uname(&name))
		fprintf(out, "%s %s %s %s\n", name.sysname, name.release, name.version,
			name.machine);
	copy(out, root_fd, "etc/os-release");
	write_command_line(out, root_fd);
}

static void write_modules(FILE *out, int sysfs_fd)
{
	static const char *const modules[] = {
#define KERNEL_MODULE(name, has_version) name,
#include "../lib/common/modules.def"
#undef KERNEL_MODULE
	};
	static const char *const files[] = {"version", "srcversion", "taint", "initstate"};
	static const char *const parameters[] = {"", NULL};
	char path[128];

	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		for (size_t k = 0; k < sizeof(files) / sizeof(files[0]); k++) {
			snprintf(path, sizeof(path), "module/%s/%s", modules[i], files[k]);
			copy(out, sysfs_fd, path);
		}
		snprintf(path, sizeof(path), "module/%s/parameters", modules[i]);
		copy_each(out, sysfs_fd, path, parameters);
	}
}

static void write_tree(FILE *out, const struct topo *topo)
{
	for (size_t i = 0; i < topo->nr_nodes; i++) {
		const struct p2pdma_node *node = &topo->nodes[i];
		char link[16], size[32];
		int depth = 0;

		for (int32_t k = node->parent; k >= 0; k = topo->nodes[k].parent)
			depth++;
		link_format(node->link_generation, node->link_width, link, sizeof(link));
		format_bytes(node->bar_bytes, size, sizeof(size));
		fprintf(out, "%*s%s %s %04x:%04x class %06x", 2 * depth, "", node->name,
			kind_name(node->kind), node->vendor_id, node->device_id, node->class_code);
		if (*node->driver)
			fprintf(out, " driver %s", node->driver);
		if (*node->device)
			fprintf(out, " device %s", node->device);
		if (node->bar_bytes)
			fprintf(out, " BAR %u %s", node->bar, size);
		fprintf(out, " link %s ACS %s", link,
			node->flags & P2PDMA_NODE_ACS_UNKNOWN ? "unknown" :
			node->flags & P2PDMA_NODE_REDIRECTS   ? "redirects" :
			node->flags & P2PDMA_NODE_HAS_ACS     ? "off" :
								"none");
		fprintf(out, " IOMMU %s node %d\n", iommu_name(node->iommu), node->numa_node);
	}
}

static void write_sysfs(FILE *out, int sysfs_fd, const struct topo *topo)
{
	static const char *const functions[] = {
		"class",
		"revision",
		"numa_node",
		"resource",
		"current_link_speed",
		"current_link_width",
		"max_link_speed",
		"max_link_width",
		"power_state",
		"driver_override",
		"enable",
		"resource0_resize",
		"resource1_resize",
		"resource2_resize",
		"resource3_resize",
		"resource4_resize",
		"resource5_resize",
		"mem_info_vram_total",
		"mem_info_vis_vram_total",
		"p2pmem/size",
		"p2pmem/available",
		"p2pmem/published",
		"iommu_group/type",
	};
	static const char *const devices[] = {"fw_ver",
					      "hca_type",
					      "board_id",
					      "node_type",
					      "parent",
					      "ports/1/state",
					      "ports/1/phys_state",
					      "ports/1/rate",
					      "ports/1/link_layer",
					      NULL};
	static const char *const exports[] = {"allow_unrevocable", "exports", "revision", NULL};
	char path[128];

	copy_each(out, sysfs_fd, "class/infiniband", devices);
	copy_each(out, sysfs_fd, "class/p2pdma_export", exports);
	copy(out, sysfs_fd, "kernel/security/lockdown");
	for (size_t i = 0; i < topo->nr_nodes; i++) {
		if (!topo->is_shown[i] || topo->nodes[i].kind == P2PDMA_NODE_HOST_BRIDGE)
			continue;
		for (size_t k = 0; k < sizeof(functions) / sizeof(functions[0]); k++) {
			snprintf(path, sizeof(path), "bus/pci/devices/%s/%s", topo->nodes[i].name,
				 functions[k]);
			copy(out, sysfs_fd, path);
		}
	}
}

static void write_limits(FILE *out, int root_fd)
{
	copy(out, root_fd, "proc/self/limits");
	copy(out, root_fd, "proc/self/status");
	copy(out, root_fd, "proc/self/uid_map");
	copy(out, root_fd, "proc/sys/vm/max_map_count");
}

static void write_broker(FILE *out, const struct cli *cli)
{
	struct p2pdma_broker_status status = {.size_bytes = sizeof(status)};
	char *text = NULL;
	int r = p2pdma_broker_query(cli->context, &status);

	if (r) {
		fprintf(out, "%s\n", p2pdma_context_error(cli->context));
		return;
	}
	fprintf(out, "p2pd %s, %u providers, %u leases, %u clients, policy refused %u times\n",
		status.version, status.nr_providers, status.nr_leases, status.nr_clients,
		status.policy_refused);
	/* Leases with their users, for administrators; it has no tokens. */
	if (!p2pdma_broker_text(cli->context, P2PDMA_BROKER_DUMP, &text))
		fprintf(out, "%s\n", text);
	else
		fprintf(out, "state: %s\n", p2pdma_context_error(cli->context));
	free(text);
}

void bundle_fill(struct bundle *bundle, const struct cli *cli, const struct topo *topo)
{
	int root_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int sysfs_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	write_system(bundle_begin(bundle, "system.txt"), root_fd);
	bundle_end(bundle);
	write_modules(bundle_begin(bundle, "modules.txt"), sysfs_fd);
	bundle_end(bundle);
	write_tree(bundle_begin(bundle, "pci.txt"), topo);
	bundle_end(bundle);
	write_sysfs(bundle_begin(bundle, "sysfs.txt"), sysfs_fd, topo);
	bundle_end(bundle);
	write_limits(bundle_begin(bundle, "limits.txt"), root_fd);
	bundle_end(bundle);
	write_broker(bundle_begin(bundle, "p2pd.txt"), cli);
	bundle_end(bundle);
	if (root_fd >= 0)
		close(root_fd);
	if (sysfs_fd >= 0)
		close(sysfs_fd);
}
