// SPDX-License-Identifier: MIT
/*
 * Device nodes: may this process open them, and if not, which group may?
 *
 * No state, no locks.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/cleanup.h"
#include "common/sysfs.h"
#include "doctor.h"
#include "files/file.h"

/* Which group may open it; false: none of its own, or this process is in it. */
static bool find_group(const struct doctor *doctor, const char *path, char *ret_name, size_t size)
{
	struct stat status;

	if (fstatat(doctor->context->dev_fd, path, &status, 0) < 0 || !file_is_for_group(&status))
		return false;
	if (doctor->context->sys->is_member(status.st_gid))
		return false;
	file_group_name(doctor->root_fd, status.st_gid, ret_name, size);
	return true;
}

static void check_node(struct doctor *doctor, const char *path, uint32_t severity,
		       const char *purpose)
{
	char subject[96], mode[96], group[32];
	int r = doctor->context->sys->access_at(doctor->context->dev_fd, path, R_OK | W_OK);

	if (r == -ENOENT)
		return;
	snprintf(subject, sizeof(subject), "/dev/%s", path);
	file_describe(doctor->root_fd, doctor->context->dev_fd, path, mode, sizeof(mode));
	if (!r) {
		doctor_add(doctor, DOCTOR_PERMISSION_NODE, P2PDMA_SEVERITY_OK, subject,
			   "may be opened (%s)", mode);
		return;
	}
	doctor_add(doctor, DOCTOR_PERMISSION_NODE, severity, subject,
		   "can't be opened: %s (%s); %s", error_name(r), mode, purpose);
	if (r == -EPERM)
		doctor_advise(doctor,
			      "the container's device rules forbid it: pass the device to it");
	else if (find_group(doctor, path, group, sizeof(group)))
		doctor_advise(doctor, "join the group %s, and log in again", group);
	else
		doctor_advise(doctor, "let udev give it to a group, or be root");
}

static bool is_number(const char *name)
{
	return *name && strspn(name, "0123456789") == strlen(name);
}

/* Those entries of a directory below /dev that take part. */
static void check_directory(struct doctor *doctor, const char *directory,
			    bool (*is_wanted)(const char *name), uint32_t severity,
			    const char *purpose)
{
	cleanup_dir DIR *dir = NULL;
	struct dirent *entry;
	char path[320];

	snprintf(path, sizeof(path), "/dev/%s", directory);
	doctor_is_unseen(doctor, DOCTOR_PERMISSION_NODE, path, path,
			 sysfs_list(doctor->context->dev_fd, directory, &dir));
	while (dir && (entry = readdir(dir))) {
		if (!is_wanted(entry->d_name))
			continue;
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		check_node(doctor, path, severity, purpose);
	}
}

static bool is_render(const char *name)
{
	return !strncmp(name, "renderD", strlen("renderD"));
}

static bool is_cdev(const char *name)
{
	return !strncmp(name, "vfio", strlen("vfio"));
}

static bool is_heap(const char *name)
{
	return *name != '.';
}

void doctor_check_nodes(struct doctor *doctor)
{
	/* With p2pd a program needs none of the providers' nodes. */
	uint32_t severity = doctor->nr_leased_out ? P2PDMA_SEVERITY_OK : P2PDMA_SEVERITY_WARNING;

	check_directory(doctor, "vfio", is_number, severity, "p2pd may have the function");
	check_directory(doctor, "vfio/devices", is_cdev, severity, "p2pd may have the function");
	if (doctor->has_vfio)
		check_node(doctor, "iommu", severity, "VFIO's character devices need it");
	check_directory(doctor, "dri", is_render, P2PDMA_SEVERITY_WARNING,
			"memory of this GPU can't be exported");
	check_node(doctor, "udmabuf", P2PDMA_SEVERITY_OK, "DMABUFs of system memory need it");
	check_directory(doctor, "dma_heap", is_heap, P2PDMA_SEVERITY_OK,
			"DMABUFs of system memory may come from it");
}
