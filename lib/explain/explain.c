// SPDX-License-Identifier: MIT
/*
 * Explanations: which of an errno's causes it is.
 *
 * A table says for each operation and error what to look at, in an order: what is certain and
 * cheap first, what needs the kernel once more later, and what only follows from having
 * excluded the rest last. The first look that finds something has the explanation. A look
 * changes nothing, but for one that registers and deregisters at once (nic.c).
 *
 * The library explains its own failures by the same table: explain_failure() puts the
 * explanation where p2pdma_context_error() finds it. p2pdma_explain() itself succeeds and
 * leaves that place as it was, though looks use functions that fail.
 *
 * Nothing is kept and no lock is held; a look at a buffer takes context->lock for a moment.
 */
#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buffer/buffer.h"
#include "explain.h"
#include "context/options.h"

#define ANY	     0
#define MAX_LOOKS    8

#define REGISTER     P2PDMA_OPERATION_REGISTER
#define MEMORY	     P2PDMA_OPERATION_REGISTER_MEMORY
#define EXPORT	     P2PDMA_OPERATION_EXPORT
#define MAP	     P2PDMA_OPERATION_MAP
#define ADOPT	     P2PDMA_OPERATION_ADOPT
#define OPEN	     P2PDMA_OPERATION_OPEN
#define IOMMUFD	     P2PDMA_OPERATION_IOMMUFD_MAP
#define GEM_QUERY    P2PDMA_OPERATION_GEM_QUERY
#define GEM_ALLOCATE P2PDMA_OPERATION_GEM_ALLOCATE
#define GEM_EXPORT   P2PDMA_OPERATION_GEM_EXPORT
#define GEM_IMPORT   P2PDMA_OPERATION_GEM_IMPORT
#define POOL	     P2PDMA_OPERATION_POOL_ALLOCATE
#define SYSTEM	     P2PDMA_OPERATION_MEMORY_ALLOCATE
#define RUNTIME	     P2PDMA_OPERATION_RUNTIME_EXPORT
#define NR_OPERATION (RUNTIME + 1)

/* The members that the first requests had. */
#define FIRST_SIZE   offsetof(struct p2pdma_explain_request, device_fd)

/* Rows of an operation and an error follow each other in this order; those of ANY come along. */
static const struct {
	uint32_t operation; /* ANY: all */
	int error;	    /* ANY: all */
	explain_look *looks[MAX_LOOKS];
} rows[] = {
	{REGISTER, ANY, {explain_buffer_end}},
	{MAP, ANY, {explain_buffer_end}},
	{IOMMUFD, ANY, {explain_buffer_end}},
	{GEM_IMPORT, ANY, {explain_buffer_end}},
	{ANY, EMFILE, {explain_open_files}},
	{ANY, ENFILE, {explain_open_files}},
	{ANY, EBADF, {explain_device_closed, explain_descriptor}},

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

	{OPEN, ENOENT, {explain_node_missing}},
	{OPEN, ENODEV, {explain_node_gone}},
	{OPEN, ENXIO, {explain_node_gone}},
	{OPEN, EACCES, {explain_node_rights}},
	{OPEN, EPERM, {explain_node_container}},
	{OPEN, EBUSY, {explain_node_busy}},

	{IOMMUFD, ENOTTY, {explain_device_kind, explain_iommufd_method}},
	{IOMMUFD, EOPNOTSUPP, {explain_iommufd_exporter, explain_path, explain_iommufd_method}},
	{IOMMUFD, ENOENT, {explain_iommufd_space}},
	{IOMMUFD,
	 EINVAL,
	 {explain_iommufd_range, explain_iommufd_address, explain_iommufd_exporter, explain_path}},
	{IOMMUFD, EADDRINUSE, {explain_iommufd_taken}},
	{IOMMUFD, EEXIST, {explain_iommufd_taken}},
	{IOMMUFD, EOVERFLOW, {explain_iommufd_address}},
	{IOMMUFD, ENOSPC, {explain_iommufd_taken}},
	{IOMMUFD, EACCES, {explain_read_only}},
	{IOMMUFD, ENODEV, {explain_ended}},

	{GEM_QUERY, ENODEV, {explain_gem_gone}},
	{GEM_QUERY, EINVAL, {explain_device_kind, explain_gem_method}},
	{GEM_QUERY, ENOTTY, {explain_device_kind, explain_gem_method}},
	{GEM_QUERY, EOPNOTSUPP, {explain_gem_method}},
	{GEM_ALLOCATE, ENODEV, {explain_gem_gone}},
	{GEM_ALLOCATE, EINVAL, {explain_device_kind, explain_gem_size}},
	{GEM_ALLOCATE, ENOTTY, {explain_device_kind, explain_gem_method}},
	{GEM_ALLOCATE, EACCES, {explain_gem_node}},
	{GEM_ALLOCATE, ENOMEM, {explain_gem_room}},
	{GEM_ALLOCATE, ENOSPC, {explain_gem_room}},
	{GEM_EXPORT, ENODEV, {explain_gem_gone}},
	{GEM_EXPORT, ENOENT, {explain_gem_handle}},
	{GEM_EXPORT, EPERM, {explain_gem_unshared}},
	{GEM_EXPORT, EINVAL, {explain_device_kind}},
	{GEM_EXPORT, ENOTTY, {explain_device_kind, explain_gem_method}},
	{GEM_EXPORT, ENOSYS, {explain_gem_method}},
	{GEM_EXPORT, EOPNOTSUPP, {explain_gem_method}},
	{GEM_IMPORT, ENODEV, {explain_gem_gone, explain_gem_peer, explain_gem_none, explain_ended}},
	{GEM_IMPORT,
	 EINVAL,
	 {explain_device_kind, explain_descriptor, explain_path, explain_gem_peer,
	  explain_gem_refuses}},
	{GEM_IMPORT, ENOTTY, {explain_device_kind, explain_gem_method}},
	{GEM_IMPORT, EOPNOTSUPP, {explain_path, explain_gem_peer, explain_gem_refuses}},
	{GEM_IMPORT, ENOTSUPP, {explain_path, explain_gem_peer, explain_gem_refuses}},
	{GEM_IMPORT, ENOSYS, {explain_gem_peer, explain_gem_method}},

	{POOL, ENOMEM, {explain_pool_room, explain_mappings, explain_pool_pieces}},
	{POOL, ENODEV, {explain_pool_gone}},
	{POOL, ENXIO, {explain_pool_gone}},
	{POOL, EINVAL, {explain_pool_range}},

	{SYSTEM, ENOTTY, {explain_device_kind}},
	{SYSTEM, EINVAL, {explain_gem_size, explain_memory_limit}},
	{SYSTEM, EFBIG, {explain_memory_file}},
	{SYSTEM, ENOMEM, {explain_memory_free}},

	{RUNTIME, ENOENT, {explain_runtime_address}},
	{RUNTIME, EOPNOTSUPP, {explain_runtime_modules, explain_runtime_export}},

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
	explain_device_init(&explain);
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

int explain_open_failure(struct p2pdma_context *context, int error, const char *root,
			 const char *path)
{
	struct p2pdma_explain_request request = P2PDMA_EXPLAIN_REQUEST_INIT;
	char node[128];

	snprintf(node, sizeof(node), "%s%s", root, path);
	request.operation = P2PDMA_OPERATION_OPEN;
	request.node = node;
	return explain_failure(context, error, &request, "can't open %s", node);
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
	r = options_load(&known, sizeof(known), FIRST_SIZE, request);
	if (r)
		return context_fail(context, r, "the request has a wrong size");
	/* Descriptor 0 is one, and not what an older program leaves out. */
	if (request->size_bytes <= FIRST_SIZE)
		known.device_fd = -1;
	r = check(context, error, &known);
	if (r)
		return r;
	cause_save(&told);
	explain_run(context, -abs(error), &known, &explanation);
	cause_restore(&told);
	options_store(ret_explanation, &explanation, sizeof(explanation));
	return 0;
}
