// SPDX-License-Identifier: MIT
/*
 * Buffers: their making, their state and their end.
 *
 * A buffer is counted: the caller holds one reference and each memory region
 * another. Its state only goes forward:
 *
 *     ACTIVE -> REVOKING -> REVOKED     for a reason that leaves the device: -ESTALE
 *                    \----> GONE        for one that takes it: -ENODEV
 *
 * and is changed in one place, buffer_mark(), under context->lock. Marking
 * shuts the guards of all its memory regions at the same time, so that a
 * program sees one truth through p2pdma_mr_enter() and through calls, and caches find
 * none of them any more. The first reason decides: a revoked buffer stays revoked when its
 * device goes.
 *
 * With the last reference the memory is taken back from importers elsewhere,
 * CPU mappings end, and the device is closed with its last buffer.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "event/queue.h"
#include "mr/guard.h"
#include "mr/mr.h"
#include "mr_cache/mr_cache.h"
#include "context/options.h"

int buffer_create(struct p2pdma_context *context, const struct backend *backend,
		  const struct export_request *request, const struct export_result *result,
		  struct p2pdma_buffer **ret_buffer)
{
	size_t ranges_bytes = request->nr_ranges * sizeof(struct p2pdma_range);
	struct p2pdma_buffer *buffer;
	struct stat status = {.st_ino = 0};
	int r = 0;

	if (result->fd >= 0)
		r = context->sys->stat(result->fd, &status);
	if (r)
		return context_fail(context, r, "can't stat the DMABUF: %s", error_name(r));
	buffer = calloc(1, sizeof(*buffer) + ranges_bytes);
	if (!buffer)
		return context_fail(context, -ENOMEM, "no memory for a buffer");
	buffer->context = context;
	buffer->backend = backend;
	buffer->refs = 1;
	buffer->fd = result->fd;
	buffer->memory = result->memory;
	buffer->flags = request->flags;
	buffer->export_id = result->export_id;
	buffer->size_bytes = result->size_bytes;
	buffer->inode = status.st_ino;
	buffer->bar = request->bar;
	buffer->nr_ranges = request->nr_ranges;
	if (ranges_bytes)
		memcpy(buffer->ranges, request->ranges, ranges_bytes);
	list_init(&buffer->link);
	list_init(&buffer->mrs);
	list_init(&buffer->mappings);
	list_init(&buffer->identity_link);
	context_ref(context);
	*ret_buffer = buffer;
	return 0;
}

int buffer_create_alone(struct p2pdma_context *context, const struct backend *backend,
			const struct p2pdma_buffer_options *options,
			const struct export_result *result, struct p2pdma_buffer **ret_buffer)
{
	struct export_request request = {.flags = options->flags};
	struct p2pdma_buffer *buffer;
	int r;

	r = buffer_create(context, backend, &request, result, &buffer);
	if (r) {
		context->sys->close(result->fd);
		return r;
	}
	snprintf(buffer->name, sizeof(buffer->name), "%s:%" PRIu64, backend->name, buffer->inode);
	buffer->user_data = options->user_data;
	*ret_buffer = buffer;
	return 0;
}

void buffer_ref(struct p2pdma_buffer *buffer)
{
	__atomic_fetch_add(&buffer->refs, 1, __ATOMIC_RELAXED);
}

static void buffer_destroy(struct p2pdma_buffer *buffer)
{
	struct p2pdma_context *context = buffer->context;
	struct device *device = buffer->device;

	if (device)
		buffer_take_back(buffer);
	pthread_mutex_lock(&context->lock);
	mappings_end(buffer, false);
	list_remove(&buffer->link);
	event_queue_drop(context, buffer);
	if (device && !buffer->backend->is_function_wide && !buffer->backend->is_cooperative)
		mr_identity_revoke(buffer, P2PDMA_MR_GUARD_STALE);
	mr_identity_detach(buffer);
	pthread_mutex_unlock(&context->lock);
	if (buffer->fd >= 0)
		context->sys->close(buffer->fd);
	if (device) {
		pthread_mutex_lock(&context->open_lock);
		device_release(device);
		pthread_mutex_unlock(&context->open_lock);
	}
	free(buffer);
	mr_cache_reap(context);
	context_unref(context);
}

void buffer_unref(struct p2pdma_buffer *buffer)
{
	if (__atomic_fetch_sub(&buffer->refs, 1, __ATOMIC_ACQ_REL) == 1)
		buffer_destroy(buffer);
}

void p2pdma_buffer_free(struct p2pdma_buffer *buffer)
{
	if (!buffer)
		return;
	/* The caller's pointer is invalid from here on, so no event may show it. */
	pthread_mutex_lock(&buffer->context->lock);
	buffer->is_freed = true;
	event_queue_drop(buffer->context, buffer);
	mr_identity_close(buffer);
	pthread_mutex_unlock(&buffer->context->lock);
	mr_cache_reap(buffer->context);
	buffer_unref(buffer);
}

bool reason_is_gone(uint32_t reason)
{
	return reason == P2PDMA_REASON_REMOVE || reason == P2PDMA_REASON_SHUTDOWN;
}

bool buffer_mark(struct p2pdma_buffer *buffer, uint32_t state, uint32_t reason)
{
	bool is_first = buffer->state == P2PDMA_BUFFER_ACTIVE;
	uint32_t bit;

	if (is_first)
		buffer->reason = reason;
	if (state == P2PDMA_BUFFER_REVOKED && reason_is_gone(buffer->reason))
		state = P2PDMA_BUFFER_GONE;
	if (state <= buffer->state)
		return false;
	buffer->state = state;
	if (!is_first)
		return true;
	bit = reason_is_gone(reason) ? P2PDMA_MR_GUARD_GONE : P2PDMA_MR_GUARD_STALE;
	list_for_each_entry(mr, &buffer->mrs, struct p2pdma_mr, link)
		guard_shut(&mr->guard, bit);
	mr_identity_revoke(buffer, bit);
	return true;
}

void buffer_revoked(struct p2pdma_buffer *buffer, uint32_t reason, uint64_t time_ns)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	buffer_mark(buffer, P2PDMA_BUFFER_REVOKED, reason);
	if (buffer->is_revoke_told || buffer->is_freed)
		return;
	buffer->is_revoke_told = true;
	event.type = P2PDMA_EVENT_REVOKED;
	event.reason = buffer->reason;
	event.buffer = buffer;
	event.time_ns = time_ns;
	if (buffer->device)
		memcpy(event.function, buffer->device->name, sizeof(event.function));
	event_queue_push(buffer->context, &event);
}

static int answer(const struct p2pdma_buffer *buffer)
{
	if (buffer->state == P2PDMA_BUFFER_ACTIVE)
		return 0;
	if (reason_is_gone(buffer->reason))
		return context_fail(buffer->context, -ENODEV, "the device of %s has gone (%s)",
				    buffer->name, p2pdma_reason_name(buffer->reason));
	return context_fail(buffer->context, -ESTALE, "%s has been revoked (%s)", buffer->name,
			    p2pdma_reason_name(buffer->reason));
}

int buffer_check(struct p2pdma_buffer *buffer)
{
	int r;

	pthread_mutex_lock(&buffer->context->lock);
	r = answer(buffer);
	pthread_mutex_unlock(&buffer->context->lock);
	return r;
}

int buffer_check_after(struct p2pdma_buffer *buffer, int error)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	int r;

	buffer->backend->query(buffer, &status);
	r = buffer_check(buffer);
	return r ? r : error;
}

int p2pdma_buffer_query(struct p2pdma_buffer *buffer, struct p2pdma_buffer_status *ret_status)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	int r;

	if (!buffer)
		return -EINVAL;
	r = options_check_output(ret_status, sizeof(*ret_status));
	if (r)
		return context_fail(buffer->context, r,
				    "the status to fill is NULL or has a wrong size");
	buffer->backend->query(buffer, &status);
	pthread_mutex_lock(&buffer->context->lock);
	status.state = buffer->state;
	status.reason = buffer->reason;
	status.nr_mrs = buffer->nr_mrs;
	pthread_mutex_unlock(&buffer->context->lock);
	mr_cache_reap(buffer->context);
	options_store(ret_status, &status, sizeof(status));
	return 0;
}
