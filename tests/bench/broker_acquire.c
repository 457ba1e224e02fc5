// SPDX-License-Identifier: MIT
/*
 * acquire: ACQUIRE, its descriptor, RELEASE on one connection, against the same two round trips
 * with a server that has no policy, journal, audit or limits. The peer is the same as two calls
 * over D-Bus.
 *
 * connect (BENCH_CONNECT): a connection, HELLO, ACQUIRE and hanging up, which gives the lease
 * back, against a connection, one descriptor and hanging up.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker.h"

#define AT_ONCE 200

#ifdef BENCH_CONNECT
static void once(const char *path, int is_p2pd)
{
	int fd = broker_connect(path);

	if (is_p2pd)
		broker_hello(fd);
	broker_acquire(fd);
	close(fd);
}

static double us_each(const char *path, int is_p2pd)
{
	uint64_t start = bench_now_ns();

	for (int i = 0; i < AT_ONCE; i++)
		once(path, is_p2pd);
	return (double)(bench_now_ns() - start) / AT_ONCE / 1000;
}
#else
static double us_each(const char *path, int is_p2pd)
{
	int fd = broker_connect(path);
	uint64_t start;
	double us;

	if (is_p2pd)
		broker_hello(fd);
	start = bench_now_ns();
	for (int i = 0; i < AT_ONCE; i++)
		broker_release(fd, broker_acquire(fd));
	us = (double)(bench_now_ns() - start) / AT_ONCE / 1000;
	close(fd);
	return us;
}
#endif

static double us_each_of_dbus(struct broker_dbus *dbus)
{
	uint64_t start = bench_now_ns();

	for (int i = 0; i < AT_ONCE; i++)
		broker_dbus_lease(dbus);
	return (double)(bench_now_ns() - start) / AT_ONCE / 1000;
}

int main(int argc, char **argv)
{
#ifdef BENCH_CONNECT
	struct figure figure = {.bench = "connect", .unit = "us"};
#else
	struct figure figure = {.bench = "acquire", .unit = "us"};
#endif
	struct bench_options options = {.rounds = 51};
	struct broker_dbus *dbus = NULL;
	struct broker_daemon daemon;
	double *value, *floor, *peer;
	char path[128];
	pid_t bare;

	bench_parse(&options, argc, argv, 0);
	value = calloc(3 * options.rounds, sizeof(*value));
	if (!value)
		return 1;
	floor = value + options.rounds;
	peer = floor + options.rounds;
	broker_prepare();
	broker_start(&daemon, "0");
	snprintf(path, sizeof(path), "%s/bare", daemon.folder);
	bare = bare_start(path);
#ifndef BENCH_CONNECT
	dbus = broker_dbus_start(daemon.folder);
#endif
	for (size_t i = 0; i < options.rounds; i++) {
		value[i] = us_each(daemon.socket, 1);
		floor[i] = us_each(path, 0);
		if (dbus)
			peer[i] = us_each_of_dbus(dbus);
	}
	figure.value = bench_median(value, options.rounds);
	figure.floor = bench_median(floor, options.rounds);
	if (dbus) {
		figure.peer = broker_dbus_name(dbus);
		figure.peer_value = bench_median(peer, options.rounds);
	}
	broker_dbus_stop(dbus);
	bare_stop(bare, path);
	broker_stop(&daemon);
	bench_print(&options, &figure);
	free(value);
	return 0;
}
