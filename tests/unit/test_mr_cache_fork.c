// SPDX-License-Identifier: MIT
/* The cache of memory regions: whom its locks keep waiting, and what a forked child may do. */
#include <errno.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mr_cache/mr_cache.h"
#include "mr_cache_case.h"

/* What a child sees: its exit status is the number of the first thing that is wrong. */
static int be_a_child(struct p2pdma_mr *held)
{
	struct p2pdma_mr_cache_status status = P2PDMA_MR_CACHE_STATUS_INIT;
	struct p2pdma_mr_cache *own = NULL;
	struct p2pdma_mr *mr = NULL;

	if (acquire_at(cache, buffer, 0, MIB, 0, REMOTE, &mr) != -EOPNOTSUPP || mr)
		return 1;
	if (acquire_at(cache, buffer, 4096, 4096, 0, REMOTE, &mr) != -EOPNOTSUPP || mr)
		return 2;
	if (p2pdma_mr_cache_query(cache, &status) != -EOPNOTSUPP)
		return 3;
	if (p2pdma_mr_cache_drop(cache, NULL) != -EOPNOTSUPP)
		return 4;
	if (p2pdma_mr_cache_release(held))
		return 5;
	p2pdma_mr_cache_free(cache);
	/* The child's copy of the counter: nothing was deregistered. */
	if (fake.nr_mrs != 2)
		return 6;
	if (p2pdma_mr_cache_new(fake_context(), fake_pd(), NULL, &own) ||
	    acquire_at(own, buffer, 0, MIB, 0, REMOTE, &mr) || p2pdma_mr_cache_release(mr))
		return 7;
	p2pdma_mr_cache_free(own);
	return fake.nr_mrs == 2 ? 0 : 8;
}

/* Another thread may be in the cache when a program forks: the child gets a locked lock. */
static void *stay_in_cache(void *barrier)
{
	pthread_mutex_lock(&cache->lock);
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	pthread_mutex_unlock(&cache->lock);
	return NULL;
}

static void fork_child_leaves_parents_regions(void **state)
{
	struct p2pdma_mr *held = acquire(cache, buffer, 0, MIB, REMOTE);
	pthread_barrier_t barrier;
	pthread_t thread;
	int status = 0;
	pid_t child;

	(void)state;
	touch(cache, buffer, 0, 4096, REMOTE);
	pthread_barrier_init(&barrier, NULL, 2);
	assert_int_equal(pthread_create(&thread, NULL, stay_in_cache, &barrier), 0);
	pthread_barrier_wait(&barrier);
	child = fork();
	if (!child)
		_exit(be_a_child(held));
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	pthread_barrier_destroy(&barrier);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_ptr_equal(touch(cache, buffer, 0, MIB, REMOTE), held);
	release(held);
}

struct hit {
	pthread_t thread;
	const void *mr;
};

static void *hit_once(void *argument)
{
	struct hit *hit = argument;

	hit->mr = touch(cache, buffer, 0, MIB, REMOTE);
	return NULL;
}

static void acquire_hit_takes_no_shared_lock(void **state)
{
	struct ibv_pd pd = *fake_pd();
	struct p2pdma_mr_cache *other = new_cache(*state, &pd, 0, 0, 0);
	const void *mr = touch(cache, buffer, 0, MIB, REMOTE);
	struct timespec deadline;
	struct hit hit = {.mr = NULL};
	int r;

	assert_ptr_not_equal(touch(other, buffer, 0, MIB, REMOTE), mr);
	pthread_mutex_lock(&fake_context()->open_lock);
	pthread_mutex_lock(&fake_context()->lock);
	pthread_mutex_lock(&other->lock);
	assert_int_equal(pthread_create(&hit.thread, NULL, hit_once, &hit), 0);
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += 60;
	r = pthread_timedjoin_np(hit.thread, NULL, &deadline);
	pthread_mutex_unlock(&other->lock);
	pthread_mutex_unlock(&fake_context()->lock);
	pthread_mutex_unlock(&fake_context()->open_lock);
	assert_int_equal(r, 0);
	assert_ptr_equal(hit.mr, mr);
	p2pdma_mr_cache_free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(fork_child_leaves_parents_regions),
		CASE(acquire_hit_takes_no_shared_lock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
