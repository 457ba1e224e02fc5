// SPDX-License-Identifier: MIT
/*
 * Many threads on one connection, while p2pd revokes, goes and comes back. What must hold: every
 * call answers, each with its own answer; every revocation is told once; nothing leaks. Run
 * under the sanitizers too.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <p2pdma/p2pdma.h>

#include "fake_p2pd.h"

#define NR_WORKERS 3
#define NR_ROUNDS  25

static int is_over;
static int nr_revoked;

static bool may_answer(int r)
{
	return !r || r == -ESTALE || r == -ETIMEDOUT || r == -ECONNRESET || r == -ECONNREFUSED;
}

static void use(struct p2pdma_buffer *buffer)
{
	struct p2pdma_lease_info info = P2PDMA_LEASE_INFO_INIT;
	struct p2pdma_mr *mr = NULL;

	if (!p2pdma_mr_register(fake_pd(), buffer, 0, 4096, 0, 0, &mr)) {
		if (!p2pdma_mr_enter(mr))
			p2pdma_mr_exit(mr);
		if (p2pdma_mr_deregister(mr))
			abort();
	}
	if (p2pdma_lease_query(buffer, &info) || !may_answer(p2pdma_lease_renew(buffer, 100)))
		abort();
}

static void *work(void *context)
{
	for (int i = 0; i < NR_ROUNDS; i++) {
		struct p2pdma_lease_request request = P2PDMA_LEASE_REQUEST_INIT;
		struct p2pdma_broker_list *list = NULL;
		struct p2pdma_buffer *buffer = NULL;
		int r;

		request.length_bytes = 4096 * (uint64_t)(1 + i % 3);
		r = p2pdma_lease_acquire(context, &request, &buffer);
		if (!may_answer(r))
			abort();
		if (r)
			continue;
		/* The answer is this thread's. */
		if (p2pdma_buffer_size_bytes(buffer) != request.length_bytes)
			abort();
		use(buffer);
		if (!p2pdma_broker_list_leases(context, NULL, 0, &list))
			p2pdma_broker_list_free(list);
		if (i % 2)
			r = p2pdma_buffer_revoke(buffer, 0, 10, NULL);
		if (!may_answer(r))
			abort();
		p2pdma_buffer_free(buffer);
	}
	return NULL;
}

static void *take_events(void *context)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
		struct pollfd fd = {.fd = p2pdma_context_fd(context), .events = POLLIN};

		poll(&fd, 1, 10);
		while (!p2pdma_next_event(context, &event))
			__atomic_fetch_add(&nr_revoked, event.type == P2PDMA_EVENT_REVOKED,
					   __ATOMIC_RELAXED);
	}
	return NULL;
}

static void start(pthread_t *threads, void *context)
{
	is_over = nr_revoked = 0;
	assert_int_equal(pthread_create(&threads[NR_WORKERS], NULL, take_events, context), 0);
	for (int i = 0; i < NR_WORKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, context), 0);
}

static void finish(pthread_t *threads)
{
	for (int i = 0; i < NR_WORKERS; i++)
		pthread_join(threads[i], NULL);
	__atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
	pthread_join(threads[NR_WORKERS], NULL);
}

static void calls_among_threads(void **state)
{
	pthread_t threads[NR_WORKERS + 1];

	start(threads, *state);
	for (uint64_t id = 1; id < 40; id++) {
		p2pd_send_lease_event(WIRE_EVENT_REVOKE_REQUESTED, id, WIRE_REASON_ADMIN, 1);
		p2pd_send_lease_event(WIRE_EVENT_REVOKED, id, WIRE_REASON_ADMIN, 0);
		usleep(300);
	}
	finish(threads);
}

static void restarts_among_threads(void **state)
{
	pthread_t threads[NR_WORKERS + 1];

	start(threads, *state);
	for (int i = 0; i < 8; i++) {
		usleep(15000);
		p2pd_stop();
		usleep(5000);
		p2pd_start();
	}
	finish(threads);
}

static void every_revocation_is_told_once(void **state)
{
	struct p2pdma_lease_request request = P2PDMA_LEASE_REQUEST_INIT;
	struct p2pdma_buffer *buffers[30];
	pthread_t events;

	is_over = nr_revoked = 0;
	request.length_bytes = 4096;
	assert_int_equal(pthread_create(&events, NULL, take_events, *state), 0);
	for (size_t i = 0; i < 30; i++) {
		p2pd_twist(WIRE_ACQUIRE, TWIST_EVENT_AFTER, 0, 1);
		assert_int_equal(p2pdma_lease_acquire(*state, &request, &buffers[i]), 0);
	}
	p2pd_wait_for(__atomic_load_n(&nr_revoked, __ATOMIC_RELAXED) == 30);
	usleep(20000);
	__atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
	pthread_join(events, NULL);
	assert_int_equal(nr_revoked, 30);
	for (size_t i = 0; i < 30; i++)
		p2pdma_buffer_free(buffers[i]);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, p2pd_setup, p2pd_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(calls_among_threads),
		CASE(restarts_among_threads),
		CASE(every_revocation_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
