// SPDX-License-Identifier: MIT
/*
 * Whole files, and who may open one.
 *
 * Names of users and groups are read from files, not asked of a name service: this must work where that
 * hangs, and in a rescue system. Pure functions, no state, no locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "file.h"

#define LARGEST_FILE (16U << 20)

int file_load(int dir_fd, const char *path, char **ret_text, size_t *ret_length)
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

/* The name of a number in /etc/passwd or /etc/group; else the number. */
static void find_name(int root_fd, const char *file, uint32_t number, char *ret_name, size_t size)
{
	cleanup_free char *text = NULL;
	char *rest, *line;
	size_t length;

	snprintf(ret_name, size, "%" PRIu32, number);
	if (file_load(root_fd, file, &text, &length))
		return;
	rest = text;
	while ((line = strsep(&rest, "\n"))) {
		char *name = strsep(&line, ":"), *end;

		strsep(&line, ":");
		if (!line || !*name || strtoul(line, &end, 10) != number || *end != ':')
			continue;
		snprintf(ret_name, size, "%s", name);
		return;
	}
}

void file_group_name(int root_fd, unsigned int group, char *ret_name, size_t size)
{
	find_name(root_fd, "etc/group", group, ret_name, size);
}

void file_describe(int root_fd, int dir_fd, const char *path, char *ret_text, size_t size)
{
	char owner[32], group[32], mode[10] = "---------";
	struct stat status;

	ret_text[0] = '\0';
	if (fstatat(dir_fd, path, &status, 0) < 0)
		return;
	find_name(root_fd, "etc/passwd", status.st_uid, owner, sizeof(owner));
	find_name(root_fd, "etc/group", status.st_gid, group, sizeof(group));
	for (unsigned int i = 0; i < 9; i++)
		if (status.st_mode >> (8 - i) & 1)
			mode[i] = "rwx"[i % 3];
	snprintf(ret_text, size, "%s %s:%s", mode, owner, group);
}

bool file_is_for_group(const struct stat *status)
{
	return status->st_gid && (status->st_mode & 060) == 060;
}
