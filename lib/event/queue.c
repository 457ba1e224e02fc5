// SPDX-License-Identifier: MIT
/*
 * Events that wait to be taken.
 *
 * A list under the context's lock. The context's eventfd is readable exactly
 * while the list isn't empty, so that a level-triggered loop that takes one
 * event a round loses none.
 *
 * Whoever doesn't take events must not make the library grow: attachments
 * and hot-plug are dropped beyond a limit, and the next event says how many
 * were. Revocations are never dropped for that; there are at most two a buffer.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#include "common/clock.h"
#include "queue.h"

#define MAX_INFORMATIVE 1024

struct queued_event {
	struct list link;
	struct p2pdma_event event;
};

void event_queue_init(struct p2pdma_context *context)
{
	list_init(&context->queue.events);
}

static void signal_waiter(struct p2pdma_context *context)
{
	eventfd_t value;

	if (context->queue.count)
		eventfd_write(context->wake_fd, 1);
	else
		eventfd_read(context->wake_fd, &value);
}

static void remove_event(struct p2pdma_context *context, struct queued_event *queued)
{
	list_remove(&queued->link);
	context->queue.count--;
	free(queued);
	if (!context->queue.count)
		signal_waiter(context);
}

void event_queue_done(struct p2pdma_context *context)
{
	list_for_each_entry_safe(queued, &context->queue.events, struct queued_event, link)
		remove_event(context, queued);
}

static bool is_informative(const struct p2pdma_event *event)
{
	switch (event->type) {
	case P2PDMA_EVENT_ATTACHED:
	case P2PDMA_EVENT_DETACHED:
	case P2PDMA_EVENT_FUNCTION_ADDED:
	case P2PDMA_EVENT_FUNCTION_GONE:
		return true;
	default:
		return false;
	}
}

void event_queue_push(struct p2pdma_context *context, const struct p2pdma_event *event)
{
	struct event_queue *queue = &context->queue;
	struct queued_event *queued = NULL;

	if (context->epoll_fd < 0)
		return;
	if (!is_informative(event) || queue->count < MAX_INFORMATIVE)
		queued = calloc(1, sizeof(*queued));
	if (!queued) {
		queue->lost++;
		return;
	}
	queued->event = *event;
	queued->event.lost += queue->lost;
	queue->lost = 0;
	if (!queued->event.time_ns)
		queued->event.time_ns = clock_now_ns();
	list_append(&queue->events, &queued->link);
	if (!queue->count++)
		signal_waiter(context);
}

int event_queue_pop(struct p2pdma_context *context, struct p2pdma_event *ret_event)
{
	struct queued_event *queued;

	if (list_is_empty(&context->queue.events))
		return -EAGAIN;
	queued = list_entry(context->queue.events.next, struct queued_event, link);
	*ret_event = queued->event;
	remove_event(context, queued);
	return 0;
}

void event_queue_forget(struct p2pdma_context *context, const struct p2pdma_buffer *buffer,
			uint32_t type)
{
	list_for_each_entry_safe(queued, &context->queue.events, struct queued_event, link) {
		if (queued->event.buffer == buffer && queued->event.type == type)
			remove_event(context, queued);
	}
}

void event_queue_drop(struct p2pdma_context *context, const struct p2pdma_buffer *buffer)
{
	list_for_each_entry_safe(queued, &context->queue.events, struct queued_event, link) {
		if (queued->event.buffer == buffer)
			remove_event(context, queued);
	}
}
