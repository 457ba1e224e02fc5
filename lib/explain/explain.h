/* SPDX-License-Identifier: MIT */
#ifndef EXPLAIN_H
#define EXPLAIN_H

#include <stdbool.h>

#include <p2pdma/explain.h>

#include "context/context.h"
#include "buffer/dmabuf.h"
#include "mr/uverbs.h"

#define EXPLAIN_NOT_ASKED 1

/* One explanation in the making. */
struct explain {
	struct p2pdma_context *context;
	const struct p2pdma_explain_request *request;
	struct p2pdma_explanation *out;
	int error; /* negative */

	int fd; /* -1: none was given */
	bool is_dmabuf;
	uint64_t size_bytes; /* UINT64_MAX: unknown */
	bool is_read_only;
	char memory[96];   /* what to call it */
	char provider[64]; /* its name, without a generation; "": unknown */

	bool has_nic;
	char nic[64]; /* what to call it; where there is one, its name */
	/* Found out when a look needs it; EXPLAIN_NOT_ASKED before. */
	int probe; /* what the kernel says to the registration of no descriptor at all */
	int driver_error;
	uint32_t driver_id;

	/* The device that was called, by its descriptor. */
	int device_error; /* 0: the descriptor is open; -ENOENT: none was given */
	dev_t device;	  /* 0: not of a character device */
	bool is_drm;
	char device_name[64]; /* "iommu", by sysfs; "": unknown */
	char subsystem[32];   /* "misc" */
};

/* What is mapped in this process at an address. */
struct explain_mapping {
	bool is_there;
	bool is_writable;
	bool is_device; /* memory of a device, or page frames without pages */
};

/* Looks whether something is the cause. True: it is, and the explanation says so. */
typedef bool explain_look(struct explain *explain);

/*
 * Sets cause and sentence; always true. The section follows from the cause; the remedy is empty
 * until explain_remedy().
 */
bool explain_say(struct p2pdma_explanation *out, uint32_t cause, uint32_t flags, const char *format,
		 ...) __attribute__((format(printf, 4, 5)));
void explain_remedy(struct p2pdma_explanation *out, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Says so and is true where a range isn't inside of what has @size_bytes; false where it is, or
 * the size isn't known (UINT64_MAX).
 */
bool explain_beyond(struct p2pdma_explanation *out, uint64_t offset_bytes, uint64_t length_bytes,
		    const char *name, uint64_t size_bytes);

/* Why there was no descriptor left, for -EMFILE and -ENFILE. */
void explain_files(const struct sys_ops *sys, int error, struct p2pdma_explanation *out);

/* Explains a failed call of the library: tells the cause as "WHAT: ..." and returns the error. */
int explain_failure(struct p2pdma_context *context, int error,
		    const struct p2pdma_explain_request *request, const char *what, ...)
	__attribute__((format(printf, 4, 5)));

/* The same of what couldn't be opened: @path below @root, "/dev/" or "/sys/". */
int explain_open_failure(struct p2pdma_context *context, int error, const char *root,
			 const char *path);

/* The descriptor and the memory behind it (dmabuf.c). */
void explain_dmabuf_init(struct explain *explain);
explain_look explain_buffer_end;
explain_look explain_descriptor;
explain_look explain_rules;
explain_look explain_read_only;
explain_look explain_ended;
explain_look explain_path;

/* The importer (nic.c, import.c). */
void explain_nic_init(struct explain *explain);
int explain_nic_probe(struct explain *explain);
int explain_nic_driver(struct explain *explain, uint32_t *ret_driver_id);
/* For whom it imports, by a name that p2pdma_path_query() takes. */
void explain_nic_importer(const struct explain *explain, char *ret_name, size_t size);
/* Registers with the kernel's own method and undoes it: 0 or -errno. */
int explain_nic_try(struct explain *explain, uint32_t access);
explain_look explain_nic_gone;
explain_look explain_nic_limits;
explain_look explain_method;
explain_look explain_driver;
explain_look explain_dma_handle;
explain_look explain_library;
explain_look explain_function;
explain_look explain_unrevocable;

/* The process and the system (limits.c). */
/* Would this much more pass the limit? Whatever the numbers. */
bool explain_exceeds(uint64_t limit_bytes, uint64_t used_kib, uint64_t wanted_bytes);
/* Begun ones count. */
uint64_t explain_kib(uint64_t bytes);
explain_look explain_sandbox;
explain_look explain_open_files;
explain_look explain_mappings;
explain_look explain_cgroup;

/* Memory by its address (memory.c). */
int explain_mapping_query(const struct explain *explain, uint64_t address,
			  struct explain_mapping *ret_mapping);
explain_look explain_memlock;
explain_look explain_address;

/* Exporting (export.c). */
explain_look explain_export_range;
explain_look explain_export_privilege;
explain_look explain_export_busy;
explain_look explain_export_method;
explain_look explain_export_node;

/* A CPU mapping (map.c). */
explain_look explain_map_range;
explain_look explain_map_caching;
explain_look explain_map_none;

/* A device node, and what a descriptor is of (node.c). */
void explain_device_init(struct explain *explain);
/* The function of the device, if it is a DRM device and on one. */
bool explain_device_importer(const struct explain *explain, char *ret_name, size_t size);
/* What a machine lacks that has no such node, by its whole path. */
const char *explain_node_absent(const char *node);
explain_look explain_device_closed;
explain_look explain_device_kind;
explain_look explain_node_missing;
explain_look explain_node_gone;
explain_look explain_node_rights;
explain_look explain_node_container;
explain_look explain_node_busy;

/* I/O address spaces (iommufd.c). */

/* What VFIO's DMABUFs say their exporter is. */
#define EXPLAIN_VFIO_EXPORTER "vfio_pci_core"

/* A mapping by iommufd, as far as it can be judged without the kernel. */
struct iommufd_rules {
	uint32_t flags; /* P2PDMA_IOMMUFD_* */
	uint64_t offset_bytes;
	uint64_t length_bytes;
	uint64_t iova;
	uint64_t size_bytes;
	uint64_t page_bytes;
	const char *name;
};

/* True: it can't be, and the explanation says why. */
bool iommufd_rules_break(const struct iommufd_rules *rules, struct p2pdma_explanation *out);
explain_look explain_iommufd_exporter;
explain_look explain_iommufd_method;
explain_look explain_iommufd_space;
explain_look explain_iommufd_range;
explain_look explain_iommufd_address;
explain_look explain_iommufd_taken;

/* DRM devices (gem.c). */
explain_look explain_gem_gone;
explain_look explain_gem_method;
explain_look explain_gem_node;
explain_look explain_gem_room;
explain_look explain_gem_size;
explain_look explain_gem_handle;
explain_look explain_gem_unshared;
explain_look explain_gem_peer;
explain_look explain_gem_none;
explain_look explain_gem_refuses;

/* Pools, system memory, GPU runtimes (source.c). */
explain_look explain_pool_room;
explain_look explain_pool_pieces;
explain_look explain_pool_gone;
explain_look explain_pool_range;
explain_look explain_memory_limit;
explain_look explain_memory_file;
explain_look explain_memory_free;
explain_look explain_runtime_address;
explain_look explain_runtime_modules;
explain_look explain_runtime_export;

/* What is left when nothing was seen (rest.c). */
explain_look explain_rest;

#endif /* EXPLAIN_H */
