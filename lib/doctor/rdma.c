// SPDX-License-Identifier: MIT
/*
 * RDMA devices: which there are, whether their nodes may be opened and libibverbs opens them, and
 * what sysfs says of their ports and of the function behind them, without which nothing can be mapped.
 *
 * What they can do is asked of the open device by rdma_probe.c. One that can't be opened is told
 * and left alone. Devices stay open until the examination ends. No locks.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/pci_config.h"
#include "common/pci_tree.h"
#include "common/sysfs.h"
#include "doctor.h"
#include "files/file.h"
#include "mr/importer.h"

/* "uverbs0", the node of an RDMA device; -ENODEV. */
static int find_node(int sysfs_fd, const char *device, char *ret_node, size_t size)
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	int r;

	r = sysfs_list(sysfs_fd, "class/infiniband_verbs", &dir);
	if (r)
		return r;
	while ((entry = readdir(dir))) {
		char path[320], name[64];

		if (strncmp(entry->d_name, "uverbs", strlen("uverbs")))
			continue;
		snprintf(path, sizeof(path), "class/infiniband_verbs/%s/ibdev", entry->d_name);
		if (sysfs_read_line(sysfs_fd, path, name, sizeof(name)) || strcmp(name, device))
			continue;
		snprintf(ret_node, size, "infiniband/%.32s", entry->d_name);
		return 0;
	}
	return -ENODEV;
}

static void check_ports(struct doctor *doctor, const char *name)
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	char path[400], state[64];

	snprintf(path, sizeof(path), "class/infiniband/%s/ports", name);
	doctor_is_unseen(doctor, DOCTOR_RDMA_PORT, name, "what its ports are",
			 sysfs_list(doctor->context->sysfs_fd, path, &dir));
	while (dir && (entry = readdir(dir))) {
		bool is_active;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "class/infiniband/%s/ports/%s/state", name,
			 entry->d_name);
		if (sysfs_read_line(doctor->context->sysfs_fd, path, state, sizeof(state)))
			continue;
		is_active = strstr(state, "ACTIVE");
		doctor_add(doctor, DOCTOR_RDMA_PORT,
			   is_active ? P2PDMA_SEVERITY_OK : P2PDMA_SEVERITY_WARNING, name,
			   "port %.16s is %s", entry->d_name, state);
		if (!is_active)
			doctor_advise(doctor, "set its network interface up, plug the cable in, or "
					      "start a subnet manager (InfiniBand)");
	}
}

static void check_ordering(struct doctor *doctor, const char *name, const char *function)
{
	struct pci_extra extra = {.is_relaxed_known = false};
	cleanup_fd int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "bus/pci/devices/%s", function);
	if (sysfs_open_dir(doctor->context->sysfs_fd, path, &fd) ||
	    pci_config_query_extra(fd, &extra) || !extra.is_relaxed_known) {
		doctor_add(doctor, DOCTOR_RDMA_ORDERING, P2PDMA_SEVERITY_UNKNOWN, name,
			   "whether %s may order its requests loosely is only shown to "
			   "CAP_SYS_ADMIN",
			   function);
		doctor_advise(doctor, "ask as root");
		return;
	}
	doctor_add(doctor, DOCTOR_RDMA_ORDERING, P2PDMA_SEVERITY_OK, name,
		   extra.is_relaxed ? "%s may order its requests loosely where a region asks for "
				      "it (IBV_ACCESS_RELAXED_ORDERING)" :
				      "%s orders its requests strictly: the kernel or the firmware "
				      "has switched relaxed ordering off",
		   function);
}

static void check_iommu(struct doctor *doctor, const char *name, const char *function)
{
	static const struct {
		uint32_t severity;
		const char *evidence;
		const char *remedy;
	} modes[] = {
		[P2PDMA_IOMMU_UNKNOWN] =
			{P2PDMA_SEVERITY_UNKNOWN,
			 "what the IOMMU makes of %s's addresses can't be seen",
			 "`cat /sys/kernel/iommu_groups/*/type` says it; please report "
			 "a word there that this version doesn't know"},
		[P2PDMA_IOMMU_NONE] = {P2PDMA_SEVERITY_OK, "no IOMMU translates for %s", NULL},
		[P2PDMA_IOMMU_IDENTITY] = {P2PDMA_SEVERITY_OK,
					   "the IOMMU passes the addresses of %s through", NULL},
		[P2PDMA_IOMMU_TRANSLATED] = {P2PDMA_SEVERITY_OK,
					     "the IOMMU translates for %s: paths through the host "
					     "bridge cost a translation, straight ones don't",
					     NULL},
		[P2PDMA_IOMMU_UNMANAGED] = {P2PDMA_SEVERITY_WARNING,
					    "%s has the mappings of a VFIO user, not the kernel's",
					    "end who has its group (`fuser -v /dev/vfio/*`), then "
					    "bind its own driver to it"},
		[P2PDMA_IOMMU_BLOCKED] = {P2PDMA_SEVERITY_PROBLEM, "the IOMMU blocks %s",
					  "bind its own driver to it; the domain's type is in "
					  "/sys/kernel/iommu_groups"},
	};

	for (size_t i = 0; i < p2pdma_topology_count(doctor->topology); i++) {
		struct p2pdma_node node = P2PDMA_NODE_INIT;

		p2pdma_topology_node(doctor->topology, i, &node);
		if (strcmp(node.name, function) || node.iommu >= sizeof(modes) / sizeof(modes[0]))
			continue;
		doctor_add(doctor, DOCTOR_RDMA_IOMMU, modes[node.iommu].severity, name,
			   modes[node.iommu].evidence, function);
		if (modes[node.iommu].remedy)
			doctor_advise(doctor, "%s", modes[node.iommu].remedy);
		return;
	}
}

/* @driver_id: 0 where it couldn't be asked. */
static void check_function(struct doctor *doctor, const char *name, uint32_t driver_id)
{
	int sysfs_fd = doctor->context->sysfs_fd;
	char function[PCI_ADDRESS_SIZE];
	struct pci_address address;
	bool is_lent = importer_lent_query(sysfs_fd, driver_id, &address);

	if (!is_lent && pci_importer_query(sysfs_fd, name, &address)) {
		doctor_add(doctor, DOCTOR_RDMA_FUNCTION, P2PDMA_SEVERITY_PROBLEM, name,
			   "is on no PCI function: no peer's memory can be mapped for it");
		doctor_advise(doctor, "make soft-RoCE on the network interface of a PCI card "
				      "(`rdma link add NAME type rxe netdev INTERFACE`), or name a "
				      "function in rdma_rxe's parameter dmabuf_device");
		return;
	}
	pci_address_format(&address, function);
	doctor_add(doctor, DOCTOR_RDMA_FUNCTION, P2PDMA_SEVERITY_OK, name,
		   is_lent ?
			   "peers' memory is mapped for %s, by rdma_rxe's parameter dmabuf_device" :
			   "peers' memory is mapped for %s",
		   function);
	check_iommu(doctor, name, function);
	check_ordering(doctor, name, function);
}

/* False: it can't be opened, which is told. */
static bool check_node(struct doctor *doctor, const char *name)
{
	const struct p2pdma_context *context = doctor->context;
	char node[64], mode[96];
	int r;

	r = find_node(context->sysfs_fd, name, node, sizeof(node));
	if (doctor_is_unseen(doctor, DOCTOR_RDMA_NODE, name, "/sys/class/infiniband_verbs", r))
		return false;
	if (r) {
		doctor_add(doctor, DOCTOR_RDMA_NODE, P2PDMA_SEVERITY_PROBLEM, name,
			   "has no node for programs");
		doctor_advise(doctor, "`modprobe ib_uverbs`");
		return false;
	}
	r = context->sys->access_at(context->dev_fd, node, R_OK | W_OK);
	if (!r)
		return true;
	file_describe(doctor->root_fd, context->dev_fd, node, mode, sizeof(mode));
	doctor_add(doctor, DOCTOR_RDMA_NODE, P2PDMA_SEVERITY_PROBLEM, name,
		   "/dev/%s can't be opened: %s%s%s", node, error_name(r), *mode ? "; it is " : "",
		   mode);
	doctor_advise(
		doctor, "%s",
		r == -ENOENT ? "pass it into the container, or let udev make it" :
		r == -EPERM  ? "the container's device rules forbid it: pass it in" :
			       "rdma-core's udev rules give it to everybody: is it installed?");
	return false;
}

static struct doctor_rdma *open_one(struct doctor *doctor, const char *name)
{
	const struct verbs_ops *verbs = doctor->context->verbs;
	struct doctor_rdma *rdma = calloc(1, sizeof(*rdma));
	int r;

	if (!rdma) {
		doctor_fail(doctor, -ENOMEM);
		return NULL;
	}
	snprintf(rdma->name, sizeof(rdma->name), "%s", name);
	r = verbs->open(name, &rdma->verbs);
	if (r) {
		doctor_add(doctor, DOCTOR_RDMA_OPEN, P2PDMA_SEVERITY_PROBLEM, name,
			   r == -ENODEV ? "libibverbs has no provider library for it (%s)" :
					  "libibverbs can't open it: %s",
			   error_name(r));
		doctor_advise(doctor, "install the provider library (ibverbs-providers, "
				      "rdma-core); `ibv_devices` lists what has one");
		free(rdma);
		return NULL;
	}
	r = verbs->alloc_pd(rdma->verbs, &rdma->pd);
	if (r) {
		doctor_add(doctor, DOCTOR_RDMA_OPEN, P2PDMA_SEVERITY_PROBLEM, name,
			   "opens, but has no protection domain to give: %s", error_name(r));
		doctor_advise(doctor, "%s",
			      r == -ENOMEM ? "raise memlock: see limit.memlock" :
					     "the kernel's log may say why");
		verbs->close(rdma->verbs);
		free(rdma);
		return NULL;
	}
	list_append(&doctor->rdmas, &rdma->link);
	return rdma;
}

static void check_one(struct doctor *doctor, const char *name)
{
	struct doctor_rdma *rdma = NULL;

	check_ports(doctor, name);
	if (check_node(doctor, name))
		rdma = open_one(doctor, name);
	if (rdma)
		doctor_probe_rdma(doctor, rdma);
	check_function(doctor, name, rdma ? rdma->driver_id : 0);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names of all devices, sorted; the caller frees each, and the array. */
static size_t list_devices(struct doctor *doctor, char ***ret_names, bool *ret_is_unseen)
{
	cleanup_dir DIR *dir = NULL;
	size_t count = 0, room = 0;
	struct dirent *entry;
	char **names = NULL;

	*ret_names = NULL;
	*ret_is_unseen =
		doctor_is_unseen(doctor, DOCTOR_RDMA_DEVICES, "machine", "/sys/class/infiniband",
				 sysfs_list(doctor->context->sysfs_fd, "class/infiniband", &dir));
	if (!dir)
		return 0;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.' || strlen(entry->d_name) >= 64)
			continue;
		if (count == room) {
			char **grown = reallocarray(names, room += 16, sizeof(*names));

			if (!grown)
				break;
			names = grown;
		}
		names[count] = strdup(entry->d_name);
		if (!names[count])
			break;
		count++;
	}
	if (entry)
		doctor_fail(doctor, -ENOMEM);
	if (count)
		qsort(names, count, sizeof(*names), compare_names);
	*ret_names = names;
	return count;
}

void doctor_check_rdma(struct doctor *doctor)
{
	char **names;
	bool is_unseen;
	size_t count = list_devices(doctor, &names, &is_unseen);

	for (size_t i = 0; i < count; i++) {
		check_one(doctor, names[i]);
		free(names[i]);
	}
	free(names);
	if (count) {
		doctor_add(doctor, DOCTOR_RDMA_DEVICES, P2PDMA_SEVERITY_OK, "machine",
			   "%zu RDMA devices", count);
		return;
	}
	if (is_unseen)
		return;
	doctor_add(doctor, DOCTOR_RDMA_DEVICES, P2PDMA_SEVERITY_WARNING, "machine",
		   "no RDMA device: only DRM devices and functions of VFIO could import");
	doctor_advise(doctor, "load the adapter's driver; without an adapter, soft-RoCE "
			      "(`rdma link add`) serves to try things out");
}
