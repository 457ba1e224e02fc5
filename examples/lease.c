// SPDX-License-Identifier: MIT
/*
 * lease [BYTES [SELECTOR]]: a slice from p2pd, and its end as it should be.
 *
 *	lease 1048576 class:0302 &
 *	p2pctl revoke --all
 *
 * The program needs no device node. It holds the lease until somebody wants it back: then it would
 * finish its transfers, says so, and ends when the memory has gone. That p2pd is restarted
 * meanwhile it doesn't notice.
 */
#include <poll.h>
#include <stdlib.h>

#include "common/story.h"

static struct p2pdma_buffer *acquire(struct p2pdma_context *context, int argc, char **argv)
{
	struct p2pdma_lease_request request = P2PDMA_LEASE_REQUEST_INIT;
	struct p2pdma_lease_info info = P2PDMA_LEASE_INFO_INIT;
	struct p2pdma_buffer *buffer = NULL;
	int r;

	request.length_bytes = argc > 1 ? strtoull(argv[1], NULL, 0) : 1 << 20;
	request.selector = argc > 2 ? argv[2] : "*";
	request.label = "the lease example";
	r = p2pdma_lease_acquire(context, &request, &buffer);
	if (r)
		exit(story_fail(context, "acquiring a lease", r));
	r = p2pdma_lease_query(buffer, &info);
	if (r)
		exit(story_fail(context, "looking at it", r));
	story_tell("lease %llu: %llu bytes of %s", (unsigned long long)info.id,
		   (unsigned long long)info.length_bytes, info.provider);
	return buffer;
}

/* 1 when it is over. */
static int take(struct p2pdma_context *context, const struct p2pdma_event *event)
{
	int r;

	story_tell("event: %s, reason %s", p2pdma_event_name(event->type),
		   p2pdma_reason_name(event->reason));
	if (event->type == P2PDMA_EVENT_REVOKE_REQUESTED) {
		/* Posts in progress get 100 ms; more may be had up to event->deadline_ns. */
		r = p2pdma_lease_ack(event->buffer, 100);
		if (r)
			story_fail(context, "letting it go; its deadline will", r);
	}
	return event->type == P2PDMA_EVENT_REVOKED;
}

int main(int argc, char **argv)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;
	struct p2pdma_context *context = NULL;
	struct p2pdma_buffer *buffer;
	int is_over = 0, r;

	r = p2pdma_context_open(NULL, &context);
	if (r)
		return story_fail(NULL, "opening the library", r);
	buffer = acquire(context, argc, argv);
	while (!is_over) {
		struct pollfd fd = {.fd = p2pdma_context_fd(context), .events = POLLIN};

		poll(&fd, 1, -1);
		while (!p2pdma_next_event(context, &event))
			is_over |= take(context, &event);
	}
	p2pdma_buffer_free(buffer);
	p2pdma_context_close(context);
	story_tell("the lease has ended");
	return 0;
}
