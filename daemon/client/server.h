/* SPDX-License-Identifier: MIT */
#ifndef SERVER_H
#define SERVER_H

#include <event2/event.h>

#include "report/audit.h"
#include "broker/broker.h"
#include "common/clock.h"
#include "room.h"

struct discovery;
struct intake;
struct reload;
struct service_question;
struct writer;

/* The one loop of the daemon and all that hangs on it. */
struct server {
	struct event_base *base;
	struct broker broker;
	struct list clients;
	struct list monitors; /* those of them that want to hear of everything */
	uint32_t nr_clients;
	struct room room;
	struct list doomed; /* clients that are freed when the stack is empty */
	struct event *reaper;
	struct list lingering; /* connections of clients that are freed */
	size_t nr_lingering;
	struct event *linger_timer;
	struct event *alarm;	 /* the broker's first deadline */
	uint64_t alarm_ns;	 /* what it is set to, 0: it isn't */
	struct event *unclaimed; /* a publisher has had its time since a restart */
	struct event *client_alarm;
	struct audit *audit;
	struct event *audit_timer; /* the time to tell its sums */
	struct deadlines client_deadlines;
	struct listener {
		struct event *event;
		struct event *pause;
		int fd;
		const char *unlink_path; /* NULL: it was passed to us, or is kept */
		struct service_question *keeping;
	} listener;
	struct {
		struct list list;     /* requests that wait */
		struct event *resume; /* one of them may go on */
	} deferred;
	/* On its way to who keeps it: nothing is granted. */
	struct service_question *journal_keeping;
	bool is_journal_settling;
	bool is_journal_kept;
	struct event *signals[4];
	struct event *metrics; /* the time to write them */
	struct told {
		int fd; /* -1: nobody has asked yet */
		bool has_users;
		uint64_t size_bytes;
		uint64_t written_ns;
	} told;	     /* the metrics that clients were told last */
	int lock_fd; /* on our own socket's name, -1: it was passed to us */
	struct discovery *discovery;
	struct intake *intake;
	struct reload *reload;
	struct writer *writer;
	const char *config_path;
	uint64_t started_ns;
	uint64_t nr_requests;
	uint64_t nr_dropped;
};

extern const char p2pd_version[];

/* Rounded up: a timer never fires early. */
struct timeval timeval_of(uint64_t ns);

/* The base, the broker with @policy (taken over) and no listener. */
int server_init(struct server *server, struct policy *policy);
/* Closes every connection; leases stay as they are in the journal. */
void server_done(struct server *server);

/* May what @uid did have a line in the log? Else it is counted, and told in sum. */
bool server_may_log(struct server *server, uid_t uid, enum audit_kind kind, uint64_t size_bytes);

/* Publishers have until their time to publish again what leases wait for. */
void server_await_publishers(struct server *server);

/* -- listening (server_listen.c) -- */

/* @fd: a listening SOCK_SEQPACKET socket, taken over. */
int server_listen(struct server *server, int fd, const char *unlink_path);
/* Makes one at @path, replacing one that nobody listens on. -EADDRINUSE. */
int server_bind(const char *path, int *ret_fd);

#endif /* SERVER_H */
