// SPDX-License-Identifier: MIT
/*
 * Descriptors come in through another process.
 *
 * Whoever has received a descriptor must close it, if only by ending, and to close a file is to
 * call the file system behind it, which may be the peer's own (FUSE) and never answer. A process that
 * is stuck in there can't be killed: p2pd would not end, nor be started again. So p2pd receives no
 * descriptor from a peer. It sees that one has come without taking it (message_peek()), and lends the
 * connection to a porter, a child process that has nothing else. The porter takes that one packet,
 * passes it on, with the descriptor where that is a DMABUF, whose closing is harmless, and then closes
 * what it has. One that gets stuck stays behind and holds nobody up; it ends with the file system.
 *
 * A porter is idle, busy with a packet, or closing. What a user may have in closing is
 * counted, and a user's packets are taken one after the other, so that the next is judged by what
 * became of the one before. One idle porter is kept.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dmabuf.h"
#include "intake.h"
#include "log.h"

/* Stuck ones included; the unit's TasksMax= has room for them. */
#define MOST_PORTERS 64

struct porter {
	struct list link;
	struct intake *intake;
	struct client *client;	 /* whose packet it is to take; NULL: none, or it is gone */
	struct account *account; /* charged for what it may have to close; NULL: it is idle */
	bool is_busy;		 /* the packet hasn't come */
	int fd;
	struct event *event;
};

struct intake {
	struct server *server;
	struct list porters;
	struct list waiting; /* clients, by link_of_intake */
	size_t nr_porters;
};

/* What a porter says: first the packet, then that it has closed what it had. */
struct said {
	uint32_t is_idle;
	int32_t error; /* of taking the packet */
	int32_t fd;    /* -1, INTAKE_NO_DMABUF, or one comes along */
	uint32_t size_bytes;
	uint8_t bytes[WIRE_MESSAGE_MAX];
};

/* -- the other process -- */

/* A connection to take a packet from. -1: p2pd has ended, or needs no more of us. */
static int next_connection(int fd)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec data = {.iov_base = &byte, .iov_len = 1};
	struct msghdr header = {.msg_iov = &data,
				.msg_iovlen = 1,
				.msg_control = &control,
				.msg_controllen = sizeof(control.room)};
	struct cmsghdr *c;
	int connection;

	if (recvmsg(fd, &header, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	c = CMSG_FIRSTHDR(&header);
	if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&connection, CMSG_DATA(c), sizeof(connection));
	return connection;
}

static int carry_one(int fd, int connection)
{
	struct message message = {.fd = -1};
	struct said said = {.fd = -1};
	bool is_dmabuf;
	int r;

	said.error = message_receive_warily(connection, &message);
	close(connection);
	is_dmabuf = message.fd >= 0 && fd_is_dmabuf(message.fd);
	if (message.fd >= 0)
		said.fd = is_dmabuf ? 0 : INTAKE_NO_DMABUF;
	said.size_bytes = (uint32_t)message.size_bytes;
	memcpy(said.bytes, message.bytes, message.size_bytes);
	r = message_send(fd, &said, offsetof(struct said, bytes) + message.size_bytes,
			 is_dmabuf ? message.fd : -1);
	/* From here on it may take for ever. */
	if (message.fd >= 0)
		close(message.fd);
	said = (struct said){.is_idle = 1, .fd = -1};
	return r ? r : message_send(fd, &said, offsetof(struct said, bytes), -1);
}

static _Noreturn void carry(int fd, pid_t parent)
{
	int connection;

	/* Nothing of p2pd's may live on in here. */
	if (fd > 0)
		close_range(0, (unsigned int)fd - 1, 0);
	close_range((unsigned int)fd + 1, UINT_MAX, 0);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	prctl(PR_SET_NAME, "p2pd-porter");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent)
		while ((connection = next_connection(fd)) >= 0 && !carry_one(fd, connection))
			;
	_exit(0);
}

/* -- p2pd's side -- */

static void try_next(struct intake *intake);

static void discharge(struct porter *porter)
{
	struct account *account = porter->account;

	porter->account = NULL;
	if (!account)
		return;
	account_discharge(account, ACCOUNT_CLOSING, 1);
	account_put(&porter->intake->server->broker.accounts, account);
}

static void porter_end(struct porter *porter)
{
	if (porter->client) {
		porter->client->porter = NULL;
		client_doom(porter->client, "who took its descriptor has ended");
	}
	discharge(porter);
	event_free(porter->event);
	close(porter->fd);
	list_remove(&porter->link);
	porter->intake->nr_porters--;
	free(porter);
}

static struct porter *idle_porter(struct intake *intake, const struct porter *but)
{
	list_for_each_entry(porter, &intake->porters, struct porter, link)
		if (porter != but && !porter->account)
			return porter;
	return NULL;
}

static ssize_t hear(int fd, struct said *said, int *ret_fd)
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

/* The packet is here: whoever it is of goes on. */
static void deliver(struct porter *porter, const struct said *said, int fd)
{
	struct client *client = porter->client;
	struct message message = {.fd = said->fd == 0 ? fd : said->fd};
	int error = said->error;

	porter->is_busy = false;
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

static void on_porter(evutil_socket_t fd, short what, void *data)
{
	struct porter *porter = data;
	struct intake *intake = porter->intake;
	struct said said;
	int passed = -1;
	ssize_t n;

	(void)what;
	n = hear(fd, &said, &passed);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < (ssize_t)offsetof(struct said, bytes) ||
	    (size_t)n != offsetof(struct said, bytes) + said.size_bytes) {
		if (passed >= 0)
			close(passed);
		porter_end(porter);
	} else if (!said.is_idle) {
		deliver(porter, &said, passed);
	} else {
		discharge(porter);
		if (idle_porter(intake, porter))
			porter_end(porter);
	}
	try_next(intake);
}

static struct porter *porter_new(struct intake *intake)
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
		carry(fds[1], parent);
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
	list_append(&intake->porters, &porter->link);
	intake->nr_porters++;
	return porter;
}

static bool is_being_served(const struct intake *intake, const struct account *account)
{
	list_for_each_entry(porter, &intake->porters, struct porter, link)
		if (porter->is_busy && porter->account == account)
			return true;
	return false;
}

/* False: there is no porter for anybody now. */
static bool serve(struct intake *intake, struct client *client)
{
	struct account *account = client->holder->account;
	struct porter *porter = idle_porter(intake, NULL);

	if (!porter)
		porter = porter_new(intake);
	if (!porter && intake->nr_porters)
		return false;
	list_remove(&client->link_of_intake);
	if (!porter) {
		client_doom(client, "no process to take its descriptor");
	} else if (account_charge(&intake->server->broker.accounts, account, ACCOUNT_CLOSING, 1)) {
		/* Left in its socket, where the kernel lets go of it by itself. */
		client_doom(client, "a descriptor came that isn't taken");
	} else {
		porter->account = account_ref(account);
		porter->client = client;
		porter->is_busy = true;
		client->porter = porter;
		if (message_send(porter->fd, "", 1, client->fd))
			porter_end(porter);
	}
	return true;
}

static void try_next(struct intake *intake)
{
	list_for_each_entry_safe(client, &intake->waiting, struct client, link_of_intake)
		if (!is_being_served(intake, client->holder->account) && !serve(intake, client))
			return;
}

void intake_take(struct client *client)
{
	struct intake *intake = client->server->intake;

	event_del(client->readable);
	list_append(&intake->waiting, &client->link_of_intake);
	try_next(intake);
}

void intake_forget(struct client *client)
{
	list_remove(&client->link_of_intake);
	if (client->porter)
		client->porter->client = NULL;
	client->porter = NULL;
}

int intake_init(struct server *server)
{
	struct intake *intake = calloc(1, sizeof(*intake));

	if (!intake)
		return -ENOMEM;
	intake->server = server;
	list_init(&intake->porters);
	list_init(&intake->waiting);
	server->intake = intake;
	/* Nobody waits for them. */
	signal(SIGCHLD, SIG_IGN);
	return 0;
}

int intake_start(struct server *server)
{
	return porter_new(server->intake) ? 0 : -EAGAIN;
}

void intake_done(struct server *server)
{
	struct intake *intake = server->intake;

	if (!intake)
		return;
	list_for_each_entry_safe(porter, &intake->porters, struct porter, link)
		porter_end(porter);
	free(intake);
	server->intake = NULL;
}
