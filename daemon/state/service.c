// SPDX-License-Identifier: MIT
/*
 * What we ask of the service manager: to keep descriptors, and to know how we are.
 *
 * A kept descriptor is stored with FDPOLL=0: one of a device that is gone reports
 * EPOLLHUP, and the manager would drop it by itself, which is ours to decide.
 *
 * The manager takes datagrams in order, so a barrier behind some of them says when it is through
 * with them: a pipe whose other end it closes. The loop goes on meanwhile; what depends on
 * the answer waits, by itself. A manager that is stuck takes no more datagrams after some, and no
 * descriptor can be sent where too many are in flight: the rest waits here, and goes out in the same order.
 *
 * One that was lost must not look as if it had been done: its pipe is closed, too. So they are
 * counted, and a question that one was lost behind is answered with an error.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/list.h"
#include "common/message.h"
#include "common/sys.h"
#include "report/log.h"
#include "service.h"

#define ANSWER_S    4 /* less than clients wait for p2pd, if nobody says otherwise */
#define MOST_QUEUED 4096
#define RETRY_MS    100 /* until fewer descriptors are in flight */

/* What is still to be said. */
struct saying {
	struct list link;
	int fd; /* -1: none goes along */
	char text[];
};

struct service_question {
	service_answer_fn answer;
	void *data;
	struct service_question **owner;
	struct event *event; /* on our end of the pipe */
	int fd;
	size_t mark;
};

/* A process has one. */
static struct {
	struct event_base *base;
	struct event *writable;
	struct event *retry;
	int fd; /* -1: nobody is told */
	struct list queue;
	size_t nr_queued;
	size_t nr_lost;
} manager = {.fd = -1, .queue = {&manager.queue, &manager.queue}};

/* -- saying it -- */

static int connect_now(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *name = getenv("NOTIFY_SOCKET");
	size_t length = name ? strlen(name) : 0;
	cleanup_fd int fd = -1;

	/* Others than these can't take descriptors. */
	if (!length || (*name != '/' && *name != '@') || length >= sizeof(address.sun_path))
		return -EOPNOTSUPP;
	memcpy(address.sun_path, name, length);
	if (*name == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0 || connect(fd, (const void *)&address,
			      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length)) < 0)
		return -errno;
	return take_fd(&fd);
}

static void saying_free(struct saying *saying)
{
	list_remove(&saying->link);
	manager.nr_queued--;
	cleanup_close(&saying->fd);
	free(saying);
}

/* Whoever is there under that name now. */
static int connect_again(void)
{
	int fd = connect_now();

	if (fd < 0)
		return fd;
	/* Under the same number: what waits for it to be writable goes on. */
	if (dup3(fd, manager.fd, O_CLOEXEC) < 0) {
		close(fd);
		return -errno;
	}
	close(fd);
	return 0;
}

static int send_now(const char *text, int fd)
{
	int r = message_send(manager.fd, text, strlen(text), fd);

	if ((r == -ECONNRESET || r == -ECONNREFUSED || r == -ENOTCONN) && !connect_again())
		r = message_send(manager.fd, text, strlen(text), fd);
	return r;
}

static void on_writable(evutil_socket_t socket_fd, short what, void *data)
{
	(void)socket_fd;
	(void)what;
	(void)data;
	while (!list_is_empty(&manager.queue)) {
		struct saying *next = list_entry(manager.queue.next, struct saying, link);
		struct timeval pause = {.tv_usec = RETRY_MS * 1000};
		int r = send_now(next->text, next->fd);

		if (r == -EAGAIN) {
			event_add(manager.writable, NULL);
			return;
		}
		/* It is writable all the time. */
		if (r == -ETOOMANYREFS) {
			event_add(manager.retry, &pause);
			return;
		}
		if (r) {
			manager.nr_lost++;
			log_event(P2PD_LOG_WARNING, "the service manager can't be told: %s",
				  error_name(r));
		}
		saying_free(next);
	}
}

static int queue(const char *text, int fd)
{
	struct saying *saying;

	if (manager.nr_queued >= MOST_QUEUED)
		return -ENOBUFS;
	saying = malloc(sizeof(*saying) + strlen(text) + 1);
	if (!saying)
		return -ENOMEM;
	strcpy(saying->text, text);
	saying->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 && saying->fd < 0) {
		free(saying);
		return -errno;
	}
	list_append(&manager.queue, &saying->link);
	manager.nr_queued++;
	event_add(manager.writable, NULL);
	return 0;
}

/* @fd: borrowed, or -1. */
static int say(const char *text, int fd)
{
	int r = -EAGAIN;

	if (manager.fd < 0)
		return -EOPNOTSUPP;
	if (list_is_empty(&manager.queue))
		r = send_now(text, fd);
	if (r == -EAGAIN || r == -ETOOMANYREFS)
		r = queue(text, fd);
	if (r)
		manager.nr_lost++;
	return r;
}

int service_init(struct event_base *base)
{
	int fd = connect_now();

	if (fd < 0)
		return fd == -EOPNOTSUPP || fd == -ECONNREFUSED || fd == -ENOENT ? 0 : fd;
	manager.writable = event_new(base, fd, EV_WRITE, on_writable, NULL);
	manager.retry = evtimer_new(base, on_writable, NULL);
	if (!manager.writable || !manager.retry) {
		if (manager.writable)
			event_free(manager.writable);
		if (manager.retry)
			event_free(manager.retry);
		close(fd);
		return -ENOMEM;
	}
	manager.fd = fd;
	manager.base = base;
	return 0;
}

void service_done(void)
{
	if (manager.fd < 0)
		return;
	/* What it doesn't take now it never hears. */
	on_writable(manager.fd, EV_WRITE, NULL);
	while (!list_is_empty(&manager.queue))
		saying_free(list_entry(manager.queue.next, struct saying, link));
	event_free(manager.writable);
	event_free(manager.retry);
	cleanup_close(&manager.fd);
	manager.fd = -1;
}

/* -- asking -- */

static void on_answer(evutil_socket_t fd, short what, void *data)
{
	struct service_question *question = data;
	service_answer_fn answer = question->answer;
	void *asker = question->data;
	int error = manager.nr_lost == question->mark ? 0 : -EIO;

	(void)fd;
	if (what & EV_TIMEOUT) {
		error = -ETIMEDOUT;
		event_add(question->event, NULL);
	} else {
		*question->owner = NULL;
		service_question_free(question);
	}
	answer(asker, error);
}

size_t service_mark(void)
{
	return manager.nr_lost;
}

static int ask(size_t mark, service_answer_fn answer, void *data,
	       struct service_question **ret_question)
{
	struct timeval patience = {.tv_sec = ANSWER_S};
	struct service_question *question;
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	question = calloc(1, sizeof(*question));
	if (question) {
		*question = (struct service_question){
			.answer = answer,
			.data = data,
			.owner = ret_question,
			.fd = ends[0],
			.mark = mark,
		};
		question->event = event_new(manager.base, ends[0], EV_READ, on_answer, question);
	}
	r = question && question->event && !event_add(question->event, &patience) ? 0 : -ENOMEM;
	if (!r)
		r = say("BARRIER=1", ends[1]);
	close(ends[1]);
	if (!r)
		*ret_question = question;
	else if (question)
		service_question_free(question);
	else
		close(ends[0]);
	return r;
}

int service_ask(size_t mark, service_answer_fn answer, void *data,
		struct service_question **ret_question)
{
	return service_keeps() ? ask(mark, answer, data, ret_question) : -EOPNOTSUPP;
}

void service_question_free(struct service_question *question)
{
	if (!question)
		return;
	if (question->event)
		event_free(question->event);
	close(question->fd);
	free(question);
}

/* -- what is said -- */

bool service_keeps(void)
{
	const char *most = getenv("FDSTORE");

	/* systemd says how many since 254; older ones don't, and then we try. */
	return manager.fd >= 0 && (!most || atoi(most) > 0);
}

int service_store(const char *name, int fd)
{
	char text[160];

	if (!service_keeps())
		return -EOPNOTSUPP;
	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	return say(text, fd);
}

int service_keep(const char *name, int fd, service_answer_fn answer, void *data,
		 struct service_question **ret_question)
{
	size_t mark = service_mark();
	int r = service_store(name, fd);

	return r ? r : ask(mark, answer, data, ret_question);
}

static void __attribute__((format(printf, 1, 2))) tell(const char *format, ...)
{
	va_list arguments;
	char text[256];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	say(text, -1);
}

void service_forget(const char *name)
{
	tell("FDSTOREREMOVE=1\nFDNAME=%s", name);
}

void service_ready(void)
{
	tell("READY=1");
}

void service_reloading(void)
{
	tell("RELOADING=1\nMONOTONIC_USEC=%" PRIu64, clock_now_ns() / 1000);
}

void service_stopping(void)
{
	tell("STOPPING=1");
}

void service_status(const char *format, ...)
{
	va_list arguments;
	char text[160];

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	tell("STATUS=%s", text);
}
