// SPDX-License-Identifier: MIT
/*
 * Drivers whose version decides what works.
 *
 * Drivers of the kernel have its version and are asked by what they do. Those that come from elsewhere say
 * a version of their own in sysfs; it is shown, because a report without it is half of one. One
 * thing can't be asked for: NVIDIA's driver exports DMABUFs from its open kernel modules only, and says in
 * /proc which they are. No state, no locks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/sysfs.h"
#include "doctor.h"
#include "files/proc.h"

static const struct {
	const char *name;
	bool has_version;
} modules[] = {
#define KERNEL_MODULE(name, has_version) {name, has_version},
#include "common/modules.def"
#undef KERNEL_MODULE
};

static void check_version(struct doctor *doctor, const char *driver)
{
	char path[80], version[80];

	snprintf(path, sizeof(path), "module/%s/version", driver);
	if (sysfs_read_line(doctor->context->sysfs_fd, path, version, sizeof(version)))
		return;
	doctor_add(doctor, DOCTOR_DRIVER_VERSION, P2PDMA_SEVERITY_OK, driver,
		   "version %s, of its own and not the kernel's", version);
}

static void check_nvidia(struct doctor *doctor)
{
	char version[PROC_LINE_SIZE];
	bool is_open;

	if (proc_nvidia_query(doctor->context->sys, doctor->root_fd, version, sizeof(version),
			      &is_open))
		return;
	doctor_add(doctor, DOCTOR_DRIVER_VERSION,
		   is_open ? P2PDMA_SEVERITY_OK : P2PDMA_SEVERITY_WARNING, "nvidia",
		   is_open ? "open kernel modules, which export DMABUFs: %.200s" :
			     "not the open kernel modules, and only they export DMABUFs: %.200s",
		   version);
	if (!is_open)
		doctor_advise(doctor,
			      "install the open flavour (nvidia-open-kernel-dkms), for GPUs "
			      "from Turing on");
}

void doctor_check_drivers(struct doctor *doctor)
{
	for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
		if (modules[i].has_version)
			check_version(doctor, modules[i].name);
	}
	check_nvidia(doctor);
}
