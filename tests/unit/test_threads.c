// SPDX-License-Identifier: MIT
/*
 * Many threads on one context: registering, posting, mapping, asking and taking
 * events while others revoke and the device leaves. What must hold: nobody
 * enters after a revocation has returned, every revocation is told once, nothing
 * leaks. Run under the sanitizers too; with them it is a test of every lock.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <p2pdma/p2pdma.h>

#include "fake.h"

#define NR_WORKERS 3
#define NR_ROUNDS  60

/* One buffer, used by all workers until it ends. */
static struct {
	struct p2pdma_buffer *buffer;
	struct p2pdma_mr *mr;
	int is_revoked; /* written when the revocation has returned */
	int is_over;
} stage;

static void check_answer(int r)
{
	if (r && r != -ESTALE && r != -ENODEV)
		abort();
}

static void post_a_little(void)
{
	for (int i = 0; i < 50; i++) {
		int was_revoked = __atomic_load_n(&stage.is_revoked, __ATOMIC_ACQUIRE);
		int r = p2pdma_mr_enter(stage.mr);

		check_answer(r);
		if (r)
			return;
		if (was_revoked)
			abort();
		p2pdma_mr_exit(stage.mr);
	}
}

static void *work(void *unused)
{
	while (!__atomic_load_n(&stage.is_over, __ATOMIC_ACQUIRE)) {
		struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
		struct p2pdma_mr *mr = NULL;
		void *address;
		int r;

		post_a_little();
		r = p2pdma_mr_register(fake_pd(), stage.buffer, 0, 4096, 0, 0, &mr);
		check_answer(r);
		if (!r && p2pdma_mr_deregister(mr))
			abort();
		r = p2pdma_buffer_map(stage.buffer, 0, 4096, P2PDMA_MAP_READ, &address);
		check_answer(r);
		if (!r && p2pdma_buffer_unmap(stage.buffer, address))
			abort();
		if (p2pdma_buffer_query(stage.buffer, &status))
			abort();
	}
	return unused;
}

static void *take_events(void *argument)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;
	int *told = argument;

	do {
		if (!p2pdma_next_event(fake_context(), &event))
			*told += event.type == P2PDMA_EVENT_REVOKED;
		else
			usleep(50);
	} while (!__atomic_load_n(&stage.is_over, __ATOMIC_ACQUIRE));
	while (!p2pdma_next_event(fake_context(), &event))
		*told += event.type == P2PDMA_EVENT_REVOKED;
	return NULL;
}

static void *take_back(void *unused)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;

	if (p2pdma_buffer_revoke(stage.buffer, 0, 20000, &result) || result.nr_posts)
		abort();
	__atomic_store_n(&stage.is_revoked, 1, __ATOMIC_RELEASE);
	return unused;
}

static void one_round(unsigned int nap_us)
{
	pthread_t workers[NR_WORKERS], events, revokers[2];
	int told = 0;

	stage.buffer = fake_buffer(0, MIB, 0);
	stage.mr = NULL;
	stage.is_revoked = stage.is_over = 0;
	assert_int_equal(p2pdma_mr_register(fake_pd(), stage.buffer, 0, MIB, 0, 0, &stage.mr), 0);
	for (int i = 0; i < NR_WORKERS; i++)
		assert_int_equal(pthread_create(&workers[i], NULL, work, NULL), 0);
	assert_int_equal(pthread_create(&events, NULL, take_events, &told), 0);
	usleep(nap_us);
	/* Two at once: revoking is idempotent between threads as well. */
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&revokers[i], NULL, take_back, NULL), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(revokers[i], NULL);
	usleep(200);
	__atomic_store_n(&stage.is_over, 1, __ATOMIC_RELEASE);
	for (int i = 0; i < NR_WORKERS; i++)
		pthread_join(workers[i], NULL);
	pthread_join(events, NULL);
	assert_int_equal(told, 1);
	assert_int_equal(p2pdma_mr_deregister(stage.mr), 0);
	p2pdma_buffer_free(stage.buffer);
	fake.nr_exports = 0;
}

static void revoke_among_threads(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < NR_ROUNDS; i++)
		one_round(i % 20 * 30);
}

static void *make_and_free(void *unused)
{
	for (int i = 0; i < 8; i++)
		p2pdma_buffer_free(fake_buffer(0, MIB, 0));
	return unused;
}

static void open_and_close_among_threads(void **state)
{
	pthread_t threads[NR_WORKERS];

	(void)state;
	for (int i = 0; i < NR_WORKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, make_and_free, NULL), 0);
	for (int i = 0; i < NR_WORKERS; i++)
		pthread_join(threads[i], NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(revoke_among_threads),
		CASE(open_and_close_among_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
