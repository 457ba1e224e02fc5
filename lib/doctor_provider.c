// SPDX-License-Identifier: MIT
/*
 * Providers: functions with a BAR worth lending, what exports them, and whether the BAR shows all of their
 * memory.
 *
 * A GPU whose BAR is smaller than its memory can only lend what the BAR shows. Where the resizable BAR
 * capability says that it could be larger, the firmware or a kernel that found no room kept it small. It is
 * in configuration space, which root sees; the attribute resourceN_resize shows its sizes to everybody.
 * No state but what is told to the other checks, no locks.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backend.h"
#include "common/cleanup.h"
#include "common/pci_config.h"
#include "common/pci_memory.h"
#include "common/sysfs.h"
#include "doctor.h"

#define SMALLEST_BAR  (1ULL << 20)
#define CLASS_NETWORK 0x02

bool doctor_is_provider(const struct p2pdma_node *node)
{
	return node->kind == P2PDMA_NODE_FUNCTION && node->flags & P2PDMA_NODE_PROVIDER &&
	       node->bar_bytes >= SMALLEST_BAR && node->class_code >> 16 != CLASS_NETWORK;
}

static bool is_drm(const struct p2pdma_node *node)
{
	return !strncmp(node->device, "card", 4) || !strncmp(node->device, "render", 6);
}

static void format_mib(uint64_t bytes, char *text, size_t size)
{
	if (bytes >= 1ULL << 30)
		snprintf(text, size, "%.4g GiB", (double)bytes / (1ULL << 30));
	else
		snprintf(text, size, "%.4g MiB", (double)bytes / (1ULL << 20));
}

/* The first backend that can; else what each of those for such memory says. */
static bool can_export(const struct doctor *doctor, const struct pci_function *function,
		       uint32_t bar, char *ret_why, size_t size)
{
	char why[BACKEND_WHY_SIZE];
	size_t length = 0;

	snprintf(ret_why, size, "nothing here exports such memory");
	for (size_t i = 0; backends[i]; i++) {
		if (backends[i]->kind != backend_kind(bar))
			continue;
		if (backend_can_export(backends[i], doctor->context, function, bar, why)) {
			snprintf(ret_why, size, "%s", why);
			return true;
		}
		if (length < size)
			length += (size_t)snprintf(ret_why + length, size - length, "%s%s",
						   length ? "; " : "", why);
	}
	return false;
}

static bool is_for_export(const struct pci_function *function)
{
	return !strcmp(function->driver, "p2pdma_export") || vfio_is_bound(function);
}

static void check_export(struct doctor *doctor, const struct p2pdma_node *node,
			 const struct pci_function *function, const char *subject)
{
	char why[320], size[24];
	bool is_able = can_export(doctor, function, node->bar, why, sizeof(why));

	format_mib(node->bar_bytes, size, sizeof(size));
	if (vfio_is_bound(function))
		doctor->has_vfio = true;
	if (is_able) {
		doctor->nr_exportable++;
		doctor_add(doctor, DOCTOR_PROVIDER_EXPORT, P2PDMA_SEVERITY_OK, subject, "%s, %s",
			   size, why);
	} else if (is_for_export(function)) {
		doctor_add(doctor, DOCTOR_PROVIDER_EXPORT, P2PDMA_SEVERITY_WARNING, subject,
			   "%s, but this process can't export it: %s", size, why);
		doctor_advise(doctor, "acquire it from p2pd, or let this user open its node; "
				      "`p2pctl list` shows what p2pd offers");
	} else if (is_drm(node)) {
		doctor_add(doctor, DOCTOR_PROVIDER_EXPORT, P2PDMA_SEVERITY_OK, subject,
			   "%s, its memory is exported by its driver %s as %s", size,
			   function->driver, node->device);
	} else {
		doctor_add(doctor, DOCTOR_PROVIDER_EXPORT, P2PDMA_SEVERITY_OK, subject,
			   "%s, in the hands of %s; `p2pctl bind %s` would make it a provider",
			   size, *function->driver ? function->driver : "no driver", node->name);
	}
}

/* Sizes that the kernel shows to everybody: "0000000000003f00". */
static bool read_sizes(int dir_fd, uint32_t bar, struct pci_resizable *ret_bar)
{
	char path[32], line[32];
	char *end;

	snprintf(path, sizeof(path), "resource%" PRIu32 "_resize", bar);
	if (sysfs_read_line(dir_fd, path, line, sizeof(line)))
		return false;
	errno = 0;
	ret_bar->sizes = strtoull(line, &end, 16);
	return !errno && end != line && !*end;
}

static void check_size(struct doctor *doctor, const char *subject, uint64_t bar_bytes,
		       uint64_t memory_bytes, uint64_t largest_bytes)
{
	char bar[24], memory[24], largest[24];

	format_mib(bar_bytes, bar, sizeof(bar));
	format_mib(memory_bytes, memory, sizeof(memory));
	format_mib(largest_bytes, largest, sizeof(largest));
	if (memory_bytes > bar_bytes) {
		doctor_add(doctor, DOCTOR_PROVIDER_BAR, P2PDMA_SEVERITY_WARNING, subject,
			   "the BAR shows %s of %s of memory: peers reach no more%s%s", bar, memory,
			   largest_bytes > bar_bytes ? "; it could be " : "",
			   largest_bytes > bar_bytes ? largest : "");
	} else if (!memory_bytes && largest_bytes > bar_bytes) {
		doctor_add(doctor, DOCTOR_PROVIDER_BAR, P2PDMA_SEVERITY_WARNING, subject,
			   "the BAR has %s and could have %s", bar, largest);
	} else {
		doctor_add(doctor, DOCTOR_PROVIDER_BAR, P2PDMA_SEVERITY_OK, subject, "%s%s", bar,
			   memory_bytes	 ? ", all of the device's memory" :
			   largest_bytes ? ", the largest of its sizes" :
					   ", and it can't be resized");
		return;
	}
	doctor_advise(doctor,
		      "switch on \"Above 4G Decoding\" and \"Resizable BAR\" in the firmware; or, "
		      "with no driver bound, write a larger size to its resourceN_resize, if the "
		      "bridges above have room (pci=realloc)");
}

static void check_bar(struct doctor *doctor, int function_fd, const struct p2pdma_node *node,
		      const char *subject)
{
	struct pci_extra extra = {.is_resizable_known = false};
	struct pci_memory vram = {.size_bytes = 0};
	int r;

	/* 0 of a driver that doesn't tell, and of what isn't a GPU. */
	pci_memory_query(function_fd, PCI_MEMORY_VRAM, &vram);
	r = pci_config_query_extra(function_fd, &extra);
	/* Without a word where it has left since. */
	if (doctor_is_unseen(doctor, DOCTOR_PROVIDER_BAR, subject, "its configuration space", r) ||
	    r)
		return;
	if (!extra.is_resizable_known &&
	    !read_sizes(function_fd, node->bar, &extra.bars[node->bar]) && !vram.size_bytes) {
		doctor_add(doctor, DOCTOR_PROVIDER_BAR, P2PDMA_SEVERITY_UNKNOWN, subject,
			   "whether the BAR could be larger is only shown to CAP_SYS_ADMIN");
		doctor_advise(doctor, "ask as root");
		return;
	}
	check_size(doctor, subject, node->bar_bytes, vram.size_bytes,
		   pci_resizable_largest(&extra.bars[node->bar]));
}

/* Memory that the function's driver divides up. */
static void check_memory(struct doctor *doctor, int function_fd,
			 const struct pci_function *function, uint32_t bar)
{
	struct pci_provider_name name = {.address = function->address, .bar = bar};
	char subject[PCI_PROVIDER_NAME_SIZE], why[320], size[24] = "memory of unknown size";
	struct pci_memory memory;

	if (pci_memory_query(function_fd, bar, &memory))
		return;
	pci_provider_name_format(&name, subject);
	if (memory.size_bytes)
		format_mib(memory.size_bytes, size, sizeof(size));
	if (can_export(doctor, function, bar, why, sizeof(why))) {
		doctor->nr_exportable++;
		doctor_add(doctor, DOCTOR_PROVIDER_EXPORT, P2PDMA_SEVERITY_OK, subject, "%s, %s",
			   size, why);
		return;
	}
	doctor_add(doctor, DOCTOR_PROVIDER_EXPORT, P2PDMA_SEVERITY_WARNING, subject,
		   "%s, but this process can't export it: %s", size, why);
	doctor_advise(doctor,
		      "see permission.node for its nodes; its own runtime may export it, and "
		      "p2pdma_buffer_adopt() takes what that exports");
}

static void check_one(struct doctor *doctor, const struct p2pdma_node *node)
{
	struct pci_function function;
	struct pci_address address;
	cleanup_fd int fd = -1;
	char subject[40];
	int r;

	snprintf(subject, sizeof(subject), "%s/%" PRIu32, node->name, node->bar);
	r = pci_address_parse(node->name, &address);
	if (!r)
		r = pci_function_query(doctor->context->sysfs_fd, &address, &function);
	if (!r)
		r = pci_function_open(doctor->context->sysfs_fd, &address, &fd);
	/* It has left since the tree was looked at. */
	if (r == -ENODEV)
		return;
	if (r) {
		doctor_add(doctor, DOCTOR_PROVIDER_EXPORT, P2PDMA_SEVERITY_PROBLEM, subject,
			   "what sysfs says of it makes no sense: %s", error_name(r));
		return;
	}
	check_export(doctor, node, &function, subject);
	check_bar(doctor, fd, node, subject);
	check_memory(doctor, fd, &function, PCI_MEMORY_VRAM);
	check_memory(doctor, fd, &function, PCI_MEMORY_P2PMEM);
}

void doctor_check_providers(struct doctor *doctor)
{
	size_t count = 0;

	for (size_t i = 0; i < p2pdma_topology_count(doctor->topology); i++) {
		struct p2pdma_node node = P2PDMA_NODE_INIT;

		p2pdma_topology_node(doctor->topology, i, &node);
		if (!doctor_is_provider(&node))
			continue;
		check_one(doctor, &node);
		count++;
	}
	if (count) {
		doctor_add(doctor, DOCTOR_PROVIDER_LIST, P2PDMA_SEVERITY_OK, "machine",
			   "%zu functions with a BAR of 1 MiB or more, %zu of them to be exported "
			   "by this process",
			   count, doctor->nr_exportable);
		return;
	}
	doctor_add(doctor, DOCTOR_PROVIDER_LIST, P2PDMA_SEVERITY_PROBLEM, "machine", "%s",
		   doctor->topology ? "no function has a BAR of 1 MiB or more to lend" :
				      "there is no PCI here");
	doctor_advise(doctor, "%s",
		      doctor->topology ? "a GPU, an NVMe drive with a controller memory buffer, an "
					 "FPGA: something with memory of its own" :
					 "in a virtual machine, pass a device to it");
}
