// SPDX-License-Identifier: MIT
/*
 * The rules of a registration that can be known without the kernel, each with
 * its sentence: the kernel would answer EINVAL to nearly all of them. Pure
 * functions, no state.
 */
#include <errno.h>
#include <inttypes.h>

#include <infiniband/verbs.h>

#include "buffer.h"
#include "mr.h"

/* What the kernel's method for DMABUFs takes. */
#define DMABUF_ACCESS                                                                              \
	((uint32_t)(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |    \
		    IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_RELAXED_ORDERING))

/* Flags that a device may ignore, by verbs' own definition. */
#define OPTIONAL_ACCESS ((uint32_t)IBV_ACCESS_OPTIONAL_RANGE)

#define WRITE_ACCESS                                                                               \
	((uint32_t)(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC))

/* Newer than the oldest header we build with. */
#define ACCESS_FLUSH_GLOBAL	0x100U
#define ACCESS_FLUSH_PERSISTENT 0x200U

static const char *access_name(uint32_t flag)
{
	switch (flag) {
	case IBV_ACCESS_MW_BIND:
		return "IBV_ACCESS_MW_BIND";
	case IBV_ACCESS_ZERO_BASED:
		return "IBV_ACCESS_ZERO_BASED (choose iova = offset below the page instead)";
	case IBV_ACCESS_ON_DEMAND:
		return "IBV_ACCESS_ON_DEMAND (a DMABUF's pages move by themselves)";
	case IBV_ACCESS_HUGETLB:
		return "IBV_ACCESS_HUGETLB";
	case ACCESS_FLUSH_GLOBAL:
		return "IBV_ACCESS_FLUSH_GLOBAL";
	case ACCESS_FLUSH_PERSISTENT:
		return "IBV_ACCESS_FLUSH_PERSISTENT";
	default:
		return NULL;
	}
}

static int check_access(const struct p2pdma_context *context, const struct p2pdma_buffer *buffer,
			uint32_t access)
{
	uint32_t unknown = access & ~(DMABUF_ACCESS | OPTIONAL_ACCESS);
	uint32_t lowest = unknown & (~unknown + 1);

	if (unknown && access_name(lowest))
		return context_fail(context, -EINVAL, "the kernel doesn't take %s for a DMABUF",
				    access_name(lowest));
	if (unknown)
		return context_fail(context, -EINVAL, "unknown access flag 0x%" PRIx32, lowest);
	if (access & (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC) &&
	    !(access & IBV_ACCESS_LOCAL_WRITE))
		return context_fail(
			context, -EINVAL, "%s access needs IBV_ACCESS_LOCAL_WRITE as well",
			access & IBV_ACCESS_REMOTE_WRITE ? "remote write" : "remote atomic");
	if (access & WRITE_ACCESS && buffer->flags & P2PDMA_BUFFER_READ_ONLY)
		return context_fail(context, -EACCES, "%s is read-only", buffer->name);
	return 0;
}

static int check_range(const struct p2pdma_context *context, const struct p2pdma_buffer *buffer,
		       const struct p2pdma_mr_attr *attr)
{
	uint64_t page = context->page_size_bytes;

	if (!attr->length_bytes)
		return context_fail(context, -EINVAL, "a memory region can't be empty");
	if (attr->length_bytes > SIZE_MAX)
		return context_fail(context, -EINVAL, "0x%" PRIx64 " bytes aren't addressable here",
				    attr->length_bytes);
	if (attr->offset_bytes > buffer->size_bytes ||
	    attr->length_bytes > buffer->size_bytes - attr->offset_bytes)
		return context_fail(context, -EINVAL,
				    "0x%" PRIx64 " bytes at offset 0x%" PRIx64
				    " pass the end of the buffer, which has 0x%" PRIx64,
				    attr->length_bytes, attr->offset_bytes, buffer->size_bytes);
	if (attr->iova + attr->length_bytes - 1 < attr->iova)
		return context_fail(context, -EINVAL,
				    "0x%" PRIx64 " bytes at iova 0x%" PRIx64
				    " pass the end of the address space",
				    attr->length_bytes, attr->iova);
	if (attr->iova % page != attr->offset_bytes % page)
		return context_fail(context, -EINVAL,
				    "iova 0x%" PRIx64 " and offset 0x%" PRIx64
				    " differ below the page size %" PRIu64,
				    attr->iova, attr->offset_bytes, page);
	return 0;
}

bool mr_check_quickly(const struct p2pdma_buffer *buffer, const struct p2pdma_mr_attr *attr,
		      uint32_t *ret_access)
{
	if (attr->access & ~(DMABUF_ACCESS | OPTIONAL_ACCESS) ||
	    (attr->access & WRITE_ACCESS && buffer->flags & P2PDMA_BUFFER_READ_ONLY))
		return false;
	if (!attr->length_bytes || attr->offset_bytes > buffer->size_bytes ||
	    attr->length_bytes > buffer->size_bytes - attr->offset_bytes)
		return false;
	*ret_access = attr->access & DMABUF_ACCESS;
	return true;
}

int mr_check(const struct p2pdma_context *context, const struct p2pdma_buffer *buffer,
	     const struct p2pdma_mr_attr *attr, int *ret_access)
{
	int r;

	r = check_access(context, buffer, attr->access);
	if (r)
		return r;
	r = check_range(context, buffer, attr);
	if (r)
		return r;
	*ret_access = (int)(attr->access & DMABUF_ACCESS);
	return 0;
}
