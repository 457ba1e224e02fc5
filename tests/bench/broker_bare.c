// SPDX-License-Identifier: MIT
/*
 * The floor under p2pd: the same packets over the same kind of socket, and a memfd made and passed
 * as the emulated device makes it, with nothing looked up, decided, counted or written down.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"

#define BACKLOG	      256
#define EVENTS_A_TURN 32 /* as many as libevent begins with */

static int make_memfd(void)
{
	uint32_t id = 1;
	int fd = memfd_create("bench", MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, BROKER_LEASE_BYTES) ||
	    pwrite(fd, &id, sizeof(id), 0) != sizeof(id))
		abort();
	return fd;
}

static void answer(int peer, uint16_t opcode)
{
	struct {
		struct wire_header header;
		struct wire_lease lease;
	} reply = {.header = {.opcode = opcode | WIRE_REPLY, .serial = 1}};
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec data = {.iov_base = &reply, .iov_len = sizeof(reply.header)};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
	int fd = -1;

	if (opcode == WIRE_ACQUIRE) {
		fd = make_memfd();
		data.iov_len = sizeof(reply);
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	reply.header.size_bytes = (uint32_t)data.iov_len;
	sendmsg(peer, &message, MSG_NOSIGNAL);
	if (fd >= 0)
		close(fd);
}

int bare_serve(int peer)
{
	uint64_t packet[WIRE_MESSAGE_MAX / sizeof(uint64_t)];
	struct wire_header header;
	struct iovec data = {.iov_base = packet, .iov_len = sizeof(packet)};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};

	if (recvmsg(peer, &message, MSG_CMSG_CLOEXEC) < (ssize_t)sizeof(header))
		return -1;
	memcpy(&header, packet, sizeof(header));
	answer(peer, header.opcode);
	return 0;
}

__attribute__((noreturn)) static void serve_each(int listener)
{
	for (;;) {
		int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		while (peer >= 0 && !bare_serve(peer))
			;
		close(peer);
	}
}

static void watch(int epoll_fd, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
		abort();
}

__attribute__((noreturn)) static void serve_all(int listener)
{
	struct epoll_event events[EVENTS_A_TURN];
	int epoll_fd = epoll_create1(EPOLL_CLOEXEC);

	watch(epoll_fd, listener);
	for (;;) {
		int count = epoll_wait(epoll_fd, events, EVENTS_A_TURN, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd == listener)
				watch(epoll_fd, accept4(listener, NULL, NULL, SOCK_CLOEXEC));
			else if (bare_serve(fd))
				close(fd);
		}
	}
}

static pid_t start(const char *path, void (*serve_fn)(int listener))
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	pid_t pid;

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (bind(listener, (const void *)&address, sizeof(address)) || listen(listener, BACKLOG)) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		exit(1);
	}
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve_fn(listener);
	}
	close(listener);
	return pid;
}

pid_t bare_start(const char *path)
{
	return start(path, serve_each);
}

pid_t bare_start_epoll(const char *path)
{
	return start(path, serve_all);
}

void bare_stop(pid_t pid, const char *path)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
}
