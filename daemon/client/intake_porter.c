// SPDX-License-Identifier: MIT
/*
 * Porters as p2pd sees them: processes that are made, given orders, heard, and ended.
 *
 *	idle -> busy, with one order -> idle ...
 *	  |       |
 *	  v       v
 *	retired: gets no orders any more, and stays for what it has -> ended
 *
 * What users have in a porter is charged to them until it says that it is closed, or has ended: then
 * its table is gone, and all that was in it. A porter that can't be told anything just now has all of it
 * still, so it isn't given up for that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "intake_state.h"
#include "report/log.h"

/* With their closers: the unit's TasksMax= has room for them. */
#define MOST_PORTERS 32

void intake_porter_end(struct porter *porter)
{
	struct intake *intake = porter->intake;

	if (porter->client) {
		porter->client->porter = NULL;
		client_doom(porter->client, "who took its descriptor has ended");
	}
	if (intake->current == porter) {
		event_del(intake->watchdog);
		intake->current = NULL;
	}
	charges_done(&porter->charges);
	event_free(porter->event);
	close(porter->fd);
	list_remove(&porter->link);
	intake->nr_porters--;
	free(porter);
}

/* It ends when it has nothing to do any more, and says so by hanging up. */
static void retire(struct porter *porter)
{
	porter->is_retired = true;
	if (porter->intake->current == porter)
		porter->intake->current = NULL;
}

void intake_porter_leave(struct porter *porter, const char *why)
{
	struct client *client = porter->client;

	log_event(P2PD_LOG_WARNING, "a porter %s, and is left to itself", why);
	retire(porter);
	shutdown(porter->fd, SHUT_WR);
	porter->client = NULL;
	if (!client)
		return;
	client->porter = NULL;
	client_doom(client, "who took its descriptor doesn't answer");
}

/* -- what they say -- */

static ssize_t hear(int fd, struct porter_said *said, int *ret_fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec data = {.iov_base = said, .iov_len = sizeof(*said)};
	struct msghdr header = {.msg_iov = &data,
				.msg_iovlen = 1,
				.msg_control = &control,
				.msg_controllen = sizeof(control.room)};
	struct cmsghdr *c;
	ssize_t n;

	n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	c = n < 0 ? NULL : CMSG_FIRSTHDR(&header);
	if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_fd, CMSG_DATA(c), sizeof(*ret_fd));
	return n;
}

static bool is_sound(const struct porter *porter, const struct porter_said *said, ssize_t n)
{
	return n >= (ssize_t)PORTER_SAID_BYTES &&
	       (size_t)n == PORTER_SAID_BYTES + said->size_bytes &&
	       charges_has(&porter->charges, said->slot);
}

/* The packet is here: whoever it is of goes on. */
static void deliver(struct porter *porter, const struct porter_said *said, int fd)
{
	struct client *client = porter->client;
	struct message message = {.fd = said->fd == 0 ? fd : said->fd};
	int error = said->error;

	porter->client = NULL;
	/* It came as far as here, and there is no room for it in this process. */
	if (!error && said->fd == 0 && fd < 0)
		error = -EMFILE;
	if (!client) {
		message_done(&message);
		return;
	}
	client->porter = NULL;
	message.size_bytes = said->size_bytes;
	memcpy(message.bytes, said->bytes, said->size_bytes);
	client_taken(client, &message, error);
}

static void on_done(struct porter *porter, const struct porter_said *said, int fd)
{
	struct intake *intake = porter->intake;

	porter->is_busy = false;
	if (intake->current == porter)
		event_del(intake->watchdog);
	porter->nr_kept += said->nr_kept;
	charges_settle(&porter->charges, said->slot, said->nr_kept);
	/* One packet more could be more than it has places for. */
	if (porter->nr_kept && porter->nr_kept + MESSAGE_KERNEL_FDS > intake->most_kept)
		retire(porter);
	deliver(porter, said, fd);
}

void intake_porter_hear(struct porter *porter)
{
	struct intake *intake = porter->intake;
	struct porter_said said;
	int passed = -1;
	ssize_t n;

	n = hear(porter->fd, &said, &passed);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (!is_sound(porter, &said, n)) {
		if (passed >= 0)
			close(passed);
		intake_porter_end(porter);
	} else if (said.news == PORTER_DONE) {
		on_done(porter, &said, passed);
	} else {
		porter->nr_kept--;
		charges_give_back(&porter->charges, said.slot);
		if (porter->is_retired && !porter->is_busy && !porter->nr_kept)
			intake_porter_end(porter);
	}
	intake_go_on(intake);
}

static void on_porter(evutil_socket_t fd, short what, void *data)
{
	(void)fd;
	(void)what;
	intake_porter_hear(data);
}

/* -- what they are told -- */

struct porter *intake_porter_new(struct intake *intake)
{
	struct porter *porter = NULL;
	pid_t child, parent = getpid();
	int fds[2];

	if (intake->nr_porters >= MOST_PORTERS ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return NULL;
	porter = calloc(1, sizeof(*porter));
	if (porter)
		porter->event = event_new(intake->server->base, fds[0], EV_READ | EV_PERSIST,
					  on_porter, porter);
	child = porter && porter->event && !event_add(porter->event, NULL) ? fork() : -1;
	if (child == 0)
		porter_run(fds[1], parent);
	close(fds[1]);
	if (child < 0) {
		if (porter && porter->event)
			event_free(porter->event);
		free(porter);
		close(fds[0]);
		return NULL;
	}
	porter->intake = intake;
	porter->fd = fds[0];
	charges_init(&porter->charges, &intake->server->broker.accounts);
	list_append(&intake->porters, &porter->link);
	intake->nr_porters++;
	intake->current = porter;
	return porter;
}

/* -EAGAIN: what there is too little of is everybody's, and comes back: room in flight, memory. */
static int give(const struct porter *porter, const struct porter_order *given, int connection)
{
	int r = message_send(porter->fd, given, sizeof(*given), connection);

	return r == -ETOOMANYREFS || r == -ENOBUFS || r == -ENOMEM ? -EAGAIN : r;
}

int intake_porter_order(struct porter *porter, enum porter_task task, uint32_t slot, int connection)
{
	static const struct timeval patience = {.tv_sec = INTAKE_ANSWER_S};
	struct porter_order given = {.task = task, .slot = slot};
	int r = give(porter, &given, connection);

	if (!r) {
		porter->is_busy = true;
		event_add(porter->intake->watchdog, &patience);
	} else if (r == -EPIPE || r == -ECONNRESET) {
		intake_porter_end(porter);
	} else if (r != -EAGAIN) {
		intake_porter_leave(porter, "can't be told anything");
	}
	return r;
}
