// SPDX-License-Identifier: MIT
/*
 * What goes to a peer: answers and events, and the descriptors among them.
 *
 * A packet goes out at once where nothing is queued before it, else it waits until the socket
 * is writable. What waits counts as its user's unread bytes, and descriptors count until the peer has
 * received them: the kernel lets only so many be in flight, for the whole of p2pd. A monitor that
 * doesn't read loses events, and is told; everybody else who doesn't read is dropped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "client.h"

/* Descriptors that may be on their way to one connection. */
#define FDS_ON_THE_WAY 16
/* How long to wait for others to read theirs, where the kernel lets no more be in flight. */
#define RETRY_MS       100

struct packet {
	struct list link;
	size_t size_bytes;
	int fd;
	uint8_t bytes[];
};

static struct account *account_of(const struct client *client)
{
	return client->holder->account;
}

static void on_writable(evutil_socket_t fd, short what, void *data);

static void packet_free(struct client *client, struct packet *packet)
{
	account_discharge(account_of(client), ACCOUNT_UNREAD_BYTES, packet->size_bytes);
	client->queued_bytes -= packet->size_bytes;
	if (packet->fd >= 0) {
		close(packet->fd);
		client->nr_queued_fds--;
		client_fd_unneeded(client);
	}
	list_remove(&packet->link);
	free(packet);
}

void client_discharge_fds(struct server *server, struct account *account, uint32_t nr_fds,
			  uint32_t nr_texts)
{
	account_discharge(account, ACCOUNT_UNREAD_FDS, nr_fds);
	server->room.nr_unread -= nr_fds;
	server->room.nr_texts -= nr_texts;
}

static uint32_t least(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static void all_sent_are_settled(struct client *client)
{
	/* Which of those that are queued are metrics isn't noted: as many as can be. */
	uint32_t nr_texts = least(client->nr_texts, client->nr_queued_fds);

	client_discharge_fds(client->server, account_of(client), client->nr_sent_fds,
			     client->nr_texts - nr_texts);
	client->nr_sent_fds = 0;
	client->nr_texts = nr_texts;
	list_remove(&client->link_of_unread);
	list_remove(&client->link_of_room);
}

void client_send_done(struct client *client)
{
	list_for_each_entry_safe(packet, &client->queue, struct packet, link)
		packet_free(client, packet);
	all_sent_are_settled(client);
	if (client->writable)
		event_free(client->writable);
	if (client->retry)
		event_free(client->retry);
}

void client_settle_fds(struct client *client)
{
	int unread = 0;

	if (!client->nr_sent_fds || ioctl(client->fd, SIOCOUTQ, &unread) < 0 || unread)
		return;
	all_sent_are_settled(client);
}

static void fd_is_sent(struct client *client)
{
	if (client->nr_sent_fds++)
		return;
	list_append(&account_of(client)->unread_fds, &client->link_of_unread);
	list_append(&client->server->room.unread, &client->link_of_room);
}

static int charge(struct client *client)
{
	const struct accounts *accounts = &client->server->broker.accounts;

	if (!account_charge(accounts, account_of(client), ACCOUNT_UNREAD_FDS, 1))
		return 0;
	/* Other connections of this user may have read theirs meanwhile; each of them has some. */
	list_for_each_entry_safe(other, &account_of(client)->unread_fds, struct client,
				 link_of_unread)
		client_settle_fds(other);
	return account_charge(accounts, account_of(client), ACCOUNT_UNREAD_FDS, 1);
}

int client_may_get_fd(struct client *client, enum room_kind kind, struct cause *cause)
{
	struct room *room = &client->server->room;

	client_settle_fds(client);
	if (room_is_full(room, kind) &&
	    !policy_is_admin(client->server->broker.policy, &client->holder->subject))
		return room_refuse(room, kind, cause);
	if (client->nr_sent_fds + client->nr_queued_fds >= FDS_ON_THE_WAY || charge(client))
		return cause_fail(cause, -EDQUOT,
				  "too many descriptors are on their way: read them first");
	room->nr_unread++;
	return 0;
}

void client_fd_unneeded(struct client *client)
{
	client_discharge_fds(client->server, account_of(client), 1, 0);
}

static void stall_begins(struct client *client)
{
	uint64_t stall_ms = policy_settings(client->server->broker.policy)->stall_ms;

	/* Refusals that it doesn't read gain it no time to say HELLO. */
	if (!client->is_greeted)
		return;
	deadlines_set(&client->server->client_deadlines, &client->deadline,
		      clock_now_ns() + stall_ms * 1000000);
	client_deadlines_due(client->server);
}

/* A descriptor that waits keeps its place in p2pd's table. */
static int check_room(struct client *client, int fd)
{
	struct server *server = client->server;
	struct cause why;

	if (fd < 0 || policy_is_admin(server->broker.policy, &client->holder->subject))
		return 0;
	return room_check_fd(&server->room, ROOM_UNREAD, fd, &why);
}

static int enqueue(struct client *client, const void *bytes, size_t size_bytes, int fd)
{
	struct server *server = client->server;
	struct packet *packet;
	int r;

	r = check_room(client, fd);
	if (r)
		return r;
	r = account_charge(&server->broker.accounts, account_of(client), ACCOUNT_UNREAD_BYTES,
			   size_bytes);
	if (r)
		return r;
	packet = malloc(sizeof(*packet) + size_bytes);
	if (packet && !client->writable)
		client->writable = event_new(server->base, client->fd, EV_WRITE | EV_PERSIST,
					     on_writable, client);
	if (!packet || !client->writable) {
		account_discharge(account_of(client), ACCOUNT_UNREAD_BYTES, size_bytes);
		free(packet);
		return -ENOMEM;
	}
	packet->size_bytes = size_bytes;
	packet->fd = fd;
	memcpy(packet->bytes, bytes, size_bytes);
	client->queued_bytes += size_bytes;
	client->nr_queued_fds += fd >= 0;
	if (list_is_empty(&client->queue)) {
		event_add(client->writable, NULL);
		stall_begins(client);
	}
	list_append(&client->queue, &packet->link);
	return 0;
}

/* @fd is consumed; it has been charged by client_may_get_fd(). */
static int send_packet(struct client *client, const void *bytes, size_t size_bytes, int fd)
{
	int r = -EAGAIN;

	if (client->is_doomed)
		r = -ECONNRESET;
	else if (list_is_empty(&client->queue))
		r = message_send(client->fd, bytes, size_bytes, fd);
	if (r == -EAGAIN || r == -ETOOMANYREFS) {
		r = enqueue(client, bytes, size_bytes, fd);
		if (!r)
			return 0;
	}
	if (fd >= 0) {
		close(fd);
		if (r)
			client_fd_unneeded(client);
		else
			fd_is_sent(client);
	}
	return r;
}

static void on_retry(evutil_socket_t fd, short what, void *data)
{
	struct client *client = data;

	(void)fd;
	(void)what;
	if (!client->is_doomed)
		event_add(client->writable, NULL);
}

/* The socket is writable all the time, and that says nothing: later. */
static void wait_for_others(struct client *client)
{
	struct timeval pause = {.tv_usec = RETRY_MS * 1000};

	if (!client->retry)
		client->retry = evtimer_new(client->server->base, on_retry, client);
	if (!client->retry) {
		client_doom(client, "no memory to let it wait");
		return;
	}
	event_del(client->writable);
	event_add(client->retry, &pause);
}

static void on_writable(evutil_socket_t fd, short what, void *data)
{
	struct client *client = data;

	(void)fd;
	(void)what;
	list_for_each_entry_safe(packet, &client->queue, struct packet, link) {
		int r = message_send(client->fd, packet->bytes, packet->size_bytes, packet->fd);

		if (r == -EAGAIN)
			return;
		if (r == -ETOOMANYREFS) {
			wait_for_others(client);
			return;
		}
		if (r) {
			client_doom(client, "it can't be written to");
			return;
		}
		if (packet->fd >= 0) {
			/* From the queue to the wire: charged on. */
			fd_is_sent(client);
			client->nr_queued_fds--;
			close(packet->fd);
			packet->fd = -1;
		}
		packet_free(client, packet);
		stall_begins(client);
	}
	event_del(client->writable);
	if (client->is_greeted)
		deadlines_clear(&client->server->client_deadlines, &client->deadline);
	if (client->is_monitor_behind) {
		struct wire_event_monitor lost = {.type = WIRE_MONITOR_LOST,
						  .time_ns = clock_now_ns()};

		client->is_monitor_behind = false;
		client_event(client, WIRE_EVENT_MONITOR, &lost, sizeof(lost));
	}
}

static size_t put_header(void *bytes, uint16_t opcode, uint32_t serial, int error,
			 size_t body_bytes)
{
	struct wire_header header = {
		.size_bytes = (uint32_t)(sizeof(header) + body_bytes),
		.opcode = opcode,
		.serial = serial,
		.error = error,
	};

	memcpy(bytes, &header, sizeof(header));
	return header.size_bytes;
}

static void answer(struct client *client, const struct wire_header *request, int error,
		   const void *body, size_t body_bytes, int fd)
{
	uint8_t bytes[WIRE_MESSAGE_MAX];
	size_t size_bytes;

	size_bytes =
		put_header(bytes, request->opcode | WIRE_REPLY, request->serial, error, body_bytes);
	if (body_bytes)
		memcpy(bytes + sizeof(struct wire_header), body, body_bytes);
	if (send_packet(client, bytes, size_bytes, fd))
		client_doom(client, "it doesn't read its answers");
}

void client_reply(struct client *client, const struct wire_header *request, const void *body,
		  size_t size_bytes, int fd)
{
	answer(client, request, 0, body, size_bytes, fd);
}

void client_fail(struct client *client, const struct wire_header *request, int error,
		 const char *cause)
{
	struct wire_failure failure;

	wire_text_set(failure.cause, sizeof(failure.cause), cause);
	answer(client, request, error, &failure, sizeof(failure), -1);
}

void client_event(struct client *client, uint16_t opcode, const void *body, size_t size_bytes)
{
	uint8_t bytes[sizeof(struct wire_header) + 512];
	size_t whole;

	if (client->is_doomed || size_bytes > sizeof(bytes) - sizeof(struct wire_header))
		return;
	/* A monitor that is behind gets nothing new until it has read what is queued. */
	if (opcode == WIRE_EVENT_MONITOR && !list_is_empty(&client->queue)) {
		client->is_monitor_behind = true;
		return;
	}
	whole = put_header(bytes, opcode, 0, 0, size_bytes);
	memcpy(bytes + sizeof(struct wire_header), body, size_bytes);
	if (send_packet(client, bytes, whole, -1))
		client_doom(client, "it doesn't read its events");
}
