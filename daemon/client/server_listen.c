// SPDX-License-Identifier: MIT
/*
 * Listening: the socket, and who comes to it.
 *
 * When this process has no descriptor left, accept() fails while the connection stays
 * in the queue and the listening socket stays readable: listening pauses for a moment
 * instead of spinning.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "client.h"
#include "common/sys.h"
#include "intake.h"
#include "report/log.h"

#define BACKLOG	 256
#define PAUSE_MS 100

static void on_pause_over(evutil_socket_t fd, short what, void *data)
{
	struct server *server = data;

	(void)fd;
	(void)what;
	event_add(server->listener.event, NULL);
}

static void pause_listening(struct server *server, int error)
{
	struct timeval pause = {.tv_usec = PAUSE_MS * 1000};

	log_event(P2PD_LOG_WARNING, "no connection accepted for a moment: %s", error_name(error));
	event_del(server->listener.event);
	event_add(server->listener.pause, &pause);
}

/*
 * One, and then it is somebody else's turn: everybody who is connected is asked before the next. Nor is
 * it looked for another one, which the loop does anyway.
 */
static void on_connection(evutil_socket_t fd, short what, void *data)
{
	struct server *server = data;
	int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	int r;

	(void)what;
	if (peer < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			pause_listening(server, errno);
		return;
	}
	/* Over its user's limit or out of memory: closed again, which is all one can say. */
	r = client_new(server, peer);
	if (r) {
		server->nr_dropped++;
		log_event(P2PD_LOG_DEBUG, "connection refused: %s", error_name(r));
	}
}

int server_listen(struct server *server, int fd, const char *unlink_path)
{
	struct listener *listener = &server->listener;

	listener->fd = fd;
	listener->unlink_path = unlink_path;
	evutil_make_socket_nonblocking(fd);
	intake_listen(fd);
	listener->event = event_new(server->base, fd, EV_READ | EV_PERSIST, on_connection, server);
	listener->pause = evtimer_new(server->base, on_pause_over, server);
	if (!listener->event || !listener->pause || event_add(listener->event, NULL))
		return -ENOMEM;
	return 0;
}

/* Does anybody answer there? */
static bool is_alive(const struct sockaddr_un *address)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool is_there = fd >= 0 && (connect(fd, (const void *)address, sizeof(*address)) == 0 ||
				    errno == EAGAIN);

	if (fd >= 0)
		close(fd);
	return is_there;
}

int server_bind(const char *path, int *ret_fd)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd, r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (const void *)&address, sizeof(address)) < 0) {
		if (errno != EADDRINUSE || is_alive(&address) || unlink(path) < 0 ||
		    bind(fd, (const void *)&address, sizeof(address)) < 0)
			goto err;
	}
	/* Who may connect is for policy: everybody may ask. */
	if (chmod(path, 0666) < 0 || listen(fd, BACKLOG) < 0)
		goto err;
	*ret_fd = fd;
	return 0;

err:
	r = errno ? -errno : -EADDRINUSE;
	close(fd);
	return r;
}
