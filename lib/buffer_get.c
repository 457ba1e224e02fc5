// SPDX-License-Identifier: MIT
/*
 * What a buffer says about itself: facts that never change. No locks.
 */
#include <errno.h>

#include "buffer.h"

int p2pdma_buffer_fd(const struct p2pdma_buffer *buffer)
{
	return buffer ? buffer->fd : -EINVAL;
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

void *p2pdma_buffer_user_data(const struct p2pdma_buffer *buffer)
{
	return buffer ? buffer->user_data : NULL;
}
