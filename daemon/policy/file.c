// SPDX-License-Identifier: MIT
/*
 * The files of the configuration: which, in which order, and whether to trust them.
 *
 * Who can write a file decides what it may say, so that is checked on the open
 * descriptor, where nobody can swap it any more. Opening waits for nothing: a FIFO
 * in the place of a file is refused, not read.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "file.h"
#include "parse.h"
#include "rules.h"

#define FILES_MAX     1000 /* in conf.d */
#define NSS_BYTES     1024
#define NSS_BYTES_MAX (4 * 1024 * 1024)

/* One look-up, with as much room as it wants. 0: *ret_id is set. */
static int find_id(int (*find)(const char *name, char *room, size_t size, uint32_t *ret_id),
		   const char *name, uint32_t *ret_id)
{
	for (size_t size = NSS_BYTES; size <= NSS_BYTES_MAX; size *= 4) {
		cleanup_free char *room = malloc(size);
		int r;

		if (!room)
			return -ENOMEM;
		r = find(name, room, size, ret_id);
		if (r != -ERANGE)
			return r;
	}
	return -ERANGE;
}

/* Not found is 0 without a result, or one of these; see getpwnam(3). */
static int result_of(int error, const void *found)
{
	if (found)
		return 0;
	if (!error || error == ESRCH || error == EBADF || error == EPERM)
		return -ENOENT;
	return -error;
}

static int try_user(const char *name, char *room, size_t size, uint32_t *ret_id)
{
	struct passwd entry, *found = NULL;
	int error = getpwnam_r(name, &entry, room, size, &found);
	int r = result_of(error, found);

	if (!r)
		*ret_id = found->pw_uid;
	return r;
}

static int try_group(const char *name, char *room, size_t size, uint32_t *ret_id)
{
	struct group entry, *found = NULL;
	int error = getgrnam_r(name, &entry, room, size, &found);
	int r = result_of(error, found);

	if (!r)
		*ret_id = found->gr_gid;
	return r;
}

static int find_user(const char *name, uid_t *ret_uid)
{
	return find_id(try_user, name, ret_uid);
}

static int find_group(const char *name, gid_t *ret_gid)
{
	return find_id(try_group, name, ret_gid);
}

static const struct policy_names names = {find_user, find_group};

struct loader {
	struct policy *policy;
	struct complaints complaints;
	uint32_t required;
};

static void tell_errno(struct loader *loader, const char *path, int error)
{
	complain(&loader->complaints, -error, "%s: %s", path, strerror(error));
}

static bool is_trusted(struct loader *loader, const char *path, const struct stat *status)
{
	const char *problem = NULL;

	if (status->st_uid != 0 && status->st_uid != geteuid())
		problem = "belongs neither to root nor to the user of p2pd";
	else if (status->st_mode & (S_IWGRP | S_IWOTH))
		problem = "others than its owner may write it";
	if (problem)
		complain(&loader->complaints, -EINVAL, "%s: %s", path, problem);
	return !problem;
}

/* All of it, or why not. */
static int read_all(int fd, char *text, size_t size, size_t *ret_length)
{
	size_t length = 0;

	while (length < size) {
		ssize_t n = read(fd, text + length, size - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		length += (size_t)n;
	}
	*ret_length = length;
	return 0;
}

static void load_open(struct loader *loader, const char *path, int fd)
{
	cleanup_free char *text = malloc(POLICY_FILE_BYTES + 1);
	struct stat status;
	size_t length = 0;
	int r;

	if (!text) {
		tell_errno(loader, path, ENOMEM);
		return;
	}
	if (fstat(fd, &status)) {
		tell_errno(loader, path, errno);
		return;
	}
	if (!S_ISREG(status.st_mode)) {
		complain(&loader->complaints, -EINVAL, "%s: not a regular file", path);
		return;
	}
	if (!is_trusted(loader, path, &status))
		return;
	r = read_all(fd, text, POLICY_FILE_BYTES + 1, &length);
	if (r)
		tell_errno(loader, path, -r);
	else if (length > POLICY_FILE_BYTES)
		complain(&loader->complaints, -EINVAL, "%s: larger than %d bytes", path,
			 POLICY_FILE_BYTES);
	else
		policy_parse(loader->policy, &names, path, text, length, &loader->complaints);
}

/* What isn't there now, but perhaps was. */
static void missing(struct loader *loader, const char *path, uint32_t what)
{
	if (loader->required & what)
		complain(&loader->complaints, -ENOENT,
			 "%s: was there and is gone; an empty one says that nothing is meant",
			 path);
}

static void load_main(struct loader *loader, const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0) {
		loader->policy->settings.found |= POLICY_FOUND_FILE;
		load_open(loader, path, fd);
	} else if (errno == ENOENT) {
		missing(loader, path, POLICY_FOUND_FILE);
	} else {
		tell_errno(loader, path, errno);
	}
}

static void load_file(struct loader *loader, int dir_fd, const char *name, const char *path)
{
	cleanup_fd int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd >= 0)
		load_open(loader, path, fd);
	else
		tell_errno(loader, path, errno);
}

static int is_configuration(const struct dirent *entry)
{
	size_t length = strlen(entry->d_name);

	return entry->d_name[0] != '.' && length > 5 &&
	       !strcmp(entry->d_name + length - 5, ".conf");
}

/* Not alphasort(): the order must not depend on the locale. */
static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void load_names(struct loader *loader, int dir_fd, const char *folder)
{
	struct dirent **entries;
	int count = scandirat(dir_fd, ".", &entries, is_configuration, compare_names);

	if (count < 0) {
		tell_errno(loader, folder, errno);
		return;
	}
	if (count > FILES_MAX)
		complain(&loader->complaints, -EINVAL, "%s: more than %d files", folder, FILES_MAX);
	for (int i = 0; i < count; i++) {
		cleanup_free char *path = NULL;

		if (asprintf(&path, "%s/%s", folder, entries[i]->d_name) < 0) {
			path = NULL;
			tell_errno(loader, folder, ENOMEM);
		} else if (count <= FILES_MAX) {
			load_file(loader, dir_fd, entries[i]->d_name, path);
		}
		free(entries[i]);
	}
	free(entries);
}

static void load_folder(struct loader *loader, const char *folder)
{
	cleanup_fd int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat status;

	if (fd < 0) {
		if (errno == ENOENT)
			missing(loader, folder, POLICY_FOUND_FOLDER);
		else
			tell_errno(loader, folder, errno);
		return;
	}
	loader->policy->settings.found |= POLICY_FOUND_FOLDER;
	if (fstat(fd, &status))
		tell_errno(loader, folder, errno);
	else if (is_trusted(loader, folder, &status))
		load_names(loader, fd, folder);
}

int policy_load(const char *path, uint32_t required, struct policy **ret_policy,
		char **ret_complaints)
{
	const char *slash = strrchr(path, '/');
	int folder_length = slash ? (int)(slash - path) + 1 : 0;
	cleanup_free char *folder = NULL;
	struct loader loader = {.required = required};
	int r;

	*ret_complaints = NULL;
	if (asprintf(&folder, "%.*sconf.d", folder_length, path) < 0) {
		folder = NULL;
		return -ENOMEM;
	}
	r = policy_new(&loader.policy);
	if (r)
		return r;
	load_main(&loader, path);
	load_folder(&loader, folder);
	r = loader.complaints.error;
	if (r) {
		*ret_complaints = loader.complaints.text;
		policy_free(loader.policy);
		return r;
	}
	*ret_policy = loader.policy;
	return 0;
}
