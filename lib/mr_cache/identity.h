/* SPDX-License-Identifier: MIT */
#ifndef MR_IDENTITY_H
#define MR_IDENTITY_H

#include <stdint.h>

#include "common/list.h"

struct p2pdma_buffer;
struct p2pdma_context;

/* A DMABUF that caches have seen, whatever buffers and descriptors stand for it. */
struct mr_identity {
	struct list link; /* in context->identities */
	uint64_t inode;
	uint64_t generation; /* atomic; goes up under context->lock */
	uint32_t shut;	     /* why its memory was taken, the last time: P2PDMA_MR_GUARD_*, or 0 */
	uint32_t nr_open;    /* buffers that are neither revoked nor freed by their owners */
	struct list buffers; /* those that hold it */
};

/* Makes sure that buffer->identity is there. Takes context->lock. -ENOMEM. */
int mr_identity_attach(struct p2pdma_buffer *buffer);

/* All under context->lock; buffers without an identity are none of their business. */

/*
 * The memory is taken: everything registered of the DMABUF so far is found no more, in no
 * cache, and its guards are shut with @shut. Ended entries wait in context->ended.
 */
void mr_identity_revoke(struct p2pdma_buffer *buffer, uint32_t shut);
/*
 * The buffer's owner has freed it. Where it owns the memory, or was the last that was open, the
 * same as above, but no guard is shut.
 */
void mr_identity_close(struct p2pdma_buffer *buffer);
/* The buffer goes. */
void mr_identity_detach(struct p2pdma_buffer *buffer);

void mr_identities_free(struct p2pdma_context *context);

#endif /* MR_IDENTITY_H */
