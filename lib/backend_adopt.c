// SPDX-License-Identifier: MIT
/*
 * Adopted DMABUFs: made by a GPU runtime, a VMM, another process.
 *
 * There is no device and no way to revoke; the exporter does that, and nothing
 * tells us. What can be done is what any holder of the descriptor can do: map
 * it and register it. No state of its own, no locks.
 */
#include "buffer.h"

static void query(struct p2pdma_buffer *buffer, struct p2pdma_buffer_status *status)
{
	/* The kernel has no call that tells about a foreign DMABUF. */
	(void)buffer;
	(void)status;
}

const struct backend backend_adopt = {
	.name = "adopt",
	.id = P2PDMA_BACKEND_ADOPT,
	.query = query,
	.map = buffer_map_dmabuf,
};
