// SPDX-License-Identifier: MIT
/*
 * System memory of a memfd, by /dev/udmabuf.
 *
 * The memfd must never shrink under the DMABUF, so it is sealed before the kernel takes it; the
 * kernel demands that. The DMABUF holds its pages, the memfd itself is closed again. The kernel
 * refuses more than a limit that the administrator sets, with a bare EINVAL. No state, no locks.
 */
#include <linux/udmabuf.h>

#include "buffer/buffer.h"
#include "buffer/memory.h"

static int make(struct p2pdma_context *context, int node_fd, uint64_t length_bytes)
{
	struct udmabuf_create argument = {
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = length_bytes,
	};
	struct memory_call call = {.node_fd = node_fd, .length_bytes = length_bytes};
	int memory, r;

	memory = context->sys->memory("p2pdma", length_bytes);
	if (memory < 0)
		return memory_make_failed(context, &memory_udmabuf, &call, memory);
	argument.memfd = (uint32_t)memory;
	r = context->sys->ioctl(node_fd, UDMABUF_CREATE, &argument);
	context->sys->close(memory);
	return r < 0 ? memory_make_failed(context, &memory_udmabuf, &call, r) : r;
}

static const struct backend backend_udmabuf = {
	.name = "udmabuf",
	.id = P2PDMA_BACKEND_UDMABUF,
	.flags = P2PDMA_BUFFER_MMAP_WC | P2PDMA_BUFFER_ALLOW_SYSTEM,
	.why_unrevocable = "it is system memory, which importers keep until they let go",
	.query = memory_query_system,
	.map = buffer_map_dmabuf,
};

const struct memory_source memory_udmabuf = {
	.backend = &backend_udmabuf,
	.node = "udmabuf",
	.make = make,
};
