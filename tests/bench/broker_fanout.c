// SPDX-License-Identifier: MIT
/*
 * revoke_fanout_N: how long an administrator's "all leases back" takes until the last of N holders
 * has been told, against a process that, asked with the same packet, does sendmsg() to each. Before
 * it each holder is granted its lease, and gives it back after it: by both, so that both have
 * done the same with the same sockets when the clock starts.
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
	int admin;
	int fds[BENCH_HOLDERS];
	uint64_t leases[BENCH_HOLDERS];
};

static size_t nr_connections;

static void check(int r, const char *what)
{
	if (!r)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	exit(1);
}

/* Who is told as number @i. */
static int holder(const struct crowd *crowd, size_t i)
{
	return crowd->fds[i % nr_connections];
}

static double us_to_last(const struct crowd *crowd)
{
	int last = holder(crowd, BENCH_HOLDERS - 1);
	uint64_t start = bench_now_ns(), end;

	broker_send_revoke_all(crowd->admin, DEADLINE_MS);
	/* A connection's own messages come in order. */
	for (size_t i = (BENCH_HOLDERS - 1) % nr_connections; i < BENCH_HOLDERS;
	     i += nr_connections)
		check(broker_take(last, WIRE_EVENT_REVOKE_REQUESTED, 0), "the last notification");
	end = bench_now_ns();
	for (size_t i = 0; i < BENCH_HOLDERS; i++)
		if (holder(crowd, i) != last)
			check(broker_take(holder(crowd, i), WIRE_EVENT_REVOKE_REQUESTED,
					  MSG_DONTWAIT),
			      "a notification before the last");
	check(broker_take(crowd->admin, WIRE_REVOKE | WIRE_REPLY, 0), "the answer");
	return (double)(end - start) / 1000;
}

/* -- p2pd -- */

static void connect_all(struct crowd *crowd, const char *path)
{
	crowd->admin = broker_connect(path);
	broker_hello(crowd->admin);
	for (size_t i = 0; i < nr_connections; i++) {
		crowd->fds[i] = broker_connect(path);
		broker_hello(crowd->fds[i]);
	}
}

static double us_of(struct crowd *crowd)
{
	double us;

	/* In turn: the bare process waits for one at a time. */
	for (size_t i = 0; i < BENCH_HOLDERS; i++)
		crowd->leases[i] = broker_acquire(holder(crowd, i));
	us = us_to_last(crowd);
	for (size_t i = 0; i < BENCH_HOLDERS; i++)
		broker_release(holder(crowd, i), crowd->leases[i]);
	return us;
}

/* -- the floor: serves the holders in turn, and tells them when it is asked on one more socket -- */

static void put(int fd, uint16_t opcode, const void *body, size_t size_bytes)
{
	struct wire_header header = {.size_bytes = (uint32_t)(sizeof(header) + size_bytes),
				     .opcode = opcode};
	struct iovec parts[] = {{&header, sizeof(header)}, {(void *)(uintptr_t)body, size_bytes}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	if (sendmsg(fd, &message, MSG_NOSIGNAL) < 0)
		abort();
}

static void serve_each(const struct crowd *crowd)
{
	for (size_t i = 0; i < BENCH_HOLDERS; i++)
		if (bare_serve(holder(crowd, i)))
			_exit(0);
}

__attribute__((noreturn)) static void tell_all(const struct crowd *crowd)
{
	struct wire_event_lease event = {.reason = WIRE_REASON_ADMIN};
	struct wire_revoke_reply reply = {.nr_leases = BENCH_HOLDERS};
	uint64_t packet[64];

	for (;;) {
		serve_each(crowd);
		if (recv(crowd->admin, packet, sizeof(packet), 0) <= 0)
			_exit(0);
		for (size_t i = 0; i < BENCH_HOLDERS; i++)
			put(holder(crowd, i), WIRE_EVENT_REVOKE_REQUESTED, &event, sizeof(event));
		put(crowd->admin, WIRE_REVOKE | WIRE_REPLY, &reply, sizeof(reply));
		serve_each(crowd);
	}
}

static void make_pair(int *ret_near, int *ret_far)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair)) {
		perror("socketpair");
		exit(1);
	}
	*ret_near = pair[0];
	*ret_far = pair[1];
}

static void hang_up(const struct crowd *crowd)
{
	close(crowd->admin);
	for (size_t i = 0; i < nr_connections; i++)
		close(crowd->fds[i]);
}

static pid_t start_bare(struct crowd *near)
{
	static struct crowd far;
	pid_t pid;

	make_pair(&near->admin, &far.admin);
	for (size_t i = 0; i < nr_connections; i++)
		make_pair(&near->fds[i], &far.fds[i]);
	pid = fork();
	if (pid == 0) {
		hang_up(near);
		tell_all(&far);
	}
	hang_up(&far);
	return pid;
}

int main(int argc, char **argv)
{
	struct figure figure = {.bench = BENCH_NAME, .unit = "us"};
	struct bench_options options = {.rounds = BENCH_HOLDERS > 1000 ? 7 : 101};
	static struct crowd held, told;
	struct broker_daemon daemon;
	double *value, *floor;
	size_t nr_files;
	pid_t bare;

	bench_parse(&options, argc, argv, 0);
	value = calloc(2 * options.rounds, sizeof(*value));
	if (!value)
		return 1;
	floor = value + options.rounds;
	nr_files = broker_prepare();
	nr_connections = BENCH_HOLDERS;
	while (nr_connections * FILES_OF_HOLDER + SPARE_FILES > nr_files)
		nr_connections /= 2;
	bare = start_bare(&told);
	broker_start(&daemon, "0");
	connect_all(&held, daemon.socket);
	for (size_t i = 0; i < options.rounds; i++) {
		value[i] = us_of(&held);
		floor[i] = us_of(&told);
	}
	hang_up(&held);
	hang_up(&told);
	waitpid(bare, NULL, 0);
	broker_stop(&daemon);
	figure.value = bench_median(value, options.rounds);
	figure.floor = bench_median(floor, options.rounds);
	bench_print(&options, &figure);
	free(value);
	return 0;
}
