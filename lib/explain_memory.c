// SPDX-License-Identifier: MIT
/*
 * Looks at ibv_reg_mr(): memory by its address, which the kernel pins page by page.
 *
 * That is what a DMABUF is compared with, and where programs come from. Pinned memory counts
 * against RLIMIT_MEMLOCK, a DMABUF doesn't. And a CPU mapping of device memory has no pages at all
 * that could be pinned: whoever maps a BAR and registers the address gets EFAULT.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <linux/capability.h>

#include "explain.h"
#include "mr.h"
#include "proc.h"

static bool has_ipc_lock(const struct sys_ops *sys)
{
	char text[32];

	return !proc_find(sys, "/proc/self/status", "CapEff:", text, sizeof(text)) &&
	       strtoull(text, NULL, 16) >> CAP_IPC_LOCK & 1;
}

bool explain_memlock(struct explain *explain)
{
	const struct sys_ops *sys = explain->context->sys;
	uint64_t limit, pinned_kib = 0;

	if (sys->limit(RLIMIT_MEMLOCK, &limit) || limit == UINT64_MAX || has_ipc_lock(sys))
		return false;
	proc_find_u64(sys, "/proc/self/status", "VmPin:", &pinned_kib);
	if (limit && pinned_kib * 1024 + explain->request->length_bytes <= limit)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_MEMLOCK, P2PDMA_EXPLANATION_SEEN,
		    "this process has pinned %" PRIu64 " KiB and wants %" PRIu64
		    " KiB more, and may have %" PRIu64 " KiB",
		    pinned_kib, (explain->request->length_bytes + 1023) / 1024, limit / 1024);
	explain_remedy(explain->out,
		       "raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=, limits.conf); a DMABUF "
		       "isn't counted against it");
	return true;
}

/* The mapping that has an address, as smaps shows it. */
struct search {
	uint64_t address;
	bool is_inside; /* lines are of the mapping that was looked for */
	bool is_found;
	bool is_writable;
	bool is_device;
};

static bool take_line(void *data, const char *line)
{
	struct search *search = data;
	unsigned long long start, end;
	char rights[5];

	if (sscanf(line, "%llx-%llx %4s", &start, &end, rights) == 3) {
		if (search->is_found)
			return true;
		search->is_inside = start <= search->address && search->address < end;
		search->is_found = search->is_inside;
		search->is_writable = search->is_inside && rights[1] == 'w';
	} else if (search->is_inside && !strncmp(line, "VmFlags:", 8)) {
		/* Device memory, and page frames without pages. */
		search->is_device = strstr(line, " io") || strstr(line, " pf");
		return true;
	}
	return false;
}

bool explain_address(struct explain *explain)
{
	struct search search = {.address = explain->request->iova};

	if (proc_each_line(explain->context->sys, "/proc/self/smaps", take_line, &search))
		return false;
	if (!search.is_found) {
		explain_say(explain->out, P2PDMA_CAUSE_NOT_MAPPED, P2PDMA_EXPLANATION_SEEN,
			    "nothing is mapped at 0x%" PRIx64, search.address);
		return true;
	}
	if (search.is_device) {
		explain_say(explain->out, P2PDMA_CAUSE_DEVICE_MAPPING, P2PDMA_EXPLANATION_SEEN,
			    "at 0x%" PRIx64
			    " device memory is mapped, which has no pages that ibv_reg_mr() could "
			    "pin",
			    search.address);
		explain_remedy(explain->out,
			       "register its DMABUF instead: p2pdma_mr_register(), or "
			       "ibv_reg_dmabuf_mr() with p2pdma_buffer_fd()");
		return true;
	}
	if (search.is_writable || !mr_writes(explain->request->access))
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_NOT_MAPPED, P2PDMA_EXPLANATION_SEEN,
		    "what is mapped at 0x%" PRIx64 " may not be written", search.address);
	explain_remedy(explain->out, "map it with PROT_WRITE, or register it for reading");
	return true;
}
