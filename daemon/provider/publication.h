/* SPDX-License-Identifier: MIT */
#ifndef PUBLICATION_H
#define PUBLICATION_H

#include "client/client.h"

/* -EINVAL: it is no name that anything could have. */
int publication_check_name(const char *name, struct cause *cause);

/* What request_publish() checked, the name included, and the DMABUF, consumed in any case. */
int publication_new(struct client *client, const struct wire_publish *publish, int fd,
		    struct wire_publish_reply *ret_reply, struct cause *cause);

/* One of this holder's, by id; its leases end. -ENOENT. */
int publication_end(struct holder *holder, uint64_t id);
/* All of this holder's, which the caller keeps alive: it has died. */
void publications_end(struct holder *holder);

/*
 * There is another policy: what it doesn't allow gets no more leases, and those that are there are
 * revoked within the time that policy gives; then it ends (publications_due()).
 */
void publications_judge(struct server *server);

/*
 * Ends names that leases wait for since a restart, and that nobody published again in time, and
 * those that policy doesn't allow any more. When the time of the next one will be over; 0: none is
 * waited for.
 */
uint64_t publications_due(struct server *server, uint64_t now_ns);

/* Ours ends: nothing is told, the descriptors are closed. */
void publications_forget(struct server *server);

#endif /* PUBLICATION_H */
