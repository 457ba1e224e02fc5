// SPDX-License-Identifier: MIT
/*
 * The kernel: who can export here, whether it does PCI P2PDMA at all, the IOMMU.
 *
 * Versions and configuration files aren't asked: what a kernel has shows in what it does. P2PDMA shows in a
 * node of p2pdma_export or in a p2pmem directory, which only a kernel with it makes. No state, no locks.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/sysfs.h"
#include "doctor.h"

static bool has(const struct doctor *doctor, const char *path)
{
	return !faccessat(doctor->context->sysfs_fd, path, F_OK, 0);
}

/* False: it can't be looked at, which is told. */
static bool count_entries(struct doctor *doctor, enum doctor_check check, const char *subject,
			  const char *path, size_t *ret_count)
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	char full[64];

	*ret_count = 0;
	snprintf(full, sizeof(full), "/sys/%s", path);
	if (doctor_is_unseen(doctor, check, subject, full,
			     sysfs_list(doctor->context->sysfs_fd, path, &dir)))
		return false;
	while (dir && (entry = readdir(dir)))
		*ret_count += entry->d_name[0] != '.';
	return true;
}

static void check_release(struct doctor *doctor)
{
	char release[96] = "";

	sysfs_read_line(doctor->root_fd, "proc/sys/kernel/osrelease", release, sizeof(release));
	doctor_add(doctor, DOCTOR_KERNEL_RELEASE,
		   *release ? P2PDMA_SEVERITY_OK : P2PDMA_SEVERITY_UNKNOWN, "kernel", "Linux %s",
		   *release ? release : "of a version that /proc doesn't say");
	if (!*release)
		doctor_advise(doctor, "mount /proc; `uname -r` says it, too");
}

static void check_module(struct doctor *doctor)
{
	size_t nr_bound;

	if (!count_entries(doctor, DOCTOR_KERNEL_MODULE, "p2pdma_export", "class/p2pdma_export",
			   &nr_bound))
		return;
	if (has(doctor, "module/p2pdma_export") || nr_bound) {
		doctor_add(doctor, DOCTOR_KERNEL_MODULE, P2PDMA_SEVERITY_OK, "p2pdma_export",
			   "loaded, with %zu functions bound to it", nr_bound);
		if (!nr_bound)
			doctor_advise(doctor, "`p2pctl bind FUNCTION` binds one");
		return;
	}
	doctor_add(doctor, DOCTOR_KERNEL_MODULE,
		   doctor->nr_exportable ? P2PDMA_SEVERITY_OK : P2PDMA_SEVERITY_WARNING,
		   "p2pdma_export", "not loaded%s",
		   doctor->has_vfio ?
			   ": only VFIO exports, and revokes a whole function at a time" :
			   ": nothing exports slices of a BAR that can be revoked alone");
	doctor_advise(doctor, "install its DKMS package (kernel/dkms), then `modprobe "
			      "p2pdma_export`");
}

static void check_p2pdma(struct doctor *doctor)
{
	if (has(doctor, "class/p2pdma_export")) {
		doctor_add(doctor, DOCTOR_KERNEL_P2PDMA, P2PDMA_SEVERITY_OK, "kernel",
			   "it does PCI peer-to-peer DMA, as p2pdma_export is in it");
	} else if (doctor->has_p2pmem) {
		doctor_add(doctor, DOCTOR_KERNEL_P2PDMA, P2PDMA_SEVERITY_OK, "kernel",
			   "it does PCI peer-to-peer DMA, as a device has p2pmem");
	} else {
		doctor_add(doctor, DOCTOR_KERNEL_P2PDMA, P2PDMA_SEVERITY_UNKNOWN, "kernel",
			   "nothing here shows whether it does PCI peer-to-peer DMA: neither "
			   "p2pdma_export nor a device with p2pmem is there");
		doctor_advise(doctor, "`modprobe p2pdma_export` shows it; the kernel's option is "
				      "CONFIG_PCI_P2PDMA");
	}
}

static void check_vfio(struct doctor *doctor)
{
	bool is_there = has(doctor, "module/vfio_pci") || has(doctor, "bus/pci/drivers/vfio-pci");
	size_t nr_groups;

	if (!doctor->has_vfio) {
		doctor_add(doctor, DOCTOR_KERNEL_VFIO, P2PDMA_SEVERITY_OK, "vfio-pci",
			   is_there ? "there, with no function that has memory to lend" :
				      "not loaded");
	} else if (!count_entries(doctor, DOCTOR_KERNEL_VFIO, "vfio-pci", "kernel/iommu_groups",
				  &nr_groups)) {
		return;
	} else if (!nr_groups) {
		doctor_add(doctor, DOCTOR_KERNEL_VFIO, P2PDMA_SEVERITY_PROBLEM, "vfio-pci",
			   "a function is bound to it, but there is no IOMMU, without which it "
			   "opens nothing");
		doctor_advise(doctor, "switch VT-d or AMD-Vi on in the firmware, and boot with "
				      "intel_iommu=on where that is needed");
	} else {
		doctor_add(doctor, DOCTOR_KERNEL_VFIO,
			   doctor->flags & P2PDMA_DOCTOR_TRY ? P2PDMA_SEVERITY_OK :
							       P2PDMA_SEVERITY_UNKNOWN,
			   "vfio-pci",
			   doctor->flags & P2PDMA_DOCTOR_TRY ?
				   "functions are bound to it: see try.vfio" :
				   "functions are bound to it; whether it exports DMABUFs only an "
				   "open function tells");
		if (!(doctor->flags & P2PDMA_DOCTOR_TRY))
			doctor_advise(doctor, "`p2pctl doctor --try` opens those that nobody has");
	}
}

static void check_lockdown(struct doctor *doctor)
{
	char line[80];
	bool is_locked;

	if (sysfs_read_line(doctor->context->sysfs_fd, "kernel/security/lockdown", line,
			    sizeof(line)))
		return;
	is_locked = !strstr(line, "[none]");
	doctor_add(doctor, DOCTOR_KERNEL_LOCKDOWN,
		   is_locked && !has(doctor, "module/p2pdma_export") ? P2PDMA_SEVERITY_WARNING :
								       P2PDMA_SEVERITY_OK,
		   "kernel",
		   is_locked ? "locked down (%s): it loads only signed modules" :
			       "not locked down (%s)",
		   line);
	if (is_locked)
		doctor_advise(doctor, "sign p2pdma_export with a key that the firmware knows "
				      "(DKMS does with an enrolled machine owner key)");
}

static void check_iommu(struct doctor *doctor)
{
	size_t nr_units, nr_groups;

	if (!count_entries(doctor, DOCTOR_KERNEL_IOMMU, "kernel", "class/iommu", &nr_units) ||
	    !count_entries(doctor, DOCTOR_KERNEL_IOMMU, "kernel", "kernel/iommu_groups",
			   &nr_groups))
		return;
	doctor_add(doctor, DOCTOR_KERNEL_IOMMU, P2PDMA_SEVERITY_OK, "kernel",
		   nr_groups ? "an IOMMU is on: %zu units, %zu groups" :
			       "no IOMMU is on (%zu units, %zu groups)",
		   nr_units, nr_groups);
}

void doctor_check_kernel(struct doctor *doctor)
{
	check_release(doctor);
	check_module(doctor);
	check_p2pdma(doctor);
	check_vfio(doctor);
	check_lockdown(doctor);
	check_iommu(doctor);
}
