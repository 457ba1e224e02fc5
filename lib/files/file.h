/* SPDX-License-Identifier: MIT */
#ifndef FILE_H
#define FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

/* The whole of a file, ended by a NUL; the caller frees *ret_text. -EFBIG beyond 16 MiB. */
int file_load(int dir_fd, const char *path, char **ret_text, size_t *ret_length);

/* "rw-rw---- root:render" of a file below @dir_fd; "" where it can't be seen. @root_fd: of /etc. */
void file_describe(int root_fd, int dir_fd, const char *path, char *ret_text, size_t size);

/* The name of a group in /etc/group below @root_fd; else its number. */
void file_group_name(int root_fd, unsigned int group, char *ret_name, size_t size);

/* Is it a group's other than root's to read and write? */
bool file_is_for_group(const struct stat *status);

#endif /* FILE_H */
