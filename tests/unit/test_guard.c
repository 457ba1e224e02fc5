// SPDX-License-Identifier: MIT
/*
 * The guard under threads: what is written inside is seen by who waited, nobody
 * enters after the shutting, no wake-up is lost. Run under ThreadSanitizer too.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include <p2pdma/mr.h>

#include "fake.h"
#include "common/clock.h"
#include "mr/guard.h"

#define NR_THREADS 4
#define NR_ROUNDS  300

/* What a memory region is to the guard: its first word. */
struct arena {
	struct p2pdma_mr_guard guard;
	char padding[60];
	/* Written inside without any other synchronisation: only the guard orders it. */
	unsigned long posted[NR_THREADS];
	int is_taken;
};

struct poster {
	struct arena *arena;
	int index;
	unsigned long entered;
	int answer;
};

static struct p2pdma_mr *mr_of(struct arena *arena)
{
	return (struct p2pdma_mr *)(void *)arena;
}

static void *post_until_shut(void *argument)
{
	struct poster *poster = argument;
	struct arena *arena = poster->arena;

	while (!(poster->answer = p2pdma_mr_enter(mr_of(arena)))) {
		/* A data race here, or a post after the taking, is what the guard prevents. */
		if (arena->is_taken)
			abort();
		arena->posted[poster->index]++;
		p2pdma_mr_exit(mr_of(arena));
		poster->entered++;
		if (poster->entered % 64 == 0)
			sched_yield();
	}
	return NULL;
}

static void one_round(uint32_t bit, int answer, unsigned int nap_us)
{
	struct poster posters[NR_THREADS];
	pthread_t threads[NR_THREADS];
	struct arena *arena = aligned_alloc(64, 192);

	*arena = (struct arena){.is_taken = 0};
	for (int i = 0; i < NR_THREADS; i++) {
		posters[i] = (struct poster){.arena = arena, .index = i};
		assert_int_equal(pthread_create(&threads[i], NULL, post_until_shut, &posters[i]),
				 0);
	}
	usleep(nap_us);
	guard_shut(&arena->guard, bit);
	assert_int_equal(guard_wait(&arena->guard, clock_now_ns() + 20000000000ULL), 0);
	/* Nobody is inside and nobody will be: plain reads and writes are fine. */
	arena->is_taken = 1;
	for (int i = 0; i < NR_THREADS; i++)
		arena->posted[i] += 0;
	for (int i = 0; i < NR_THREADS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(posters[i].answer, answer);
		assert_int_equal(posters[i].entered, arena->posted[i]);
	}
	assert_int_equal(guard_count(&arena->guard), 0);
	free(arena);
}

static void shut_stops_all_threads(void **state)
{
	(void)state;
	for (int i = 0; i < NR_ROUNDS; i++)
		one_round(P2PDMA_MR_GUARD_STALE, -ESTALE, (unsigned int)(i % 50) * 10);
	one_round(P2PDMA_MR_GUARD_GONE, -ENODEV, 100);
}

static void *hold_and_leave(void *argument)
{
	struct arena *arena = argument;

	assert_int_equal(p2pdma_mr_enter(mr_of(arena)), 0);
	__atomic_store_n(&arena->is_taken, 1, __ATOMIC_RELEASE);
	while (!(__atomic_load_n(&arena->guard.word, __ATOMIC_ACQUIRE) & P2PDMA_MR_GUARD_SHUT))
		sched_yield();
	usleep(200);
	p2pdma_mr_exit(mr_of(arena));
	/* From here on the arena may be gone. */
	return NULL;
}

static void wait_then_free_at_once(void **state)
{
	(void)state;
	for (int i = 0; i < NR_ROUNDS; i++) {
		struct arena *arena = calloc(1, sizeof(*arena));
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, hold_and_leave, arena), 0);
		while (!__atomic_load_n(&arena->is_taken, __ATOMIC_ACQUIRE))
			sched_yield();
		guard_shut(&arena->guard, P2PDMA_MR_GUARD_STALE);
		assert_int_equal(guard_wait(&arena->guard, clock_now_ns() + 20000000000ULL), 0);
		free(arena);
		pthread_join(thread, NULL);
	}
}

static void wait_deadline_etimedout(void **state)
{
	struct arena arena = {.is_taken = 0};
	uint64_t start = clock_now_ns();

	(void)state;
	assert_int_equal(p2pdma_mr_enter(mr_of(&arena)), 0);
	assert_int_equal(guard_wait(&arena.guard, start + 30000000), -ETIMEDOUT);
	assert_true(clock_now_ns() - start >= 30000000);
	/* A deadline that has passed doesn't wait at all. */
	assert_int_equal(guard_wait(&arena.guard, 0), -ETIMEDOUT);
	p2pdma_mr_exit(mr_of(&arena));
	assert_int_equal(guard_wait(&arena.guard, 0), 0);
}

static void enter_nested_counts(void **state)
{
	struct arena arena = {.is_taken = 0};

	(void)state;
	assert_int_equal(p2pdma_mr_enter(mr_of(&arena)), 0);
	assert_int_equal(p2pdma_mr_enter(mr_of(&arena)), 0);
	assert_int_equal(guard_count(&arena.guard), 2);
	guard_shut(&arena.guard, P2PDMA_MR_GUARD_STALE);
	assert_int_equal(p2pdma_mr_enter(mr_of(&arena)), -ESTALE);
	assert_int_equal(guard_count(&arena.guard), 2);
	p2pdma_mr_exit(mr_of(&arena));
	p2pdma_mr_exit(mr_of(&arena));
	assert_int_equal(guard_count(&arena.guard), 0);
}

static void enter_gone_wins_over_stale(void **state)
{
	struct arena arena = {.is_taken = 0};

	(void)state;
	guard_shut(&arena.guard, P2PDMA_MR_GUARD_STALE);
	guard_shut(&arena.guard, P2PDMA_MR_GUARD_GONE);
	assert_int_equal(p2pdma_mr_enter(mr_of(&arena)), -ENODEV);
}

static void wake_keeps_errno(void **state)
{
	uint32_t word = 0;

	(void)state;
	errno = 42;
	p2pdma_mr_guard_wake(&word);
	assert_int_equal(errno, 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shut_stops_all_threads),
		cmocka_unit_test(wait_then_free_at_once),
		cmocka_unit_test(wait_deadline_etimedout),
		cmocka_unit_test(enter_nested_counts),
		cmocka_unit_test(enter_gone_wins_over_stale),
		cmocka_unit_test(wake_keeps_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
