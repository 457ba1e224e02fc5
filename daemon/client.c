// SPDX-License-Identifier: MIT
/*
 * Connections: bytes in, bytes out, and when it is enough.
 *
 * What a peer can cost is bounded, by itself and together with all connections of its
 * user: what it has queued (it doesn't read), how many descriptors are on
 * their way to it, how many requests it makes a second (it is simply not read from for a
 * while), how long it may take to say HELLO, how long it may not read. A peer beyond a bound is
 * dropped; its leases wait for it like those of any lost connection.
 *
 * Nothing frees a client while code that may still use it is on the stack: it is doomed, and
 * the reaper frees it from the loop.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "client.h"
#include "disposal.h"
#include "log.h"

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

/* -- the end -- */

void client_doom(struct client *client, const char *why)
{
	if (client->is_doomed)
		return;
	client->is_doomed = true;
	client->server->nr_dropped++;
	log_client(client, P2PD_LOG_INFO, "connection closed: %s", why);
	event_del(client->readable);
	if (client->writable)
		event_del(client->writable);
	list_remove(&client->link_of_monitors);
	list_remove(&client->link);
	list_append(&client->server->doomed, &client->link);
	event_active(client->server->reaper, EV_TIMEOUT, 0);
}

static void packet_free(struct client *client, struct packet *packet)
{
	account_discharge(account_of(client), ACCOUNT_UNREAD_BYTES, packet->size_bytes);
	client->queued_bytes -= packet->size_bytes;
	if (packet->fd >= 0) {
		close(packet->fd);
		client->nr_queued_fds--;
		account_discharge(account_of(client), ACCOUNT_UNREAD_FDS, 1);
	}
	list_remove(&packet->link);
	free(packet);
}

void client_free(struct client *client)
{
	struct server *server = client->server;

	list_for_each_entry_safe(packet, &client->queue, struct packet, link)
		packet_free(client, packet);
	account_discharge(account_of(client), ACCOUNT_UNREAD_FDS, client->nr_sent_fds);
	account_discharge(account_of(client), ACCOUNT_CONNECTIONS, 1);
	deadlines_clear(&server->client_deadlines, &client->deadline);
	list_remove(&client->link_of_monitors);
	list_remove(&client->link_of_unread);
	list_remove(&client->link);
	event_free(client->readable);
	if (client->writable)
		event_free(client->writable);
	if (client->retry)
		event_free(client->retry);
	if (client->pause)
		event_free(client->pause);
	close(client->fd);
	server->nr_clients--;
	broker_holder_lost(&server->broker, client->holder);
	free(client);
}

/* -- out -- */

static void on_writable(evutil_socket_t fd, short what, void *data);

/* Descriptors that the peer has received count no more. */
static void settle_fds(struct client *client)
{
	int unread = 0;

	if (!client->nr_sent_fds || ioctl(client->fd, SIOCOUTQ, &unread) < 0 || unread)
		return;
	account_discharge(account_of(client), ACCOUNT_UNREAD_FDS, client->nr_sent_fds);
	client->nr_sent_fds = 0;
	list_remove(&client->link_of_unread);
}

static void fd_is_sent(struct client *client)
{
	if (!client->nr_sent_fds++)
		list_append(&account_of(client)->unread_fds, &client->link_of_unread);
}

int client_may_get_fd(struct client *client)
{
	const struct accounts *accounts = &client->server->broker.accounts;

	settle_fds(client);
	if (client->nr_sent_fds + client->nr_queued_fds >= FDS_ON_THE_WAY)
		return -EDQUOT;
	if (!account_charge(accounts, account_of(client), ACCOUNT_UNREAD_FDS, 1))
		return 0;
	/* Other connections of this user may have read theirs meanwhile; each of them has some. */
	list_for_each_entry_safe(other, &account_of(client)->unread_fds, struct client,
				 link_of_unread)
		settle_fds(other);
	return account_charge(accounts, account_of(client), ACCOUNT_UNREAD_FDS, 1);
}

void client_fd_unneeded(struct client *client)
{
	account_discharge(account_of(client), ACCOUNT_UNREAD_FDS, 1);
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

static int enqueue(struct client *client, const void *bytes, size_t size_bytes, int fd)
{
	struct server *server = client->server;
	struct packet *packet;
	int r;

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
			account_discharge(account_of(client), ACCOUNT_UNREAD_FDS, 1);
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

/* -- in -- */

static void on_pause_over(evutil_socket_t fd, short what, void *data)
{
	struct client *client = data;

	(void)fd;
	(void)what;
	if (!client->is_doomed)
		event_add(client->readable, NULL);
}

/* Over its user's rate: not read from until it is within it again. */
static bool must_wait(struct client *client)
{
	struct timeval pause;
	uint64_t wait_ns;

	if (client->has_token)
		return false;
	wait_ns = account_request(&client->server->broker.accounts, account_of(client),
				  clock_now_ns());
	client->has_token = !wait_ns;
	if (!wait_ns)
		return false;
	if (!client->pause)
		client->pause = evtimer_new(client->server->base, on_pause_over, client);
	if (!client->pause) {
		client_doom(client, "no memory to let it wait");
		return true;
	}
	pause = timeval_of(wait_ns);
	event_del(client->readable);
	event_add(client->pause, &pause);
	return true;
}

static const char *receive_failed(int error)
{
	switch (error) {
	case -ECONNRESET:
		return "by its peer";
	case -EMFILE:
		return "it sent a descriptor that this process has no room for";
	case -EPROTO:
		return "what it sent is no message";
	default:
		return strerrorname_np(-error);
	}
}

static int brings_unwanted_fd(struct client *client, bool *ret_is_unwanted)
{
	uint16_t opcode;
	bool has_fds;
	int r;

	r = message_peek(client->fd, &opcode, &has_fds);
	if (!r)
		*ret_is_unwanted = has_fds && (!client->is_greeted || !dispatch_takes_fd(opcode) ||
					       !disposal_has_room(client));
	return r;
}

static void on_readable(evutil_socket_t fd, short what, void *data)
{
	struct client *client = data;
	struct message message = {.fd = -1};
	bool is_unwanted;
	int r;

	(void)fd;
	(void)what;
	if (must_wait(client))
		return;
	r = brings_unwanted_fd(client, &is_unwanted);
	if (!r && is_unwanted) {
		/* Left in its socket, where the kernel lets go of it by itself. */
		client_doom(client, "a descriptor came that isn't taken");
		return;
	}
	if (!r)
		r = message_receive_warily(client->fd, &message);
	if (r == -EAGAIN)
		return;
	if (r) {
		client_doom(client, receive_failed(r));
	} else {
		client->has_token = false;
		client->server->nr_requests++;
		dispatch(client, &message);
	}
	if (message.fd >= 0)
		disposal_close(client, message.fd);
	broker_journal_compact(&client->server->broker);
}

/* -- the beginning -- */

int client_new(struct server *server, int fd)
{
	uint64_t hello_ms = policy_settings(server->broker.policy)->hello_ms;
	struct client *client = calloc(1, sizeof(*client));
	int r = -ENOMEM;

	if (!client || deadlines_reserve(&server->client_deadlines, server->nr_clients + 1))
		goto err_free;
	client->server = server;
	client->fd = fd;
	list_init(&client->queue);
	list_init(&client->link_of_monitors);
	list_init(&client->link_of_unread);
	client->readable = event_new(server->base, fd, EV_READ | EV_PERSIST, on_readable, client);
	if (!client->readable)
		goto err_free;
	r = holder_new(server, fd, &client->holder);
	if (r)
		goto err_event;
	r = account_charge(&server->broker.accounts, account_of(client), ACCOUNT_CONNECTIONS, 1);
	if (r)
		goto err_holder;
	client->holder->client = client;
	list_append(&server->clients, &client->link);
	server->nr_clients++;
	deadlines_set(&server->client_deadlines, &client->deadline,
		      clock_now_ns() + hello_ms * 1000000);
	client_deadlines_due(server);
	event_add(client->readable, NULL);
	return 0;

err_holder:
	holder_free(server, client->holder);
err_event:
	event_free(client->readable);
err_free:
	free(client);
	close(fd);
	return r;
}

void client_deadlines_due(struct server *server)
{
	struct deadline *first;

	while ((first = deadlines_first(&server->client_deadlines))) {
		struct client *client = list_entry(first, struct client, deadline);
		uint64_t now_ns = clock_now_ns();
		struct timeval left;

		if (first->time_ns > now_ns) {
			left = timeval_of(first->time_ns - now_ns);
			event_add(server->client_alarm, &left);
			return;
		}
		deadlines_clear(&server->client_deadlines, first);
		client_doom(client, client->is_greeted ? "it doesn't read" : "it said no HELLO");
	}
	event_del(server->client_alarm);
}
