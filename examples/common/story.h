/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_STORY_H
#define EXAMPLES_STORY_H

#include <stddef.h>
#include <stdint.h>

#include <p2pdma/p2pdma.h>

/* Microseconds since the program began. */
double story_now_us(void);

/* One line of the story, with its time. */
void story_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says what failed and why, and returns 1, for main() to return. */
int story_fail(const struct p2pdma_context *context, const char *what, int error);

/* "1 MiB" */
const char *story_size(uint64_t bytes);

/* A pattern that differs from page to page and from @seed to @seed. */
void story_fill(uint8_t *memory, size_t bytes, uint8_t seed);
/* The first byte that differs from the pattern, or -1. */
long story_check(const volatile uint8_t *memory, size_t bytes, uint8_t seed);
/* The same as a line of the story, in which @where is; 1 where a byte is wrong. */
int story_compare(const char *where, const volatile uint8_t *memory, size_t bytes, uint8_t seed);

/*
 * Opens the library and finds the provider @name, with a line about it. Where that
 * fails it says why and returns 1; the outputs, both the caller's, are untouched then.
 */
int story_open(const char *name, struct p2pdma_context **ret_context,
	       struct p2pdma_provider **ret_provider);

#endif /* EXAMPLES_STORY_H */
