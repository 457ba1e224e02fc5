/* SPDX-License-Identifier: MIT */
#ifndef WRITER_H
#define WRITER_H

#include "client/server.h"

/*
 * Writes what can be watched to where it may be waited for: a file system that hangs, a pipe that
 * nobody reads. The text is made in the loop and written by a thread; one at a time for each
 * of the two, and what comes while it waits is left out and said once.
 */
int writer_init(struct server *server);
void writer_done(struct server *server);

/* The metrics for node_exporter: beside @path, then renamed over it. */
void writer_metrics(struct server *server, const char *path);
/* The whole state, to standard error. */
void writer_dump(struct server *server);

#endif /* WRITER_H */
