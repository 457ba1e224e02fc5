// SPDX-License-Identifier: MIT
/*
 * p2pd-keeper: keeps p2pd's descriptors, and p2pd, where there is no systemd.
 *
 *	p2pd-keeper p2pd [ARGUMENTS]
 *
 * It speaks the part of the service manager's protocol that p2pd uses, so that p2pd has one
 * way only: descriptors come in datagrams on $NOTIFY_SOCKET (FDSTORE=1, FDSTOREREMOVE=1,
 * BARRIER=1) and are passed to the next p2pd as $LISTEN_FDS. A p2pd that is killed or crashes is
 * started again at once; one that ends by itself ends the keeper.
 *
 * It does so little that there is nothing to restart it for. Nobody else may hold it up: a datagram
 * can bring a descriptor whose closing takes for ever, and to throw it away is to close that. So its
 * socket has no name that anybody could send to. It is bound and unlinked again, and p2pd inherits
 * a descriptor of its file: $NOTIFY_SOCKET is /proc/self/fd/N. To whom p2pd hands that down only
 * p2pd is listened to, and some datagrams at a time.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "keeper.h"

#define FIRST_FD   3
#define AT_ONCE	   64	/* datagrams, and then signals have their turn */
#define SETTLED_MS 1000 /* who lives as long isn't held back when it dies */
#define BACKOFF_MS 200

struct keeper keeper;

static int fail(const char *what)
{
	fprintf(stderr, "p2pd-keeper: %s: %s\n", what, strerror(errno));
	return EXIT_FAILURE;
}

/* Moves what is kept to 3, 4, ... and the address behind it; no descriptor of ours may be in the way. */
static int pass_on(void)
{
	int last = FIRST_FD + (int)keeper.count;

	/* First above all targets, then down: no dup2() hits one that is still needed. */
	for (size_t i = 0; i < keeper.count; i++) {
		keeper.kept[i].fd = fcntl(keeper.kept[i].fd, F_DUPFD_CLOEXEC, last + 1);
		if (keeper.kept[i].fd < 0)
			return -1;
	}
	/* dup2() to itself would leave it closed on exec. */
	keeper.address_fd = fcntl(keeper.address_fd, F_DUPFD_CLOEXEC, last + 1);
	if (keeper.address_fd < 0 || dup2(keeper.address_fd, last) < 0)
		return -1;
	for (size_t i = 0; i < keeper.count; i++)
		if (dup2(keeper.kept[i].fd, FIRST_FD + (int)i) < 0)
			return -1;
	return 0;
}

static int set_environment(void)
{
	size_t size = keeper.count * (KEEPER_NAME_SIZE + 1) + 1, length = 0;
	char number[24], address[32], *names = malloc(size);

	if (!names)
		return -1;
	*names = '\0';
	for (size_t i = 0; i < keeper.count; i++)
		length += (size_t)snprintf(names + length, size - length, "%s%s", i ? ":" : "",
					   keeper.kept[i].name);
	/* "None" is told by saying nothing. */
	if (keeper.count) {
		snprintf(number, sizeof(number), "%d", (int)getpid());
		setenv("LISTEN_PID", number, 1);
		snprintf(number, sizeof(number), "%zu", keeper.count);
		setenv("LISTEN_FDS", number, 1);
		setenv("LISTEN_FDNAMES", names, 1);
	}
	snprintf(number, sizeof(number), "%d", KEEPER_MOST);
	setenv("FDSTORE", number, 1);
	snprintf(address, sizeof(address), "/proc/self/fd/%d", FIRST_FD + (int)keeper.count);
	setenv("NOTIFY_SOCKET", address, 1);
	free(names);
	return 0;
}

static void run(char **command)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (pass_on() || set_environment())
		_exit(fail("passing descriptors on"));
	execvp(command[0], command);
	_exit(fail(command[0]));
}

static int start(char **command)
{
	keeper.child = fork();
	if (keeper.child < 0)
		return fail("fork");
	if (keeper.child == 0)
		run(command);
	return 0;
}

/* -1: it was started again; else the keeper's exit code. */
static int ended(int status, char **command, bool is_stopping, uint64_t *started_ms)
{
	/* What it said last, said before it died. */
	keeper_hear(4 * KEEPER_MOST);
	if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || is_stopping))
		return WEXITSTATUS(status);
	if (is_stopping)
		return EXIT_FAILURE;
	/* It never got far enough to have anything kept: it won't the next time. */
	if (WIFEXITED(status) && !keeper.count)
		return WEXITSTATUS(status);
	fprintf(stderr, "p2pd-keeper: %s ended by %s %d, %zu descriptors kept: again\n", command[0],
		WIFSIGNALED(status) ? "signal" : "itself,",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), keeper.count);
	/* Killed is no reason to wait; failing or crashing at once, again and again, is. */
	if ((WIFEXITED(status) || WTERMSIG(status) != SIGKILL) &&
	    clock_now_ns() / NS_PER_MS - *started_ms < SETTLED_MS) {
		struct timespec pause = {.tv_nsec = BACKOFF_MS * 1000000L};

		nanosleep(&pause, NULL);
	}
	*started_ms = clock_now_ns() / NS_PER_MS;
	return start(command) ? EXIT_FAILURE : -1;
}

/* -1: go on. */
static int on_signal(char **command, bool *is_stopping, uint64_t *started_ms)
{
	struct signalfd_siginfo info;
	int status;

	if (read(keeper.signal_fd, &info, sizeof(info)) != sizeof(info))
		return -1;
	if (info.ssi_signo == SIGCHLD) {
		if (waitpid(keeper.child, &status, WNOHANG) != keeper.child)
			return -1;
		return ended(status, command, *is_stopping, started_ms);
	}
	if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
		*is_stopping = true;
	kill(keeper.child, (int)info.ssi_signo);
	return -1;
}

static int loop(char **command)
{
	struct pollfd fds[] = {{.fd = keeper.notify_fd, .events = POLLIN},
			       {.fd = keeper.signal_fd, .events = POLLIN}};
	uint64_t started_ms = clock_now_ns() / NS_PER_MS;
	bool is_stopping = false;
	int code = -1;

	while (code < 0) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			return fail("poll");
		keeper_hear(AT_ONCE);
		if (fds[1].revents)
			code = on_signal(command, &is_stopping, &started_ms);
	}
	return code;
}

/* In a folder that nobody else may look into, and then nowhere. */
static int bind_unseen(const char *folder)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	mode_t mask;
	int r, error;

	if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/notify", folder) >=
	    (int)sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	/* Who has it may write to it, whichever user p2pd becomes. */
	mask = umask(0);
	r = bind(keeper.notify_fd, (const void *)&address, sizeof(address));
	umask(mask);
	if (r)
		return -1;
	keeper.address_fd = open(address.sun_path, O_PATH | O_CLOEXEC);
	error = errno;
	unlink(address.sun_path);
	errno = error;
	return keeper.address_fd < 0 ? -1 : 0;
}

static int open_notify(void)
{
	const char *place = getenv("TMPDIR");
	char folder[96];
	int on = 1, r, error;

	keeper.notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (keeper.notify_fd < 0 ||
	    setsockopt(keeper.notify_fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
		return -1;
	if (snprintf(folder, sizeof(folder), "%s/p2pd-keeper-XXXXXX", place ? place : "/tmp") >=
	    (int)sizeof(folder)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	if (!mkdtemp(folder))
		return -1;
	r = bind_unseen(folder);
	error = errno;
	rmdir(folder);
	errno = error;
	return r;
}

int main(int argc, char **argv)
{
	static const int forwarded[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP, SIGUSR1};
	struct rlimit limit;
	sigset_t signals;

	if (argc < 2 || argv[1][0] == '-') {
		fputs("usage: p2pd-keeper p2pd [ARGUMENTS]\n", stderr);
		return 2;
	}
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
	sigemptyset(&signals);
	for (size_t i = 0; i < sizeof(forwarded) / sizeof(forwarded[0]); i++)
		sigaddset(&signals, forwarded[i]);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	keeper.signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	if (keeper.signal_fd < 0 || open_notify())
		return fail("starting");
	if (start(argv + 1))
		return EXIT_FAILURE;
	return loop(argv + 1);
}
