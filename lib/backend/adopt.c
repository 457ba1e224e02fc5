// SPDX-License-Identifier: MIT
/*
 * Adopted DMABUFs: made by a GPU runtime, a VMM, another process.
 *
 * There is no device and no way to revoke; the exporter does that, and nothing
 * tells us. What can be done is what any holder of the descriptor can do: map
 * it and register it. No state of its own, no locks.
 */
#include "buffer/buffer.h"
#include "buffer/memory.h"

const struct backend backend_adopt = {
	.name = "adopt",
	.id = P2PDMA_BACKEND_ADOPT,
	.why_unrevocable = "it was adopted: only who exported it can revoke it",
	.query = memory_query,
	.map = buffer_map_dmabuf,
};
