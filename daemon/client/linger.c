// SPDX-License-Identifier: MIT
/*
 * Connections that are over, with descriptors that nobody has read.
 *
 * The kernel lets only so many descriptors of one user be in flight, and p2pd is one user for all its
 * clients. What is on its way stays there until the peer reads it or closes its own end, also when
 * ours is closed; then only nobody knows of it any more. Whoever had p2pd close one connection after the other
 * could so have all there is. So the descriptor of such a connection is kept, and its user stays
 * charged for both, until the kernel says that nothing of it is unread (SIOCOUTQ).
 *
 * It doesn't say when: some are asked at a time, in turn, and so many of them that each is asked within
 * some seconds, however many there are.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "intake.h"
#include "linger.h"

#define EVERY_MS      200
#define ROUNDS	      16 /* in which all are asked */
#define ASKED_AT_ONCE 256

struct lingering {
	struct list link;
	int fd;
	struct account *account; /* charged for a connection, and: */
	uint32_t nr_fds;
	uint32_t nr_texts;
};

static const struct timeval pause_time = {.tv_usec = EVERY_MS * 1000L};

static void end(struct server *server, struct lingering *lingering)
{
	client_discharge_fds(server, lingering->account, lingering->nr_fds, lingering->nr_texts);
	intake_close(server, lingering->fd, lingering->account);
	account_put(&server->broker.accounts, lingering->account);
	list_remove(&lingering->link);
	server->nr_lingering--;
	free(lingering);
}

static bool is_read(const struct lingering *lingering)
{
	int unread = 0;

	return ioctl(lingering->fd, SIOCOUTQ, &unread) < 0 || !unread;
}

static void on_timer(evutil_socket_t fd, short what, void *data)
{
	struct server *server = data;
	struct list *all = &server->lingering;
	size_t nr_asked = ASKED_AT_ONCE + server->nr_lingering / ROUNDS;

	(void)fd;
	(void)what;
	for (size_t i = 0; i < nr_asked && !list_is_empty(all); i++) {
		struct lingering *first = list_entry(all->next, struct lingering, link);

		if (is_read(first)) {
			end(server, first);
			continue;
		}
		list_remove(&first->link);
		list_append(all, &first->link);
	}
	if (!list_is_empty(all))
		event_add(server->linger_timer, &pause_time);
}

bool linger_take(struct client *client)
{
	struct server *server = client->server;
	struct lingering *lingering;

	client_settle_fds(client);
	if (!client->nr_sent_fds)
		return false;
	lingering = calloc(1, sizeof(*lingering));
	if (!lingering)
		return false;
	/* It is over for its peer, who reads what is there, and then the end. */
	shutdown(client->fd, SHUT_RDWR);
	lingering->fd = client->fd;
	lingering->account = account_ref(client->holder->account);
	lingering->nr_fds = client->nr_sent_fds;
	/* What is queued never gets on its way. */
	lingering->nr_texts =
		client->nr_texts < lingering->nr_fds ? client->nr_texts : lingering->nr_fds;
	client->nr_texts -= lingering->nr_texts;
	client->nr_sent_fds = 0;
	list_remove(&client->link_of_unread);
	list_remove(&client->link_of_room);
	list_append(&server->lingering, &lingering->link);
	server->nr_lingering++;
	event_add(server->linger_timer, &pause_time);
	return true;
}

int linger_init(struct server *server)
{
	list_init(&server->lingering);
	server->linger_timer = evtimer_new(server->base, on_timer, server);
	return server->linger_timer ? 0 : -ENOMEM;
}

void linger_done(struct server *server)
{
	while (!list_is_empty(&server->lingering))
		end(server, list_entry(server->lingering.next, struct lingering, link));
	if (server->linger_timer)
		event_free(server->linger_timer);
}
