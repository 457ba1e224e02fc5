// SPDX-License-Identifier: MIT
/*
 * Taking events.
 *
 * Every call first lets devices that have something to say say it, so that states and guards are up
 * to date before the caller sees the first event; only then one event is taken. Where very many
 * have, they take turns: the descriptor stays readable for those that are left. Devices are asked without blocking, under
 * context->lock: their sources read nonblocking descriptors and change states,
 * and none of them opens, closes or frees anything. What caches kept of memory
 * that is revoked is deregistered afterwards, without the lock.
 */
#include <errno.h>
#include <sys/epoll.h>

#include <p2pdma/buffer.h>

#include "queue.h"
#include "mr_cache/mr_cache.h"
#include "context/options.h"

#define MAX_SOURCES_AT_ONCE 16

static void ask_sources(struct p2pdma_context *context)
{
	struct epoll_event events[MAX_SOURCES_AT_ONCE];
	int n = epoll_wait(context->epoll_fd, events, MAX_SOURCES_AT_ONCE, 0);

	for (int i = 0; i < n; i++) {
		struct event_source *source = events[i].data.ptr;

		if (source)
			source->ready(source);
	}
}

int p2pdma_next_event(struct p2pdma_context *context, struct p2pdma_event *ret_event)
{
	struct p2pdma_event event;
	int r;

	if (!context)
		return -EINVAL;
	r = options_check_output(ret_event, sizeof(*ret_event));
	if (r)
		return context_fail(context, r, "the event to fill is NULL or has a wrong size");
	pthread_mutex_lock(&context->lock);
	ask_sources(context);
	r = event_queue_pop(context, &event);
	pthread_mutex_unlock(&context->lock);
	mr_cache_reap(context);
	if (!r)
		options_store(ret_event, &event, sizeof(event));
	return r;
}

static const char *name_at(const char *const *names, uint32_t count, uint32_t index)
{
	return index < count ? names[index] : "unknown";
}

#define COUNT_OF(array) ((uint32_t)(sizeof(array) / sizeof((array)[0])))

const char *p2pdma_event_name(uint32_t type)
{
	static const char *const names[] = {
		[P2PDMA_EVENT_NONE] = "none",
		[P2PDMA_EVENT_REVOKE_REQUESTED] = "revoke-requested",
		[P2PDMA_EVENT_REVOKED] = "revoked",
		[P2PDMA_EVENT_DEVICE_GONE] = "device-gone",
		[P2PDMA_EVENT_ERROR] = "error",
		[P2PDMA_EVENT_ATTACHED] = "attached",
		[P2PDMA_EVENT_DETACHED] = "detached",
		[P2PDMA_EVENT_FUNCTION_ADDED] = "function-added",
		[P2PDMA_EVENT_FUNCTION_GONE] = "function-gone",
	};

	return name_at(names, COUNT_OF(names), type);
}

const char *p2pdma_reason_name(uint32_t reason)
{
	static const char *const names[] = {
		[P2PDMA_REASON_NONE] = "none",	     [P2PDMA_REASON_OWNER] = "owner",
		[P2PDMA_REASON_CLOSE] = "close",     [P2PDMA_REASON_REMOVE] = "remove",
		[P2PDMA_REASON_RESET] = "reset",     [P2PDMA_REASON_SUSPEND] = "suspend",
		[P2PDMA_REASON_ERROR] = "error",     [P2PDMA_REASON_SHUTDOWN] = "shutdown",
		[P2PDMA_REASON_EXPIRED] = "expired", [P2PDMA_REASON_ADMIN] = "admin",
		[P2PDMA_REASON_DRAIN] = "drain",     [P2PDMA_REASON_POLICY] = "policy",
		[P2PDMA_REASON_KERNEL] = "kernel",   [P2PDMA_REASON_PUBLISHER] = "publisher",
		[P2PDMA_REASON_DEATH] = "death",     [P2PDMA_REASON_MISBEHAVED] = "misbehaved",
		[P2PDMA_REASON_BROKER] = "broker",
	};

	return name_at(names, COUNT_OF(names), reason);
}
