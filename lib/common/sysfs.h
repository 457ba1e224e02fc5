/* SPDX-License-Identifier: MIT */
#ifndef COMMON_SYSFS_H
#define COMMON_SYSFS_H

#include <dirent.h>
#include <stddef.h>
#include <stdint.h>

/* Every path is relative to @dir_fd, a directory of sysfs. Returns are 0 or -errno. */

int sysfs_open_dir(int dir_fd, const char *path, int *ret_fd);

/* The same, to read its entries. @ret_dir: for closedir(). */
int sysfs_list(int dir_fd, const char *path, DIR **ret_dir);

/* Reads up to @size - 1 bytes, ends them with a NUL, and says how many there are. */
int sysfs_read(int dir_fd, const char *path, char *ret_text, size_t size, size_t *ret_length);

/* One line without its newline; an inner NUL or another control character is -EIO. */
int sysfs_read_line(int dir_fd, const char *path, char *ret_line, size_t size);

int sysfs_read_u64(int dir_fd, const char *path, uint64_t *ret_value);
int sysfs_read_s32(int dir_fd, const char *path, int32_t *ret_value);

/* The last part of a symbolic link's target: the driver of a device, say. */
int sysfs_read_link_name(int dir_fd, const char *path, char *ret_name, size_t size);

/* Parsers of what was read; text need not end in a NUL at @length. */
int sysfs_parse_line(const char *text, size_t length, char *ret_line, size_t size);
int sysfs_parse_u64(const char *line, uint64_t *ret_value);
int sysfs_parse_s32(const char *line, int32_t *ret_value);

#endif /* COMMON_SYSFS_H */
