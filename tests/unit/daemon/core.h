/* SPDX-License-Identifier: MIT */
#ifndef CORE_H
#define CORE_H

#include "unit.h"

#define KIB    0x400ULL
#define MS     1000000ULL /* in ns */
#define SECOND 1000000000ULL

/* The same numbers on every machine (xorshift64*): a failure can be run again. */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dULL;
}

#endif /* CORE_H */
