// SPDX-License-Identifier: MIT
/*
 * event_loop PROVIDER [MS]: events of libp2pdma in a libevent loop.
 *
 *	event_loop 0000:01:00.0/2 0 &
 *	echo 1 > /sys/bus/pci/devices/0000:01:00.0/remove
 *
 * One descriptor stands for everything that can happen to the context's buffers.
 * After MS milliseconds (500) the program revokes its own buffer; with 0 it
 * waits for somebody else to: an unbind, a hot unplug, a reset. It ends when the
 * buffer has.
 */
#include <errno.h>
#include <stdlib.h>

#include <event2/event.h>

#include "common/story.h"

static struct event_base *base;
static struct p2pdma_context *context;
static struct p2pdma_buffer *buffer;
static int is_ended;

static void take(const struct p2pdma_event *event)
{
	story_tell("event: %s%s%s%s%s, reason %s", p2pdma_event_name(event->type),
		   *event->function ? " of " : "", event->function, *event->importer ? " by " : "",
		   event->importer, p2pdma_reason_name(event->reason));
	switch (event->type) {
	case P2PDMA_EVENT_REVOKE_REQUESTED:
		/* A program would finish what it does with the memory first. */
		if (p2pdma_buffer_revoke(event->buffer, P2PDMA_REVOKE_FUNCTION, 1000, NULL))
			story_fail(context, "giving it back", -EIO);
		break;
	case P2PDMA_EVENT_REVOKED:
	case P2PDMA_EVENT_DEVICE_GONE:
		is_ended = 1;
		break;
	default:
		break;
	}
}

static void on_events(evutil_socket_t fd, short what, void *unused)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	(void)fd;
	(void)what;
	(void)unused;
	while (!p2pdma_next_event(context, &event))
		take(&event);
	if (is_ended)
		event_base_loopexit(base, NULL);
}

static void on_timer(evutil_socket_t fd, short what, void *unused)
{
	int r;

	(void)fd;
	(void)what;
	(void)unused;
	story_tell("time is up: revoking");
	r = p2pdma_buffer_revoke(buffer, 0, 1000, NULL);
	if (r)
		story_fail(context, "revoking", r);
}

static int make_buffer(const char *name)
{
	struct p2pdma_range range = {.length_bytes = 64 << 10};
	struct p2pdma_provider *provider;
	int r;

	if (story_open(name, &context, &provider))
		return 1;
	r = p2pdma_buffer_new(context, provider, &range, 1, NULL, &buffer);
	p2pdma_provider_unref(provider);
	return r ? story_fail(context, "exporting", r) : 0;
}

static int loop(long ms)
{
	struct timeval delay = {ms / 1000, ms % 1000 * 1000};
	struct event *events, *timer;
	int r;

	base = event_base_new();
	events = event_new(base, p2pdma_context_fd(context), EV_READ | EV_PERSIST, on_events, NULL);
	timer = evtimer_new(base, on_timer, NULL);
	if (!events || !timer || event_add(events, NULL) || (ms && evtimer_add(timer, &delay)))
		return story_fail(NULL, "setting up the loop", -ENOMEM);
	story_tell("waiting for events of %s", p2pdma_buffer_name(buffer));
	r = event_base_dispatch(base);
	event_free(timer);
	event_free(events);
	event_base_free(base);
	return r < 0 || !is_ended;
}

static int check_end(void)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	int r;

	r = p2pdma_buffer_query(buffer, &status);
	if (r || status.state < P2PDMA_BUFFER_REVOKED)
		return story_fail(context, "the buffer's state", r);
	story_tell("the buffer has ended: %s, reason %s",
		   status.state == P2PDMA_BUFFER_GONE ? "device gone" : "revoked",
		   p2pdma_reason_name(status.reason));
	return 0;
}

int main(int argc, char **argv)
{
	int rc;

	if (argc < 2)
		return story_tell("usage: event_loop PROVIDER [MS]"), 2;
	rc = make_buffer(argv[1]) || loop(argc > 2 ? atol(argv[2]) : 500) || check_end();
	p2pdma_buffer_free(buffer);
	p2pdma_context_close(context);
	if (!rc)
		story_tell("done: told by one descriptor, no thread, no polling");
	return rc;
}
