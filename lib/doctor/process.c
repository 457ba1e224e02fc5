// SPDX-License-Identifier: MIT
/*
 * Who asks, and from where: user, groups, capabilities, containers.
 *
 * All of it is what /proc and a few files that container managers leave say of this process. Nothing here
 * is wrong by itself; it explains what the other checks can't see, and why a node can't be opened. No
 * state but what is told to the other checks, no locks.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <linux/capability.h>

#include "common/sysfs.h"
#include "doctor.h"
#include "files/proc.h"

static void read_user(struct doctor *doctor)
{
	const struct sys_ops *sys = doctor->context->sys;
	struct doctor_user *user = &doctor->user;
	char ids[64];

	/* Real, effective, saved, of the filesystem. */
	user->is_known =
		!proc_find(sys, doctor->root_fd, "/proc/self/status", "Uid:", ids, sizeof(ids)) &&
		sscanf(ids, "%*u %" SCNu32, &user->uid) == 1 &&
		!proc_capabilities(sys, doctor->root_fd, &user->capabilities);
}

bool doctor_has_capability(const struct doctor *doctor, unsigned int capability)
{
	return doctor->user.capabilities >> capability & 1;
}

static void check_privilege(struct doctor *doctor)
{
	bool is_admin = doctor_has_capability(doctor, CAP_SYS_ADMIN);

	if (!doctor->user.is_known) {
		doctor_add(doctor, DOCTOR_PERMISSION_PROCESS, P2PDMA_SEVERITY_UNKNOWN, "process",
			   "/proc/self/status can't be read or makes no sense");
		doctor_advise(doctor, "mount /proc");
		return;
	}
	doctor_add(doctor, DOCTOR_PERMISSION_PROCESS,
		   is_admin ? P2PDMA_SEVERITY_OK : P2PDMA_SEVERITY_UNKNOWN, "process",
		   "user %" PRIu32 ", %s CAP_SYS_ADMIN: capabilities in PCI configuration space "
		   "%s be seen",
		   doctor->user.uid, is_admin ? "with" : "without", is_admin ? "can" : "can't");
	if (!is_admin)
		doctor_advise(doctor, "ask as root to see ACS, links and resizable BARs");
}

/* What a container manager leaves; NULL: nothing. */
static const char *container_kind(const struct doctor *doctor, char *line, size_t size)
{
	static const struct {
		const char *path;
		const char *kind;
	} marks[] = {
		{".dockerenv", "docker"},
		{"run/.containerenv", "podman"},
		{"var/run/secrets/kubernetes.io", "kubernetes"},
	};

	if (!sysfs_read_line(doctor->root_fd, "run/systemd/container", line, size) && *line)
		return line;
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (!faccessat(doctor->root_fd, marks[i].path, F_OK, 0))
			return marks[i].kind;
	return NULL;
}

/* Every user is himself in the first namespace. */
static bool has_own_users(const struct doctor *doctor)
{
	uint32_t inside, outside, count;
	char text[64];

	if (proc_find(doctor->context->sys, doctor->root_fd, "/proc/self/uid_map", "", text,
		      sizeof(text)))
		return false;
	return sscanf(text, "%" SCNu32 " %" SCNu32 " %" SCNu32, &inside, &outside, &count) != 3 ||
	       inside || outside || count != UINT32_MAX;
}

static void check_container(struct doctor *doctor)
{
	char line[64];
	const char *kind = container_kind(doctor, line, sizeof(line));

	if (has_own_users(doctor)) {
		doctor_add(doctor, DOCTOR_PERMISSION_CONTAINER, P2PDMA_SEVERITY_WARNING, "process",
			   "in a user namespace of its own%s%s: its root isn't the machine's, so "
			   "configuration space stays hidden and CAP_IPC_LOCK doesn't lift memlock",
			   kind ? ", made by " : "", kind ? kind : "");
		doctor_advise(
			doctor,
			"ask on the host; pass /dev/infiniband and the socket of p2pd into the "
			"container, and raise memlock for it");
	} else if (kind) {
		doctor_add(doctor, DOCTOR_PERMISSION_CONTAINER, P2PDMA_SEVERITY_OK, "process",
			   "in a container (%s): only device nodes and sockets that were passed "
			   "into it are seen",
			   kind);
	} else {
		doctor_add(doctor, DOCTOR_PERMISSION_CONTAINER, P2PDMA_SEVERITY_OK, "process",
			   "in no container");
	}
}

void doctor_check_process(struct doctor *doctor)
{
	read_user(doctor);
	check_privilege(doctor);
	check_container(doctor);
}
