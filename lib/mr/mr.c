// SPDX-License-Identifier: MIT
/*
 * Memory regions: slices of buffers registered with a NIC.
 *
 * A region is linked to its buffer under context->lock, so that a revocation
 * finds its guard, and holds a reference on the buffer. Its own count has one
 * reference of the caller and one of each revocation that waits for its posts:
 * the wait is on memory of the region, which must not go under it.
 *
 * Registering takes as long as the NIC takes and holds no lock meanwhile. A
 * buffer that was revoked in that time is noticed when the region is linked:
 * the region is then undone, as if the revocation had come first. Ways to
 * register are in method.c, rules in check.c, the guard in guard.c, why one failed in
 * explain/explain.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include <infiniband/verbs.h>

#include "buffer/buffer.h"
#include "explain/explain.h"
#include "guard.h"
#include "mr.h"
#include "context/options.h"

void mr_unref(struct p2pdma_mr *mr)
{
	if (__atomic_fetch_sub(&mr->refs, 1, __ATOMIC_ACQ_REL) == 1)
		free(mr);
}

/* Links the region unless its buffer has come to its end. */
static bool publish(struct p2pdma_mr *mr)
{
	struct p2pdma_buffer *buffer = mr->buffer;
	bool is_active;

	pthread_mutex_lock(&buffer->context->lock);
	is_active = buffer->state == P2PDMA_BUFFER_ACTIVE;
	if (is_active) {
		list_append(&buffer->mrs, &mr->link);
		buffer->nr_mrs++;
	}
	pthread_mutex_unlock(&buffer->context->lock);
	return is_active;
}

static int register_failed(struct ibv_pd *pd, struct p2pdma_buffer *buffer,
			   const struct p2pdma_mr_attr *attr, int access, int error)
{
	struct p2pdma_explain_request request = P2PDMA_EXPLAIN_REQUEST_INIT;
	int r;

	/* The memory's end explains more than what the NIC made of it. */
	r = buffer_check_after(buffer, 0);
	if (r)
		return r;
	request.operation = P2PDMA_OPERATION_REGISTER;
	request.flags = attr->dmah ? P2PDMA_EXPLAIN_DMA_HANDLE : P2PDMA_EXPLAIN_UVERBS;
	request.offset_bytes = attr->offset_bytes;
	request.length_bytes = attr->length_bytes;
	request.iova = attr->iova;
	request.access = (uint32_t)access;
	request.pd = pd;
	request.buffer = buffer;
	return explain_failure(buffer->context, error, &request,
			       "registering 0x%" PRIx64 " bytes of %s with %s", attr->length_bytes,
			       buffer->name,
			       pd->context->device ? pd->context->device->name : "the NIC");
}

int mr_create(struct ibv_pd *pd, struct p2pdma_buffer *buffer, const struct p2pdma_mr_attr *attr,
	      int access, struct p2pdma_mr **ret_mr)
{
	struct p2pdma_context *context = buffer->context;
	struct p2pdma_mr *mr = calloc(1, sizeof(*mr));
	int r;

	if (!mr)
		return context_fail(context, -ENOMEM, "no memory for a memory region");
	mr->refs = 1;
	mr->buffer = buffer;
	mr->iova = attr->iova;
	mr->length_bytes = attr->length_bytes;
	list_init(&mr->link);
	r = mr_methods_register(pd, attr, access, mr);
	if (r) {
		free(mr);
		return register_failed(pd, buffer, attr, access, r);
	}
	r = buffer->backend->check ? buffer->backend->check(buffer) : 0;
	if (r || !publish(mr)) {
		mr_methods_deregister(context, mr);
		free(mr);
		return r ? r : buffer_check(buffer);
	}
	buffer_ref(buffer);
	*ret_mr = mr;
	return 0;
}

int p2pdma_mr_register_attr(struct ibv_pd *pd, struct p2pdma_buffer *buffer,
			    const struct p2pdma_mr_attr *attr, struct p2pdma_mr **ret_mr)
{
	struct p2pdma_context *context;
	struct p2pdma_mr_attr known;
	int access, r;

	if (!buffer)
		return -EINVAL;
	context = buffer->context;
	if (!pd || !attr || !ret_mr)
		return context_fail(context, -EINVAL,
				    "no protection domain, no attributes, or no place for the MR");
	r = options_load(&known, sizeof(known), sizeof(known), attr);
	if (r)
		return context_fail(context, r, "the MR attributes have a wrong size");
	r = buffer_check(buffer);
	if (r)
		return r;
	r = mr_check(context, buffer, &known, &access);
	if (r)
		return r;
	return mr_create(pd, buffer, &known, access, ret_mr);
}

int p2pdma_mr_register(struct ibv_pd *pd, struct p2pdma_buffer *buffer, uint64_t offset_bytes,
		       uint64_t length_bytes, uint64_t iova, unsigned int access,
		       struct p2pdma_mr **ret_mr)
{
	struct p2pdma_mr_attr attr = {
		.size_bytes = sizeof(attr),
		.access = access,
		.offset_bytes = offset_bytes,
		.length_bytes = length_bytes,
		.iova = iova,
	};

	return p2pdma_mr_register_attr(pd, buffer, &attr, ret_mr);
}

int mr_end(struct p2pdma_mr *mr)
{
	struct p2pdma_buffer *buffer = mr->buffer;
	struct p2pdma_context *context = buffer->context;
	int r;

	if (guard_count(&mr->guard))
		return context_fail(context, -EBUSY, "%u posts of this MR are in progress",
				    guard_count(&mr->guard));
	r = mr_methods_deregister(context, mr);
	if (r)
		return r;
	pthread_mutex_lock(&context->lock);
	list_remove(&mr->link);
	buffer->nr_mrs--;
	pthread_mutex_unlock(&context->lock);
	mr_unref(mr);
	buffer_unref(buffer);
	return 0;
}

int p2pdma_mr_deregister(struct p2pdma_mr *mr)
{
	if (!mr)
		return 0;
	if (mr->entry)
		return context_fail(mr->buffer->context, -EINVAL,
				    "this MR is of a cache: p2pdma_mr_cache_release() gives it "
				    "back");
	return mr_end(mr);
}

uint32_t p2pdma_mr_lkey(const struct p2pdma_mr *mr)
{
	return mr ? mr->lkey : 0;
}

uint32_t p2pdma_mr_rkey(const struct p2pdma_mr *mr)
{
	return mr ? mr->rkey : 0;
}

uint64_t p2pdma_mr_iova(const struct p2pdma_mr *mr)
{
	return mr ? mr->iova : 0;
}

uint64_t p2pdma_mr_length_bytes(const struct p2pdma_mr *mr)
{
	return mr ? mr->length_bytes : 0;
}

struct p2pdma_buffer *p2pdma_mr_buffer(const struct p2pdma_mr *mr)
{
	return mr ? mr->buffer : NULL;
}

enum p2pdma_mr_method p2pdma_mr_method(const struct p2pdma_mr *mr)
{
	return mr ? mr->method : P2PDMA_MR_METHOD_NONE;
}

struct ibv_mr *p2pdma_mr_ibv_mr(const struct p2pdma_mr *mr)
{
	return mr ? mr->ibv_mr : NULL;
}
