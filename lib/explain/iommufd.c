// SPDX-License-Identifier: MIT
/*
 * Looks at a DMABUF that iommufd doesn't map for a device of VFIO.
 *
 * The kernel takes DMABUFs of VFIO with one range. An address space says itself which I/O addresses
 * it has (IOMMU_IOAS_IOVA_RANGES), and thereby whether it is there and the descriptor an iommufd;
 * asking changes nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <p2pdma/iommufd.h>

#include "buffer/buffer.h"
#include "explain.h"
#include "iommufd/abi.h"

#define MAX_RANGES 32

struct space {
	struct iommufd_abi_iova_range ranges[MAX_RANGES];
	struct iommufd_abi_ioas_iova_ranges argument;
};

/* 0: the address space has answered. */
static int query_space(const struct explain *explain, struct space *ret_space)
{
	const struct p2pdma_explain_request *request = explain->request;

	if (request->device_fd < 0)
		return -EBADF;
	memset(ret_space, 0, sizeof(*ret_space));
	ret_space->argument = (struct iommufd_abi_ioas_iova_ranges){
		.size = sizeof(ret_space->argument),
		.ioas_id = request->object,
		.num_iovas = MAX_RANGES,
		.allowed_iovas = (uintptr_t)ret_space->ranges,
	};
	return explain->context->sys->ioctl(request->device_fd, IOMMUFD_ABI_IOAS_IOVA_RANGES,
					    &ret_space->argument);
}

static const char *importer_of(const struct explain *explain)
{
	return explain->request->importer ? explain->request->importer : "the device";
}

bool explain_iommufd_exporter(struct explain *explain)
{
	const struct p2pdma_buffer *buffer = explain->request->buffer;
	const char *exporter = explain->out->exporter;

	if (*exporter && strcmp(exporter, EXPLAIN_VFIO_EXPORTER)) {
		explain_say(explain->out, P2PDMA_CAUSE_EXPORTER, P2PDMA_EXPLANATION_SEEN,
			    "iommufd takes DMABUFs of VFIO only, and that of %s is made by %s",
			    explain->memory, exporter);
		explain_remedy(explain->out, "bind the function to vfio-pci");
		return true;
	}
	if (!buffer || buffer->nr_ranges < 2)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_RANGES, P2PDMA_EXPLANATION_SEEN,
		    "iommufd takes DMABUFs with one range, and that of %s has %zu", explain->memory,
		    buffer->nr_ranges);
	explain_remedy(explain->out, "export each range as a buffer of its own");
	return true;
}

bool explain_iommufd_method(struct explain *explain)
{
	struct space space;
	int r = query_space(explain, &space);

	if (r == -ENOTTY) {
		explain_say(explain->out, P2PDMA_CAUSE_NOT_DEVICE, P2PDMA_EXPLANATION_SEEN,
			    "descriptor %" PRId32
			    " is no iommufd (/dev/iommu): it knows no address "
			    "spaces",
			    explain->request->device_fd);
		return true;
	}
	explain_say(explain->out, P2PDMA_CAUSE_NO_METHOD, r ? 0 : P2PDMA_EXPLANATION_SEEN,
		    "this kernel's iommufd maps no DMABUFs (IOMMU_IOAS_MAP_FILE)");
	explain_remedy(explain->out,
		       "a kernel in which VFIO and iommufd know each other's DMABUFs, "
		       "or register with an RDMA device");
	return true;
}

bool explain_iommufd_space(struct explain *explain)
{
	struct space space;
	bool is_seen = query_space(explain, &space) == -ENOENT;

	explain_say(explain->out, P2PDMA_CAUSE_NO_OBJECT, is_seen ? P2PDMA_EXPLANATION_SEEN : 0,
		    "the iommufd has no address space %" PRIu32, explain->request->object);
	explain_remedy(explain->out, "IOMMU_IOAS_ALLOC makes one");
	return true;
}

bool iommufd_rules_break(const struct iommufd_rules *rules, struct p2pdma_explanation *out)
{
	uint64_t page = rules->page_bytes;

	if (!rules->length_bytes || rules->offset_bytes % page || rules->length_bytes % page)
		return explain_say(out, P2PDMA_CAUSE_RANGE, P2PDMA_EXPLANATION_SEEN,
				   "an IOMMU maps whole pages: 0x%" PRIx64 " bytes at 0x%" PRIx64
				   " are none of %" PRIu64,
				   rules->length_bytes, rules->offset_bytes, page);
	if (rules->flags & P2PDMA_IOMMUFD_FIXED_IOVA && rules->iova % page)
		return explain_say(out, P2PDMA_CAUSE_IOVA, P2PDMA_EXPLANATION_SEEN,
				   "the iova 0x%" PRIx64
				   " is no multiple of the page size %" PRIu64,
				   rules->iova, page);
	return explain_beyond(out, rules->offset_bytes, rules->length_bytes, rules->name,
			      rules->size_bytes);
}

bool explain_iommufd_range(struct explain *explain)
{
	const struct p2pdma_explain_request *request = explain->request;
	struct iommufd_rules rules = {
		.flags = request->access,
		.offset_bytes = request->offset_bytes,
		.length_bytes = request->length_bytes,
		.iova = request->iova,
		.size_bytes = explain->size_bytes,
		.page_bytes = explain->context->page_size_bytes,
		.name = explain->memory,
	};

	return iommufd_rules_break(&rules, explain->out);
}

/* Is the whole of what is wanted in one range that the address space has? */
static bool is_allowed(const struct p2pdma_explain_request *request, const struct space *space)
{
	for (uint32_t i = 0; i < space->argument.num_iovas && i < MAX_RANGES; i++) {
		const struct iommufd_abi_iova_range *range = &space->ranges[i];

		if (request->iova >= range->start && request->iova <= range->last &&
		    request->length_bytes - 1 <= range->last - request->iova)
			return true;
	}
	return false;
}

bool explain_iommufd_address(struct explain *explain)
{
	const struct p2pdma_explain_request *request = explain->request;
	struct space space;

	if (!(request->access & P2PDMA_IOMMUFD_FIXED_IOVA) || query_space(explain, &space) ||
	    is_allowed(request, &space) || !space.argument.num_iovas)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_IOVA, P2PDMA_EXPLANATION_SEEN,
		    "0x%" PRIx64 " bytes at the iova 0x%" PRIx64
		    " are outside the addresses of the space, 0x%" PRIx64 " to 0x%" PRIx64 "%s",
		    request->length_bytes, request->iova, (uint64_t)space.ranges[0].start,
		    (uint64_t)space.ranges[0].last,
		    space.argument.num_iovas > 1 ? " and others" : "");
	explain_remedy(explain->out, "let the kernel choose: leave P2PDMA_IOMMUFD_FIXED_IOVA out");
	return true;
}

bool explain_iommufd_taken(struct explain *explain)
{
	const struct p2pdma_explain_request *request = explain->request;

	if (request->access & P2PDMA_IOMMUFD_FIXED_IOVA) {
		explain_say(explain->out, P2PDMA_CAUSE_IOVA_TAKEN, 0,
			    "something is mapped already in the 0x%" PRIx64
			    " bytes at the iova 0x%" PRIx64 " of address space %" PRIu32,
			    request->length_bytes, request->iova, request->object);
		explain_remedy(explain->out, "unmap it, or let the kernel choose");
		return true;
	}
	explain_say(explain->out, P2PDMA_CAUSE_IOVA_TAKEN, 0,
		    "address space %" PRIu32 " has no 0x%" PRIx64
		    " I/O addresses in a row left for %s",
		    request->object, request->length_bytes, importer_of(explain));
	explain_remedy(explain->out, "unmap what isn't used, or attach an IOMMU with more bits");
	return true;
}
