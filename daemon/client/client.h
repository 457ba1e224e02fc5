/* SPDX-License-Identifier: MIT */
#ifndef CLIENT_H
#define CLIENT_H

#include "server.h"

/* One connection. */
struct client {
	/* First what telling it something looks at. */
	int fd;
	bool is_doomed;
	struct list queue;

	struct list link;
	struct list link_of_monitors; /* alone where it is none */
	struct list link_of_intake;   /* while its next packet waits to be taken */
	struct porter *porter;	      /* that takes it; NULL: none */
	struct deferred *deferred;    /* a request that isn't answered yet; NULL: none */
	struct list link_of_unread;   /* in its account while it has nr_sent_fds */
	struct list link_of_room;     /* the same of all clients */
	struct server *server;
	struct holder *holder;
	struct event *readable;
	struct event *writable;	  /* NULL: nothing has been queued yet */
	struct event *retry;	  /* NULL: there was always room for descriptors in flight */
	struct event *pause;	  /* NULL: it was never too fast */
	struct deadline deadline; /* for HELLO, then for reading what is queued */
	uint64_t queued_bytes;
	uint32_t nr_queued_fds;
	uint32_t nr_sent_fds; /* that the peer may not have received yet */
	uint32_t nr_texts;    /* metrics among these and those queued */
	bool has_token;	      /* the next request is within its user's rate */
	bool is_greeted;
	bool may_bring_fds;	/* its user may publish */
	bool is_monitor_behind; /* events were dropped, and that must be said */
};

/* Takes @fd over. */
int client_new(struct server *server, int fd);

/* Its packet, which intake_take() was for; what descriptor it has is consumed. */
void client_taken(struct client *client, struct message *message, int error);

/* It ends as soon as the stack is empty; @why goes to the log. */
void client_doom(struct client *client, const char *why);
/* Now. */
void client_free(struct client *client);
/* It hears of what happens, or not. -EDQUOT: its user has as many that do as one may have. */
int client_monitor(struct client *client, bool is_on);

/* The alarm of the server for this heap of deadlines went off. */
void client_deadlines_due(struct server *server);

/* -- what goes to it (send.c) -- */

/* Each request is answered by exactly one of these. @fd: consumed, or -1. */
void client_reply(struct client *client, const struct wire_header *request, const void *body,
		  size_t size_bytes, int fd);
void client_fail(struct client *client, const struct wire_header *request, int error,
		 const char *cause);

/* An event. A peer that doesn't read them is dropped; monitors lose them and are told. */
void client_event(struct client *client, uint16_t opcode, const void *body, size_t size_bytes);

/* Is it within what its user, and all of them, may have on the way? Else -EDQUOT, with the cause. */
int client_may_get_fd(struct client *client, enum room_kind kind, struct cause *cause);
/* After all there is none to send. */
void client_fd_unneeded(struct client *client);
/* Descriptors that it has received count no more. */
void client_settle_fds(struct client *client);
/* It has @nr_fds fewer on the way, @nr_texts of them metrics. */
void client_discharge_fds(struct server *server, struct account *account, uint32_t nr_fds,
			  uint32_t nr_texts);
/* What it hasn't read by now it never gets. */
void client_send_done(struct client *client);

/* -- the table of requests (request/dispatch.c) -- */

/* One sound message of a peer that is no stranger, or HELLO. */
void dispatch(struct client *client, struct message *message);
/* May a descriptor come with it? */
bool dispatch_takes_fd(uint16_t opcode);

/* -- the process behind it (holder.c) -- */

int holder_new(struct server *server, int socket_fd, struct holder **ret_holder);
void holder_free(struct server *server, struct holder *holder);
/*
 * From now on its death is noticed. -ESRCH: it is dead. -EDQUOT: that needs a descriptor, and there is
 * none below @end_fd.
 */
int holder_watch(struct server *server, struct holder *holder, int socket_fd, int end_fd);
/* Its control group, where it isn't known and @policy has rules by it. */
void holder_learn_cgroup(struct holder *holder, const struct policy *policy);

#endif /* CLIENT_H */
