// SPDX-License-Identifier: MIT
/*
 * Explanations: which of an errno's causes it is.
 *
 * A table says for each operation and error what to look at, in an order: what is certain and
 * cheap first, what needs the kernel once more later, and what only follows from having
 * excluded the rest last. The first look that finds something has the explanation. A look
 * changes nothing, but for one that registers and deregisters at once (explain_nic.c).
 *
 * The library explains its own failures by the same table: explain_failure() puts the
 * explanation where p2pdma_context_error() finds it. p2pdma_explain() itself succeeds and
 * leaves that place as it was, though looks use functions that fail.
 *
 * Nothing is kept and no lock is held; a look at a buffer takes context->lock for a moment.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer.h"
#include "explain.h"
#include "options.h"

#define ANY	     0
#define MAX_LOOKS    8

#define REGISTER     P2PDMA_OPERATION_REGISTER
#define MEMORY	     P2PDMA_OPERATION_REGISTER_MEMORY
#define EXPORT	     P2PDMA_OPERATION_EXPORT
#define MAP	     P2PDMA_OPERATION_MAP
#define ADOPT	     P2PDMA_OPERATION_ADOPT
#define NR_OPERATION (ADOPT + 1)

/* Rows of an operation and an error follow each other in this order; those of ANY come along. */
static const struct {
	uint32_t operation; /* ANY: all */
	int error;	    /* ANY: all */
	explain_look *looks[MAX_LOOKS];
} rows[] = {
	{REGISTER, ANY, {explain_buffer_end}},
	{MAP, ANY, {explain_buffer_end}},
	{ANY, EMFILE, {explain_open_files}},
	{ANY, ENFILE, {explain_open_files}},
	{ANY, EBADF, {explain_descriptor}},

	{REGISTER, EINVAL, {explain_descriptor, explain_rules, explain_path, explain_nic_limits}},
	{REGISTER, EINVAL, {explain_driver}},
	{REGISTER,
	 EOPNOTSUPP,
	 {explain_dma_handle, explain_driver, explain_library, explain_function,
	  explain_unrevocable}},
	{REGISTER,
	 ENOTSUPP,
	 {explain_dma_handle, explain_driver, explain_library, explain_function,
	  explain_unrevocable}},
	{REGISTER, EPROTONOSUPPORT, {explain_method}},
	{REGISTER, ENOTTY, {explain_method}},
	{REGISTER, EACCES, {explain_read_only, explain_sandbox}},
	{REGISTER, EPERM, {explain_sandbox}},
	{REGISTER, ENODEV, {explain_nic_gone, explain_ended}},
	{REGISTER, EIO, {explain_nic_gone, explain_ended}},
	{REGISTER, ESTALE, {explain_ended}},
	{REGISTER, ENOMEM, {explain_mappings}},
	{REGISTER, EAGAIN, {explain_cgroup}},

	{MEMORY, EINVAL, {explain_rules, explain_nic_limits}},
	{MEMORY, ENOMEM, {explain_memlock, explain_mappings}},
	{MEMORY, EPERM, {explain_memlock, explain_sandbox}},
	{MEMORY, EFAULT, {explain_address}},
	{MEMORY, ENODEV, {explain_nic_gone}},
	{MEMORY, EIO, {explain_nic_gone}},
	{MEMORY, EAGAIN, {explain_cgroup}},

	{EXPORT, EINVAL, {explain_export_range}},
	{EXPORT, EPERM, {explain_export_privilege}},
	{EXPORT, EACCES, {explain_export_node}},
	{EXPORT, ENOENT, {explain_export_node}},
	{EXPORT, EBUSY, {explain_export_busy}},
	{EXPORT, ENODEV, {explain_ended}},
	{EXPORT, ENXIO, {explain_ended}},
	{EXPORT, ESTALE, {explain_ended}},
	{EXPORT, ENOTTY, {explain_export_method}},
	{EXPORT, EOPNOTSUPP, {explain_export_method}},

	{MAP, EINVAL, {explain_descriptor, explain_map_range, explain_map_none}},
	{MAP, EOPNOTSUPP, {explain_map_none}},
	{MAP, EACCES, {explain_read_only}},
	{MAP, EBUSY, {explain_map_caching}},
	{MAP, ENODEV, {explain_descriptor, explain_ended}},
	{MAP, ENOMEM, {explain_mappings}},

	{ADOPT, EINVAL, {explain_descriptor}},
	{ADOPT, ENODEV, {explain_ended}},

	{ANY, ANY, {explain_rest}},
};

static bool look(struct explain *explain, size_t row)
{
	for (size_t i = 0; i < MAX_LOOKS && rows[row].looks[i]; i++) {
		if (rows[row].looks[i](explain))
			return true;
	}
	return false;
}

static void explain_run(struct p2pdma_context *context, int error,
			const struct p2pdma_explain_request *request,
			struct p2pdma_explanation *out)
{
	struct explain explain = {
		.context = context,
		.request = request,
		.out = out,
		.error = error,
		.probe = EXPLAIN_NOT_ASKED,
		.driver_error = EXPLAIN_NOT_ASKED,
	};

	memset(out, 0, sizeof(*out));
	out->error = error;
	explain_dmabuf_init(&explain);
	explain_nic_init(&explain);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (rows[i].operation != ANY && rows[i].operation != request->operation)
			continue;
		if (rows[i].error != ANY && rows[i].error != -error)
			continue;
		if (look(&explain, i))
			break;
	}
	if (dmabuf_exporter_is_system(out->exporter))
		out->flags |= P2PDMA_EXPLANATION_SYSTEM_MEMORY;
}

int explain_failure(struct p2pdma_context *context, int error,
		    const struct p2pdma_explain_request *request, const char *what, ...)
{
	struct p2pdma_explanation explanation;
	char prefix[192];
	va_list arguments;

	va_start(arguments, what);
	vsnprintf(prefix, sizeof(prefix), what, arguments);
	va_end(arguments);
	explain_run(context, error, request, &explanation);
	context_tell_explained(context, error, "%s: %s (%s)%s%s", prefix, explanation.sentence,
			       error_name(error), *explanation.remedy ? "; " : "",
			       explanation.remedy);
	return error;
}

static int check(struct p2pdma_context *context, int error,
		 const struct p2pdma_explain_request *request)
{
	if (request->operation < REGISTER || request->operation >= NR_OPERATION)
		return context_fail(context, -EINVAL, "unknown operation %u", request->operation);
	if (request->flags & ~(P2PDMA_EXPLAIN_DMA_HANDLE | P2PDMA_EXPLAIN_UVERBS))
		return context_fail(context, -EINVAL, "unknown flags 0x%x of a request",
				    request->flags);
	/* Numbers of errors end below 4096 in the kernel. */
	if (!error || error <= -4096 || error >= 4096)
		return context_fail(context, -EINVAL, "%d is no error", error);
	if (request->buffer && request->buffer->context != context)
		return context_fail(context, -EINVAL, "the buffer is of another context");
	return 0;
}

int p2pdma_explain(struct p2pdma_context *context, int error,
		   const struct p2pdma_explain_request *request,
		   struct p2pdma_explanation *ret_explanation)
{
	struct p2pdma_explanation explanation;
	struct p2pdma_explain_request known;
	struct told told;
	int r;

	if (!context)
		return -EINVAL;
	if (!request || options_check_output(ret_explanation, sizeof(*ret_explanation)))
		return context_fail(context, -EINVAL,
				    "no request, or the explanation isn't there or has a wrong "
				    "size");
	r = options_load(&known, sizeof(known), sizeof(known), request);
	if (r)
		return context_fail(context, r, "the request has a wrong size");
	r = check(context, error, &known);
	if (r)
		return r;
	cause_save(&told);
	explain_run(context, -abs(error), &known, &explanation);
	cause_restore(&told);
	options_store(ret_explanation, &explanation, sizeof(explanation));
	return 0;
}
