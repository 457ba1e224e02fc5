// SPDX-License-Identifier: MIT
/*
 * Looks at exporting a BAR, by whatever interface.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "common/pci.h"
#include "explain.h"

static const char *provider_of(const struct explain *explain)
{
	return *explain->provider ? explain->provider : "the provider";
}

/* The function's part of the name: what /sys and /dev know. */
static int function_length(const struct explain *explain)
{
	return (int)strcspn(explain->provider, "/");
}

/* The BAR's size; 0: unknown. */
static uint64_t bar_bytes(const struct explain *explain)
{
	struct pci_provider_name name;
	struct pci_function function;

	if (pci_provider_name_parse(explain->provider, &name) || name.bar >= PCI_NR_BARS ||
	    pci_function_query(explain->context->sysfs_fd, &name.address, &function))
		return 0;
	return function.bars[name.bar].size_bytes;
}

bool explain_export_range(struct explain *explain)
{
	const struct p2pdma_explain_request *request = explain->request;
	uint64_t page = explain->context->page_size_bytes;
	uint64_t size = bar_bytes(explain);

	if (request->offset_bytes % page || request->length_bytes % page)
		return explain_say(explain->out, P2PDMA_CAUSE_RANGE, P2PDMA_EXPLANATION_SEEN,
				   "0x%" PRIx64 " bytes at 0x%" PRIx64
				   " aren't multiples of the page size %" PRIu64,
				   request->length_bytes, request->offset_bytes, page);
	if (explain_beyond(explain->out, request->offset_bytes, request->length_bytes,
			   provider_of(explain), size ? size : UINT64_MAX))
		return true;
	return explain_say(explain->out, P2PDMA_CAUSE_NOT_EXPORTABLE, 0,
			   "the kernel can't export BAR %" PRIu32 " of %s", request->bar,
			   provider_of(explain));
}

bool explain_export_privilege(struct explain *explain)
{
	explain_say(explain->out, P2PDMA_CAUSE_PERMISSION, 0,
		    "P2PDMA_BUFFER_ALLOW_UNREVOCABLE on %s needs CAP_SYS_ADMIN, or 1 in "
		    "/sys/class/p2pdma_export/%.*s/allow_unrevocable",
		    provider_of(explain), function_length(explain), explain->provider);
	explain_remedy(explain->out, "an administrator writes 1 there, or leave the flag out");
	return true;
}

bool explain_export_busy(struct explain *explain)
{
	return explain_say(explain->out, P2PDMA_CAUSE_BUSY, 0,
			   "%s is being reset or suspended, or another user of VFIO has it",
			   provider_of(explain));
}

bool explain_export_method(struct explain *explain)
{
	explain_say(explain->out, P2PDMA_CAUSE_NO_METHOD, 0,
		    "the driver of %s can't export DMABUFs: VFIO without "
		    "VFIO_DEVICE_FEATURE_DMA_BUF, or no p2pdma_export",
		    provider_of(explain));
	explain_remedy(explain->out,
		       "a kernel from 6.19 on with CONFIG_VFIO_PCI_DMABUF, or bind it "
		       "to p2pdma_export");
	return true;
}

bool explain_export_node(struct explain *explain)
{
	if (explain->error == -ENOENT)
		explain_say(explain->out, P2PDMA_CAUSE_NO_METHOD, 0,
			    "there is no device node of %s: its function isn't bound to "
			    "p2pdma_export or vfio-pci",
			    provider_of(explain));
	else
		explain_say(explain->out, P2PDMA_CAUSE_PERMISSION, 0,
			    "this user may not open the device node of %s", provider_of(explain));
	explain_remedy(explain->out, "p2pctl bind, and the group of the node; or ask p2pd");
	return true;
}
