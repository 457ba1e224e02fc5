// SPDX-License-Identifier: MIT
/*
 * Connections: how they begin, when they are read from, and when it is enough.
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
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "common/sys.h"
#include "request/deferred.h"
#include "intake.h"
#include "linger.h"
#include "report/log.h"

int client_monitor(struct client *client, bool is_on)
{
	struct server *server = client->server;
	struct account *account = client->holder->account;
	bool was_on = !list_is_empty(&client->link_of_monitors);
	int r = 0;

	if (is_on && !was_on) {
		r = account_charge(&server->broker.accounts, account, ACCOUNT_MONITORS, 1);
		if (!r)
			list_append(&server->monitors, &client->link_of_monitors);
	} else if (!is_on && was_on) {
		list_remove(&client->link_of_monitors);
		account_discharge(account, ACCOUNT_MONITORS, 1);
	}
	return r;
}

/* -- the end -- */

void client_doom(struct client *client, const char *why)
{
	if (client->is_doomed)
		return;
	client->is_doomed = true;
	client->server->nr_dropped++;
	intake_forget(client);
	deferred_forget(client);
	log_client(client, P2PD_LOG_INFO, "connection closed: %s", why);
	event_del(client->readable);
	if (client->writable)
		event_del(client->writable);
	client_monitor(client, false);
	list_remove(&client->link);
	list_append(&client->server->doomed, &client->link);
	event_active(client->server->reaper, EV_TIMEOUT, 0);
}

void client_free(struct client *client)
{
	struct server *server = client->server;
	bool is_lingering = linger_take(client);

	client_send_done(client);
	intake_forget(client);
	deferred_forget(client);
	deadlines_clear(&server->client_deadlines, &client->deadline);
	client_monitor(client, false);
	list_remove(&client->link);
	event_free(client->readable);
	if (client->pause)
		event_free(client->pause);
	if (!is_lingering)
		intake_close(server, client->fd, client->holder->account);
	server->nr_clients--;
	broker_holder_lost(&server->broker, client->holder);
	free(client);
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
	wait_ns = account_request(&client->server->broker.accounts, client->holder->account,
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
		return error_name(error);
	}
}

static void take(struct client *client, struct message *message, int error)
{
	if (error) {
		client_doom(client, receive_failed(error));
	} else {
		client->has_token = false;
		client->server->nr_requests++;
		dispatch(client, message);
	}
	/* A DMABUF, which lets itself be closed. */
	message_done(message);
	broker_journal_compact(&client->server->broker);
}

void client_taken(struct client *client, struct message *message, int error)
{
	event_add(client->readable, NULL);
	take(client, message, error);
}

static void on_descriptor(struct client *client, const struct wire_header *header)
{
	if (dispatch_takes_fd(header->opcode) && client->may_bring_fds) {
		intake_take(client);
		return;
	}
	if (dispatch_takes_fd(header->opcode) && client->is_greeted && header->serial)
		client_fail(
			client, header, -EACCES,
			"no rule lets this user publish anything: what isn't allowed is denied");
	/* Left in its socket. */
	client_doom(client, "a descriptor came that isn't taken");
}

static void on_readable(evutil_socket_t fd, short what, void *data)
{
	struct client *client = data;
	struct message message = {.fd = -1};
	struct wire_header header;
	bool has_fds;
	int r;

	(void)fd;
	(void)what;
	if (must_wait(client))
		return;
	/* To look before each is a system call. But what has been received must be closed (intake.c). */
	r = message_peek(client->fd, &header, &has_fds);
	if (!r && has_fds) {
		on_descriptor(client, &header);
		return;
	}
	if (!r)
		r = message_receive_warily(client->fd, &message);
	if (r != -EAGAIN)
		take(client, &message, r);
}

/* -- the beginning -- */

int client_new(struct server *server, int fd)
{
	uint64_t hello_ms = policy_settings(server->broker.policy)->hello_ms;
	struct client *client = calloc(1, sizeof(*client));
	struct cause why;
	int r = -ENOMEM;

	if (!client || deadlines_reserve(&server->client_deadlines, server->nr_clients + 1))
		goto err_free;
	client->server = server;
	client->fd = fd;
	list_init(&client->queue);
	list_init(&client->link_of_monitors);
	list_init(&client->link_of_intake);
	list_init(&client->link_of_unread);
	list_init(&client->link_of_room);
	client->readable = event_new(server->base, fd, EV_READ | EV_PERSIST, on_readable, client);
	if (!client->readable)
		goto err_free;
	r = holder_new(server, fd, &client->holder);
	if (r)
		goto err_free;
	if (!policy_is_admin(server->broker.policy, &client->holder->subject))
		r = room_check_fd(&server->room, ROOM_CONNECTION, fd, &why);
	if (!r)
		r = account_charge(&server->broker.accounts, client->holder->account,
				   ACCOUNT_CONNECTIONS, 1);
	if (r)
		goto err_account;
	client->holder->client = client;
	list_append(&server->clients, &client->link);
	server->nr_clients++;
	deadlines_set(&server->client_deadlines, &client->deadline,
		      clock_now_ns() + hello_ms * 1000000);
	client_deadlines_due(server);
	event_add(client->readable, NULL);
	/* Who connects goes on to say HELLO before we come to it. */
	on_readable(fd, EV_READ, client);
	return 0;

err_account:
	/* It counts for as long as it takes to close it. */
	account_charge_anyway(client->holder->account, ACCOUNT_CONNECTIONS, 1);
	event_free(client->readable);
	intake_close(server, fd, client->holder->account);
	holder_free(server, client->holder);
	free(client);
	return r;

err_free:
	if (client && client->readable)
		event_free(client->readable);
	free(client);
	intake_close(server, fd, NULL);
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
