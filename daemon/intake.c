// SPDX-License-Identifier: MIT
/*
 * Descriptors come in through another process.
 *
 * Whoever has received a descriptor must close it, if only by ending, and to close a file is to
 * call the file system behind it, which may be the peer's own (FUSE) and never answer. A process that
 * is stuck in there can't be killed: p2pd would not end, nor be started again. So p2pd receives no
 * descriptor from a peer. It sees that one has come without taking it (message_peek()), and lends the
 * connection to a porter (porter.c), which takes that one packet and passes it on, with the
 * descriptor where that is a DMABUF, whose closing is harmless. Everything else the porter keeps, until
 * one of its closers is through with it.
 *
 * The same goes for the connection itself: what waits in a socket is let go of by whoever closes
 * that last, and to let go of a file may take its time as well (dirty pages of a FUSE file, a TCP socket
 * that lingers). Where anything is left in it, the porter closes it.
 *
 * Before any of that: who may publish nothing may bring nothing. Where the kernel lets a socket refuse
 * descriptors (SO_PASSRIGHTS) it does so from the beginning, until policy lets the user publish; then
 * there is nothing in others' sockets even if p2pd is killed, and closes them itself.
 *
 * The porter waits for nobody, so one order is on its way at a time, for all users: no user's waits
 * longer than for one packet of each connection that was there before. What a user's descriptors
 * cost is a place each in the porter's table, counted, and given back with what is closed; who
 * has too many to be closed may bring no more. So users that are many, and work together, fill tables
 * of hundreds of thousands of places, and as long as there is place for one porter more, nobody else
 * notices: not even that all closers are stuck. A porter whose table is full stays for what it has.
 *
 * A porter that doesn't answer for all that isn't waited for: it is left to itself like a full one.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "charges.h"
#include "intake.h"
#include "log.h"
#include "porter.h"

/* With their closers: the unit's TasksMax= has room for them. */
#define MOST_PORTERS 32
#define ANSWER_S     10

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* newer than the headers of the oldest distribution */
#endif

static const struct timeval patience = {.tv_sec = ANSWER_S};

struct porter {
	struct list link;
	struct intake *intake;
	struct client *client; /* whose packet it takes; NULL: none, or it is gone */
	bool is_busy;	       /* with an order */
	bool is_retired;       /* gets no more of them */
	int fd;
	struct event *event;
	struct charges charges;
	uint64_t nr_kept; /* descriptors that aren't closed */
};

/* A connection to close. */
struct leftover {
	struct list link;
	int fd;
	struct account *account; /* charged for a connection; NULL: nobody's */
};

struct intake {
	struct server *server;
	struct list porters;
	struct porter *current; /* NULL: the next order makes one */
	struct event *watchdog;
	struct list waiting;   /* clients, by link_of_intake */
	struct list leftovers; /* connections */
	size_t nr_porters;
	uint64_t most_kept; /* by one porter */
};

static void go_on(struct intake *intake);

/* -- porters -- */

static void porter_end(struct porter *porter)
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

static void on_silence(evutil_socket_t fd, short what, void *data)
{
	struct intake *intake = data;
	struct porter *porter = intake->current;

	(void)fd;
	(void)what;
	if (!porter || !porter->is_busy) {
		go_on(intake);
		return;
	}
	log_event(P2PD_LOG_WARNING, "a porter doesn't answer, and is left to itself");
	retire(porter);
	shutdown(porter->fd, SHUT_WR);
	if (porter->client) {
		porter->client->porter = NULL;
		client_doom(porter->client, "who took its descriptor doesn't answer");
		porter->client = NULL;
	}
	go_on(intake);
}

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

static void on_porter(evutil_socket_t fd, short what, void *data)
{
	struct porter *porter = data;
	struct intake *intake = porter->intake;
	struct porter_said said;
	int passed = -1;
	ssize_t n;

	(void)what;
	n = hear(fd, &said, &passed);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (!is_sound(porter, &said, n)) {
		if (passed >= 0)
			close(passed);
		porter_end(porter);
	} else if (said.news == PORTER_DONE) {
		on_done(porter, &said, passed);
	} else {
		porter->nr_kept--;
		charges_give_back(&porter->charges, said.slot);
		if (porter->is_retired && !porter->is_busy && !porter->nr_kept)
			porter_end(porter);
	}
	go_on(intake);
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

/* -- orders -- */

/* @connection: -1 is none. */
static int give_order(const struct porter *porter, enum porter_task task, uint32_t slot,
		      int connection)
{
	struct porter_order order = {.task = task, .slot = slot};

	return message_send(porter->fd, &order, sizeof(order), connection);
}

/* What can't be sent to it is the end of a porter, and of what it has. */
static bool is_ordered(struct porter *porter, int error)
{
	if (error) {
		porter_end(porter);
		return false;
	}
	porter->is_busy = true;
	event_add(porter->intake->watchdog, &patience);
	return true;
}

static void take_packet(struct porter *porter, struct client *client)
{
	const struct accounts *accounts = &client->server->broker.accounts;
	struct account *account = client->holder->account;
	uint32_t slot;

	list_remove(&client->link_of_intake);
	if (account_charge(accounts, account, ACCOUNT_CLOSING, 1)) {
		/* Left in its socket. */
		client_doom(client, "a descriptor came that isn't taken");
		return;
	}
	if (charges_add(&porter->charges, account, ACCOUNT_CLOSING, &slot)) {
		account_discharge(account, ACCOUNT_CLOSING, 1);
		client_doom(client, "no memory to take its descriptor");
		return;
	}
	porter->client = client;
	client->porter = porter;
	is_ordered(porter, give_order(porter, PORTER_TAKE, slot, client->fd));
}

static void leftover_free(struct intake *intake, struct leftover *leftover)
{
	if (leftover->account)
		account_put(&intake->server->broker.accounts, leftover->account);
	list_remove(&leftover->link);
	free(leftover);
}

/* False: it waits for better times. */
static bool close_leftover(struct porter *porter, struct leftover *leftover)
{
	struct intake *intake = porter->intake;
	uint32_t slot;

	if (charges_add(&porter->charges, leftover->account, ACCOUNT_CONNECTIONS, &slot))
		return false;
	if (!is_ordered(porter, give_order(porter, PORTER_KEEP, slot, leftover->fd))) {
		/* That was given back with the porter. */
		if (leftover->account)
			account_charge_anyway(leftover->account, ACCOUNT_CONNECTIONS, 1);
		return false;
	}
	close(leftover->fd);
	leftover_free(intake, leftover);
	return is_ordered(porter, give_order(porter, PORTER_CLOSE, slot, -1));
}

/* The next order. False: there is none, or not now. */
static bool order_next(struct intake *intake)
{
	struct client *client = NULL;

	if (!list_is_empty(&intake->waiting))
		client = list_entry(intake->waiting.next, struct client, link_of_intake);
	else if (list_is_empty(&intake->leftovers))
		return false;
	if (!intake->current && !porter_new(intake)) {
		if (!client)
			return false;
		list_remove(&client->link_of_intake);
		client_doom(client, "no process to take its descriptor");
	} else if (client) {
		take_packet(intake->current, client);
	} else {
		return close_leftover(intake->current,
				      list_entry(intake->leftovers.next, struct leftover, link));
	}
	return true;
}

static void go_on(struct intake *intake)
{
	bool has_more = true;

	while (has_more && (!intake->current || !intake->current->is_busy))
		has_more = order_next(intake);
	/* What is still there then is tried again. */
	if (!has_more && !list_is_empty(&intake->leftovers))
		event_add(intake->watchdog, &patience);
}

static bool may_bring(const struct client *client)
{
	return client->is_greeted &&
	       policy_is_publisher(client->server->broker.policy, &client->holder->subject);
}

static void let_in(int fd, int is_on)
{
	/* Without it they come as far as the socket. */
	setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &is_on, sizeof(is_on));
}

void intake_admit(struct client *client)
{
	bool may = may_bring(client);

	if (may != client->may_bring_fds)
		let_in(client->fd, may);
	client->may_bring_fds = may;
}

void intake_listen(int fd)
{
	let_in(fd, 0);
}

void intake_take(struct client *client)
{
	struct intake *intake = client->server->intake;

	event_del(client->readable);
	list_append(&intake->waiting, &client->link_of_intake);
	go_on(intake);
}

void intake_forget(struct client *client)
{
	list_remove(&client->link_of_intake);
	if (client->porter)
		client->porter->client = NULL;
	client->porter = NULL;
}

void intake_close(struct server *server, int fd, struct account *account)
{
	struct leftover *leftover;

	if (message_is_none_left(fd)) {
		close(fd);
		if (account)
			account_discharge(account, ACCOUNT_CONNECTIONS, 1);
		return;
	}
	leftover = calloc(1, sizeof(*leftover));
	if (!leftover) {
		/* Rather never than now. */
		log_event(P2PD_LOG_ERROR, "no memory to close a connection");
		if (account)
			account_discharge(account, ACCOUNT_CONNECTIONS, 1);
		return;
	}
	leftover->fd = fd;
	if (account)
		leftover->account = account_ref(account);
	list_append(&server->intake->leftovers, &leftover->link);
	go_on(server->intake);
}

/* -- beginning and end -- */

int intake_init(struct server *server)
{
	struct intake *intake = calloc(1, sizeof(*intake));
	struct rlimit limit = {0};

	if (!intake)
		return -ENOMEM;
	intake->server = server;
	list_init(&intake->porters);
	list_init(&intake->waiting);
	list_init(&intake->leftovers);
	server->intake = intake;
	intake->watchdog = evtimer_new(server->base, on_silence, intake);
	if (!intake->watchdog)
		return -ENOMEM;
	/* Some are its own. */
	getrlimit(RLIMIT_NOFILE, &limit);
	intake->most_kept = limit.rlim_cur - 16;
	/* Nobody waits for them. */
	signal(SIGCHLD, SIG_IGN);
	return 0;
}

int intake_start(struct server *server)
{
	return porter_new(server->intake) ? 0 : -EAGAIN;
}

/* The porter closes what is left over, not our end. */
static void hurry(struct intake *intake)
{
	go_on(intake);
	while (intake->current && intake->current->is_busy) {
		struct pollfd poll_fd = {.fd = intake->current->fd, .events = POLLIN};

		if (poll(&poll_fd, 1, ANSWER_S * 1000) <= 0)
			break;
		on_porter(poll_fd.fd, EV_READ, intake->current);
	}
	list_for_each_entry_safe(leftover, &intake->leftovers, struct leftover, link) {
		if (leftover->account)
			account_discharge(leftover->account, ACCOUNT_CONNECTIONS, 1);
		leftover_free(intake, leftover);
	}
}

void intake_done(struct server *server)
{
	struct intake *intake = server->intake;

	if (!intake)
		return;
	hurry(intake);
	list_for_each_entry_safe(porter, &intake->porters, struct porter, link)
		porter_end(porter);
	if (intake->watchdog)
		event_free(intake->watchdog);
	free(intake);
	server->intake = NULL;
}
