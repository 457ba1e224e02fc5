// SPDX-License-Identifier: MIT
/*
 * What can be known of a DMABUF by its descriptor alone.
 *
 * That it is one: DMABUFs are the only files of their filesystem. Its size: by
 * lseek(). Who exported it: the kernel writes the exporter's name into the descriptor's
 * fdinfo. Behind that line stands a name that any holder may set, so the first line
 * counts. The name is a module's or a heap's and says of which kind the memory is,
 * not where it lies: a GPU's driver may have put a buffer object anywhere.
 *
 * Pure functions over the seam, no state, no locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "backend/backend.h"
#include "context/context.h"
#include "dmabuf.h"
#include "explain/explain.h"
#include "files/proc.h"

int dmabuf_query_failed(struct p2pdma_context *context, int fd, int error)
{
	struct p2pdma_explain_request request = P2PDMA_EXPLAIN_REQUEST_INIT;

	request.operation = P2PDMA_OPERATION_ADOPT;
	request.fd = fd;
	return explain_failure(context, error, &request, "can't take descriptor %d for a DMABUF",
			       fd);
}

int dmabuf_query(struct p2pdma_context *context, int fd, struct export_result *ret_result)
{
	uint64_t type, size_bytes;
	int r;

	r = context->sys->fs_type(fd, &type);
	if (!r && type != DMA_BUF_MAGIC)
		r = -EINVAL;
	if (!r)
		r = context->sys->size(fd, &size_bytes);
	if (r)
		return dmabuf_query_failed(context, fd, r);
	ret_result->size_bytes = size_bytes;
	ret_result->export_id = 0;
	return 0;
}

int dmabuf_exporter_query(const struct sys_ops *sys, int fd,
			  char ret_exporter[DMABUF_EXPORTER_SIZE])
{
	char path[48];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	return proc_find(sys, AT_FDCWD, path, "exp_name:", ret_exporter, DMABUF_EXPORTER_SIZE);
}

bool dmabuf_exporter_is_system(const char *exporter)
{
	/* dma-heaps are named as they are below /dev/dma_heap. */
	static const char *const names[] = {"udmabuf",	  "system",    "system_cc_shared",
					    "reserved",	  "linux,cma", "default_cma_region",
					    "default_cma"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!strcmp(exporter, names[i]))
			return true;
	}
	return false;
}
