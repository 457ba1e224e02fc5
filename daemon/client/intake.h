/* SPDX-License-Identifier: MIT */
#ifndef INTAKE_H
#define INTAKE_H

#include "client.h"

/*
 * Requests that bring a descriptor. This process takes none that isn't a DMABUF: see intake.c.
 */

/* What came instead of a descriptor: one that is no DMABUF, which stayed outside. */
#define INTAKE_NO_DMABUF (-2)

int intake_init(struct server *server);
void intake_done(struct server *server);
/* The first porter, before there is anything that it would have to let go of. */
int intake_start(struct server *server);

/*
 * Lets descriptors into its connection if policy lets its user publish anything, and else not, where the
 * kernel can tell its peer so (SO_PASSRIGHTS).
 */
void intake_admit(struct client *client);
/* The same for a listening socket, and for who connects: none, until they have said HELLO. */
void intake_listen(int fd);

/*
 * The next packet of this client brings a descriptor. The client isn't read from until
 * client_taken() has that packet; where its user may bring no more, it is doomed.
 */
void intake_take(struct client *client);
/* Its packet is of no interest any more. */
void intake_forget(struct client *client);

/*
 * Closes a connection, whatever came in it that nobody took. @account: what it was charged for is
 * given back when it is closed; NULL: nobody.
 */
void intake_close(struct server *server, int fd, struct account *account);

#endif /* INTAKE_H */
