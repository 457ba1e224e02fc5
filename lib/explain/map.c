// SPDX-License-Identifier: MIT
/*
 * Looks at a CPU mapping of a DMABUF.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "explain.h"

bool explain_map_range(struct explain *explain)
{
	const struct p2pdma_explain_request *request = explain->request;
	uint64_t page = explain->context->page_size_bytes;

	if (!request->length_bytes || request->offset_bytes % page)
		return explain_say(explain->out, P2PDMA_CAUSE_RANGE, P2PDMA_EXPLANATION_SEEN,
				   "0x%" PRIx64 " bytes at 0x%" PRIx64
				   " are empty, or don't begin on a page of %" PRIu64,
				   request->length_bytes, request->offset_bytes, page);
	/* The last page may be begun. */
	if (request->offset_bytes >= explain->size_bytes ||
	    (request->length_bytes - 1) / page >
		    (explain->size_bytes - request->offset_bytes - 1) / page)
		return explain_say(explain->out, P2PDMA_CAUSE_RANGE, P2PDMA_EXPLANATION_SEEN,
				   "0x%" PRIx64 " bytes at 0x%" PRIx64
				   " pass the end of %s, which has 0x%" PRIx64,
				   request->length_bytes, request->offset_bytes, explain->memory,
				   explain->size_bytes);
	return false;
}

bool explain_map_none(struct explain *explain)
{
	bool is_vfio = !strncmp(explain->out->exporter, "vfio", 4);

	if (!explain->is_dmabuf)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_NO_MMAP, 0, "the exporter of %s has no mmap",
		    explain->memory);
	if (is_vfio)
		explain_remedy(explain->out, "map the BAR of the VFIO device instead");
	return true;
}

bool explain_map_caching(struct explain *explain)
{
	explain_say(explain->out, P2PDMA_CAUSE_CACHING, 0,
		    "%s is mapped elsewhere with another caching", explain->memory);
	explain_remedy(explain->out, "P2PDMA_BUFFER_MMAP_WC must be the same for both");
	return true;
}
