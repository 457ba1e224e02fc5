/* SPDX-License-Identifier: MIT */
#ifndef PROC_H
#define PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/sys.h"

/* Longer lines are cut. */
#define PROC_LINE_SIZE 256

/*
 * Hands over each line of a file of procfs without its newline, until take() says that it has
 * seen enough. 0, or -errno where the file can't be read.
 */
int proc_each_line(const struct sys_ops *sys, const char *path,
		   bool (*take)(void *data, const char *line), void *data);

/* The rest of the first line that begins with @key, without the blanks before it. -ENOENT: none. */
int proc_find(const struct sys_ops *sys, const char *path, const char *key, char *ret_value,
	      size_t size);
/* The first line, or that of @key, as a number. -EINVAL: it is none. */
int proc_find_u64(const struct sys_ops *sys, const char *path, const char *key,
		  uint64_t *ret_value);
int proc_count_lines(const struct sys_ops *sys, const char *path, uint64_t *ret_count);

#endif /* PROC_H */
