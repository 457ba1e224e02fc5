// SPDX-License-Identifier: MIT
/*
 * Limits that registration and leases run into.
 *
 * memlock is charged for the queues of an RDMA device and for host memory that is registered beside the peer's;
 * with CAP_IPC_LOCK it doesn't apply. Every lease and buffer is a descriptor. Every CPU mapping of a
 * slice, and most of a provider library's, is a mapping of the process. No state, no locks.
 */
#include <inttypes.h>
#include <sys/resource.h>

#include <linux/capability.h>

#include "doctor.h"
#include "files/proc.h"

#define KIB		  UINT64_C(1024)
#define MIB		  (1024 * KIB)

/* A queue pair with its completion queue takes about 64 KiB to 1 MiB. */
#define MEMLOCK_TOO_SMALL MIB
#define MEMLOCK_ENOUGH	  (64 * MIB)
#define NOFILE_TOO_SMALL  64
#define NOFILE_ENOUGH	  1024
/* The kernel's default, which few programs pass. */
#define MAP_COUNT_ENOUGH  65530

static void tell_unreadable(struct doctor *doctor, enum doctor_check check, int error, char option)
{
	doctor_add(doctor, check, P2PDMA_SEVERITY_UNKNOWN, "process", "the limit can't be had: %s",
		   error_name(error));
	doctor_advise(doctor,
		      "`ulimit -%c` outside of this sandbox: its filter of system calls has to let "
		      "prlimit64() through",
		      option);
}

static void check_memlock(struct doctor *doctor)
{
	uint64_t limit;
	int r = doctor->context->sys->limit(RLIMIT_MEMLOCK, &limit);

	if (r) {
		tell_unreadable(doctor, DOCTOR_LIMIT_MEMLOCK, r, 'l');
	} else if (limit == UINT64_MAX) {
		doctor_add(doctor, DOCTOR_LIMIT_MEMLOCK, P2PDMA_SEVERITY_OK, "process",
			   "unlimited");
	} else if (doctor_has_capability(doctor, CAP_IPC_LOCK)) {
		doctor_add(doctor, DOCTOR_LIMIT_MEMLOCK, P2PDMA_SEVERITY_OK, "process",
			   "%" PRIu64 " KiB, but CAP_IPC_LOCK lifts it", limit / KIB);
	} else {
		doctor_add(doctor, DOCTOR_LIMIT_MEMLOCK,
			   limit < MEMLOCK_TOO_SMALL ? P2PDMA_SEVERITY_PROBLEM :
			   limit < MEMLOCK_ENOUGH    ? P2PDMA_SEVERITY_WARNING :
						       P2PDMA_SEVERITY_OK,
			   "process",
			   "%" PRIu64 " KiB of locked memory: queues and registered host memory "
			   "count, and beyond it calls fail with ENOMEM",
			   limit / KIB);
		if (limit < MEMLOCK_ENOUGH)
			doctor_advise(doctor, "\"* - memlock unlimited\" in "
					      "/etc/security/limits.conf, LimitMEMLOCK=infinity "
					      "in a unit, or --ulimit memlock=-1 of a container");
	}
}

static void check_nofile(struct doctor *doctor)
{
	uint64_t limit;
	int r = doctor->context->sys->limit(RLIMIT_NOFILE, &limit);

	if (r) {
		tell_unreadable(doctor, DOCTOR_LIMIT_NOFILE, r, 'n');
		return;
	}
	if (limit == UINT64_MAX) {
		doctor_add(doctor, DOCTOR_LIMIT_NOFILE, P2PDMA_SEVERITY_OK, "process", "unlimited");
		return;
	}
	doctor_add(doctor, DOCTOR_LIMIT_NOFILE,
		   limit < NOFILE_TOO_SMALL ? P2PDMA_SEVERITY_PROBLEM :
		   limit < NOFILE_ENOUGH    ? P2PDMA_SEVERITY_WARNING :
					      P2PDMA_SEVERITY_OK,
		   "process", "%" PRIu64 " descriptors; every lease and every buffer is one",
		   limit);
	if (limit < NOFILE_ENOUGH)
		doctor_advise(doctor, "`ulimit -n 4096`, or LimitNOFILE= in a unit");
}

static void check_map_count(struct doctor *doctor)
{
	uint64_t count;

	if (proc_find_u64(doctor->context->sys, doctor->root_fd, "/proc/sys/vm/max_map_count", "",
			  &count)) {
		doctor_add(doctor, DOCTOR_LIMIT_MAP_COUNT, P2PDMA_SEVERITY_UNKNOWN,
			   "vm.max_map_count", "/proc/sys/vm/max_map_count can't be read");
		doctor_advise(doctor, "mount /proc; `sysctl vm.max_map_count` should say a number");
		return;
	}
	doctor_add(doctor, DOCTOR_LIMIT_MAP_COUNT,
		   count < MAP_COUNT_ENOUGH ? P2PDMA_SEVERITY_WARNING : P2PDMA_SEVERITY_OK,
		   "vm.max_map_count", "%" PRIu64 " mappings a process", count);
	if (count < MAP_COUNT_ENOUGH)
		doctor_advise(
			doctor,
			"`sysctl vm.max_map_count=%d`: beyond it mapping and registering fail "
			"with ENOMEM",
			MAP_COUNT_ENOUGH);
}

void doctor_check_limits(struct doctor *doctor)
{
	check_memlock(doctor);
	check_nofile(doctor);
	check_map_count(doctor);
}
