/* SPDX-License-Identifier: MIT */
#ifndef GLOB_MATCH_H
#define GLOB_MATCH_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Does the whole text match? ? is any character but /, * any number of these, ** any number
 * of any characters. The time is bounded by the product of the lengths: the text may be a peer's.
 */
bool glob_matches(const char *pattern, const char *text, size_t length);

#endif /* GLOB_MATCH_H */
