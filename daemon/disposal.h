/* SPDX-License-Identifier: MIT */
#ifndef DISPOSAL_H
#define DISPOSAL_H

#include "client.h"

/*
 * Descriptors that a peer sent and that are of no use: to close one is to call the file system
 * behind it, which may be the peer's own, and never answer.
 */

int disposal_init(struct server *server);
void disposal_done(struct server *server);

/* May this peer send one more? Not while those it sent don't get closed. */
bool disposal_has_room(const struct client *client);
/* Takes @fd over. */
void disposal_close(struct client *client, int fd);

/* Is it a DMABUF? Asks nobody but the kernel itself. */
bool fd_is_dmabuf(int fd);

#endif /* DISPOSAL_H */
