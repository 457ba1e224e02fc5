// SPDX-License-Identifier: MIT
/*
 * Providers: functions with memory to lend, and what exports it.
 *
 * A function lends each BAR of 1 MiB or more, unless it is a network adapter, and what its driver divides
 * up (vram, p2pmem), whatever BARs it has. Of a GPU the driver decides whether other devices get at its
 * memory; what is known of the driver is told before anybody relies on it. Memory that isn't the
 * device's at all lends nothing.
 *
 * Functions that lend are left to the checks behind. No locks.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/backend.h"
#include "common/cleanup.h"
#include "common/pci_memory.h"
#include "doctor.h"

#define SMALLEST_BAR  (1ULL << 20)
#define CLASS_NETWORK 0x02
#define EVIDENCE_SIZE 320

/* One function as it is looked at. */
struct look {
	struct doctor *doctor;
	const struct p2pdma_node *node;
	struct pci_function function;
	int fd; /* its directory in sysfs */
	bool has_drm;
	char vram[PCI_PROVIDER_NAME_SIZE]; /* the name of its vram; "": none */
	uint64_t vram_bytes;		   /* 0: unknown */
	uint32_t memories;		   /* what it lends: a bit for each BAR and PCI_MEMORY_* */
};

void doctor_format_size(uint64_t bytes, char text[DOCTOR_SIZE_SIZE])
{
	if (bytes >= 1ULL << 30)
		snprintf(text, DOCTOR_SIZE_SIZE, "%.4g GiB", (double)bytes / (1ULL << 30));
	else if (bytes >= 1ULL << 20)
		snprintf(text, DOCTOR_SIZE_SIZE, "%.4g MiB", (double)bytes / (1ULL << 20));
	else
		snprintf(text, DOCTOR_SIZE_SIZE, "%.4g KiB", (double)bytes / (1ULL << 10));
}

static void name_of(const struct pci_address *address, uint32_t bar,
		    char name[PCI_PROVIDER_NAME_SIZE])
{
	const struct pci_provider_name parts = {.address = *address, .bar = bar};

	pci_provider_name_format(&parts, name);
}

/* The first backend that can; else what each of those for such memory says. */
static bool can_export(const struct look *look, uint32_t bar, char ret_why[EVIDENCE_SIZE])
{
	char why[BACKEND_WHY_SIZE];
	size_t length = 0;

	snprintf(ret_why, EVIDENCE_SIZE, "nothing here exports such memory");
	for (size_t i = 0; backends[i]; i++) {
		if (backends[i]->kind != backend_kind(bar))
			continue;
		if (!backend_check_export(backends[i], look->doctor->context, &look->function, bar,
					  why)) {
			snprintf(ret_why, EVIDENCE_SIZE, "%s", why);
			look->doctor->nr_exportable++;
			return true;
		}
		if (length < EVIDENCE_SIZE)
			length += (size_t)snprintf(ret_why + length, EVIDENCE_SIZE - length, "%s%s",
						   length ? "; " : "", why);
	}
	return false;
}

static bool is_bound(const struct pci_function *function)
{
	return !strcmp(function->driver, "p2pdma_export");
}

static void check_bar(struct look *look, uint32_t bar)
{
	const struct pci_function *function = &look->function;
	const char *driver = *function->driver ? function->driver : "no driver";
	char subject[PCI_PROVIDER_NAME_SIZE], why[EVIDENCE_SIZE], size[DOCTOR_SIZE_SIZE];
	struct doctor *doctor = look->doctor;

	name_of(&function->address, bar, subject);
	doctor_format_size(function->bars[bar].size_bytes, size);
	look->memories |= 1U << bar;
	if (can_export(look, bar, why)) {
		doctor_add(doctor, DOCTOR_PROVIDER_EXPORT, P2PDMA_SEVERITY_OK, subject, "%s, %s",
			   size, why);
	} else if (is_bound(function) || vfio_is_bound(function)) {
		doctor_add(doctor, DOCTOR_PROVIDER_EXPORT, P2PDMA_SEVERITY_WARNING, subject,
			   "%s, but this process can't export it: %s", size, why);
		doctor_advise(doctor, "acquire it from p2pd, or let this user open its node; "
				      "`p2pctl list` shows what p2pd offers");
	} else if (*look->vram) {
		doctor_add(
			doctor, DOCTOR_PROVIDER_EXPORT, P2PDMA_SEVERITY_OK, subject,
			"%s, in the hands of %s: what of its memory can be exported is said of %s",
			size, driver, look->vram);
	} else {
		doctor_add(doctor, DOCTOR_PROVIDER_EXPORT, P2PDMA_SEVERITY_OK, subject,
			   "%s, in the hands of %s%s; `p2pctl bind %s` would make it a provider",
			   size, driver,
			   look->has_drm ? ", which has no render node to export memory by" : "",
			   look->node->name);
	}
}

/* Memory that the function's driver divides up. */
static void check_memory(struct look *look, uint32_t bar, uint64_t size_bytes)
{
	char subject[PCI_PROVIDER_NAME_SIZE], why[EVIDENCE_SIZE];
	char size[DOCTOR_SIZE_SIZE] = "memory of unknown size";
	struct doctor *doctor = look->doctor;

	name_of(&look->function.address, bar, subject);
	if (size_bytes)
		doctor_format_size(size_bytes, size);
	look->memories |= 1U << bar;
	if (can_export(look, bar, why)) {
		doctor_add(doctor, DOCTOR_PROVIDER_EXPORT, P2PDMA_SEVERITY_OK, subject, "%s, %s",
			   size, why);
		return;
	}
	doctor_add(doctor, DOCTOR_PROVIDER_EXPORT, P2PDMA_SEVERITY_WARNING, subject,
		   "%s, but this process can't export it: %s", size, why);
	doctor_advise(
		doctor, "%s",
		bar == PCI_MEMORY_P2PMEM ?
			"be root, or let this user open p2pmem/allocate of the function in "
			"sysfs; p2pd leases it, too" :
			"see permission.node for its nodes; where its runtime is CUDA, HSA or "
			"Level Zero, p2pdma_buffer_new_pointer() takes what that allocated, "
			"and p2pdma_buffer_adopt() any DMABUF");
}

/* sysfs answers nonsense, or can't be asked; without a word where it has left since. */
static void tell_error(struct doctor *doctor, const struct p2pdma_node *node, const char *subject,
		       int error)
{
	if (error != -EIO) {
		doctor_is_unseen(doctor, DOCTOR_PROVIDER_EXPORT, subject, "what sysfs says of it",
				 error);
		return;
	}
	doctor_add(doctor, DOCTOR_PROVIDER_EXPORT, P2PDMA_SEVERITY_PROBLEM, subject,
		   "what sysfs says of it makes no sense: %s", error_name(error));
	doctor_advise(doctor,
		      "look at /sys/bus/pci/devices/%s, and report what is wrong there to "
		      "the authors of its driver",
		      node->name);
}

/* Of a GPU; before its BARs, which show it. */
static void check_vram(struct look *look)
{
	char size[DOCTOR_SIZE_SIZE] = "memory of unknown size";
	struct doctor *doctor = look->doctor;
	struct pci_memory memory;
	const char *why;
	bool is_system;
	int r;

	r = pci_memory_query(look->fd, PCI_MEMORY_VRAM, &memory);
	if (r != -ENODEV)
		name_of(&look->function.address, PCI_MEMORY_VRAM, look->vram);
	if (r) {
		tell_error(doctor, look->node, look->vram, r);
		return;
	}
	look->vram_bytes = memory.size_bytes;
	why = drm_why_unreachable(&look->function, &is_system);
	if (!why) {
		check_memory(look, PCI_MEMORY_VRAM, memory.size_bytes);
		return;
	}
	if (is_system) {
		doctor_add(doctor, DOCTOR_PROVIDER_EXPORT, P2PDMA_SEVERITY_OK, look->vram,
			   "no memory of the device is lent by %s: %s", look->function.driver, why);
		return;
	}
	if (memory.size_bytes)
		doctor_format_size(memory.size_bytes, size);
	doctor_add(doctor, DOCTOR_PROVIDER_EXPORT, P2PDMA_SEVERITY_WARNING, look->vram,
		   "%s, but other devices don't get it from %s: %s", size, look->function.driver,
		   why);
	doctor_advise(doctor,
		      "amdgpu and xe give it, as do the vendors' own drivers with CUDA, HSA or "
		      "Level Zero; P2PDMA_BUFFER_ALLOW_SYSTEM takes memory of the machine instead");
}

static void check_p2pmem(struct look *look)
{
	char subject[PCI_PROVIDER_NAME_SIZE];
	struct pci_memory memory;
	int r;

	r = pci_memory_query(look->fd, PCI_MEMORY_P2PMEM, &memory);
	if (!r) {
		check_memory(look, PCI_MEMORY_P2PMEM, memory.size_bytes);
		return;
	}
	name_of(&look->function.address, PCI_MEMORY_P2PMEM, subject);
	tell_error(look->doctor, look->node, subject, r);
}

static void check_bars(struct look *look)
{
	const struct pci_function *function = &look->function;

	if (look->node->class_code >> 16 == CLASS_NETWORK)
		return;
	for (uint32_t bar = 0; bar < PCI_NR_BARS; bar++) {
		const struct pci_bar *found = &function->bars[bar];

		if (!found->is_memory || found->size_bytes < SMALLEST_BAR)
			continue;
		check_bar(look, bar);
		if (vfio_is_bound(function))
			look->doctor->has_vfio = true;
	}
	doctor_check_sizes(look->doctor, look->fd, function, look->memories, look->vram_bytes);
}

/* For the checks behind. */
static void leave(const struct look *look, size_t index)
{
	struct doctor *doctor = look->doctor;
	const struct p2pdma_node *node = look->node;
	struct doctor_provider *providers;
	uint32_t bar = node->bar;

	if (!look->memories)
		return;
	providers = reallocarray(doctor->providers, doctor->nr_providers + 1, sizeof(*providers));
	if (!providers) {
		doctor_fail(doctor, -ENOMEM);
		return;
	}
	doctor->providers = providers;
	providers += doctor->nr_providers++;
	*providers = (struct doctor_provider){
		.index = index,
		.memories = look->memories,
		.is_bound = is_bound(&look->function),
		.address = look->function.address,
	};
	memcpy(providers->function, node->name, sizeof(providers->function));
	if (!(look->memories & 1U << bar))
		bar = look->memories & 1U << PCI_MEMORY_VRAM ? PCI_MEMORY_VRAM : PCI_MEMORY_P2PMEM;
	name_of(&look->function.address, bar, providers->name);
}

static bool has(struct doctor *doctor, const struct p2pdma_node *node, const char *directory)
{
	char path[80];

	snprintf(path, sizeof(path), "bus/pci/devices/%s/%s", node->name, directory);
	if (!faccessat(doctor->context->sysfs_fd, path, F_OK, 0))
		return true;
	doctor_is_unseen(doctor, DOCTOR_PROVIDER_EXPORT, node->name, directory, -errno);
	return false;
}

static void check_function(struct doctor *doctor, const struct p2pdma_node *node, size_t index)
{
	struct look look = {.doctor = doctor, .node = node, .has_drm = has(doctor, node, "drm")};
	bool has_p2pmem = has(doctor, node, "p2pmem");
	struct pci_address address;
	cleanup_fd int fd = -1;
	int r;

	if (has_p2pmem)
		doctor->has_p2pmem = true;
	if (!look.has_drm && !has_p2pmem && node->bar_bytes < SMALLEST_BAR)
		return;
	r = pci_address_parse(node->name, &address);
	if (!r)
		r = pci_function_query(doctor->context->sysfs_fd, &address, &look.function);
	if (!r)
		r = pci_function_open(doctor->context->sysfs_fd, &address, &fd);
	if (r) {
		tell_error(doctor, node, node->name, r);
		return;
	}
	look.fd = fd;
	if (look.has_drm)
		check_vram(&look);
	check_bars(&look);
	if (has_p2pmem)
		check_p2pmem(&look);
	leave(&look, index);
}

static size_t count_providers(const struct doctor *doctor)
{
	size_t count = 0;

	for (size_t i = 0; i < doctor->nr_providers; i++)
		count += (size_t)__builtin_popcount(doctor->providers[i].memories);
	return count;
}

void doctor_check_providers(struct doctor *doctor)
{
	for (size_t i = 0; i < p2pdma_topology_count(doctor->topology); i++) {
		struct p2pdma_node node = P2PDMA_NODE_INIT;

		p2pdma_topology_node(doctor->topology, i, &node);
		if (node.kind == P2PDMA_NODE_FUNCTION)
			check_function(doctor, &node, i);
	}
	if (doctor->nr_providers) {
		doctor_add(doctor, DOCTOR_PROVIDER_LIST, P2PDMA_SEVERITY_OK, "machine",
			   "%zu functions with memory to lend: %zu providers, %zu of them to be "
			   "exported by this process",
			   doctor->nr_providers, count_providers(doctor), doctor->nr_exportable);
		return;
	}
	doctor_add(doctor, DOCTOR_PROVIDER_LIST, P2PDMA_SEVERITY_PROBLEM, "machine", "%s",
		   doctor->topology ? "no function has a BAR of 1 MiB or more, vram or p2pmem to "
				      "lend" :
				      "there is no PCI here");
	doctor_advise(doctor, "%s",
		      doctor->topology ? "a GPU, an NVMe drive with a controller memory buffer, an "
					 "FPGA: something with memory of its own" :
					 "in a virtual machine, pass a device to it");
}
