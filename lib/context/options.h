/* SPDX-License-Identifier: MIT */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stddef.h>

/*
 * Structures that grow: their first member is a uint32_t with the size that the
 * caller was compiled with. @first is the size first published, @known today's.
 */

/* Copies what the caller knows and zeroes the rest. -EINVAL: too small. -E2BIG: from the future. */
int options_load(void *ret_known, size_t known, size_t first, const void *options);

/* -EINVAL when an output of the caller is NULL or too small. */
int options_check_output(const void *output, size_t first);

/* Fills an output of the caller that has been checked, but for its size. */
void options_store(void *output, const void *value, size_t known);

#endif /* OPTIONS_H */
