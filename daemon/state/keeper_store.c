// SPDX-License-Identifier: MIT
/*
 * What p2pd-keeper is told to keep, and has: the datagrams of the service manager's protocol.
 *
 * FDSTORE=1 with a descriptor and a name, FDSTOREREMOVE=1 with a name, BARRIER=1 with a pipe that is closed;
 * everything else is of no interest. Of others than p2pd nothing is let in.
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keeper.h"

/* -- the store -- */

static void store(const char *name, int fd)
{
	if (keeper.count == KEEPER_MOST || !*name || strlen(name) >= KEEPER_NAME_SIZE ||
	    strchr(name, ':')) {
		fprintf(stderr, "p2pd-keeper: \"%.80s\" isn't kept\n", name);
		close(fd);
		return;
	}
	keeper.kept[keeper.count].fd = fd;
	strcpy(keeper.kept[keeper.count++].name, name);
}

static void drop(const char *name)
{
	size_t to = 0;

	for (size_t i = 0; i < keeper.count; i++) {
		if (!strcmp(keeper.kept[i].name, name))
			close(keeper.kept[i].fd);
		else
			keeper.kept[to++] = keeper.kept[i];
	}
	keeper.count = to;
}

/* -- what p2pd says -- */

static bool says(const char *text, const char *line)
{
	size_t length = strlen(line);

	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (!strncmp(at, line, length) && (at[length] == '\n' || !at[length]))
			return true;
	}
	return false;
}

static void value_of(const char *text, const char *key, char *ret_value, size_t size)
{
	const char *at = strstr(text, key);

	*ret_value = '\0';
	if (at)
		snprintf(ret_value, size, "%.*s", (int)strcspn(at + strlen(key), "\n"),
			 at + strlen(key));
}

static void handle(const char *text, int fd)
{
	char name[KEEPER_NAME_SIZE * 2];

	value_of(text, "FDNAME=", name, sizeof(name));
	if (says(text, "FDSTOREREMOVE=1"))
		drop(name);
	if (fd < 0)
		return;
	if (says(text, "FDSTORE=1"))
		store(name, fd);
	else
		/* A barrier is a pipe that we close; nothing else comes with a descriptor. */
		close(fd);
}

/* One datagram. @ret_fd: -1 where none came. -1: nothing there. */
static ssize_t receive(char *text, size_t size, pid_t *ret_pid, int *ret_fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct iovec data = {.iov_base = text, .iov_len = size - 1};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	struct ucred sender;
	ssize_t n;

	*ret_fd = -1;
	*ret_pid = 0;
	n = recvmsg(keeper.notify_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return -1;
	text[n] = '\0';
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_level != SOL_SOCKET)
			continue;
		if (c->cmsg_type == SCM_RIGHTS) {
			memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
		} else if (c->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&sender, CMSG_DATA(c), sizeof(sender));
			*ret_pid = sender.pid;
		}
	}
	return n;
}

/* Whose datagram is next; there is no room for descriptors, so none comes. -1: nothing there. */
static int peek_sender(pid_t *ret_pid)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(struct ucred))];
	} control;
	struct msghdr message = {.msg_control = &control, .msg_controllen = sizeof(control)};
	struct cmsghdr *first;
	struct ucred sender;

	if (recvmsg(keeper.notify_fd, &message, MSG_PEEK | MSG_DONTWAIT) < 0)
		return -1;
	*ret_pid = 0;
	first = CMSG_FIRSTHDR(&message);
	if (first && first->cmsg_level == SOL_SOCKET && first->cmsg_type == SCM_CREDENTIALS) {
		memcpy(&sender, CMSG_DATA(first), sizeof(sender));
		*ret_pid = sender.pid;
	}
	return 0;
}

/* Of others nothing is let in. */
void keeper_hear(unsigned int most)
{
	char text[4096];
	pid_t sender;
	int fd;

	for (unsigned int i = 0; i < most && !peek_sender(&sender); i++) {
		if (sender != keeper.child)
			recv(keeper.notify_fd, text, sizeof(text), MSG_DONTWAIT);
		else if (receive(text, sizeof(text), &sender, &fd) >= 0)
			handle(text, fd);
	}
}
