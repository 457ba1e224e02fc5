// SPDX-License-Identifier: MIT
/*
 * Looks at exporting and mapping, by whatever interface, and what is said when no look has found
 * anything.
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
	if (size &&
	    (request->offset_bytes > size || request->length_bytes > size - request->offset_bytes))
		return explain_say(explain->out, P2PDMA_CAUSE_RANGE, P2PDMA_EXPLANATION_SEEN,
				   "0x%" PRIx64 " bytes at 0x%" PRIx64
				   " pass the end of %s, which has 0x%" PRIx64,
				   request->length_bytes, request->offset_bytes,
				   provider_of(explain), size);
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

/* One sentence for each errno that has no better one. */
static const struct {
	int error;
	uint32_t cause;
	const char *sentence;
} rest[] = {
	{EINVAL, P2PDMA_CAUSE_NIC_REFUSES,
	 "the NIC's driver refuses the range, its page sizes or the path to the memory"},
	{EOPNOTSUPP, P2PDMA_CAUSE_NIC_REFUSES,
	 "the NIC's driver can't reach this DMABUF peer to peer, or can't be revoked and the "
	 "exporter insists"},
	{524, P2PDMA_CAUSE_NIC_REFUSES,
	 "the NIC's driver or the exporter can't do it, and lets a number of the kernel's own out"},
	{EADDRINUSE, P2PDMA_CAUSE_IOMMU_RANGES,
	 "this kernel can't map more than one range of a DMABUF through an IOMMU"},
	{EBADF, P2PDMA_CAUSE_BAD_FD, "the descriptor of the RDMA device is closed"},
	{EPERM, P2PDMA_CAUSE_NIC_REFUSES, "the NIC's driver or the exporter doesn't allow it"},
	{EACCES, P2PDMA_CAUSE_PERMISSION, "not allowed"},
	{EFAULT, P2PDMA_CAUSE_NIC_REFUSES,
	 "the NIC's driver can't find the memory behind the exporter's addresses"},
	{ESTALE, P2PDMA_CAUSE_REVOKED, "the memory has been revoked"},
};

static bool is_registration(const struct explain *explain)
{
	return explain->request->operation == P2PDMA_OPERATION_REGISTER ||
	       explain->request->operation == P2PDMA_OPERATION_REGISTER_MEMORY;
}

/* No path to a device is in the way of it. */
static bool look_at_system_memory(struct explain *explain)
{
	if (!dmabuf_exporter_is_system(explain->out->exporter) ||
	    (explain->error != -EINVAL && explain->error != -EOPNOTSUPP))
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_NIC_REFUSES, 0,
		    "the NIC's driver refuses a DMABUF of the machine's own memory (%s), so that "
		    "no path to a device is in the way",
		    explain->out->exporter);
	explain_remedy(explain->out, "the kernel's log may say more");
	return true;
}

bool explain_rest(struct explain *explain)
{
	if (is_registration(explain) && look_at_system_memory(explain))
		return true;
	if (explain->error == -ENOMEM) {
		explain_say(explain->out, P2PDMA_CAUSE_NO_MEMORY, 0,
			    is_registration(explain) ?
				    "the kernel or the NIC has no room for another memory region "
				    "(no limit of this process is reached)" :
				    "the kernel has no memory");
		explain_remedy(explain->out, "release what isn't used; see the kernel's log");
		return true;
	}
	for (size_t i = 0; is_registration(explain) && i < sizeof(rest) / sizeof(*rest); i++) {
		if (rest[i].error != -explain->error)
			continue;
		explain_say(explain->out, rest[i].cause, 0, "%s", rest[i].sentence);
		explain_remedy(explain->out, "the kernel's log may say more");
		return true;
	}
	explain_say(explain->out, P2PDMA_CAUSE_UNKNOWN, 0, "nothing that was looked at is amiss");
	explain_remedy(explain->out, "the kernel's log may say more");
	return true;
}
