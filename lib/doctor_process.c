// SPDX-License-Identifier: MIT
/*
 * Who asks, and from where: user, groups, capabilities, containers.
 *
 * All of it is what /proc and a few files that container managers leave say of this process. Nothing here
 * is wrong by itself; it explains what the other checks can't see, and why a node can't be opened. No
 * state but what is told to the other checks, no locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/capability.h>

#include "common/cleanup.h"
#include "common/sysfs.h"
#include "doctor.h"

#define LARGEST_FILE (16U << 20)

int doctor_load(int dir_fd, const char *path, char **ret_text, size_t *ret_length)
{
	cleanup_fd int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	cleanup_free char *text = NULL;
	size_t length = 0, room = 4096;
	ssize_t got;

	if (fd < 0)
		return -errno;
	do {
		char *grown = realloc(text, room + 1);

		if (!grown)
			return -ENOMEM;
		text = grown;
		got = read(fd, text + length, room - length);
		if (got < 0 && errno != EINTR)
			return -errno;
		length += got > 0 ? (size_t)got : 0;
		if (length == room)
			room *= 2;
		if (length > LARGEST_FILE)
			return -EFBIG;
	} while (got);
	text[length] = '\0';
	*ret_text = text;
	*ret_length = length;
	text = NULL;
	return 0;
}

bool doctor_value(const char *text, const char *key, int base, uint64_t *ret_value)
{
	size_t length = strlen(key);
	char *end;

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, length))
			continue;
		line += length;
		line += strspn(line, " \t");
		errno = 0;
		*ret_value = strtoull(line, &end, base);
		return end != line && !errno;
	}
	return false;
}

static void read_groups(const char *text, struct doctor_user *user)
{
	const char *line = strstr(text, "\nGroups:");
	char *end;

	if (!line)
		return;
	line += strlen("\nGroups:");
	while (user->nr_groups < sizeof(user->groups) / sizeof(user->groups[0])) {
		unsigned long group;

		line += strspn(line, " \t");
		group = strtoul(line, &end, 10);
		if (end == line)
			return;
		user->groups[user->nr_groups++] = (uint32_t)group;
		line = end;
	}
}

static void read_user(struct doctor *doctor)
{
	struct doctor_user *user = &doctor->user;
	cleanup_free char *text = NULL;
	const char *ids;
	size_t length;

	if (doctor_load(doctor->root_fd, "proc/self/status", &text, &length))
		return;
	/* Real, effective, saved, of the filesystem. */
	ids = strstr(text, "\nUid:");
	if (!ids || sscanf(ids, "\nUid: %*u %" SCNu32, &user->uid) != 1 ||
	    !doctor_value(text, "CapEff:", 16, &user->capabilities))
		return;
	ids = strstr(text, "\nGid:");
	if (ids && sscanf(ids, "\nGid: %*u %" SCNu32, &user->groups[0]) == 1)
		user->nr_groups = 1;
	read_groups(text, user);
	user->is_known = true;
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
	cleanup_free char *text = NULL;
	uint32_t inside, outside, count;
	size_t length;

	if (doctor_load(doctor->root_fd, "proc/self/uid_map", &text, &length))
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
