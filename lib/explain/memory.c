// SPDX-License-Identifier: MIT
/*
 * Looks at ibv_reg_mr(): memory by its address, which the kernel pins page by page.
 *
 * That is what a DMABUF is compared with, and where programs come from. Pinned memory counts
 * against RLIMIT_MEMLOCK, a DMABUF doesn't. And a CPU mapping of device memory has no pages at all
 * that could be pinned: whoever maps a BAR and registers the address gets EFAULT.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <linux/capability.h>

#include "explain.h"
#include "mr/mr.h"
#include "files/proc.h"

static bool has_ipc_lock(const struct sys_ops *sys)
{
	uint64_t capabilities;

	return !proc_capabilities(sys, AT_FDCWD, &capabilities) && capabilities >> CAP_IPC_LOCK & 1;
}

bool explain_memlock(struct explain *explain)
{
	const struct sys_ops *sys = explain->context->sys;
	uint64_t limit, pinned_kib = 0;

	if (sys->limit(RLIMIT_MEMLOCK, &limit) || limit == UINT64_MAX || has_ipc_lock(sys))
		return false;
	proc_find_u64(sys, AT_FDCWD, "/proc/self/status", "VmPin:", &pinned_kib);
	if (limit && !explain_exceeds(limit, pinned_kib, explain->request->length_bytes))
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_MEMLOCK, P2PDMA_EXPLANATION_SEEN,
		    "this process has pinned %" PRIu64 " KiB and wants %" PRIu64
		    " KiB more, and may have %" PRIu64 " KiB",
		    pinned_kib, explain_kib(explain->request->length_bytes), limit / 1024);
	explain_remedy(explain->out,
		       "raise RLIMIT_MEMLOCK (ulimit -l, LimitMEMLOCK=, limits.conf); a DMABUF "
		       "isn't counted against it");
	return true;
}

/* The mapping that has an address, as smaps shows it. */
struct search {
	uint64_t address;
	bool is_inside; /* lines are of the mapping that was looked for */
	struct explain_mapping mapping;
};

static bool take_line(void *data, const char *line)
{
	struct search *search = data;
	unsigned long long start, end;
	char rights[5];

	if (sscanf(line, "%llx-%llx %4s", &start, &end, rights) == 3) {
		if (search->mapping.is_there)
			return true;
		search->is_inside = start <= search->address && search->address < end;
		search->mapping.is_there = search->is_inside;
		search->mapping.is_writable = search->is_inside && rights[1] == 'w';
	} else if (search->is_inside && !strncmp(line, "VmFlags:", 8)) {
		search->mapping.is_device = strstr(line, " io") || strstr(line, " pf");
		return true;
	}
	return false;
}

int explain_mapping_query(const struct explain *explain, uint64_t address,
			  struct explain_mapping *ret_mapping)
{
	struct search search = {.address = address};
	int r;

	r = proc_each_line(explain->context->sys, AT_FDCWD, "/proc/self/smaps", take_line, &search);
	/* A kernel without it (CONFIG_PROC_PAGE_MONITOR) still says where something is. */
	if (r == -ENOENT)
		r = proc_each_line(explain->context->sys, AT_FDCWD, "/proc/self/maps", take_line,
				   &search);
	if (!r)
		*ret_mapping = search.mapping;
	return r;
}

bool explain_address(struct explain *explain)
{
	uint64_t address = explain->request->iova;
	struct explain_mapping mapping;

	if (explain_mapping_query(explain, address, &mapping))
		return false;
	if (!mapping.is_there) {
		explain_say(explain->out, P2PDMA_CAUSE_NOT_MAPPED, P2PDMA_EXPLANATION_SEEN,
			    "nothing is mapped at 0x%" PRIx64, address);
		return true;
	}
	if (mapping.is_device) {
		explain_say(explain->out, P2PDMA_CAUSE_DEVICE_MAPPING, P2PDMA_EXPLANATION_SEEN,
			    "at 0x%" PRIx64
			    " device memory is mapped, which has no pages that ibv_reg_mr() could "
			    "pin",
			    address);
		explain_remedy(explain->out,
			       "register its DMABUF instead: p2pdma_mr_register(), or "
			       "ibv_reg_dmabuf_mr() with p2pdma_buffer_fd()");
		return true;
	}
	if (mapping.is_writable || !mr_writes(explain->request->access))
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_NOT_MAPPED, P2PDMA_EXPLANATION_SEEN,
		    "what is mapped at 0x%" PRIx64 " may not be written", address);
	explain_remedy(explain->out, "map it with PROT_WRITE, or register it for reading");
	return true;
}
