// SPDX-License-Identifier: MIT
/*
 * Many threads on caches of two protection domains, while buffers are revoked, dropped and
 * adopted again under them. What must hold: who asks after a revocation has returned gets
 * -ESTALE; what is handed out covers what was asked for and stays registered until it is given
 * back; nothing leaks. Run under the sanitizers too; with them it is a test of every lock.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "mr_cache_fixture.h"

#define NR_WORKERS 4
#define NR_BUFFERS 3
#define NR_CACHES  2
#define NR_ROUNDS  40
#define NR_PAGES   16

static struct {
	struct p2pdma_mr_cache *caches[NR_CACHES];
	struct p2pdma_buffer *buffers[NR_BUFFERS];
	int is_revoked[NR_BUFFERS]; /* written when the revocation has returned */
	int is_over;
} stage;

static void check(bool is_true)
{
	if (!is_true)
		abort();
}

/* Uses it as a program would: its keys are libibverbs' own until it is given back. */
static void use(struct p2pdma_mr *mr, uint64_t offset, uint64_t length)
{
	int r = p2pdma_mr_enter(mr);

	check(p2pdma_mr_iova(mr) <= offset);
	check(p2pdma_mr_iova(mr) + p2pdma_mr_length_bytes(mr) >= offset + length);
	check(!r || r == -ESTALE);
	check(p2pdma_mr_ibv_mr(mr)->rkey == p2pdma_mr_rkey(mr));
	if (!r)
		p2pdma_mr_exit(mr);
}

static void work_once(unsigned int *seed)
{
	int which = rand_r(seed) % NR_BUFFERS;
	uint64_t offset = (unsigned int)rand_r(seed) % NR_PAGES * 4096ULL;
	uint64_t length = (1 + (unsigned int)rand_r(seed) % 4) * 4096ULL;
	struct p2pdma_mr_cache *cache = stage.caches[rand_r(seed) % NR_CACHES];
	int was_revoked = __atomic_load_n(&stage.is_revoked[which], __ATOMIC_ACQUIRE);
	unsigned int access = rand_r(seed) % 2 ? LOCAL : REMOTE;
	struct p2pdma_mr *mr = NULL;
	int r;

	r = acquire_at(cache, stage.buffers[which], offset, length, 0, access, &mr);
	check(!r || r == -ESTALE);
	check(!was_revoked || r);
	if (r)
		return;
	use(mr, offset, length);
	check(!p2pdma_mr_cache_release(mr));
}

static void *work(void *argument)
{
	unsigned int seed = (unsigned int)(uintptr_t)argument;

	while (!__atomic_load_n(&stage.is_over, __ATOMIC_ACQUIRE))
		work_once(&seed);
	return NULL;
}

/* Drops, asks and takes events while others work. */
static void *disturb(void *unused)
{
	struct p2pdma_mr_cache_status status = P2PDMA_MR_CACHE_STATUS_INIT;
	struct p2pdma_event event = P2PDMA_EVENT_INIT;
	struct p2pdma_buffer *again = NULL;
	struct p2pdma_mr *mr = NULL;

	while (!__atomic_load_n(&stage.is_over, __ATOMIC_ACQUIRE)) {
		for (int i = 0; i < NR_CACHES; i++) {
			check(!p2pdma_mr_cache_drop(stage.caches[i], i ? NULL : stage.buffers[0]));
			check(!p2pdma_mr_cache_query(stage.caches[i], &status));
		}
		/* The same DMABUF under another number, for a while. */
		check(!p2pdma_buffer_adopt(fake_context(), p2pdma_buffer_fd(stage.buffers[1]), NULL,
					   &again));
		if (!acquire_at(stage.caches[0], again, 0, 8192, 0, LOCAL, &mr)) {
			use(mr, 0, 8192);
			check(!p2pdma_mr_cache_release(mr));
		}
		p2pdma_buffer_free(again);
		while (!p2pdma_next_event(fake_context(), &event))
			continue;
		usleep(100);
	}
	return unused;
}

static void revoke_all(unsigned int nap_us)
{
	for (int i = 0; i < NR_BUFFERS; i++) {
		usleep(nap_us);
		assert_int_equal(p2pdma_buffer_revoke(stage.buffers[i], 0, 20000, NULL), 0);
		__atomic_store_n(&stage.is_revoked[i], 1, __ATOMIC_RELEASE);
	}
	usleep(nap_us);
	__atomic_store_n(&stage.is_over, 1, __ATOMIC_RELEASE);
}

static void one_round(unsigned int round, struct ibv_pd *pds)
{
	pthread_t workers[NR_WORKERS], disturber;

	for (int i = 0; i < NR_CACHES; i++)
		stage.caches[i] = new_cache(fake_context(), &pds[i], 0, round % 2 ? 8 : 0, 0);
	for (unsigned int i = 0; i < NR_BUFFERS; i++) {
		stage.buffers[i] = fake_buffer(i * MIB, MIB, 0);
		stage.is_revoked[i] = 0;
	}
	stage.is_over = 0;
	for (unsigned int i = 0; i < NR_WORKERS; i++)
		assert_int_equal(pthread_create(&workers[i], NULL, work,
						(void *)(uintptr_t)(round * NR_WORKERS + i + 1)),
				 0);
	assert_int_equal(pthread_create(&disturber, NULL, disturb, NULL), 0);
	revoke_all(round % 10 * 200);
	for (int i = 0; i < NR_WORKERS; i++)
		pthread_join(workers[i], NULL);
	pthread_join(disturber, NULL);
	/* The last one to give something back has deregistered it. */
	assert_int_equal(fake.nr_mrs, 0);
	for (int i = 0; i < NR_CACHES; i++) {
		struct p2pdma_mr_cache_status status = status_of(stage.caches[i]);

		assert_int_equal(status.nr_entries + status.nr_used + status.nr_ended, 0);
		assert_int_equal(status.bytes, 0);
		p2pdma_mr_cache_free(stage.caches[i]);
	}
	for (int i = 0; i < NR_BUFFERS; i++)
		p2pdma_buffer_free(stage.buffers[i]);
	fake.nr_exports = 0;
}

static void revoke_among_threads(void **state)
{
	struct ibv_pd pds[NR_CACHES] = {*fake_pd(), *fake_pd()};

	(void)state;
	for (unsigned int i = 0; i < NR_ROUNDS; i++)
		one_round(i, pds);
}

static void wait_a_little(void *unused)
{
	(void)unused;
	usleep(20000);
}

static void *acquire_one(void *argument)
{
	struct p2pdma_mr **ret_mr = argument;

	check(!acquire_at(stage.caches[0], stage.buffers[0], 0, MIB, 0, REMOTE, ret_mr));
	return NULL;
}

static void acquire_at_once_registers_once(void **state)
{
	struct p2pdma_mr *mrs[NR_WORKERS] = {NULL};
	pthread_t workers[NR_WORKERS];

	stage.caches[0] = new_cache(*state, fake_pd(), 0, 0, 0);
	stage.buffers[0] = fake_buffer(0, MIB, 0);
	fake.on_register = wait_a_little;
	for (int i = 0; i < NR_WORKERS; i++)
		assert_int_equal(pthread_create(&workers[i], NULL, acquire_one, &mrs[i]), 0);
	for (int i = 0; i < NR_WORKERS; i++)
		pthread_join(workers[i], NULL);
	assert_int_equal(status_of(stage.caches[0]).nr_misses, 1);
	assert_int_equal(status_of(stage.caches[0]).nr_hits, NR_WORKERS - 1);
	for (int i = 0; i < NR_WORKERS; i++) {
		assert_ptr_equal(mrs[i], mrs[0]);
		release(mrs[i]);
	}
	p2pdma_mr_cache_free(stage.caches[0]);
	p2pdma_buffer_free(stage.buffers[0]);
}

static void *fail_to_acquire(void *unused)
{
	struct p2pdma_mr *mr = NULL;

	check(acquire_at(stage.caches[0], stage.buffers[0], 0, MIB, 0, REMOTE, &mr) == -EPERM);
	return unused;
}

/* Who waits for somebody else's registration isn't left waiting when that fails. */
static void acquire_at_once_all_fail(void **state)
{
	pthread_t workers[NR_WORKERS];

	stage.caches[0] = new_cache(*state, fake_pd(), 0, 0, 0);
	stage.buffers[0] = fake_buffer(0, MIB, 0);
	fake.verbs_error = -EPERM;
	for (int i = 0; i < NR_WORKERS; i++)
		assert_int_equal(pthread_create(&workers[i], NULL, fail_to_acquire, NULL), 0);
	for (int i = 0; i < NR_WORKERS; i++)
		pthread_join(workers[i], NULL);
	assert_int_equal(status_of(stage.caches[0]).nr_entries, 0);
	p2pdma_mr_cache_free(stage.caches[0]);
	p2pdma_buffer_free(stage.buffers[0]);
}

static void *revoke_slowly(void *unused)
{
	check(!p2pdma_buffer_revoke(stage.buffers[0], 0, 0, NULL));
	return unused;
}

/* The protection domain may go next: nothing may be registered with it then, whoever is at it. */
static void free_waits_for_who_deregisters(void **state)
{
	pthread_t thread;

	stage.caches[0] = new_cache(*state, fake_pd(), 0, 0, 0);
	stage.buffers[0] = fake_buffer(0, MIB, 0);
	touch(stage.caches[0], stage.buffers[0], 0, MIB, REMOTE);
	fake.dereg_us = 100000;
	assert_int_equal(pthread_create(&thread, NULL, revoke_slowly, NULL), 0);
	while (status_of(stage.caches[0]).nr_entries)
		usleep(100);
	usleep(10000);
	p2pdma_mr_cache_free(stage.caches[0]);
	assert_int_equal(fake.nr_mrs, 0);
	pthread_join(thread, NULL);
	p2pdma_buffer_free(stage.buffers[0]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(revoke_among_threads),
		CASE(acquire_at_once_registers_once),
		CASE(acquire_at_once_all_fail),
		CASE(free_waits_for_who_deregisters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
