// SPDX-License-Identifier: MIT
/*
 * The process behind a connection: who it is, and when it dies.
 *
 * The kernel says who connected (SO_PEERCRED, SO_PEERGROUPS), and gives a descriptor of that very
 * process (SO_PEERPIDFD), so that a pid is never looked up later, when it may
 * be another's. Kernels before 6.5 don't; there pidfd_open() asks by pid right after accept(),
 * and a peer that had died by then, and whose pid was taken, is noticed by nothing but its
 * closed connection.
 *
 * A pidfd costs a descriptor, so it is opened with the first lease only. A control group costs a
 * look into procfs, and only policies that go by it need it: it is learnt when the peer first asks for
 * a lease or publishes, or when the first such policy is loaded if that is later, and then stays what
 * it was. Until then only systemd, or whoever else the administrator lets do so, can have moved the
 * process out of the part of the path that policy goes by.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client.h"
#include "common/cleanup.h"
#include "provider/publication.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* newer than the headers of the oldest distribution */
#endif

#define MAX_GROUPS 65536

static int learn_groups(int socket_fd, struct policy_subject *subject)
{
	socklen_t size = 32 * sizeof(gid_t);
	gid_t *groups = NULL;

	for (;;) {
		gid_t *grown = realloc(groups, size ? size : sizeof(gid_t));

		if (!grown) {
			free(groups);
			return -ENOMEM;
		}
		groups = grown;
		if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0)
			break;
		if (errno != ERANGE || size > MAX_GROUPS * sizeof(gid_t)) {
			/* A kernel that doesn't say: no supplementary groups. */
			size = 0;
			break;
		}
	}
	policy_sort_groups(groups, size / sizeof(gid_t));
	subject->groups = groups;
	subject->nr_groups = size / sizeof(gid_t);
	return 0;
}

int holder_new(struct server *server, int socket_fd, struct holder **ret_holder)
{
	struct holder *holder;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	int r;

	if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	holder = calloc(1, sizeof(*holder));
	if (!holder)
		return -ENOMEM;
	list_init(&holder->leases);
	list_init(&holder->publications);
	holder->server = server;
	holder->pidfd = -1;
	holder->pid = peer.pid;
	holder->subject.uid = peer.uid;
	holder->subject.gid = peer.gid;
	r = learn_groups(socket_fd, &holder->subject);
	if (!r)
		r = account_get(&server->broker.accounts, peer.uid, &holder->account);
	if (r) {
		free((void *)holder->subject.groups);
		free(holder);
		return r;
	}
	*ret_holder = holder;
	return 0;
}

void holder_free(struct server *server, struct holder *holder)
{
	if (holder->death)
		event_free(holder->death);
	cleanup_close(&holder->pidfd);
	free((void *)holder->subject.groups);
	free((void *)holder->subject.cgroup);
	account_put(&server->broker.accounts, holder->account);
	free(holder);
}

static void on_death(evutil_socket_t fd, short what, void *data)
{
	struct holder *holder = data;
	struct client *client = holder->client;

	(void)fd;
	(void)what;
	event_del(holder->death);
	if (client)
		client_doom(client, "its process has ended");
	/* One more, so that it stays: the last publication may take its own lease of it along. */
	holder->nr_leases++;
	publications_end(holder);
	holder->nr_leases--;
	/* With a doomed client it stays until that is freed; without, the last lease takes it. */
	broker_holder_died(&holder->server->broker, holder);
}

static bool is_dead(int pidfd)
{
	struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};

	return poll(&poll_fd, 1, 0) > 0;
}

static int open_pidfd(const struct holder *holder, int socket_fd, int *ret_fd)
{
	socklen_t size = sizeof(*ret_fd);
	int fd;

	if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERPIDFD, &fd, &size) < 0) {
		if (errno != ENOPROTOOPT)
			return errno == EMFILE || errno == ENFILE ? -errno : -ESRCH;
		fd = (int)syscall(SYS_pidfd_open, holder->pid, 0);
		if (fd < 0)
			return -errno;
	}
	/* The kernel makes every pidfd close-on-exec. */
	*ret_fd = fd;
	return 0;
}

int holder_watch(struct server *server, struct holder *holder, int socket_fd, int end_fd)
{
	cleanup_fd int fd = -1;
	int r;

	if (holder->pidfd >= 0)
		return 0;
	r = open_pidfd(holder, socket_fd, &fd);
	if (r)
		return r;
	if (is_dead(fd))
		return -ESRCH;
	if (fd >= end_fd)
		return -EDQUOT;
	holder->death = event_new(server->base, fd, EV_READ | EV_PERSIST, on_death, holder);
	if (!holder->death || event_add(holder->death, NULL) < 0) {
		if (holder->death)
			event_free(holder->death);
		holder->death = NULL;
		return -ENOMEM;
	}
	/* Only now: whoever has one is watched. */
	holder->pidfd = take_fd(&fd);
	return 0;
}

/*
 * procfs answers from memory. The pid is that of the peer as long as its pidfd says, after
 * the reading, that it lives.
 */
void holder_learn_cgroup(struct holder *holder, const struct policy *policy)
{
	cleanup_fd int fd = -1;
	char path[64], text[4096];
	char *begin, *end;
	ssize_t n;

	if (!policy_needs_cgroup(policy) || holder->subject.cgroup || holder->pidfd < 0)
		return;
	snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)holder->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n <= 0 || is_dead(holder->pidfd))
		return;
	text[n] = 0;
	begin = strstr(text, "0::");
	if (!begin || (begin != text && begin[-1] != '\n'))
		return;
	begin += 3;
	end = strchr(begin, '\n');
	if (end)
		holder->subject.cgroup = strndup(begin, (size_t)(end - begin));
}
