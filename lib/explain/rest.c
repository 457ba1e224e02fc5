// SPDX-License-Identifier: MIT
/*
 * What is said when no look has found anything: what is left when everything that can be seen has
 * been excluded.
 */
#include <errno.h>

#include "explain.h"

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
	{ENOTSUPP, P2PDMA_CAUSE_NIC_REFUSES,
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

/* What an operation's own driver or library says without a word why. */
static const struct {
	uint32_t operation;
	uint32_t cause;
	const char *sentence;
} refusals[] = {
	{P2PDMA_OPERATION_IOMMUFD_MAP, P2PDMA_CAUSE_IMPORTER_REFUSES,
	 "iommufd refuses the DMABUF, or this kernel's takes memfds only"},
	{P2PDMA_OPERATION_GEM_QUERY, P2PDMA_CAUSE_MAKER_REFUSES, "the DRM driver doesn't answer"},
	{P2PDMA_OPERATION_GEM_ALLOCATE, P2PDMA_CAUSE_MAKER_REFUSES,
	 "the DRM driver makes no such object"},
	{P2PDMA_OPERATION_GEM_EXPORT, P2PDMA_CAUSE_MAKER_REFUSES,
	 "the DRM driver doesn't export the object"},
	{P2PDMA_OPERATION_GEM_IMPORT, P2PDMA_CAUSE_IMPORTER_REFUSES,
	 "the DRM driver doesn't take the DMABUF"},
	{P2PDMA_OPERATION_POOL_ALLOCATE, P2PDMA_CAUSE_MAKER_REFUSES,
	 "the kernel doesn't map memory of the pool"},
	{P2PDMA_OPERATION_MEMORY_ALLOCATE, P2PDMA_CAUSE_MAKER_REFUSES,
	 "the kernel makes no such buffer of system memory"},
	{P2PDMA_OPERATION_RUNTIME_EXPORT, P2PDMA_CAUSE_MAKER_REFUSES,
	 "the runtime's own result is all that it says"},
};

static bool look_at_refusal(struct explain *explain)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++) {
		if (refusals[i].operation != explain->request->operation)
			continue;
		explain_say(explain->out, refusals[i].cause, 0, "%s", refusals[i].sentence);
		explain_remedy(explain->out, "the kernel's log may say more");
		return true;
	}
	return false;
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
	if (look_at_refusal(explain))
		return true;
	explain_say(explain->out, P2PDMA_CAUSE_UNKNOWN, 0, "nothing that was looked at is amiss");
	explain_remedy(explain->out, "the kernel's log may say more");
	return true;
}
