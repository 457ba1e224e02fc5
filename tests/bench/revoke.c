// SPDX-License-Identifier: MIT
/*
 * revoke_idle, revoke_traffic PROVIDER RDMADEV [--json] [--rounds N]: how long
 * p2pdma_buffer_revoke() takes with one registered memory region, when nobody
 * uses it and while a thread writes to it by RDMA.
 *
 * One source, two programs (REVOKE_TRAFFIC). The floor is the bare ioctl under
 * the same conditions, in turn with the library's call; each round exports and
 * registers anew. Three figures: median, smallest, largest.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define BYTES	    (1U << 20)
#define WRITE_BYTES (64U << 10)

static struct bench_setup setup;

/* A thread that writes until a write fails or the guard says no. */
struct traffic {
	struct rc_remote remote;
	struct p2pdma_mr *mr; /* NULL: no guard */
	unsigned int done;    /* atomic */
};

static void *write_on(void *argument)
{
	struct traffic *traffic = argument;

	for (;;) {
		enum ibv_wc_status status;
		int r;

		if (traffic->mr && p2pdma_mr_enter(traffic->mr))
			break;
		r = rc_pair_post(&setup.pair, IBV_WR_RDMA_WRITE, 0, WRITE_BYTES, &traffic->remote);
		if (traffic->mr)
			p2pdma_mr_exit(traffic->mr);
		if (r || rc_pair_wait(&setup.pair, 10000, &status) || status)
			break;
		__atomic_fetch_add(&traffic->done, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void start_traffic(struct traffic *traffic, pthread_t *ret_thread)
{
	const struct timespec nap = {.tv_nsec = 1000000};

#ifndef REVOKE_TRAFFIC
	(void)write_on;
	(void)traffic;
	(void)ret_thread;
	(void)nap;
#else
	bench_must(&setup, "starting a thread",
		   -pthread_create(ret_thread, NULL, write_on, traffic));
	while (__atomic_load_n(&traffic->done, __ATOMIC_RELAXED) < 3)
		nanosleep(&nap, NULL);
#endif
}

static void end_traffic(pthread_t thread)
{
#ifdef REVOKE_TRAFFIC
	pthread_join(thread, NULL);
	bench_must(&setup, "reconnecting", rc_pair_reconnect(&setup.pair));
#else
	(void)thread;
#endif
}

static double by_library(void)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_buffer *buffer = bench_buffer(&setup, BYTES);
	struct p2pdma_mr *mr = bench_register(&setup, buffer);
	struct traffic traffic = {{p2pdma_mr_iova(mr), p2pdma_mr_rkey(mr)}, mr, 0};
	pthread_t thread = 0;
	uint64_t start;
	double us;

	start_traffic(&traffic, &thread);
	start = bench_now_ns();
	bench_must(&setup, "revoking", p2pdma_buffer_revoke(buffer, 0, 5000, &result));
	us = (double)(bench_now_ns() - start) / 1e3;
	end_traffic(thread);
	bench_must(&setup, "not one mapping undone", result.nr_mappings == 1 ? 0 : -EIO);
	bench_must(&setup, "deregistering", p2pdma_mr_deregister(mr));
	p2pdma_buffer_free(buffer);
	return us;
}

static double by_hand(void)
{
	struct traffic traffic = {{0, 0}, NULL, 0};
	struct bare_slice slice;
	pthread_t thread = 0;
	struct bare_mr mr;
	uint64_t start;
	double us;

	bench_must(&setup, "exporting by hand", bare_export(&setup, BYTES, &slice));
	bench_must(&setup, "registering by hand", bare_register(&setup, slice.fd, BYTES, &mr));
	traffic.remote.rkey = mr.rkey;
	start_traffic(&traffic, &thread);
	start = bench_now_ns();
	bench_must(&setup, "revoking by hand", bare_revoke(&setup, &slice));
	us = (double)(bench_now_ns() - start) / 1e3;
	end_traffic(thread);
	bench_must(&setup, "deregistering by hand", bare_deregister(&setup, &mr));
	close(slice.fd);
	return us;
}

int main(int argc, char **argv)
{
#ifdef REVOKE_TRAFFIC
	struct bench_options options = {.rounds = 51};
	struct figure figure = {.bench = "revoke_traffic"};
#else
	struct bench_options options = {.rounds = 201};
	struct figure figure = {.bench = "revoke_idle"};
#endif
	double *library, *hand;
	size_t last;

	bench_parse(&options, argc, argv, 1);
	last = options.rounds - 1;
	bench_open(&setup, &options, WRITE_BYTES);
	library = calloc(2 * options.rounds, sizeof(*library));
	if (!library)
		return 1;
	hand = library + options.rounds;
	for (size_t i = 0; i < options.rounds; i++) {
		library[i] = by_library();
		hand[i] = by_hand();
	}
	figure.unit = "us (median)";
	figure.value = bench_median(library, options.rounds);
	figure.floor = bench_median(hand, options.rounds);
	bench_print(&options, &figure);
	figure.unit = "us (min)";
	figure.value = library[0];
	figure.floor = hand[0];
	bench_print(&options, &figure);
	figure.unit = "us (max)";
	figure.value = library[last];
	figure.floor = hand[last];
	bench_print(&options, &figure);
	free(library);
	bench_close(&setup);
	return 0;
}
