// SPDX-License-Identifier: MIT
/*
 * Whom policy is asked about: users as the user database has them, or a process as the kernel has it.
 *
 * p2pd asks nobody who a user is: what it is told is all it knows of somebody who isn't there. So
 * the groups are found here, where one may wait for a directory service. The control group of a
 * user isn't one; only a process has one.
 */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "subject.h"

#define GROUPS_MAX 65536 /* as the kernel's NGROUPS_MAX */

void subject_done(struct subject *subject)
{
	free(subject->groups);
	free(subject->cgroup);
	*subject = (struct subject){0};
}

/* -- a user -- */

static int find_groups(const struct passwd *user, struct subject *subject)
{
	for (int room = 64; room <= GROUPS_MAX; room *= 2) {
		uint32_t *groups = calloc((size_t)room, sizeof(*groups));
		int count = room;

		if (!groups)
			return -ENOMEM;
		if (getgrouplist(user->pw_name, user->pw_gid, groups, &count) >= 0) {
			subject->groups = groups;
			subject->nr_groups = (size_t)count;
			return 0;
		}
		free(groups);
	}
	return -E2BIG;
}

int subject_of_user(const char *name, struct subject *ret_subject)
{
	struct subject subject = {.gid = UINT32_MAX};
	const struct passwd *user;
	uint64_t number;
	int r = 0;

	if (!parse_number(name, &number)) {
		if (number >= UINT32_MAX)
			return -ENOENT;
		subject.uid = (uint32_t)number;
		user = getpwuid(subject.uid);
	} else {
		user = getpwnam(name);
		if (!user)
			return -ENOENT;
	}
	if (user) {
		subject.uid = user->pw_uid;
		subject.gid = user->pw_gid;
		r = find_groups(user, &subject);
	}
	if (!r)
		*ret_subject = subject;
	return r;
}

/* -- a process -- */

/* The second of the numbers behind the colon: the effective one, as a socket has it. */
static int take_id(const char *line, uint32_t *ret_id)
{
	return sscanf(line, "%*u %" SCNu32, ret_id) == 1 ? 0 : -EIO;
}

static int take_groups(char *line, struct subject *subject)
{
	char *rest = line, *word;

	while ((word = strsep(&rest, " \t\n"))) {
		uint32_t *grown;
		uint64_t number;

		if (parse_number(word, &number) || number >= UINT32_MAX)
			continue;
		grown = reallocarray(subject->groups, subject->nr_groups + 1, sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		subject->groups = grown;
		grown[subject->nr_groups++] = (uint32_t)number;
	}
	return 0;
}

static int read_lines(uint64_t pid, const char *name,
		      int (*take)(char *line, struct subject *subject), struct subject *subject)
{
	char path[64], *line = NULL;
	size_t size = 0;
	int r = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%" PRIu64 "/%s", pid, name);
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? -ESRCH : -errno;
	errno = 0;
	while (!r && getline(&line, &size, file) >= 0)
		r = take(line, subject);
	/* It has ended meanwhile. */
	if (!r && ferror(file))
		r = errno ? -errno : -EIO;
	free(line);
	fclose(file);
	return r;
}

static int take_status(char *line, struct subject *subject)
{
	if (!strncmp(line, "Uid:", 4))
		return take_id(line + 4, &subject->uid);
	if (!strncmp(line, "Gid:", 4))
		return take_id(line + 4, &subject->gid);
	if (!strncmp(line, "Groups:", 7))
		return take_groups(line + 7, subject);
	return 0;
}

static int take_cgroup(char *line, struct subject *subject)
{
	if (strncmp(line, "0::", 3) || subject->cgroup)
		return 0;
	line[strcspn(line, "\n")] = '\0';
	subject->cgroup = strdup(line + 3);
	return subject->cgroup ? 0 : -ENOMEM;
}

int subject_of_process(uint64_t pid, struct subject *ret_subject)
{
	struct subject subject = {.uid = UINT32_MAX, .gid = UINT32_MAX};
	int r;

	r = read_lines(pid, "status", take_status, &subject);
	if (!r)
		r = read_lines(pid, "cgroup", take_cgroup, &subject);
	if (!r && (subject.uid == UINT32_MAX || subject.gid == UINT32_MAX))
		r = -EIO;
	if (r)
		subject_done(&subject);
	else
		*ret_subject = subject;
	return r;
}
