// SPDX-License-Identifier: MIT
/*
 * The loop: its timers, what the broker tells the world, its beginning and its end.
 *
 * Everything runs in it, one thing after the other. What may take its time is done by threads
 * that touch nothing else and say through a pipe when it is done.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "report/audit.h"
#include "client.h"
#include "request/deferred.h"
#include "provider/discovery.h"
#include "intake.h"
#include "linger.h"
#include "report/log.h"
#include "provider/publication.h"
#include "state/service.h"

struct timeval timeval_of(uint64_t ns)
{
	uint64_t us = (ns + 999) / 1000;

	return (struct timeval){.tv_sec = (time_t)(us / 1000000),
				.tv_usec = (suseconds_t)(us % 1000000)};
}

/* -- what the broker tells -- */

static void tell_requested(void *data, const struct lease *lease)
{
	struct wire_event_lease event = {
		.lease_id = lease->id,
		.reason = lease->reason,
		.deadline_ns = lease->deadline_ns,
		.time_ns = clock_now_ns(),
	};

	(void)data;
	if (lease->holder && lease->holder->client)
		client_event(lease->holder->client, WIRE_EVENT_REVOKE_REQUESTED, &event,
			     sizeof(event));
}

static void tell_ended(void *data, const struct lease *lease, const struct source_result *result)
{
	struct wire_event_lease event = {
		.lease_id = lease->id,
		.reason = lease->reason,
		.nr_mappings = result->nr_mappings,
		.nr_remaining = result->nr_remaining,
		.time_ns = clock_now_ns(),
	};

	(void)data;
	if (lease->holder && lease->holder->client)
		client_event(lease->holder->client, WIRE_EVENT_REVOKED, &event, sizeof(event));
}

static bool is_broken(void *data, const struct holder *holder)
{
	struct pollfd peer = {.fd = holder->client->fd, .events = POLLRDHUP};

	(void)data;
	/* POLLHUP and POLLERR come unasked. */
	return holder->client->is_doomed || poll(&peer, 1, 0) > 0;
}

static void holder_idle(void *data, struct holder *holder)
{
	holder_free(data, holder);
}

static bool may_see(const struct server *server, const struct client *client,
		    const struct wire_event_monitor *event)
{
	/* Of a denial there is no lease. */
	bool is_somebodys = event->lease_id || event->type == WIRE_MONITOR_LEASE_DENIED;

	return !is_somebodys || event->uid == client->holder->subject.uid ||
	       policy_is_admin(server->broker.policy, &client->holder->subject);
}

/* By what the user does or lets be, as often as it likes. */
static bool is_of_user(const struct wire_event_monitor *event, enum audit_kind *ret_kind)
{
	switch (event->type) {
	case WIRE_MONITOR_LEASE_GRANTED:
		*ret_kind = AUDIT_GRANTED;
		return true;
	case WIRE_MONITOR_LEASE_DENIED:
		*ret_kind = AUDIT_DENIED;
		return true;
	case WIRE_MONITOR_LEASE_REVOKING:
		*ret_kind = AUDIT_REVOKING;
		break;
	case WIRE_MONITOR_LEASE_ENDED:
		*ret_kind = AUDIT_ENDED;
		break;
	default:
		return false;
	}
	return event->reason == WIRE_REASON_HOLDER || event->reason == WIRE_REASON_DEATH ||
	       event->reason == WIRE_REASON_EXPIRED || event->reason == WIRE_REASON_PUBLISHER ||
	       event->reason == WIRE_REASON_MISBEHAVED;
}

bool server_may_log(struct server *server, uid_t uid, enum audit_kind kind, uint64_t size_bytes)
{
	bool may_log = audit_admit(server->audit, uid, clock_now_ns(), kind, size_bytes);
	struct timeval wait = timeval_of(AUDIT_SUM_NS);

	if (audit_is_busy(server->audit) && !event_pending(server->audit_timer, EV_TIMEOUT, NULL))
		event_add(server->audit_timer, &wait);
	return may_log;
}

static void audit(struct server *server, const struct wire_event_monitor *event,
		  const struct policy_decision *decision)
{
	enum audit_kind kind;

	if (!is_of_user(event, &kind) ||
	    server_may_log(server, event->uid, kind, event->size_bytes))
		log_audit(event, decision);
}

static void happened(void *data, const struct wire_event_monitor *event,
		     const struct policy_decision *decision)
{
	struct server *server = data;

	audit(server, event, decision);
	/* One that has hung up is doomed by this, and leaves the list. */
	list_for_each_entry_safe(client, &server->monitors, struct client, link_of_monitors)
		if (may_see(server, client, event))
			client_event(client, WIRE_EVENT_MONITOR, event, sizeof(*event));
}

static void wake_at(void *data, uint64_t time_ns)
{
	struct server *server = data;
	struct timeval left;
	uint64_t now_ns;

	if (time_ns == server->alarm_ns)
		return;
	server->alarm_ns = time_ns;
	if (!time_ns) {
		event_del(server->alarm);
		return;
	}
	now_ns = clock_now_ns();
	left = timeval_of(time_ns > now_ns ? time_ns - now_ns : 0);
	event_add(server->alarm, &left);
}

static const struct broker_ops broker_ops = {
	.tell_requested = tell_requested,
	.tell_ended = tell_ended,
	.is_broken = is_broken,
	.holder_idle = holder_idle,
	.happened = happened,
	.wake_at = wake_at,
};

/* -- timers -- */

static void on_alarm(evutil_socket_t fd, short what, void *data)
{
	struct server *server = data;

	(void)fd;
	(void)what;
	server->alarm_ns = 0;
	broker_tick(&server->broker);
	broker_journal_compact(&server->broker);
}

static void on_client_alarm(evutil_socket_t fd, short what, void *data)
{
	(void)fd;
	(void)what;
	client_deadlines_due(data);
}

static void on_reaper(evutil_socket_t fd, short what, void *data)
{
	struct server *server = data;

	(void)fd;
	(void)what;
	while (!list_is_empty(&server->doomed))
		client_free(list_entry(server->doomed.next, struct client, link));
	broker_journal_compact(&server->broker);
}

static void tell_sum(void *data, const struct audit_sum *sum)
{
	(void)data;
	log_audit_sum(sum);
}

static void on_audit_timer(evutil_socket_t fd, short what, void *data)
{
	struct timeval wait = timeval_of(AUDIT_SUM_NS);
	struct server *server = data;

	(void)fd;
	(void)what;
	audit_sums(server->audit, clock_now_ns(), tell_sum, NULL);
	if (audit_is_busy(server->audit))
		event_add(server->audit_timer, &wait);
}

void server_await_publishers(struct server *server)
{
	uint64_t now_ns = clock_now_ns(), next_ns = publications_due(server, now_ns);
	struct timeval wait = timeval_of(next_ns - now_ns);

	if (next_ns)
		event_add(server->unclaimed, &wait);
}

static void on_unclaimed(evutil_socket_t fd, short what, void *data)
{
	(void)fd;
	(void)what;
	server_await_publishers(data);
}

static void on_resume(evutil_socket_t fd, short what, void *data)
{
	(void)fd;
	(void)what;
	deferred_resume(data);
}

/* -- beginning and end -- */

int server_init(struct server *server, struct policy *policy)
{
	int r;

	memset(server, 0, sizeof(*server));
	server->started_ns = clock_now_ns();
	room_init(&server->room);
	server->listener.fd = server->lock_fd = server->told.fd = -1;
	list_init(&server->clients);
	list_init(&server->monitors);
	list_init(&server->doomed);
	list_init(&server->deferred.list);
	deadlines_init(&server->client_deadlines);
	server->base = event_base_new();
	if (!server->base) {
		policy_free(policy);
		return -ENOMEM;
	}
	server->alarm = evtimer_new(server->base, on_alarm, server);
	server->client_alarm = evtimer_new(server->base, on_client_alarm, server);
	server->reaper = evtimer_new(server->base, on_reaper, server);
	server->unclaimed = evtimer_new(server->base, on_unclaimed, server);
	server->audit_timer = evtimer_new(server->base, on_audit_timer, server);
	server->deferred.resume = evtimer_new(server->base, on_resume, server);
	if (!server->alarm || !server->client_alarm || !server->reaper || !server->unclaimed ||
	    !server->audit_timer || !server->deferred.resume || audit_new(&server->audit)) {
		policy_free(policy);
		return -ENOMEM;
	}
	r = linger_init(server);
	if (!r)
		r = intake_init(server);
	if (r) {
		policy_free(policy);
		return r;
	}
	return broker_init(&server->broker, &broker_ops, server, clock_now_ns, policy);
}

static void free_event(struct event *event)
{
	if (event)
		event_free(event);
}

void server_done(struct server *server)
{
	/* One by one: what a client leaves behind may doom the next. */
	while (!list_is_empty(&server->clients))
		client_free(list_entry(server->clients.next, struct client, link));
	while (!list_is_empty(&server->doomed))
		client_free(list_entry(server->doomed.next, struct client, link));
	linger_done(server);
	publications_forget(server);
	intake_done(server);
	broker_done(&server->broker);
	audit_sums(server->audit, clock_now_ns(), tell_sum, NULL);
	audit_free(server->audit);
	discovery_free(server);
	deadlines_done(&server->client_deadlines);
	free_event(server->listener.event);
	free_event(server->listener.pause);
	free_event(server->alarm);
	free_event(server->client_alarm);
	free_event(server->reaper);
	free_event(server->unclaimed);
	free_event(server->audit_timer);
	free_event(server->deferred.resume);
	service_question_free(server->listener.keeping);
	service_question_free(server->journal_keeping);
	if (server->listener.fd >= 0)
		close(server->listener.fd);
	if (server->listener.unlink_path)
		unlink(server->listener.unlink_path);
	if (server->lock_fd >= 0)
		close(server->lock_fd);
	if (server->told.fd >= 0)
		close(server->told.fd);
	if (server->base)
		event_base_free(server->base);
}
