/* SPDX-License-Identifier: MIT */
#ifndef EXPLAIN_H
#define EXPLAIN_H

#include <stdbool.h>

#include <p2pdma/explain.h>

#include "context.h"
#include "dmabuf.h"
#include "uverbs.h"

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

/* Why there was no descriptor left, for -EMFILE and -ENFILE. */
void explain_files(const struct sys_ops *sys, int error, struct p2pdma_explanation *out);

/* Explains a failed call of the library: tells the cause as "WHAT: ..." and returns the error. */
int explain_failure(struct p2pdma_context *context, int error,
		    const struct p2pdma_explain_request *request, const char *what, ...)
	__attribute__((format(printf, 4, 5)));

/* The descriptor and the memory behind it (explain_dmabuf.c). */
void explain_dmabuf_init(struct explain *explain);
explain_look explain_buffer_end;
explain_look explain_descriptor;
explain_look explain_rules;
explain_look explain_read_only;
explain_look explain_ended;
explain_look explain_path;

/* The importer (explain_nic.c, explain_import.c). */
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

/* The process and the system (explain_limits.c). */
explain_look explain_sandbox;
explain_look explain_open_files;
explain_look explain_mappings;
explain_look explain_cgroup;

/* Memory by its address (explain_memory.c). */
explain_look explain_memlock;
explain_look explain_address;

/* Exporting (explain_export.c). */
explain_look explain_export_range;
explain_look explain_export_privilege;
explain_look explain_export_busy;
explain_look explain_export_method;
explain_look explain_export_node;

/* A CPU mapping (explain_map.c). */
explain_look explain_map_range;
explain_look explain_map_caching;
explain_look explain_map_none;

/* What is left when nothing was seen (explain_rest.c). */
explain_look explain_rest;

#endif /* EXPLAIN_H */
