// SPDX-License-Identifier: MIT
/*
 * Taking a buffer back: mark, wait for posts in progress, let the kernel
 * invalidate.
 *
 *  1. Under context->lock the buffer becomes REVOKING and the guards of its
 *     memory regions shut: from here on nobody begins a post, a mapping or a
 *     registration. Regions that a cache keeps for nobody are deregistered, so that
 *     importers that can't be revoked don't hold the memory for nothing.
 *  2. Posts that had begun are waited for, without any lock. The caller's time
 *     bounds that; posts that take longer lose their memory under them, which
 *     is safe (their completions say so), and are counted in the result.
 *  3. The kernel takes the memory. This doesn't depend on anybody's goodwill.
 *     Then the buffer is REVOKED, or stays REVOKING while importers that
 *     can't be revoked hold it.
 *
 * Each step may be repeated: revoking what is revoked asks the kernel again and
 * finds nothing to do. A backend that can only revoke a function as a whole has
 * the same steps taken for all buffers of the device, which is retired first,
 * so that no new one joins.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "buffer.h"
#include "common/clock.h"
#include "mr/guard.h"
#include "mr/mr.h"
#include "mr_cache/mr_cache.h"
#include "context/options.h"

/* Is @other revoked together with @buffer? */
static bool is_together(const struct p2pdma_buffer *buffer, const struct p2pdma_buffer *other)
{
	return buffer == other || buffer->backend->is_function_wide;
}

/* Under context->lock. */
static uint32_t count_others(const struct p2pdma_buffer *buffer)
{
	uint32_t count = 0;

	list_for_each_entry(other, &buffer->device->buffers, struct p2pdma_buffer, link)
		count += other != buffer && other->state == P2PDMA_BUFFER_ACTIVE;
	return count;
}

static int retire(struct p2pdma_buffer *buffer, uint32_t flags)
{
	struct p2pdma_context *context = buffer->context;
	uint32_t others;

	pthread_mutex_lock(&context->open_lock);
	pthread_mutex_lock(&context->lock);
	others = count_others(buffer);
	pthread_mutex_unlock(&context->lock);
	if (!others || flags & P2PDMA_REVOKE_FUNCTION)
		device_retire(buffer->device);
	pthread_mutex_unlock(&context->open_lock);
	if (others && !(flags & P2PDMA_REVOKE_FUNCTION))
		return context_fail(
			context, -EOPNOTSUPP,
			"the %s backend can't revoke one buffer of %s alone, and it has "
			"%" PRIu32 " more: set P2PDMA_REVOKE_FUNCTION to revoke all",
			buffer->backend->name, buffer->device->name, others);
	return 0;
}

static uint32_t mark(struct p2pdma_buffer *buffer, uint32_t state)
{
	uint32_t changed = 0;

	pthread_mutex_lock(&buffer->context->lock);
	list_for_each_entry(other, &buffer->device->buffers, struct p2pdma_buffer, link) {
		if (!is_together(buffer, other))
			continue;
		changed += buffer_mark(other, state, P2PDMA_REASON_OWNER);
		/* An export device tells by itself; a whole function is told here. */
		if (state == P2PDMA_BUFFER_REVOKED && buffer->backend->is_function_wide)
			buffer_revoked(other, P2PDMA_REASON_OWNER, 0);
	}
	pthread_mutex_unlock(&buffer->context->lock);
	return changed;
}

/* The first memory region with a post in progress, with a reference; sums up all posts. */
static struct p2pdma_mr *find_busy(struct p2pdma_buffer *buffer, uint32_t *ret_posts)
{
	struct p2pdma_mr *busy = NULL;
	uint32_t posts = 0;

	pthread_mutex_lock(&buffer->context->lock);
	list_for_each_entry(other, &buffer->device->buffers, struct p2pdma_buffer, link) {
		if (!is_together(buffer, other))
			continue;
		list_for_each_entry(mr, &other->mrs, struct p2pdma_mr, link) {
			uint32_t count = guard_count(&mr->guard);

			if (count && !busy)
				busy = mr;
			posts += count;
		}
	}
	if (busy)
		__atomic_fetch_add(&busy->refs, 1, __ATOMIC_RELAXED);
	pthread_mutex_unlock(&buffer->context->lock);
	*ret_posts = posts;
	return busy;
}

uint32_t buffer_wait_for_posts(struct p2pdma_buffer *buffer, uint64_t deadline_ns,
			       uint64_t *ret_now_ns)
{
	struct p2pdma_mr *mr;
	uint32_t posts;
	int r = 0;

	while (!r && (mr = find_busy(buffer, &posts))) {
		r = guard_wait(&mr->guard, deadline_ns);
		mr_unref(mr);
		*ret_now_ns = clock_now_ns();
	}
	return r ? posts : 0;
}

static int kernel_step(struct p2pdma_buffer *buffer, uint64_t now_ns, uint64_t deadline_ns,
		       struct p2pdma_revoke_result *result)
{
	uint64_t left_ms =
		now_ns < deadline_ns ? (deadline_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS : 0;
	int r;

	r = buffer->backend->revoke(buffer, (uint32_t)left_ms, result);
	result->kernel_ns = clock_now_ns() - now_ns;
	if (!r)
		mark(buffer, P2PDMA_BUFFER_REVOKED);
	return r;
}

int p2pdma_buffer_revoke(struct p2pdma_buffer *buffer, uint32_t flags, uint32_t timeout_ms,
			 struct p2pdma_revoke_result *ret_result)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	uint64_t start = clock_now_ns();
	uint64_t deadline = start + timeout_ms * NS_PER_MS;
	uint64_t now = start;
	int r;

	if (!buffer)
		return -EINVAL;
	if (flags & ~P2PDMA_REVOKE_FUNCTION)
		return context_fail(buffer->context, -EINVAL, "unknown revoke flags 0x%" PRIx32,
				    flags);
	if (ret_result && options_check_output(ret_result, sizeof(*ret_result)))
		return context_fail(buffer->context, -EINVAL,
				    "the result to fill has a wrong size");
	if (!buffer->backend->revoke)
		return context_fail(buffer->context, -EOPNOTSUPP, "%s can't be revoked: %s",
				    buffer->name, buffer->backend->why_unrevocable);
	if (buffer->backend->is_function_wide) {
		r = retire(buffer, flags);
		if (r)
			return r;
	}
	result.nr_buffers = mark(buffer, P2PDMA_BUFFER_REVOKING);
	if (mr_cache_reap(buffer->context))
		now = clock_now_ns();
	result.nr_posts = buffer_wait_for_posts(buffer, deadline, &now);
	r = kernel_step(buffer, now, deadline, &result);
	result.duration_ns = now - start + result.kernel_ns;
	if (ret_result && (!r || r == -EBUSY || r == -EINTR))
		options_store(ret_result, &result, sizeof(result));
	return r;
}

void buffer_take_back(struct p2pdma_buffer *buffer)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	bool is_done;

	/*
	 * Where one buffer can't be taken alone, closing the device takes the last. What can't be
	 * taken from others stays with them.
	 */
	if (buffer->backend->is_function_wide || buffer->backend->is_cooperative)
		return;
	pthread_mutex_lock(&buffer->context->lock);
	is_done = buffer->state >= P2PDMA_BUFFER_REVOKED;
	pthread_mutex_unlock(&buffer->context->lock);
	if (!is_done)
		buffer->backend->revoke(buffer, 0, &result);
}
