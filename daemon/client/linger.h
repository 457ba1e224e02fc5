/* SPDX-License-Identifier: MIT */
#ifndef LINGER_H
#define LINGER_H

#include "client.h"

/*
 * Takes over the connection of a client that is about to be freed, and what that is charged for, where its
 * peer hasn't read descriptors that are on their way. False: it has, and nothing is taken.
 */
bool linger_take(struct client *client);

int linger_init(struct server *server);
void linger_done(struct server *server);

#endif /* LINGER_H */
