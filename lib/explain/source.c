// SPDX-License-Identifier: MIT
/*
 * Looks at where memory comes from that is no BAR: a pool of p2pmem, a DMA-BUF heap, udmabuf, a GPU
 * runtime.
 *
 * A pool says in sysfs how full it is, udmabuf what its largest buffer is, the kernel how much
 * memory it has. A runtime says no more than its own result, which the caller has put into words; what
 * can be looked at is whether the address is the program's own memory, and which kernel modules
 * NVIDIA's are.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <p2pdma/buffer.h>

#include "common/cleanup.h"
#include "common/pci_memory.h"
#include "common/sysfs.h"
#include "explain.h"
#include "files/proc.h"
#include "runtime/runtime.h"

#define UDMABUF_LIMIT "module/udmabuf/parameters/size_limit_mb"

static int query_pool(const struct explain *explain, struct pci_p2pmem *ret_pool)
{
	struct pci_provider_name name;
	cleanup_fd int fd = -1;
	int r;

	r = pci_provider_name_parse(explain->provider, &name);
	if (!r)
		r = pci_function_open(explain->context->sysfs_fd, &name.address, &fd);
	return r ? r : pci_p2pmem_query(fd, ret_pool);
}

static const char *pool_of(const struct explain *explain)
{
	return *explain->provider ? explain->provider : "the pool";
}

bool explain_pool_room(struct explain *explain)
{
	uint64_t wanted = explain->request->length_bytes;
	struct pci_p2pmem pool;

	if (query_pool(explain, &pool) || pool.available_bytes >= wanted)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_NO_ROOM, P2PDMA_EXPLANATION_SEEN,
		    "%s has 0x%" PRIx64 " of 0x%" PRIx64 " bytes free, and 0x%" PRIx64
		    " are wanted",
		    pool_of(explain), pool.available_bytes, pool.size_bytes, wanted);
	explain_remedy(explain->out, "its driver and other processes have the rest");
	return true;
}

bool explain_pool_pieces(struct explain *explain)
{
	uint64_t wanted = explain->request->length_bytes;
	struct pci_p2pmem pool;

	if (query_pool(explain, &pool)) {
		explain_say(explain->out, P2PDMA_CAUSE_NO_ROOM, 0, "%s has no 0x%" PRIx64 " bytes",
			    pool_of(explain), wanted);
		return true;
	}
	explain_say(explain->out, P2PDMA_CAUSE_FRAGMENTED, 0,
		    "%s has 0x%" PRIx64 " of 0x%" PRIx64 " bytes free, but not 0x%" PRIx64
		    " in one piece",
		    pool_of(explain), pool.available_bytes, pool.size_bytes, wanted);
	explain_remedy(explain->out, "take several smaller buffers");
	return true;
}

bool explain_pool_gone(struct explain *explain)
{
	struct pci_p2pmem pool;

	explain_say(explain->out, P2PDMA_CAUSE_DEVICE_GONE,
		    query_pool(explain, &pool) ? P2PDMA_EXPLANATION_SEEN : 0,
		    "the driver of %s has let go of its pool", pool_of(explain));
	explain_remedy(explain->out, "bind the function to its driver, and open the pool anew");
	return true;
}

bool explain_pool_range(struct explain *explain)
{
	if (!explain->request->offset_bytes && explain->request->length_bytes)
		return false;
	return explain_say(
		explain->out, P2PDMA_CAUSE_RANGE, P2PDMA_EXPLANATION_SEEN,
		"the kernel chooses where in %s memory lies: a shared mapping from offset 0 "
		"on says how large it is",
		pool_of(explain));
}

static bool is_udmabuf(const struct explain *explain)
{
	return explain->request->object == P2PDMA_BACKEND_UDMABUF ||
	       !strcmp(explain->device_name, "udmabuf");
}

bool explain_memory_limit(struct explain *explain)
{
	uint64_t wanted = explain->request->length_bytes, limit_mb;

	if (!is_udmabuf(explain) ||
	    sysfs_read_u64(explain->context->sysfs_fd, UDMABUF_LIMIT, &limit_mb) ||
	    (wanted - 1) >> 20 < limit_mb)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_SIZE_LIMIT, P2PDMA_EXPLANATION_SEEN,
		    "udmabuf makes buffers of at most %" PRIu64 " MiB, and 0x%" PRIx64
		    " bytes are wanted",
		    limit_mb, wanted);
	explain_remedy(explain->out,
		       "an administrator raises it in /sys/" UDMABUF_LIMIT ", or take several");
	return true;
}

bool explain_memory_file(struct explain *explain)
{
	uint64_t wanted = explain->request->length_bytes, limit = UINT64_MAX;

	if (!explain->context->sys->limit(RLIMIT_FSIZE, &limit) && wanted > limit) {
		explain_say(explain->out, P2PDMA_CAUSE_SIZE_LIMIT, P2PDMA_EXPLANATION_SEEN,
			    "this process may make files of %" PRIu64
			    " KiB, and a memfd of %" PRIu64 " KiB is wanted",
			    limit / 1024, wanted / 1024);
		explain_remedy(explain->out, "raise RLIMIT_FSIZE (ulimit -f, LimitFSIZE=)");
		return true;
	}
	return explain_say(explain->out, P2PDMA_CAUSE_RANGE, 0,
			   "a memfd of 0x%" PRIx64 " bytes is more than a file may be", wanted);
}

bool explain_memory_free(struct explain *explain)
{
	uint64_t wanted_kib = explain->request->length_bytes / 1024, free_kib;

	if (proc_find_u64(explain->context->sys, AT_FDCWD, "/proc/meminfo",
			  "MemAvailable:", &free_kib) ||
	    wanted_kib <= free_kib)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_NO_MEMORY, P2PDMA_EXPLANATION_SEEN,
		    "the machine has %" PRIu64 " KiB of memory available, and %" PRIu64
		    " KiB are wanted",
		    free_kib, wanted_kib);
	explain_remedy(explain->out, "release what isn't used");
	return true;
}

static const char *runtime_of(const struct explain *explain)
{
	const struct runtime *runtime = runtime_find(explain->request->object);

	return runtime ? runtime->title : "a GPU runtime that this process has loaded";
}

bool explain_runtime_address(struct explain *explain)
{
	uint64_t address = explain->request->iova;
	struct explain_mapping mapping;
	bool is_own;

	is_own = !explain_mapping_query(explain, address, &mapping) && mapping.is_there &&
		 !mapping.is_device;
	explain_say(explain->out, P2PDMA_CAUSE_ADDRESS, 0, "0x%" PRIx64 " is %sno address of %s",
		    address, is_own ? "memory of this program, and " : "", runtime_of(explain));
	explain_remedy(explain->out, "%s%s", is_own ? "register such memory by ibv_reg_mr(); " : "",
		       explain->request->object ?
			       "allocate by the runtime" :
			       "memory of Level Zero is known by its runtime_context alone");
	return true;
}

bool explain_runtime_modules(struct explain *explain)
{
	char version[160];
	bool is_open;

	if (explain->request->object != P2PDMA_BACKEND_CUDA ||
	    proc_nvidia_query(explain->context->sys, AT_FDCWD, version, sizeof(version),
			      &is_open) ||
	    is_open)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_CLOSED_DRIVER, P2PDMA_EXPLANATION_SEEN,
		    "NVIDIA's kernel modules aren't the open ones, and only they export DMABUFs: "
		    "%s",
		    version);
	explain_remedy(explain->out, "install the open flavour (nvidia-open-kernel-dkms), for GPUs "
				     "from Turing on");
	return true;
}

bool explain_runtime_export(struct explain *explain)
{
	explain_say(
		explain->out, P2PDMA_CAUSE_MAKER_REFUSES, 0,
		"%s can't export this memory: its driver or the GPU knows no DMABUFs, or not of "
		"memory of this kind",
		runtime_of(explain));
	explain_remedy(explain->out,
		       "allocate it as the runtime wants it for sharing, or with a newer "
		       "driver");
	return true;
}
