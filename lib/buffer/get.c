// SPDX-License-Identifier: MIT
/*
 * What a buffer says about itself: facts that never change. No locks, but for the
 * exporter's name, which is looked up when somebody wants to know it.
 */
#include <errno.h>
#include <string.h>

#include "buffer.h"

int p2pdma_buffer_fd(const struct p2pdma_buffer *buffer)
{
	if (!buffer)
		return -EINVAL;
	if (buffer->fd < 0)
		return context_fail(buffer->context, -EOPNOTSUPP,
				    "%s has no DMABUF: it is memory of this process, see "
				    "p2pdma_buffer_map()",
				    buffer->name);
	return buffer->fd;
}

uint64_t p2pdma_buffer_size_bytes(const struct p2pdma_buffer *buffer)
{
	return buffer ? buffer->size_bytes : 0;
}

enum p2pdma_backend p2pdma_buffer_backend(const struct p2pdma_buffer *buffer)
{
	return buffer ? buffer->backend->id : P2PDMA_BACKEND_AUTO;
}

const char *p2pdma_buffer_name(const struct p2pdma_buffer *buffer)
{
	return buffer ? buffer->name : "";
}

uint64_t p2pdma_buffer_inode(const struct p2pdma_buffer *buffer)
{
	return buffer ? buffer->inode : 0;
}

const char *p2pdma_buffer_exporter(struct p2pdma_buffer *buffer)
{
	char exporter[DMABUF_EXPORTER_SIZE] = "";

	if (!buffer)
		return "";
	pthread_mutex_lock(&buffer->context->lock);
	/* Once written it stays, so that the caller may read it without the lock. */
	if (!*buffer->exporter &&
	    !dmabuf_exporter_query(buffer->context->sys, buffer->fd, exporter))
		memcpy(buffer->exporter, exporter, sizeof(exporter));
	pthread_mutex_unlock(&buffer->context->lock);
	return buffer->exporter;
}

void *p2pdma_buffer_user_data(const struct p2pdma_buffer *buffer)
{
	return buffer ? buffer->user_data : NULL;
}
