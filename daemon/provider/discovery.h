/* SPDX-License-Identifier: MIT */
#ifndef DISCOVERY_H
#define DISCOVERY_H

#include "client/server.h"
#include "state/service.h"

/*
 * What there is to lease: looks at all functions, takes up the descriptors that were
 * kept, and listens for what comes and goes. With @is_distrusted whatever kept devices still
 * export is revoked first: the journal that knew of it is lost.
 */
int discovery_new(struct server *server, struct service_fds *kept, bool is_distrusted);
/* What is being closed is waited for, for a while; nothing is opened any more. */
void discovery_end(struct server *server);
/* After that. Devices are closed; those that are kept stay open where they are kept. */
void discovery_free(struct server *server);
/* Looks at everything again. */
void discovery_rescan(struct server *server);

#endif /* DISCOVERY_H */
