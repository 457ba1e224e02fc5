// SPDX-License-Identifier: MIT
/*
 * The revoker's side of the guard (the poster's is inline in <p2pdma/mr.h>).
 *
 * One word: the number of threads inside, and bits that shut it. Why it is
 * enough, in terms of the C11 memory model: entering (fetch_add), leaving
 * (fetch_sub) and shutting (fetch_or) are read-modify-writes of one object, so
 * they have a total order that all threads agree on.
 *  - An entry after the shutting in that order reads the bit and undoes itself;
 *    the thread posts nothing.
 *  - An entry before it is counted in every later value until the thread
 *    leaves. Leaving is a release, and only read-modify-writes follow it in
 *    the word, so they continue its release sequence: the acquire load that
 *    reads a count of 0 happens after all that those threads did inside.
 * Entering is an acquire so that the post can't be moved before it.
 *
 * Waiting is a futex on the word. A leaver that sees the bit and takes the count
 * to 0 wakes; the value it changed makes a wait that begins too late return at
 * once, so no wake-up is lost. After its subtraction a leaver only uses the
 * word's address, never the memory: the revoker may free it by then, and a
 * private futex wake doesn't read it.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "guard.h"

void guard_shut(struct p2pdma_mr_guard *guard, uint32_t bit)
{
	__atomic_fetch_or(&guard->word, bit, __ATOMIC_ACQ_REL);
}

uint32_t guard_count(const struct p2pdma_mr_guard *guard)
{
	return __atomic_load_n(&guard->word, __ATOMIC_ACQUIRE) & P2PDMA_MR_GUARD_COUNT;
}

int guard_wait(const struct p2pdma_mr_guard *guard, uint64_t deadline_ns)
{
	for (;;) {
		uint32_t word = __atomic_load_n(&guard->word, __ATOMIC_ACQUIRE);
		struct timespec left;
		uint64_t now;

		if (!(word & P2PDMA_MR_GUARD_COUNT))
			return 0;
		now = clock_now_ns();
		if (now >= deadline_ns)
			return -ETIMEDOUT;
		left = clock_timespec(deadline_ns - now);
		/* Woken, changed, interrupted or timed out: the loop looks again. */
		syscall(SYS_futex, &guard->word, FUTEX_WAIT_PRIVATE, word, &left, NULL, 0);
	}
}

void p2pdma_mr_guard_wake(const uint32_t *word)
{
	int saved = errno;

	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
	errno = saved;
}
