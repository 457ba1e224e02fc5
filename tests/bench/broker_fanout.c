// SPDX-License-Identifier: MIT
/*
 * revoke_fanout_N: how long an administrator's "all leases back" takes until the last of N holders
 * has been told, against a process that, asked with the same packet, does sendmsg() to each.
 *
 * The clock stops when the last message is there. That the others are there as well, and that no
 * time passed with reading them, is proved after it: nobody has to be waited for. Each
 * holder is a connection of its own where this process may open enough files (p2pd needs two for
 * each); otherwise a connection holds several leases, and is told of each.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"

#define SPARE_FILES	200
#define FILES_OF_HOLDER 2
#define DEADLINE_MS	3600000

struct crowd {
	int fds[BENCH_HOLDERS];
	uint64_t leases[BENCH_HOLDERS];
	size_t nr_connections;
};

static struct crowd crowd;

static void check(int r, const char *what)
{
	if (!r)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	exit(1);
}

/* Who is told as number @i. */
static int holder(size_t i)
{
	return crowd.fds[i % crowd.nr_connections];
}

static double us_to_last(int admin)
{
	uint64_t start = bench_now_ns(), end;

	broker_send_revoke_all(admin, DEADLINE_MS);
	/* A connection's own messages come in order. */
	for (size_t i = 0; i < BENCH_HOLDERS / crowd.nr_connections; i++)
		check(broker_take(holder(BENCH_HOLDERS - 1), WIRE_EVENT_REVOKE_REQUESTED, 0),
		      "the last notification");
	end = bench_now_ns();
	for (size_t i = 0; i < BENCH_HOLDERS; i++)
		if (holder(i) != holder(BENCH_HOLDERS - 1))
			check(broker_take(holder(i), WIRE_EVENT_REVOKE_REQUESTED, MSG_DONTWAIT),
			      "a notification before the last");
	check(broker_take(admin, WIRE_REVOKE | WIRE_REPLY, 0), "the answer");
	return (double)(end - start) / 1000;
}

/* -- p2pd -- */

static double us_of_p2pd(int admin)
{
	double us;

	for (size_t i = 0; i < BENCH_HOLDERS; i++)
		crowd.leases[i] = broker_acquire(holder(i));
	us = us_to_last(admin);
	for (size_t i = 0; i < BENCH_HOLDERS; i++)
		broker_release(holder(i), crowd.leases[i]);
	return us;
}

/* -- the floor: asked on one socket, tells on the others -- */

static void put(int fd, uint16_t opcode, const void *body, size_t size_bytes)
{
	struct wire_header header = {.size_bytes = (uint32_t)(sizeof(header) + size_bytes),
				     .opcode = opcode};
	struct iovec parts[] = {{&header, sizeof(header)}, {(void *)(uintptr_t)body, size_bytes}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
		abort();
}

__attribute__((noreturn)) static void tell_all(int admin)
{
	struct wire_event_lease event = {.reason = WIRE_REASON_ADMIN};
	struct wire_revoke_reply reply = {.nr_leases = BENCH_HOLDERS};
	uint64_t packet[64];

	while (recv(admin, packet, sizeof(packet), 0) > 0) {
		for (size_t i = 0; i < BENCH_HOLDERS; i++)
			put(holder(i), WIRE_EVENT_REVOKE_REQUESTED, &event, sizeof(event));
		put(admin, WIRE_REVOKE | WIRE_REPLY, &reply, sizeof(reply));
	}
	_exit(0);
}

/* Leaves the near ends in the crowd. */
static pid_t start_bare(int *ret_admin)
{
	static int near[BENCH_HOLDERS];
	int pair[2];
	pid_t pid;

	for (size_t i = 0; i <= crowd.nr_connections; i++) {
		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
			perror("socketpair");
			exit(1);
		}
		if (i == crowd.nr_connections)
			break;
		near[i] = pair[0];
		crowd.fds[i] = pair[1];
	}
	pid = fork();
	if (pid == 0) {
		for (size_t i = 0; i < crowd.nr_connections; i++)
			close(near[i]);
		close(pair[0]);
		tell_all(pair[1]);
	}
	for (size_t i = 0; i < crowd.nr_connections; i++) {
		close(crowd.fds[i]);
		crowd.fds[i] = near[i];
	}
	close(pair[1]);
	*ret_admin = pair[0];
	return pid;
}

static void hang_up(int admin)
{
	close(admin);
	for (size_t i = 0; i < crowd.nr_connections; i++)
		close(crowd.fds[i]);
}

static double of_p2pd(const struct broker_daemon *daemon, double *samples, size_t rounds)
{
	int admin = broker_connect(daemon->socket);

	broker_hello(admin);
	for (size_t i = 0; i < crowd.nr_connections; i++) {
		crowd.fds[i] = broker_connect(daemon->socket);
		broker_hello(crowd.fds[i]);
	}
	for (size_t i = 0; i < rounds; i++)
		samples[i] = us_of_p2pd(admin);
	hang_up(admin);
	return bench_median(samples, rounds);
}

static double of_bare(double *samples, size_t rounds)
{
	int admin;
	pid_t pid = start_bare(&admin);

	for (size_t i = 0; i < rounds; i++)
		samples[i] = us_to_last(admin);
	hang_up(admin);
	waitpid(pid, NULL, 0);
	return bench_median(samples, rounds);
}

int main(int argc, char **argv)
{
	struct figure figure = {.bench = BENCH_NAME, .unit = "us"};
	struct bench_options options = {.rounds = BENCH_HOLDERS > 1000 ? 7 : 101};
	struct broker_daemon daemon;
	size_t nr_files;
	double *samples;

	bench_parse(&options, argc, argv, 0);
	samples = calloc(options.rounds, sizeof(*samples));
	if (!samples)
		return 1;
	nr_files = broker_prepare();
	crowd.nr_connections = BENCH_HOLDERS;
	while (crowd.nr_connections * FILES_OF_HOLDER + SPARE_FILES > nr_files)
		crowd.nr_connections /= 2;
	broker_start(&daemon, "0");
	figure.value = of_p2pd(&daemon, samples, options.rounds);
	figure.floor = of_bare(samples, options.rounds);
	broker_stop(&daemon);
	bench_print(&options, &figure);
	free(samples);
	return 0;
}
