// SPDX-License-Identifier: MIT
/*
 * The rules of a registration that can be known without the kernel, each with
 * its sentence: the kernel would answer EINVAL to nearly all of them. The library asks
 * them before it registers; an explanation (explain/explain.c) after somebody else has. Pure
 * functions, no state.
 */
#include <errno.h>
#include <inttypes.h>

#include <infiniband/verbs.h>

#include "buffer/buffer.h"
#include "explain/explain.h"
#include "mr.h"

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

static bool access_breaks(const struct mr_rules *rules, struct p2pdma_explanation *out)
{
	uint32_t unknown = rules->is_dmabuf ? rules->access & ~rules->takes : 0;
	uint32_t lowest = unknown & (~unknown + 1);

	if (unknown && access_name(lowest))
		return explain_say(out, P2PDMA_CAUSE_ACCESS, P2PDMA_EXPLANATION_SEEN,
				   "the kernel doesn't take %s for a DMABUF", access_name(lowest));
	if (unknown)
		return explain_say(out, P2PDMA_CAUSE_ACCESS, P2PDMA_EXPLANATION_SEEN,
				   "unknown access flag 0x%" PRIx32, lowest);
	if (rules->access & (IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_ATOMIC) &&
	    !(rules->access & IBV_ACCESS_LOCAL_WRITE))
		return explain_say(out, P2PDMA_CAUSE_ACCESS, P2PDMA_EXPLANATION_SEEN,
				   "%s access needs IBV_ACCESS_LOCAL_WRITE as well",
				   rules->access & IBV_ACCESS_REMOTE_WRITE ? "remote write" :
									     "remote atomic");
	return false;
}

static bool range_breaks(const struct mr_rules *rules, struct p2pdma_explanation *out)
{
	if (!rules->length_bytes)
		return explain_say(out, P2PDMA_CAUSE_RANGE, P2PDMA_EXPLANATION_SEEN,
				   "a memory region can't be empty");
	if (rules->length_bytes > SIZE_MAX)
		return explain_say(out, P2PDMA_CAUSE_RANGE, P2PDMA_EXPLANATION_SEEN,
				   "0x%" PRIx64 " bytes aren't addressable here",
				   rules->length_bytes);
	if (rules->is_dmabuf && explain_beyond(out, rules->offset_bytes, rules->length_bytes,
					       "the buffer", rules->size_bytes))
		return true;
	if (rules->iova + rules->length_bytes - 1 < rules->iova)
		return explain_say(out, P2PDMA_CAUSE_RANGE, P2PDMA_EXPLANATION_SEEN,
				   "0x%" PRIx64 " bytes at iova 0x%" PRIx64
				   " pass the end of the address space",
				   rules->length_bytes, rules->iova);
	if (rules->is_dmabuf &&
	    rules->iova % rules->page_bytes != rules->offset_bytes % rules->page_bytes)
		return explain_say(out, P2PDMA_CAUSE_IOVA, P2PDMA_EXPLANATION_SEEN,
				   "iova 0x%" PRIx64 " and offset 0x%" PRIx64
				   " differ below the page size %" PRIu64,
				   rules->iova, rules->offset_bytes, rules->page_bytes);
	return false;
}

bool mr_rules_break(const struct mr_rules *rules, struct p2pdma_explanation *out)
{
	return access_breaks(rules, out) || range_breaks(rules, out);
}

bool mr_writes(uint32_t access)
{
	return access & WRITE_ACCESS;
}

bool mr_check_quickly(const struct p2pdma_buffer *buffer, const struct p2pdma_mr_attr *attr,
		      uint32_t *ret_access)
{
	if (attr->access & ~(MR_DMABUF_ACCESS | OPTIONAL_ACCESS) ||
	    (attr->access & WRITE_ACCESS && buffer->flags & P2PDMA_BUFFER_READ_ONLY))
		return false;
	if (!attr->length_bytes || attr->offset_bytes > buffer->size_bytes ||
	    attr->length_bytes > buffer->size_bytes - attr->offset_bytes)
		return false;
	*ret_access = attr->access & MR_DMABUF_ACCESS;
	return true;
}

int mr_check(const struct p2pdma_context *context, const struct p2pdma_buffer *buffer,
	     const struct p2pdma_mr_attr *attr, int *ret_access)
{
	struct p2pdma_explanation explanation;
	struct mr_rules rules = {
		.is_dmabuf = true,
		.access = attr->access,
		.takes = MR_DMABUF_ACCESS | OPTIONAL_ACCESS,
		.offset_bytes = attr->offset_bytes,
		.length_bytes = attr->length_bytes,
		.iova = attr->iova,
		.size_bytes = buffer->size_bytes,
		.page_bytes = context->page_size_bytes,
	};

	/* ib_umem_get() pins with FOLL_LONGTERM, which excludes FOLL_PCI_P2PDMA. */
	if (buffer->fd < 0)
		return context_fail(context, -EOPNOTSUPP,
				    "%s can't be a memory region: it has no DMABUF, and the kernel "
				    "doesn't pin p2pmem for as long as one lives, so that the "
				    "driver can always leave; its pages are for O_DIRECT",
				    buffer->name);
	if (mr_rules_break(&rules, &explanation))
		return context_fail(context, -EINVAL, "%s", explanation.sentence);
	if (mr_writes(attr->access) && buffer->flags & P2PDMA_BUFFER_READ_ONLY)
		return context_fail(context, -EACCES, "%s is read-only", buffer->name);
	*ret_access = (int)(attr->access & MR_DMABUF_ACCESS);
	return 0;
}
