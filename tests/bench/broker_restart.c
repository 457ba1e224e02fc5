// SPDX-License-Identifier: MIT
/*
 * restart_10000: from SIGKILL to p2pd until a new connection's HELLO is answered, with 10,000
 * leases that wait for their holder, against the same with none. Below p2pd-keeper, which
 * starts the next p2pd at once and keeps the listening socket, as systemd does.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker.h"

#define NR_LEASES     10000
#define REATTACH_TIME "1h"

static double ms_of_restart(const struct broker_daemon *daemon, uint32_t nr_leases)
{
	pid_t pid = broker_pid(daemon);
	uint64_t start = bench_now_ns(), end;
	uint32_t found;
	int fd;

	kill(pid, SIGKILL);
	do {
		fd = broker_try_hello(daemon->socket);
	} while (fd < 0);
	end = bench_now_ns();
	found = broker_nr_leases(fd);
	close(fd);
	if (broker_pid(daemon) == pid || found != nr_leases) {
		fprintf(stderr, "%u of %u leases after a restart\n", found, nr_leases);
		exit(1);
	}
	return (double)(end - start) / 1e6;
}

int main(int argc, char **argv)
{
	struct figure figure = {.bench = "restart_10000", .unit = "ms"};
	struct bench_options options = {.rounds = 21};
	struct broker_daemon full, empty;
	double *value, *floor;
	int fd;

	bench_parse(&options, argc, argv, 0);
	value = calloc(2 * options.rounds, sizeof(*value));
	if (!value)
		return 1;
	floor = value + options.rounds;
	broker_prepare();
	broker_start(&full, REATTACH_TIME);
	broker_start(&empty, REATTACH_TIME);
	fd = broker_connect(full.socket);
	broker_hello(fd);
	for (int i = 0; i < NR_LEASES; i++)
		broker_acquire(fd);
	for (size_t i = 0; i < options.rounds; i++) {
		value[i] = ms_of_restart(&full, NR_LEASES);
		floor[i] = ms_of_restart(&empty, 0);
	}
	close(fd);
	figure.value = bench_median(value, options.rounds);
	figure.floor = bench_median(floor, options.rounds);
	broker_stop(&full);
	broker_stop(&empty);
	bench_print(&options, &figure);
	free(value);
	return 0;
}
