/* SPDX-License-Identifier: MIT */
#ifndef STATS_H
#define STATS_H

#include <stdint.h>

struct server;

/* A sealed memfd with the text; the metrics of a tenth of a second are the same for all. */
int stats_metrics(struct server *server, int *ret_fd, uint64_t *ret_size_bytes);
int stats_dump(const struct server *server, int *ret_fd, uint64_t *ret_size_bytes);

/* The metrics for node_exporter: written beside @path and renamed over it. */
int stats_write_textfile(const struct server *server, const char *path);

#endif /* STATS_H */
