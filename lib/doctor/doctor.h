/* SPDX-License-Identifier: MIT */
#ifndef DOCTOR_H
#define DOCTOR_H

#include <stdbool.h>

#include <p2pdma/doctor.h>
#include <p2pdma/path.h>

#include "context/context.h"

struct ibv_context;
struct ibv_pd;

enum doctor_check {
#define DOCTOR_CHECK(constant, name, reference) DOCTOR_##constant,
#include "checks.def"
#undef DOCTOR_CHECK
	DOCTOR_NR_CHECKS
};

/* Who asks, by /proc/self/status. */
struct doctor_user {
	bool is_known;
	uint32_t uid; /* effective */
	uint64_t capabilities;
};

/* An RDMA device that could be opened. */
struct doctor_rdma {
	struct list link;
	char name[64];
	struct ibv_context *verbs;
	struct ibv_pd *pd;
	uint32_t driver_id;
	bool has_dmabuf;
};

/* A function that lends memory. */
struct doctor_provider {
	size_t index;	   /* of the topology */
	uint32_t memories; /* a bit for each BAR and PCI_MEMORY_* */
	bool is_bound;	   /* to p2pdma_export */
	struct pci_address address;
	char function[PCI_ADDRESS_SIZE];
	char name[PCI_PROVIDER_NAME_SIZE]; /* of its largest BAR, else of its other memory */
};

/* One examination. Every check gets it, adds its findings and goes on whatever fails. */
struct doctor {
	struct p2pdma_context *context;
	uint32_t flags; /* P2PDMA_DOCTOR_* */
	int root_fd;	/* "/": for /proc, /etc and libraries */
	struct doctor_user user;
	struct p2pdma_topology *topology; /* NULL: no PCI */
	struct list rdmas;
	struct doctor_provider *providers;
	size_t nr_providers;
	struct p2pdma_doctor *report;

	/* What one check leaves for another. */
	size_t nr_exportable; /* providers that this process can export */
	bool has_p2pmem;      /* a function has struct pages of its memory */
	size_t nr_leased_out; /* providers that p2pd offers */
	bool has_vfio;	      /* a function belongs to a VFIO driver */
};

/* Adds a finding; the lack of memory for it is what the query ends with. */
void doctor_add(struct doctor *doctor, enum doctor_check check, uint32_t severity,
		const char *subject, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* This process lacks something, memory or descriptors: what the query ends with. */
void doctor_fail(struct doctor *doctor, int error);
/*
 * @path couldn't be looked at. False: because it isn't there. Else that is told as unknown, or, where
 * this process lacks memory or descriptors, what the query ends with.
 */
bool doctor_is_unseen(struct doctor *doctor, enum doctor_check check, const char *subject,
		      const char *path, int error);
/* What to do about the one added last. */
void doctor_advise(struct doctor *doctor, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* One file each; in this order. */
void doctor_check_process(struct doctor *doctor);
void doctor_check_rdma(struct doctor *doctor);
void doctor_check_providers(struct doctor *doctor);
void doctor_check_paths(struct doctor *doctor);
void doctor_check_broker(struct doctor *doctor);
void doctor_check_kernel(struct doctor *doctor);
void doctor_check_nodes(struct doctor *doctor);
void doctor_check_limits(struct doctor *doctor);
void doctor_check_drivers(struct doctor *doctor);
void doctor_check_runtimes(struct doctor *doctor);
void doctor_try(struct doctor *doctor);

/* What the kernel and the provider library of an open RDMA device can do. */
void doctor_probe_rdma(struct doctor *doctor, struct doctor_rdma *rdma);

/* CAP_*: does this process have it in effect? */
bool doctor_has_capability(const struct doctor *doctor, unsigned int capability);
/* What the BARs of a function show; @bars: a bit for each. @vram_bytes: 0 where nobody tells. */
void doctor_check_sizes(struct doctor *doctor, int function_fd, const struct pci_function *function,
			uint32_t bars, uint64_t vram_bytes);
#define DOCTOR_SIZE_SIZE 24
/* "16 GiB" */
void doctor_format_size(uint64_t bytes, char text[DOCTOR_SIZE_SIZE]);

#endif /* DOCTOR_H */
