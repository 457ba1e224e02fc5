// SPDX-License-Identifier: MIT
/*
 * Adopted DMABUFs: made by a GPU runtime, a VMM, another process.
 *
 * There is no device and no way to revoke; the exporter does that, and nothing
 * tells us. What can be done is what any holder of the descriptor can do: map
 * it and register it. No state of its own, no locks.
 */
#include <errno.h>
#include <sys/mman.h>

#include "buffer.h"

static void query(struct p2pdma_buffer *buffer, struct p2pdma_buffer_status *status)
{
	/* The kernel has no call that tells about a foreign DMABUF. */
	(void)buffer;
	(void)status;
}

static int map(struct p2pdma_buffer *buffer, uint64_t offset_bytes, uint64_t length_bytes,
	       int protection, void **ret_address)
{
	struct p2pdma_context *context = buffer->context;
	int r;

	r = context->sys->map(NULL, (size_t)length_bytes, protection, MAP_SHARED, buffer->fd,
			      offset_bytes, ret_address);
	/* The range is inside the buffer, so this can only be the exporter without mmap. */
	if (r == -EINVAL)
		return context_fail(context, -EOPNOTSUPP, "the exporter of %s has no mmap",
				    buffer->name);
	if (r)
		return context_fail(context, r, "can't map %s: %s", buffer->name, error_name(r));
	return 0;
}

const struct backend backend_adopt = {
	.name = "adopt",
	.id = P2PDMA_BACKEND_ADOPT,
	.query = query,
	.map = map,
};
