/* SPDX-License-Identifier: MIT */
#ifndef CORE_H
#define CORE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
/* cmocka wants the four above before it. */
#include <cmocka.h>

#define KIB	      0x400ULL
#define MIB	      0x100000ULL
#define MS	      1000000ULL /* in ns */
#define SECOND	      1000000000ULL
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* The same numbers on every machine (xorshift64*): a failure can be run again. */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

#endif /* CORE_H */
