/* SPDX-License-Identifier: MIT */
#ifndef RELOAD_H
#define RELOAD_H

#include "client/server.h"

/*
 * Reads the policy again on a thread of its own, because files and NSS may block, and puts it
 * in place from the loop. A policy with faults changes nothing and is complained of.
 */
int reload_init(struct server *server);
void reload_done(struct server *server);
/* A reload that is under way is followed by one more. */
void reload_request(struct server *server);

#endif /* RELOAD_H */
