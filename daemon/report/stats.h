/* SPDX-License-Identifier: MIT */
#ifndef STATS_H
#define STATS_H

#include <stdbool.h>
#include <stdint.h>

struct server;

/*
 * A sealed memfd with the text; the metrics of a tenth of a second are the same for all.
 * @has_users: with what each user has, which is for administrators.
 */
int stats_metrics(struct server *server, bool has_users, int *ret_fd, uint64_t *ret_size_bytes);
int stats_dump(const struct server *server, int *ret_fd, uint64_t *ret_size_bytes);

#endif /* STATS_H */
