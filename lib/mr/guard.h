/* SPDX-License-Identifier: MIT */
#ifndef GUARD_H
#define GUARD_H

#include <stdint.h>

#include <p2pdma/mr.h>

/* From now on nobody enters. @bit: P2PDMA_MR_GUARD_STALE or _GONE. */
void guard_shut(struct p2pdma_mr_guard *guard, uint32_t bit);

/* How many threads are inside. */
uint32_t guard_count(const struct p2pdma_mr_guard *guard);

/* Waits until nobody is inside. @deadline_ns: CLOCK_MONOTONIC. -ETIMEDOUT. */
int guard_wait(const struct p2pdma_mr_guard *guard, uint64_t deadline_ns);

#endif /* GUARD_H */
