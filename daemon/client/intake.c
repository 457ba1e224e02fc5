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
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "intake_state.h"
#include "report/log.h"

#define RETRY_MS 100

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* newer than the headers of the oldest distribution */
#endif

static const struct timeval patience = {.tv_sec = INTAKE_ANSWER_S};
static const struct timeval soon = {.tv_usec = RETRY_MS * 1000};

/* A porter that is busy has the watchdog's time; else it is the time to try again. */
static void on_silence(evutil_socket_t fd, short what, void *data)
{
	struct intake *intake = data;

	(void)fd;
	(void)what;
	if (intake->current && intake->current->is_busy)
		intake_porter_leave(intake->current, "doesn't answer");
	intake_go_on(intake);
}

/* -- orders -- */

/* False: it waits for better times. */
static bool take_packet(struct porter *porter, struct client *client)
{
	const struct accounts *accounts = &client->server->broker.accounts;
	struct account *account = client->holder->account;
	uint32_t slot;
	int r;

	if (account_charge(accounts, account, ACCOUNT_CLOSING, 1)) {
		/* Left in its socket. */
		client_doom(client, "a descriptor came that isn't taken");
		return true;
	}
	if (charges_add(&porter->charges, account, ACCOUNT_CLOSING, &slot)) {
		account_discharge(account, ACCOUNT_CLOSING, 1);
		client_doom(client, "no memory to take its descriptor");
		return true;
	}
	porter->client = client;
	client->porter = porter;
	r = intake_porter_order(porter, PORTER_TAKE, slot, client->fd);
	if (!r)
		list_remove(&client->link_of_intake);
	/* Any other error is the end of the connection, and of what it was charged. */
	if (r != -EAGAIN)
		return true;
	porter->client = NULL;
	client->porter = NULL;
	charges_settle(&porter->charges, slot, 0);
	return false;
}

static void leftover_free(struct intake *intake, struct leftover *leftover)
{
	if (leftover->account)
		account_put(&intake->server->broker.accounts, leftover->account);
	list_remove(&leftover->link);
	free(leftover);
}

/* It is charged for again: what was to be closed stays here. */
static void stays(struct porter *porter, const struct leftover *leftover, uint32_t slot, int error)
{
	/* With a porter that has ended its charges have been given back. */
	if (error != -EPIPE && error != -ECONNRESET)
		charges_settle(&porter->charges, slot, 0);
	if (leftover->account)
		account_charge_anyway(leftover->account, ACCOUNT_CONNECTIONS, 1);
}

/* False: it waits for better times. */
static bool close_leftover(struct porter *porter, struct leftover *leftover)
{
	struct intake *intake = porter->intake;
	uint32_t slot;
	int r;

	if (charges_add(&porter->charges, leftover->account, ACCOUNT_CONNECTIONS, &slot))
		return false;
	r = intake_porter_order(porter, PORTER_KEEP, slot, leftover->fd);
	if (r) {
		stays(porter, leftover, slot, r);
		return false;
	}
	close(leftover->fd);
	leftover_free(intake, leftover);
	r = intake_porter_order(porter, PORTER_CLOSE, slot, -1);
	/* It has the connection, and closes it with itself. */
	if (r == -EAGAIN)
		intake_porter_leave(porter, "can't be told to close a connection");
	return true;
}

/* The next order. False: there is none, or not now. */
static bool order_next(struct intake *intake)
{
	struct client *client = NULL;

	if (!list_is_empty(&intake->waiting))
		client = list_entry(intake->waiting.next, struct client, link_of_intake);
	else if (list_is_empty(&intake->leftovers))
		return false;
	if (!intake->current && !intake_porter_new(intake)) {
		if (!client)
			return false;
		list_remove(&client->link_of_intake);
		client_doom(client, "no process to take its descriptor");
		return true;
	}
	if (client)
		return take_packet(intake->current, client);
	return close_leftover(intake->current,
			      list_entry(intake->leftovers.next, struct leftover, link));
}

void intake_go_on(struct intake *intake)
{
	bool has_more = true;

	while (has_more && (!intake->current || !intake->current->is_busy))
		has_more = order_next(intake);
	/* What is still there then is tried again. */
	if (!has_more && (!list_is_empty(&intake->waiting) || !list_is_empty(&intake->leftovers)))
		event_add(intake->watchdog, intake->current ? &soon : &patience);
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
	intake_go_on(intake);
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
	intake_go_on(server->intake);
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
	return intake_porter_new(server->intake) ? 0 : -EAGAIN;
}

/* The porter closes what is left over, not our end. */
static void hurry(struct intake *intake)
{
	intake_go_on(intake);
	while (intake->current && intake->current->is_busy) {
		struct pollfd poll_fd = {.fd = intake->current->fd, .events = POLLIN};

		if (poll(&poll_fd, 1, INTAKE_ANSWER_S * 1000) <= 0)
			break;
		intake_porter_hear(intake->current);
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
		intake_porter_end(porter);
	if (intake->watchdog)
		event_free(intake->watchdog);
	free(intake);
	server->intake = NULL;
}
