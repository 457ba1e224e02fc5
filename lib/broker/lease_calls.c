// SPDX-License-Identifier: MIT
/*
 * The calls on leases: checked here, so that p2pd only hears what can be answered, and a
 * refusal names the argument.
 *
 * Acknowledging is the holder's half of a revocation: guards are shut, posts in progress are waited
 * for, and only when there are none is p2pd told. It then takes the memory at once; the
 * buffer stays REVOKING until it says so. Nothing here is done behind the program's back: a lease
 * whose holder does nothing is taken at its deadline.
 */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include "broker.h"
#include "buffer/buffer.h"
#include "common/clock.h"
#include "mr/guard.h"
#include "mr_cache/mr_cache.h"
#include "context/options.h"

#define KNOWN_FLAGS                                                                                \
	(P2PDMA_BUFFER_READ_ONLY | P2PDMA_BUFFER_MMAP_WC | P2PDMA_BUFFER_ALLOW_UNREVOCABLE)

/* ACQUIRE with room for its ranges. */
struct acquire {
	struct wire_acquire wire;
	struct wire_range ranges[P2PDMA_LEASE_MAX_RANGES];
};

static int set_ranges(const struct p2pdma_context *context, struct acquire *acquire,
		      const struct p2pdma_range *ranges, size_t nr_ranges)
{
	if (nr_ranges > P2PDMA_LEASE_MAX_RANGES)
		return context_fail(context, -EINVAL, "%zu ranges: a lease has at most %d",
				    nr_ranges, P2PDMA_LEASE_MAX_RANGES);
	acquire->wire.nr_ranges = (uint32_t)nr_ranges;
	acquire->wire.ranges_at = nr_ranges ? offsetof(struct acquire, ranges) : 0;
	for (size_t i = 0; i < nr_ranges; i++) {
		acquire->ranges[i].offset_bytes = ranges[i].offset_bytes;
		acquire->ranges[i].length_bytes = ranges[i].length_bytes;
	}
	return 0;
}

static int check_size(const struct p2pdma_context *context,
		      const struct p2pdma_lease_request *request)
{
	uint64_t page = context->page_size_bytes;
	uint64_t align = request->align_bytes;

	/* Where the ranges must lie only p2pd knows, but not what they must look like. */
	if (request->nr_ranges) {
		uint64_t sum;

		if (request->length_bytes || align)
			return context_fail(context, -EINVAL,
					    "ranges, or a length and an alignment, not both");
		return ranges_check(context, request->selector ? request->selector : "*",
				    UINT64_MAX, request->ranges, request->nr_ranges, &sum);
	}
	if (!request->length_bytes || request->length_bytes % page)
		return context_fail(context, -EINVAL,
				    "length 0x%" PRIx64
				    " isn't a positive multiple of the page size %" PRIu64,
				    request->length_bytes, page);
	if (align && (align & (align - 1) || align < page))
		return context_fail(context, -EINVAL,
				    "alignment 0x%" PRIx64
				    " isn't a power of two of at least the page size %" PRIu64,
				    align, page);
	return 0;
}

static int fill(const struct p2pdma_context *context, const struct p2pdma_lease_request *request,
		struct acquire *acquire)
{
	struct wire_acquire *wire = &acquire->wire;
	int r;

	wire->mode = request->mode;
	wire->access = broker_access(request->flags);
	wire->flags = broker_acquire_flags(request->flags);
	wire->length_bytes = request->length_bytes;
	wire->align_bytes = request->align_bytes;
	wire->ttl_ms = request->ttl_ms;
	/* Said again when the connection breaks before the answer. Without one: two leases at worst. */
	if (getrandom(&wire->nonce, sizeof(wire->nonce), GRND_NONBLOCK) < 0)
		wire->nonce = 0;
	r = broker_set_text(context, wire->selector, sizeof(wire->selector),
			    request->selector ? request->selector : "*", "selector");
	if (!r)
		r = broker_set_text(context, wire->importer, sizeof(wire->importer),
				    request->importer, "importer");
	if (!r)
		r = broker_set_text(context, wire->label, sizeof(wire->label), request->label,
				    "label");
	if (!r)
		r = set_ranges(context, acquire, request->ranges, request->nr_ranges);
	return r;
}

int p2pdma_lease_acquire(struct p2pdma_context *context, const struct p2pdma_lease_request *request,
			 struct p2pdma_buffer **ret_buffer)
{
	struct p2pdma_lease_request known;
	struct acquire acquire;
	int r;

	if (!context)
		return -EINVAL;
	if (!request || !ret_buffer)
		return context_fail(context, -EINVAL, "no request, or no place for the buffer");
	r = options_load(&known, sizeof(known), sizeof(known), request);
	if (r)
		return context_fail(context, r, "the lease request has a wrong size");
	if (known.flags & ~KNOWN_FLAGS || known.reserved)
		return context_fail(context, -EINVAL, "unknown buffer flags 0x%" PRIx32,
				    known.flags & ~KNOWN_FLAGS);
	if (known.mode != P2PDMA_LEASE_EXCLUSIVE && known.mode != P2PDMA_LEASE_SHARED)
		return context_fail(context, -EINVAL, "unknown lease mode %" PRIu32, known.mode);
	if (!known.ranges && known.nr_ranges)
		return context_fail(context, -EINVAL, "a number of ranges without ranges");
	r = check_size(context, &known);
	if (r)
		return r;
	memset(&acquire, 0, sizeof(acquire));
	r = fill(context, &known, &acquire);
	if (r)
		return r;
	return broker_acquire(context, &acquire.wire, known.user_data, ret_buffer);
}

int broker_export(struct p2pdma_context *context, const char *selector,
		  const struct export_request *request, void *user_data,
		  struct p2pdma_buffer **ret_buffer)
{
	struct p2pdma_lease_request known = P2PDMA_LEASE_REQUEST_INIT;
	struct acquire acquire;
	int r;

	known.selector = selector;
	known.flags = request->flags;
	known.ranges = request->ranges;
	known.nr_ranges = request->nr_ranges;
	memset(&acquire, 0, sizeof(acquire));
	r = fill(context, &known, &acquire);
	if (r)
		return r;
	return broker_acquire(context, &acquire.wire, user_data, ret_buffer);
}

int p2pdma_lease_query(struct p2pdma_buffer *buffer, struct p2pdma_lease_info *ret_info)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_lease_info info;
	struct broker_lease *lease;
	int r;

	if (!buffer)
		return -EINVAL;
	if (options_check_output(ret_info, sizeof(*ret_info)))
		return context_fail(buffer->context, -EINVAL,
				    "the info to fill is NULL or has a wrong size");
	r = broker_lease_query(buffer, &lease);
	if (r)
		return r;
	/* What p2pd has said already counts. */
	buffer->backend->query(buffer, &status);
	pthread_mutex_lock(&buffer->context->lock);
	broker_lease_info(&lease->wire, &info);
	pthread_mutex_unlock(&buffer->context->lock);
	options_store(ret_info, &info, sizeof(info));
	return 0;
}

int p2pdma_lease_renew(struct p2pdma_buffer *buffer, uint64_t ttl_ms)
{
	struct wire_renew renew = {.ttl_ms = ttl_ms};
	struct wire_renew_reply reply;
	struct broker_lease *lease;
	int r;

	r = broker_lease_query(buffer, &lease);
	if (r)
		return r;
	r = buffer_check(buffer);
	if (r)
		return r;
	renew.lease_id = lease->wire.id;
	r = broker_call(buffer->context, WIRE_RENEW, &renew, sizeof(renew), &reply, sizeof(reply));
	if (r)
		return buffer_check_after(buffer, r);
	pthread_mutex_lock(&buffer->context->lock);
	lease->wire.expires_ns = reply.expires_ns;
	pthread_mutex_unlock(&buffer->context->lock);
	return 0;
}

/* 0: over already. 1: go on. */
static int begin_ack(struct p2pdma_buffer *buffer, struct broker_lease *lease)
{
	struct p2pdma_context *context = buffer->context;
	int r = 1;

	pthread_mutex_lock(&context->lock);
	if (lease->wire.state >= WIRE_LEASE_REVOKED)
		r = 0;
	else if (lease->wire.state != WIRE_LEASE_REVOKING)
		r = context_fail(context, -EINVAL,
				 "nobody wants %s back: p2pdma_buffer_revoke() returns it",
				 buffer->name);
	else
		buffer_mark(buffer, P2PDMA_BUFFER_REVOKING, broker_reason(lease->wire.reason));
	pthread_mutex_unlock(&context->lock);
	return r;
}

int p2pdma_lease_ack(struct p2pdma_buffer *buffer, uint32_t timeout_ms)
{
	struct wire_lease_id id;
	struct broker_lease *lease;
	uint32_t posts;
	uint64_t now;
	int r;

	r = broker_lease_query(buffer, &lease);
	if (r)
		return r;
	r = begin_ack(buffer, lease);
	if (r <= 0)
		return r;
	mr_cache_reap(buffer->context);
	now = clock_now_ns();
	posts = buffer_wait_for_posts(buffer, now + timeout_ms * NS_PER_MS, &now);
	if (posts)
		return context_fail(buffer->context, -EBUSY,
				    "%" PRIu32 " posts on %s are in progress: p2pd wasn't told",
				    posts, buffer->name);
	/* What p2pd can't take it has to be given. */
	if (buffer->memory)
		mappings_cover(buffer);
	id.lease_id = lease->wire.id;
	r = broker_call(buffer->context, WIRE_ACK, &id, sizeof(id), NULL, 0);
	/* It was faster: the deadline has passed, or it knows nothing of the lease. */
	return r == -ESTALE || r == -ENOENT || r == -ENODEV ? 0 : r;
}
