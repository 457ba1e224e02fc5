// SPDX-License-Identifier: MIT
/*
 * Looks at limits of the process and the system, and at what stands in front of a driver.
 *
 * A limit is only the cause where it is reached: what is used is counted. Where descriptors have run
 * out nothing can be opened to count them, and that is the proof.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/resource.h>

#include "explain.h"
#include "files/proc.h"

/* Close to it: what failed needed a few, and something may have been let go since. */
#define NEAR 8

/* Is there no room for one more descriptor? Then an error that says which limit it is. */
static int try_open(const struct sys_ops *sys)
{
	int fd = sys->open_at(AT_FDCWD, "/proc/self/status", O_RDONLY);

	if (fd >= 0)
		sys->close(fd);
	return fd < 0 ? fd : 0;
}

void explain_files(const struct sys_ops *sys, int error, struct p2pdma_explanation *out)
{
	uint32_t seen = try_open(sys) == error ? P2PDMA_EXPLANATION_SEEN : 0;
	uint64_t limit = 0;

	if (error == -ENFILE) {
		explain_say(out, P2PDMA_CAUSE_SYSTEM_FILES, seen,
			    "the system has no room for another open file");
		explain_remedy(out, "sysctl fs.file-max, and look who has so many");
		return;
	}
	sys->limit(RLIMIT_NOFILE, &limit);
	explain_say(out, P2PDMA_CAUSE_OPEN_FILES, seen,
		    "this process has as many open descriptors as it may: %" PRIu64, limit);
	explain_remedy(out, "raise RLIMIT_NOFILE (ulimit -n, LimitNOFILE=)");
}

bool explain_open_files(struct explain *explain)
{
	explain_files(explain->context->sys, explain->error, explain->out);
	return true;
}

bool explain_exceeds(uint64_t limit_bytes, uint64_t used_kib, uint64_t wanted_bytes)
{
	return used_kib > limit_bytes / 1024 || wanted_bytes > limit_bytes - used_kib * 1024;
}

uint64_t explain_kib(uint64_t bytes)
{
	return bytes / 1024 + !!(bytes % 1024);
}

static bool look_at_map_count(struct explain *explain)
{
	const struct sys_ops *sys = explain->context->sys;
	uint64_t count, limit;

	if (proc_find_u64(sys, AT_FDCWD, "/proc/sys/vm/max_map_count", "", &limit) ||
	    proc_count_lines(sys, AT_FDCWD, "/proc/self/maps", &count) || count + NEAR < limit)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_MAPPINGS, P2PDMA_EXPLANATION_SEEN,
		    "this process has %" PRIu64 " mappings, and vm.max_map_count is %" PRIu64,
		    count, limit);
	explain_remedy(explain->out, "sysctl vm.max_map_count=%" PRIu64, limit * 4);
	return true;
}

static bool takes_addresses(uint32_t operation)
{
	return operation == P2PDMA_OPERATION_MAP || operation == P2PDMA_OPERATION_POOL_ALLOCATE;
}

bool explain_mappings(struct explain *explain)
{
	const struct sys_ops *sys = explain->context->sys;
	uint64_t wanted = explain->request->length_bytes;
	uint64_t limit, used_kib;

	if (look_at_map_count(explain))
		return true;
	if (!takes_addresses(explain->request->operation) || sys->limit(RLIMIT_AS, &limit) ||
	    limit == UINT64_MAX ||
	    proc_find_u64(sys, AT_FDCWD, "/proc/self/status", "VmSize:", &used_kib) ||
	    !explain_exceeds(limit, used_kib, wanted))
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_ADDRESS_SPACE, P2PDMA_EXPLANATION_SEEN,
		    "this process has %" PRIu64 " KiB of address space, wants %" PRIu64
		    " KiB more, and may have %" PRIu64 " KiB",
		    used_kib, explain_kib(wanted), limit / 1024);
	explain_remedy(explain->out, "raise RLIMIT_AS (ulimit -v, LimitAS=)");
	return true;
}

bool explain_cgroup(struct explain *explain)
{
	explain_say(explain->out, P2PDMA_CAUSE_CGROUP, 0,
		    "the control group of this process has no objects of %s left", explain->nic);
	explain_remedy(explain->out, "raise hca_object in its rdma.max (/proc/self/cgroup)");
	return true;
}

bool explain_sandbox(struct explain *explain)
{
	uint64_t seccomp = 0;

	if (!explain->has_nic || explain_nic_probe(explain) != explain->error)
		return false;
	proc_find_u64(explain->context->sys, AT_FDCWD, "/proc/self/status", "Seccomp:", &seccomp);
	explain_say(explain->out, P2PDMA_CAUSE_SANDBOX, P2PDMA_EXPLANATION_SEEN,
		    "calls to %s don't get to its driver: %s", explain->nic,
		    seccomp == 2 ? "a seccomp filter of this process stands before it" :
				   "a security module or a container refuses them");
	explain_remedy(explain->out, "allow ioctl() on /dev/infiniband/uverbs*");
	return true;
}
