// SPDX-License-Identifier: MIT
/*
 * Requests that wait, so that the loop doesn't.
 *
 * Such a request has changed nothing: it is kept as it came, and handled again from the beginning when
 * something has settled. By then policy, its provider or its room may be gone, and it is answered
 * accordingly; where it still has to wait it is kept once more. Its connection isn't read meanwhile,
 * so that the order of answers is that of requests, and each connection costs one packet at most.
 *
 * A peer that hangs up meanwhile is let go of at once: what it asked for is never begun for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "deferred.h"
#include "request.h"

struct deferred {
	struct list link;
	struct client *client;
	struct event *hangup;
	size_t size_bytes;
	uint8_t bytes[];
};

static void on_hangup(evutil_socket_t fd, short what, void *data)
{
	(void)fd;
	(void)what;
	client_doom(data, "by its peer, which waited");
}

int deferred_add(struct client *client, const struct message *message)
{
	struct deferred *deferred = malloc(sizeof(*deferred) + message->size_bytes);

	if (!deferred)
		return -ENOMEM;
	deferred->client = client;
	deferred->size_bytes = message->size_bytes;
	memcpy(deferred->bytes, message->bytes, message->size_bytes);
	deferred->hangup =
		event_new(client->server->base, client->fd, EV_CLOSED, on_hangup, client);
	if (!deferred->hangup || event_add(deferred->hangup, NULL)) {
		if (deferred->hangup)
			event_free(deferred->hangup);
		free(deferred);
		return -ENOMEM;
	}
	event_del(client->readable);
	client->deferred = deferred;
	list_append(&client->server->deferred.list, &deferred->link);
	return 0;
}

void deferred_forget(struct client *client)
{
	struct deferred *deferred = client->deferred;

	if (!deferred)
		return;
	client->deferred = NULL;
	list_remove(&deferred->link);
	event_free(deferred->hangup);
	free(deferred);
}

static void resume(struct deferred *deferred)
{
	struct client *client = deferred->client;
	struct message message = {.size_bytes = deferred->size_bytes, .fd = -1};

	memcpy(message.bytes, deferred->bytes, deferred->size_bytes);
	deferred_forget(client);
	event_add(client->readable, NULL);
	/* Its end may not have been heard of yet. */
	if (client->server->broker.ops->is_broken(client->server, client->holder))
		client_doom(client, "by its peer, which waited");
	else
		dispatch(client, &message);
}

void deferred_resume(struct server *server)
{
	struct list waiting;

	/* Those that go on waiting are in the other list then. */
	list_init(&waiting);
	while (!list_is_empty(&server->deferred.list)) {
		struct list *link = server->deferred.list.next;

		list_remove(link);
		list_append(&waiting, link);
	}
	while (!list_is_empty(&waiting))
		resume(list_entry(waiting.next, struct deferred, link));
	broker_journal_compact(&server->broker);
}

void deferred_resume_soon(struct server *server)
{
	event_active(server->deferred.resume, EV_TIMEOUT, 0);
}

void request_defer(struct request *request)
{
	if (deferred_add(request->client, request->message))
		request_refuse(request, -ENOMEM, "no memory to let it wait");
}

bool request_waits_for_journal(struct request *request)
{
	if (!request->server->is_journal_settling)
		return false;
	request_defer(request);
	return true;
}
