// SPDX-License-Identifier: MIT
/*
 * throughput_64: 64 clients at once, each a thread that acquires and releases as fast as it is
 * answered, against the same 64 with a bare server that waits with epoll. Leases a second.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker.h"

#define NR_CLIENTS 64
#define LEASES	   32 /* of each client in a round */

struct crowd {
	const char *path;
	int is_p2pd;
	pthread_barrier_t ready, go;
};

static void *run_client(void *data)
{
	struct crowd *crowd = data;
	int fd = broker_connect(crowd->path);

	if (crowd->is_p2pd)
		broker_hello(fd);
	broker_release(fd, broker_acquire(fd));
	pthread_barrier_wait(&crowd->ready);
	pthread_barrier_wait(&crowd->go);
	for (int i = 0; i < LEASES; i++)
		broker_release(fd, broker_acquire(fd));
	close(fd);
	return NULL;
}

static double leases_per_s(const char *path, int is_p2pd)
{
	struct crowd crowd = {.path = path, .is_p2pd = is_p2pd};
	pthread_t threads[NR_CLIENTS];
	uint64_t start;

	pthread_barrier_init(&crowd.ready, NULL, NR_CLIENTS + 1);
	pthread_barrier_init(&crowd.go, NULL, NR_CLIENTS + 1);
	for (int i = 0; i < NR_CLIENTS; i++)
		if (pthread_create(&threads[i], NULL, run_client, &crowd))
			abort();
	/* All have a connection and have been served once; then all go. */
	pthread_barrier_wait(&crowd.ready);
	start = bench_now_ns();
	pthread_barrier_wait(&crowd.go);
	for (int i = 0; i < NR_CLIENTS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&crowd.ready);
	pthread_barrier_destroy(&crowd.go);
	return NR_CLIENTS * LEASES * 1e9 / (double)(bench_now_ns() - start);
}

int main(int argc, char **argv)
{
	struct figure figure = {.bench = "throughput_64", .unit = "leases/s", .is_rate = 1};
	struct bench_options options = {.rounds = 15};
	struct broker_daemon daemon;
	double *value, *floor;
	char path[128];
	pid_t bare;

	bench_parse(&options, argc, argv, 0);
	value = calloc(2 * options.rounds, sizeof(*value));
	if (!value)
		return 1;
	floor = value + options.rounds;
	broker_prepare();
	broker_start(&daemon, "0");
	snprintf(path, sizeof(path), "%s/bare", daemon.folder);
	bare = bare_start_epoll(path);
	for (size_t i = 0; i < options.rounds; i++) {
		value[i] = leases_per_s(daemon.socket, 1);
		floor[i] = leases_per_s(path, 0);
	}
	figure.value = bench_median(value, options.rounds);
	figure.floor = bench_median(floor, options.rounds);
	bare_stop(bare, path);
	broker_stop(&daemon);
	bench_print(&options, &figure);
	free(value);
	return 0;
}
