/* SPDX-License-Identifier: MIT */
#ifndef MEMORY_H
#define MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"

struct p2pdma_context;

/* What was called, for who explains it. */
struct memory_call {
	int node_fd;
	uint64_t length_bytes;
};

/* A way to make a DMABUF of system memory. One file each. */
struct memory_source {
	const struct backend *backend; /* what its buffers are */
	const char *node;	       /* below /dev */

	/* @node_fd: open. The DMABUF, or -errno with its cause. */
	int (*make)(struct p2pdma_context *context, int node_fd, uint64_t length_bytes);
};

extern const struct memory_source memory_heap;
extern const struct memory_source memory_udmabuf;

/* Why there is no memory of it: tells the cause and returns the error, -EOPNOTSUPP for -ENOTTY. */
int memory_make_failed(struct p2pdma_context *context, const struct memory_source *source,
		       const struct memory_call *call, int error);

/* struct backend's query() of those. */
void memory_query_system(struct p2pdma_buffer *buffer, struct p2pdma_buffer_status *status);

/* struct backend's query() where the kernel can't tell anything. */
void memory_query(struct p2pdma_buffer *buffer, struct p2pdma_buffer_status *status);

#endif /* MEMORY_H */
