// SPDX-License-Identifier: MIT
/*
 * Reading sysfs.
 *
 * One attribute is one small file that the kernel writes when it is read. Two
 * things can go wrong that can't with other files: the device behind it may
 * leave between two reads (-ENOENT or -ENODEV, both told as -ENODEV), and what
 * is read may be anything, because some attributes repeat what a device or an
 * administrator wrote. So nothing read here is trusted: lines are checked for
 * control characters, numbers for their end and their range, and the parsers
 * stand apart from the reading so that they can be fuzzed.
 *
 * No state, no locks. Paths are relative to a directory descriptor: that is how
 * tests bring their own tree.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "sysfs.h"

static int gone_or(int error)
{
	return error == ENOENT || error == ENXIO ? -ENODEV : -error;
}

int sysfs_open_dir(int dir_fd, const char *path, int *ret_fd)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return gone_or(errno);
	*ret_fd = fd;
	return 0;
}

int sysfs_list(int dir_fd, const char *path, DIR **ret_dir)
{
	DIR *dir;
	int fd = -1, r;

	r = sysfs_open_dir(dir_fd, path, &fd);
	if (r)
		return r;
	dir = fdopendir(fd);
	if (!dir) {
		r = -errno;
		close(fd);
		return r;
	}
	*ret_dir = dir;
	return 0;
}

int sysfs_read(int dir_fd, const char *path, char *ret_text, size_t size, size_t *ret_length)
{
	cleanup_fd int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	size_t length;
	ssize_t got;

	if (fd < 0)
		return gone_or(errno);
	/* The kernel writes an attribute in one go: less than asked for is all of it. */
	do
		got = read(fd, ret_text, size - 1);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return gone_or(errno);
	length = (size_t)got;
	ret_text[length] = '\0';
	*ret_length = length;
	return 0;
}

int sysfs_parse_line(const char *text, size_t length, char *ret_line, size_t size)
{
	if (length && text[length - 1] == '\n')
		length--;
	if (length >= size)
		return -EIO;
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (c < ' ' || c == 0x7f)
			return -EIO;
	}
	memcpy(ret_line, text, length);
	ret_line[length] = '\0';
	return 0;
}

int sysfs_parse_u64(const char *line, uint64_t *ret_value)
{
	unsigned long long value;
	char *end;

	/* strtoull() takes spaces and signs; sysfs writes neither. */
	if (*line < '0' || *line > '9')
		return -EIO;
	errno = 0;
	value = strtoull(line, &end, 0);
	if (errno || *end)
		return -EIO;
	*ret_value = value;
	return 0;
}

int sysfs_parse_s32(const char *line, int32_t *ret_value)
{
	int is_negative = *line == '-';
	uint64_t value;

	if (sysfs_parse_u64(line + is_negative, &value) || value > INT32_MAX)
		return -EIO;
	*ret_value = is_negative ? -(int32_t)value : (int32_t)value;
	return 0;
}

int sysfs_read_line(int dir_fd, const char *path, char *ret_line, size_t size)
{
	char text[512];
	size_t length;
	int r;

	r = sysfs_read(dir_fd, path, text, sizeof(text), &length);
	if (r)
		return r;
	return sysfs_parse_line(text, length, ret_line, size);
}

int sysfs_read_u64(int dir_fd, const char *path, uint64_t *ret_value)
{
	char line[32];
	int r = sysfs_read_line(dir_fd, path, line, sizeof(line));

	return r ? r : sysfs_parse_u64(line, ret_value);
}

int sysfs_read_s32(int dir_fd, const char *path, int32_t *ret_value)
{
	char line[32];
	int r = sysfs_read_line(dir_fd, path, line, sizeof(line));

	return r ? r : sysfs_parse_s32(line, ret_value);
}

int sysfs_read_link_name(int dir_fd, const char *path, char *ret_name, size_t size)
{
	char target[PATH_MAX];
	const char *name;
	ssize_t length;

	length = readlinkat(dir_fd, path, target, sizeof(target) - 1);
	if (length < 0)
		return gone_or(errno);
	target[length] = '\0';
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	return sysfs_parse_line(name, strlen(name), ret_name, size);
}
