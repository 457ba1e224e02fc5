// SPDX-License-Identifier: MIT
/*
 * Watching p2pd.
 *
 * A monitor is a connection of its own with an epoll set of its own: whoever doesn't read it
 * fills only its own socket, and p2pd then drops its events and says so. One packet is read for
 * each event that is taken, so that the descriptor is readable as long as there is more. After a
 * connection was made again events may be missing, which is told as P2PDMA_MONITOR_LOST.
 *
 * It runs under context->lock like every connection.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <p2pdma/broker_watch.h>

#include "broker.h"
#include "common/clock.h"
#include "context/options.h"

#define MAX_ROUNDS 16

struct p2pdma_monitor {
	struct broker *broker;
	int epoll_fd;
	bool was_up;
	bool has_event;
	struct p2pdma_monitor_event event;
};

static void push(struct p2pdma_monitor *monitor, const struct p2pdma_monitor_event *event)
{
	monitor->has_event = true;
	monitor->event = *event;
}

void broker_monitor_up(struct p2pdma_monitor *monitor)
{
	struct p2pdma_monitor_event event = {
		.size_bytes = sizeof(event),
		.type = P2PDMA_MONITOR_LOST,
		.time_ns = clock_now_ns(),
	};

	if (monitor->was_up)
		push(monitor, &event);
	monitor->was_up = true;
}

void broker_monitor_event(struct p2pdma_monitor *monitor, const struct message *message)
{
	struct p2pdma_monitor_event event = {.size_bytes = sizeof(event)};
	struct wire_event_monitor wire;

	if (message->header.opcode != WIRE_EVENT_MONITOR)
		return;
	if (wire_load(message, &wire, sizeof(wire), sizeof(wire), 0) ||
	    !wire_text_is_sound(wire.provider, sizeof(wire.provider)) ||
	    !wire_text_is_sound(wire.label, sizeof(wire.label))) {
		broker_break(monitor->broker, -EPROTO, "p2pd's event makes no sense");
		return;
	}
	event.type = wire.type;
	event.reason = broker_reason(wire.reason);
	event.error = wire.error;
	event.lease_id = wire.lease_id;
	event.length_bytes = wire.size_bytes;
	event.time_ns = wire.time_ns;
	event.uid = wire.uid;
	event.pid = wire.pid;
	memcpy(event.provider, wire.provider, sizeof(event.provider));
	memcpy(event.label, wire.label, sizeof(event.label));
	push(monitor, &event);
}

int p2pdma_monitor_new(struct p2pdma_context *context, struct p2pdma_monitor **ret_monitor)
{
	struct p2pdma_monitor *monitor;
	struct broker *main;
	int r;

	if (!context)
		return -EINVAL;
	if (!ret_monitor)
		return context_fail(context, -EINVAL, "no place for the monitor was given");
	r = broker_of(context, &main);
	if (r)
		return r;
	monitor = calloc(1, sizeof(*monitor));
	if (!monitor)
		return context_fail(context, -ENOMEM, "no memory for a monitor");
	monitor->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (monitor->epoll_fd < 0) {
		r = context_fail(context, -errno, "no descriptor for a monitor: %s",
				 error_name(errno));
		free(monitor);
		return r;
	}
	r = broker_new(context, main->path, main->timeout_ms, &monitor->epoll_fd, &monitor->broker);
	if (r) {
		r = context_fail(context, r, "no memory for a monitor");
		close(monitor->epoll_fd);
		free(monitor);
		return r;
	}
	monitor->broker->monitor = monitor;
	r = broker_wait_up(monitor->broker);
	if (r) {
		p2pdma_monitor_free(monitor);
		return r;
	}
	*ret_monitor = monitor;
	return 0;
}

int p2pdma_monitor_fd(const struct p2pdma_monitor *monitor)
{
	return monitor ? monitor->epoll_fd : -EINVAL;
}

/* Under context->lock: looks at the socket and at the timer, without blocking. */
static void look(struct p2pdma_monitor *monitor)
{
	struct broker *broker = monitor->broker;
	uint64_t count;

	for (int i = 0; i < MAX_ROUNDS && !monitor->has_event; i++) {
		uint32_t answered = broker->answered;

		if (read(broker->timer.fd, &count, sizeof(count)) == sizeof(count))
			broker_tick(broker);
		broker_read(broker, 1);
		/* A greeting may have events behind it; silence may not. */
		if (!monitor->has_event && broker->answered == answered)
			return;
	}
}

int p2pdma_monitor_next(struct p2pdma_monitor *monitor, struct p2pdma_monitor_event *ret_event)
{
	struct p2pdma_monitor_event event;
	struct p2pdma_context *context;
	bool has_event;

	if (!monitor)
		return -EINVAL;
	context = monitor->broker->context;
	if (options_check_output(ret_event, sizeof(*ret_event)))
		return context_fail(context, -EINVAL,
				    "the event to fill is NULL or has a wrong size");
	pthread_mutex_lock(&context->lock);
	look(monitor);
	has_event = monitor->has_event;
	event = monitor->event;
	monitor->has_event = false;
	pthread_mutex_unlock(&context->lock);
	if (!has_event)
		return -EAGAIN;
	options_store(ret_event, &event, sizeof(event));
	return 0;
}

void p2pdma_monitor_free(struct p2pdma_monitor *monitor)
{
	if (!monitor)
		return;
	broker_free(monitor->broker);
	close(monitor->epoll_fd);
	free(monitor);
}
