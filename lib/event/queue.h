/* SPDX-License-Identifier: MIT */
#ifndef EVENT_QUEUE_H
#define EVENT_QUEUE_H

#include "context/context.h"

/* Everything under context->lock. */

void event_queue_init(struct p2pdma_context *context);

/* Drops every event; nothing is queued any more after it. */
void event_queue_done(struct p2pdma_context *context);

/* Appends a copy. Fills in the time where it is 0. */
void event_queue_push(struct p2pdma_context *context, const struct p2pdma_event *event);

/* -EAGAIN: empty. */
int event_queue_pop(struct p2pdma_context *context, struct p2pdma_event *ret_event);

/* Drops those of one type about a buffer. */
void event_queue_forget(struct p2pdma_context *context, const struct p2pdma_buffer *buffer,
			uint32_t type);

/* Forgets events of a buffer that is about to be freed. */
void event_queue_drop(struct p2pdma_context *context, const struct p2pdma_buffer *buffer);

#endif /* EVENT_QUEUE_H */
