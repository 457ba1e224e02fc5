// SPDX-License-Identifier: MIT
/*
 * System memory of a memfd, by /dev/udmabuf.
 *
 * The memfd must never shrink under the DMABUF, so it is sealed before the kernel takes it; the
 * kernel demands that. The DMABUF holds its pages, the memfd itself is closed again. The kernel
 * refuses more than a limit that the administrator sets, with a bare EINVAL. No state, no locks.
 */
#include <errno.h>
#include <inttypes.h>

#include <linux/udmabuf.h>

#include "buffer.h"
#include "common/sysfs.h"
#include "memory.h"

#define LIMIT_PATH "module/udmabuf/parameters/size_limit_mb"

static int explain(const struct p2pdma_context *context, uint64_t length_bytes, int r)
{
	uint64_t limit_mb;

	if (r == -ENOTTY)
		return context_fail(context, -EOPNOTSUPP, "/dev/%s isn't udmabuf",
				    memory_udmabuf.node);
	if (r == -EINVAL && !sysfs_read_u64(context->sysfs_fd, LIMIT_PATH, &limit_mb) &&
	    (length_bytes - 1) >> 20 >= limit_mb)
		return context_fail(context, r,
				    "udmabuf gives at most %" PRIu64 " MiB: /sys/" LIMIT_PATH
				    " says so",
				    limit_mb);
	return context_fail(context, r, "udmabuf doesn't give 0x%" PRIx64 " bytes: %s",
			    length_bytes, error_name(r));
}

static int make(const struct p2pdma_context *context, int node_fd, uint64_t length_bytes)
{
	struct udmabuf_create argument = {
		.flags = UDMABUF_FLAGS_CLOEXEC,
		.size = length_bytes,
	};
	int memory, r;

	memory = context->sys->memory("p2pdma", length_bytes);
	if (memory < 0)
		return context_fail(context, memory,
				    "can't make a memfd of 0x%" PRIx64 " bytes: %s", length_bytes,
				    error_name(memory));
	argument.memfd = (uint32_t)memory;
	r = context->sys->ioctl(node_fd, UDMABUF_CREATE, &argument);
	context->sys->close(memory);
	return r < 0 ? explain(context, length_bytes, r) : r;
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
	.remedy = "the kernel has no udmabuf (CONFIG_UDMABUF), or its module isn't loaded",
	.make = make,
};
