// SPDX-License-Identifier: MIT
/*
 * BAR sizes: does the BAR show all of the memory behind it?
 *
 * A GPU whose BAR is smaller than its memory can only lend what the BAR shows. Where the resizable BAR
 * capability says that it could be larger, the firmware or a kernel that found no room kept it small. It is
 * in configuration space, which root sees; the attribute resourceN_resize shows its sizes to everybody.
 *
 * The largest BAR is the one that shows the memory. Registers and doorbells in others may be resizable, too:
 * that is told, and nothing is wrong with it. No state, no locks.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/pci_config.h"
#include "common/sysfs.h"
#include "doctor.h"

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

/* Of the largest. */
static void check_size(struct doctor *doctor, const char *subject, uint64_t bar_bytes,
		       uint64_t memory_bytes, uint64_t largest_bytes)
{
	char bar[DOCTOR_SIZE_SIZE], memory[DOCTOR_SIZE_SIZE], largest[DOCTOR_SIZE_SIZE];

	doctor_format_size(bar_bytes, bar);
	doctor_format_size(memory_bytes, memory);
	doctor_format_size(largest_bytes, largest);
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

static void tell_other(struct doctor *doctor, const char *subject, uint64_t bar_bytes,
		       uint64_t largest_bytes)
{
	char bar[DOCTOR_SIZE_SIZE], largest[DOCTOR_SIZE_SIZE];

	doctor_format_size(bar_bytes, bar);
	doctor_format_size(largest_bytes, largest);
	doctor_add(doctor, DOCTOR_PROVIDER_BAR, P2PDMA_SEVERITY_OK, subject,
		   "%s, and it isn't the function's largest BAR%s%s", bar,
		   largest_bytes > bar_bytes ? "; it could have " : "",
		   largest_bytes > bar_bytes ? largest : "");
}

static uint32_t largest_of(const struct pci_function *function, uint32_t bars)
{
	uint32_t largest = PCI_NR_BARS;

	for (uint32_t bar = 0; bar < PCI_NR_BARS; bar++)
		if (bars & 1U << bar &&
		    (largest == PCI_NR_BARS ||
		     function->bars[bar].size_bytes > function->bars[largest].size_bytes))
			largest = bar;
	return largest;
}

void doctor_check_sizes(struct doctor *doctor, int function_fd, const struct pci_function *function,
			uint32_t bars, uint64_t vram_bytes)
{
	struct pci_provider_name name = {.address = function->address};
	struct pci_extra extra = {.is_resizable_known = false};
	uint32_t largest = largest_of(function, bars);
	char subject[PCI_PROVIDER_NAME_SIZE];
	int r;

	if (largest == PCI_NR_BARS)
		return;
	name.bar = largest;
	pci_provider_name_format(&name, subject);
	r = pci_config_query_extra(function_fd, &extra);
	/* Without a word where it has left since. */
	if (doctor_is_unseen(doctor, DOCTOR_PROVIDER_BAR, subject, "its configuration space", r) ||
	    r)
		return;
	for (name.bar = 0; name.bar < PCI_NR_BARS; name.bar++) {
		struct pci_resizable *sizes = &extra.bars[name.bar];
		uint64_t bytes = function->bars[name.bar].size_bytes;
		bool is_known = extra.is_resizable_known;

		if (!(bars & 1U << name.bar))
			continue;
		if (!is_known)
			is_known = read_sizes(function_fd, name.bar, sizes);
		pci_provider_name_format(&name, subject);
		if (name.bar != largest) {
			tell_other(doctor, subject, bytes, pci_resizable_largest(sizes));
		} else if (is_known || vram_bytes) {
			check_size(doctor, subject, bytes, vram_bytes,
				   pci_resizable_largest(sizes));
		} else {
			doctor_add(doctor, DOCTOR_PROVIDER_BAR, P2PDMA_SEVERITY_UNKNOWN, subject,
				   "whether the BAR could be larger is only shown to "
				   "CAP_SYS_ADMIN");
			doctor_advise(doctor, "ask as root");
		}
	}
}
