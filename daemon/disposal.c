// SPDX-License-Identifier: MIT
/*
 * Closing what may not let itself be closed.
 *
 * close() of a file calls its file system (FUSE, NFS), and so do fstat() and fstatfs(). Only a DMABUF
 * is known to be harmless, and that a descriptor is one is read from its fdinfo. What is there the
 * kernel writes by itself, but for some files under a lock that others may hold for ever (an
 * epoll descriptor whose owner reads events into memory that never comes). Those are known by
 * their names, which nobody can choose for them, and aren't asked.
 *
 * All that is no DMABUF is closed by a thread that nobody waits for. What a user may
 * have waiting there is counted: over it, no more descriptors are taken from any connection of
 * theirs (client.c looks before it receives).
 *
 * The thread says through a pipe when it is done; it touches nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "disposal.h"

struct disposal {
	int pipe[2];
	struct event *event;
	size_t nr_running;
};

struct closing {
	struct account *account;
	int fd;
	int pipe_fd;
};

/*
 * Called like a DMABUF, and no device: without asking anybody but the kernel's caches. Files of file
 * systems can be called anything, but have nothing of their own in fdinfo.
 */
static bool may_be_dmabuf(int fd)
{
	static const char begin[] = "/dmabuf:";
	char path[48], name[sizeof(begin) - 1];
	struct statx status;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (readlink(path, name, sizeof(name)) != sizeof(name) ||
	    memcmp(name, begin, sizeof(name)) ||
	    statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &status))
		return false;
	return !S_ISCHR(status.stx_mode) && !S_ISBLK(status.stx_mode);
}

bool fd_is_dmabuf(int fd)
{
	cleanup_fd int info_fd = -1;
	char path[48], text[1024];
	ssize_t n;

	if (!may_be_dmabuf(fd))
		return false;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info_fd = open(path, O_RDONLY | O_CLOEXEC);
	n = info_fd < 0 ? -1 : read(info_fd, text, sizeof(text) - 1);
	if (n <= 0)
		return false;
	text[n] = '\0';
	return strstr(text, "\nexp_name:") != NULL;
}

static void *run(void *data)
{
	struct closing *closing = data;
	struct account *account = closing->account;

	close(closing->fd);
	/* Smaller than PIPE_BUF, and the loop reads: whole. */
	if (write(closing->pipe_fd, &account, sizeof(account)) < 0)
		abort();
	free(closing);
	return NULL;
}

static void on_closed(evutil_socket_t fd, short what, void *data)
{
	struct server *server = data;
	struct account *account;

	(void)what;
	if (read(fd, &account, sizeof(account)) != sizeof(account))
		return;
	server->disposal->nr_running--;
	account_discharge(account, ACCOUNT_CLOSING, 1);
	account_put(&server->broker.accounts, account);
}

bool disposal_has_room(const struct client *client)
{
	const struct accounts *accounts = &client->server->broker.accounts;
	struct account *account = client->holder->account;

	if (account_charge(accounts, account, ACCOUNT_CLOSING, 1))
		return false;
	account_discharge(account, ACCOUNT_CLOSING, 1);
	return true;
}

void disposal_close(struct client *client, int fd)
{
	struct server *server = client->server;
	struct account *account = client->holder->account;
	struct closing *closing;
	pthread_attr_t detached;
	pthread_t thread;
	int r = -1;

	if (fd_is_dmabuf(fd)) {
		close(fd);
		return;
	}
	/* There was room before it came. */
	account_charge(&server->broker.accounts, account, ACCOUNT_CLOSING, 1);
	account_ref(account);
	closing = malloc(sizeof(*closing));
	if (closing && !pthread_attr_init(&detached)) {
		*closing = (struct closing){account, fd, server->disposal->pipe[1]};
		pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
		r = pthread_create(&thread, &detached, run, closing);
		pthread_attr_destroy(&detached);
	}
	/* Without one it stays open, and its sender's to account for. */
	if (r)
		free(closing);
	else
		server->disposal->nr_running++;
}

int disposal_init(struct server *server)
{
	struct disposal *disposal = calloc(1, sizeof(*disposal));

	if (!disposal)
		return -ENOMEM;
	if (pipe2(disposal->pipe, O_CLOEXEC) < 0) {
		free(disposal);
		return -errno;
	}
	server->disposal = disposal;
	disposal->event =
		event_new(server->base, disposal->pipe[0], EV_READ | EV_PERSIST, on_closed, server);
	return disposal->event && !event_add(disposal->event, NULL) ? 0 : -ENOMEM;
}

void disposal_done(struct server *server)
{
	struct disposal *disposal = server->disposal;

	if (!disposal)
		return;
	if (disposal->event)
		event_free(disposal->event);
	/* A thread that still waits writes to it; the process is about to end. */
	if (!disposal->nr_running) {
		close(disposal->pipe[0]);
		close(disposal->pipe[1]);
	}
	free(disposal);
	server->disposal = NULL;
}
