/* SPDX-License-Identifier: MIT */
#ifndef LOG_H
#define LOG_H

#include <stdint.h>

#include "common/wire.h"

struct audit_sum;
struct client;
struct policy_decision;
struct wire_event_monitor;

/* As enum p2pdma_log_level. */
enum {
	P2PD_LOG_ERROR = 0,   /* somebody must act */
	P2PD_LOG_WARNING = 1, /* went on */
	P2PD_LOG_INFO = 2,    /* a step of somebody's life */
	P2PD_LOG_DEBUG = 3,
};

/* To the journal with its fields where standard error is one, else as lines. */
void log_open(void);
void log_set_level(uint32_t level);

/* Between quotes: a quote or a backslash in it has another one before it. */
struct log_text {
	char text[2 * WIRE_SELECTOR_SIZE];
};
const char *log_quoted(struct log_text *room, const char *text);

void log_event(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* About one connection, whose lines are limited in rate. */
void log_client(const struct client *client, int level, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* One line, whatever the level: a grant, a denial, a revocation, an end. */
void log_audit(const struct wire_event_monitor *event, const struct policy_decision *decision);
/* What got no lines of its own. */
void log_audit_sum(const struct audit_sum *sum);

#endif /* LOG_H */
