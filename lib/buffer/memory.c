// SPDX-License-Identifier: MIT
/*
 * Buffers of system memory, by explicit request only: nothing else in the library comes here.
 *
 * AUTO takes the heap where its node may be opened, because it has no limit of its own, and
 * udmabuf otherwise; which one it will be is looked at before anything is opened, so that an
 * allocation that fails is never tried a second time elsewhere. There is no device behind such a
 * buffer and nothing to revoke, so nothing here takes a lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>

#include <p2pdma/memory.h>

#include "buffer.h"
#include "explain/explain.h"
#include "memory.h"
#include "runtime/runtime.h"

/* In the order in which AUTO tries them. */
static const struct memory_source *const sources[] = {&memory_heap, &memory_udmabuf};

#define KNOWN_FLAGS (P2PDMA_BUFFER_MMAP_WC | P2PDMA_BUFFER_ALLOW_SYSTEM)
#define NR_SOURCES  (sizeof(sources) / sizeof(sources[0]))

void memory_query(struct p2pdma_buffer *buffer, struct p2pdma_buffer_status *status)
{
	/* The kernel has no call that tells who uses a DMABUF. */
	(void)buffer;
	(void)status;
}

void memory_query_system(struct p2pdma_buffer *buffer, struct p2pdma_buffer_status *status)
{
	(void)buffer;
	status->flags |= P2PDMA_STATUS_PLACED | P2PDMA_STATUS_SYSTEM;
}

static const struct memory_source *find(uint32_t backend)
{
	for (size_t i = 0; i < NR_SOURCES; i++) {
		if (sources[i]->backend->id == backend)
			return sources[i];
	}
	return NULL;
}

/* 0, or why the node can't be opened; a sentence for either. */
static int check_node(const struct p2pdma_context *context, const struct memory_source *source,
		      char *ret_why, size_t size)
{
	const char *name = source->backend->name;
	char node[32];
	int r = context->sys->access_at(context->dev_fd, source->node, R_OK);

	snprintf(node, sizeof(node), "/dev/%s", source->node);
	if (!r)
		snprintf(ret_why, size, "%s: system memory through %s", name, node);
	else if (r == -ENOENT)
		snprintf(ret_why, size, "%s: no %s: %s", name, node, explain_node_absent(node));
	else
		snprintf(ret_why, size, "%s: %s can't be opened: %s", name, node, error_name(r));
	return r == -ENOENT ? -EOPNOTSUPP : r;
}

int p2pdma_backend_query(struct p2pdma_context *context, enum p2pdma_backend backend,
			 const char **ret_why)
{
	static _Thread_local char why[BACKEND_WHY_SIZE];
	const struct runtime *runtime = runtime_find(backend);
	const struct memory_source *source = find(backend);
	int r;

	if (!context)
		return -EINVAL;
	if (!source && !runtime)
		return context_fail(context, -EINVAL, "backend %d isn't one of <p2pdma/memory.h>",
				    (int)backend);
	r = runtime ? runtime_load(runtime, true, why) :
		      check_node(context, source, why, sizeof(why));
	if (ret_why)
		*ret_why = why;
	return !r;
}

static int choose(const struct p2pdma_context *context, uint32_t backend,
		  const struct memory_source **ret_source)
{
	char whys[NR_SOURCES][BACKEND_WHY_SIZE];
	int results[NR_SOURCES];

	if (backend != P2PDMA_BACKEND_AUTO) {
		*ret_source = find(backend);
		if (!*ret_source)
			return context_fail(context, -EINVAL,
					    "backend %" PRIu32
					    " makes no system memory: HEAP, UDMABUF or AUTO",
					    backend);
		results[0] = check_node(context, *ret_source, whys[0], sizeof(whys[0]));
		return results[0] ? context_fail(context, results[0], "%s", whys[0]) : 0;
	}
	for (size_t i = 0; i < NR_SOURCES; i++) {
		results[i] = check_node(context, sources[i], whys[i], sizeof(whys[i]));
		*ret_source = sources[i];
		if (!results[i])
			return 0;
	}
	/* A node that is there but closed is closer to an answer than none. */
	return context_fail(context, results[0] == -EOPNOTSUPP ? results[1] : results[0], "%s; %s",
			    whys[0], whys[1]);
}

static int load_options(const struct p2pdma_context *context, uint64_t size_bytes,
			const struct p2pdma_buffer_options *options,
			struct p2pdma_buffer_options *ret_known)
{
	int r = buffer_options_load(context, options, ret_known);

	if (r)
		return r;
	if (ret_known->flags & ~KNOWN_FLAGS)
		return context_fail(context, -EOPNOTSUPP,
				    "system memory can't honour buffer flags 0x%" PRIx32,
				    ret_known->flags & ~KNOWN_FLAGS);
	if (!size_bytes || size_bytes % context->page_size_bytes)
		return context_fail(context, -EINVAL,
				    "0x%" PRIx64
				    " bytes aren't a multiple of the page size, or none",
				    size_bytes);
	return 0;
}

int memory_make_failed(struct p2pdma_context *context, const struct memory_source *source,
		       const struct memory_call *call, int error)
{
	struct p2pdma_explain_request request = P2PDMA_EXPLAIN_REQUEST_INIT;

	request.operation = P2PDMA_OPERATION_MEMORY_ALLOCATE;
	request.length_bytes = call->length_bytes;
	request.device_fd = call->node_fd;
	request.object = source->backend->id;
	explain_failure(context, error, &request, "/dev/%s doesn't give 0x%" PRIx64 " bytes",
			source->node, call->length_bytes);
	return error == -ENOTTY ? -EOPNOTSUPP : error;
}

static int make(struct p2pdma_context *context, const struct memory_source *source,
		uint64_t size_bytes, struct export_result *ret_result)
{
	int node_fd, r;

	node_fd = context->sys->open_at(context->dev_fd, source->node, O_RDONLY);
	if (node_fd < 0)
		return explain_open_failure(context, node_fd, "/dev/", source->node);
	r = source->make(context, node_fd, size_bytes);
	context->sys->close(node_fd);
	if (r < 0)
		return r;
	ret_result->fd = r;
	r = dmabuf_query(context, ret_result->fd, ret_result);
	if (r)
		context->sys->close(ret_result->fd);
	return r;
}

int p2pdma_buffer_new_system(struct p2pdma_context *context, uint64_t size_bytes,
			     const struct p2pdma_buffer_options *options,
			     struct p2pdma_buffer **ret_buffer)
{
	struct p2pdma_buffer_options known;
	const struct memory_source *source;
	struct export_result result = {.fd = -1};
	int r;

	if (!context)
		return -EINVAL;
	if (!ret_buffer)
		return context_fail(context, -EINVAL, "no place for the buffer was given");
	r = load_options(context, size_bytes, options, &known);
	if (r)
		return r;
	r = choose(context, known.backend, &source);
	if (r)
		return r;
	r = make(context, source, size_bytes, &result);
	if (r)
		return r;
	return buffer_create_alone(context, source->backend, &known, &result, ret_buffer);
}
