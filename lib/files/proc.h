/* SPDX-License-Identifier: MIT */
#ifndef PROC_H
#define PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sys.h"

/*
 * @root_fd: AT_FDCWD, or a directory that stands for "/": paths are whole ones, and that of procfs
 * in it is meant.
 */

/* Longer lines are cut. */
#define PROC_LINE_SIZE 256

/*
 * Hands over each line of a file of procfs without its newline, until take() says that it has
 * seen enough. 0, or -errno where the file can't be read.
 */
int proc_each_line(const struct sys_ops *sys, int root_fd, const char *path,
		   bool (*take)(void *data, const char *line), void *data);

/* The rest of the first line that begins with @key, without the blanks before it. -ENOENT: none. */
int proc_find(const struct sys_ops *sys, int root_fd, const char *path, const char *key,
	      char *ret_value, size_t size);
/* The first line, or that of @key, as a number. -EINVAL: it is none. */
int proc_find_u64(const struct sys_ops *sys, int root_fd, const char *path, const char *key,
		  uint64_t *ret_value);
/* CAP_* that this process has in effect, a bit each. */
int proc_capabilities(const struct sys_ops *sys, int root_fd, uint64_t *ret_capabilities);
/* What NVIDIA's kernel modules say they are; of the open ones, which export DMABUFs? */
int proc_nvidia_query(const struct sys_ops *sys, int root_fd, char *ret_version, size_t size,
		      bool *ret_is_open);
int proc_count_lines(const struct sys_ops *sys, int root_fd, const char *path, uint64_t *ret_count);

#endif /* PROC_H */
