/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_DOCTOR_H
#define P2PDMA_DOCTOR_H

#include <stddef.h>
#include <stdint.h>

#include <p2pdma/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct p2pdma_context;

/* In order of gravity. */
enum p2pdma_severity {
	P2PDMA_SEVERITY_OK = 1,
	P2PDMA_SEVERITY_UNKNOWN = 2, /* it can't be seen: the evidence says what, and why not */
	P2PDMA_SEVERITY_WARNING = 3, /* it works, but less well or not for everyone */
	P2PDMA_SEVERITY_PROBLEM = 4, /* something doesn't work */
};

/**
 * struct p2pdma_finding - what one check found on one subject
 * @size_bytes: sizeof(struct p2pdma_finding)
 * @severity:   enum p2pdma_severity
 * @check:      "rdma.register"; names are never given another meaning
 * @subject:    a device ("mlx5_0"), a function ("0000:41:00.0"), a file, or "kernel", "process"
 * @evidence:   what was seen, in a sentence without a full stop
 * @remedy:     what to do; never "" where the severity isn't P2PDMA_SEVERITY_OK
 * @reference:  where it is explained: "libp2pdma(7) IOMMU", a page and its section
 */
struct p2pdma_finding {
	uint32_t size_bytes;
	uint32_t severity;
	char check[32];
	char subject[80];
	char evidence[384];
	char remedy[1024];
	char reference[64];
};

#define P2PDMA_FINDING_INIT                                                                        \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_finding), 0, {0}, {0}, {0}, {0},                    \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}

/*
 * Not only look, but try: VFIO functions that nobody has are opened, which resets them, and asked,
 * and a page of every provider that this process can export by p2pdma_export is registered with
 * every RDMA device, and let go at once. Nothing is read or written.
 */
#define P2PDMA_DOCTOR_TRY (1U << 0)

/* What was found, once. It never changes: any thread may use it. */
struct p2pdma_doctor;

/**
 * p2pdma_doctor_query() - what of this machine is in the way of peer-to-peer DMA?
 * @context:    borrowed
 * @flags:      P2PDMA_DOCTOR_*, or 0
 * @ret_doctor: owned by the caller; p2pdma_doctor_free()
 *
 * Looks at the kernel, each RDMA device, each provider, the ports above them, limits and permissions of
 * this process, p2pd (unless the context is P2PDMA_CONTEXT_DIRECT), drivers and runtime libraries. What
 * can be asked for is asked for by calls that do nothing, such as registering descriptor -1. What needs a
 * privilege that this process lacks is a finding, too. A device that fails hides no other.
 *
 * Blocking: up to broker_timeout_ms; with P2PDMA_DOCTOR_TRY for registrations
 * Threads:  any
 * Kernel:   sysfs, /proc, RDMA_VERBS_IOCTL, VFIO_DEVICE_FEATURE, P2PDMA_EXPORT_PATH
 * Since:    0.1
 *
 * Return: 0, whatever was found; -EINVAL for NULL or unknown flags; -EMFILE, -ENFILE, -ENOMEM
 */
P2PDMA_API int p2pdma_doctor_query(struct p2pdma_context *context, uint32_t flags,
				   struct p2pdma_doctor **ret_doctor);

/**
 * p2pdma_doctor_count() - how many findings there are
 * @doctor: borrowed; NULL counts 0
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the number
 */
P2PDMA_API size_t p2pdma_doctor_count(const struct p2pdma_doctor *doctor);

/**
 * p2pdma_doctor_finding() - one of them
 * @doctor:      borrowed
 * @index:       0 .. count - 1
 * @ret_finding: size_bytes set by the caller
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: 0, or -EINVAL for NULL, a wrong size_bytes, or an index beyond the end
 */
P2PDMA_API int p2pdma_doctor_finding(const struct p2pdma_doctor *doctor, size_t index,
				     struct p2pdma_finding *ret_finding);

/**
 * p2pdma_doctor_severity() - the gravest of all findings
 * @doctor: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: enum p2pdma_severity
 */
P2PDMA_API uint32_t p2pdma_doctor_severity(const struct p2pdma_doctor *doctor);

/**
 * p2pdma_doctor_free() - release it
 * @doctor: consumed; NULL is allowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 */
P2PDMA_API void p2pdma_doctor_free(struct p2pdma_doctor *doctor);

/**
 * p2pdma_severity_name() - a severity in words
 * @severity: enum p2pdma_severity
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: "ok", "warning", "problem" or "unknown"
 */
P2PDMA_API const char *p2pdma_severity_name(uint32_t severity);

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_DOCTOR_H */
