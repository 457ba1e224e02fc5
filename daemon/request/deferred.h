/* SPDX-License-Identifier: MIT */
#ifndef DEFERRED_H
#define DEFERRED_H

#include "client/client.h"

/*
 * Requests whose answer depends on what isn't there yet: a device that is being opened or closed, a
 * descriptor on its way to who keeps it. One of a connection at most; the next isn't read before it.
 */

/* Keeps a copy. -ENOMEM. */
int deferred_add(struct client *client, const struct message *message);
/* It has ended: nobody waits any more. */
void deferred_forget(struct client *client);

/* Something has settled: all are handled again, from the beginning. Only from the bottom of the stack. */
void deferred_resume(struct server *server);
/* The same soon, from anywhere. */
void deferred_resume_soon(struct server *server);

#endif /* DEFERRED_H */
