// SPDX-License-Identifier: MIT
/*
 * System memory of a DMA-BUF heap, by its node below /dev/dma_heap.
 *
 * The heap called "system" is ordinary memory of any node, zeroed, in chunks as large as there
 * are. Allocating needs no write access to the node: who may open it may have memory, which no
 * limit of the process accounts for. That is why distributions give it to root, or to a group.
 * No state, no locks.
 */
#include <fcntl.h>

#include <linux/dma-heap.h>

#include "buffer/buffer.h"
#include "buffer/memory.h"

static int make(struct p2pdma_context *context, int node_fd, uint64_t length_bytes)
{
	struct dma_heap_allocation_data argument = {
		.len = length_bytes,
		.fd_flags = O_CLOEXEC | O_RDWR,
	};
	int r = context->sys->ioctl(node_fd, DMA_HEAP_IOCTL_ALLOC, &argument);

	if (r)
		return memory_make_failed(
			context, &memory_heap,
			&(struct memory_call){.node_fd = node_fd, .length_bytes = length_bytes}, r);
	return (int)argument.fd;
}

static const struct backend backend_heap = {
	.name = "heap",
	.id = P2PDMA_BACKEND_HEAP,
	.flags = P2PDMA_BUFFER_MMAP_WC | P2PDMA_BUFFER_ALLOW_SYSTEM,
	.why_unrevocable = "it is system memory, which importers keep until they let go",
	.query = memory_query_system,
	.map = buffer_map_dmabuf,
};

const struct memory_source memory_heap = {
	.backend = &backend_heap,
	.node = "dma_heap/system",
	.make = make,
};
