// SPDX-License-Identifier: MIT
/*
 * Buffers of memory that a GPU runtime owns, by its address.
 *
 * The one mistake that nothing would ever report is a DMABUF of other bytes than those at the
 * address: a NIC would read and write them without an error. So nothing that a runtime says is
 * believed alone:
 *  - the request lies in the allocation that the runtime names;
 *  - what it made is a DMABUF, and reaches from the offset to the end of the request;
 *  - offset and address have the same place in a page, as memory is mapped by pages;
 *  - it is a device's memory by the runtime's word and by the kernel's, which knows who
 *    exported it. Where the kernel's word can't be had, it isn't taken for a device's.
 *
 * The runtime's descriptor is duplicated and given back at once, by the runtime's own rules. The
 * buffer has no device and can't be revoked. No locks are held while a runtime works.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include <p2pdma/memory.h>

#include "buffer.h"
#include "context/options.h"
#include "runtime/runtime.h"

static int load_options(const struct p2pdma_context *context,
			const struct p2pdma_pointer_options *options,
			struct p2pdma_pointer_options *ret_known)
{
	struct p2pdma_pointer_options known = P2PDMA_POINTER_OPTIONS_INIT;
	int r;

	if (options) {
		r = options_load(&known, sizeof(known), sizeof(known), options);
		if (r)
			return context_fail(context, r, "the pointer options have a wrong size");
	}
	if (known.flags & ~BUFFER_FLAGS || known.reserved)
		return context_fail(context, -EINVAL, "unknown buffer flags 0x%" PRIx32,
				    known.flags & ~BUFFER_FLAGS);
	if (known.backend != P2PDMA_BACKEND_AUTO && !runtime_find(known.backend))
		return context_fail(context, -EINVAL,
				    "backend %" PRIu32 " is no runtime's: CUDA, HSA, ZE or AUTO",
				    known.backend);
	*ret_known = known;
	return 0;
}

static int check_request(const struct p2pdma_context *context,
			 const struct runtime_request *request)
{
	if (!request->address || !request->length_bytes)
		return context_fail(context, -EINVAL, "no address, or no bytes at it");
	if (request->length_bytes > SIZE_MAX - context->page_size_bytes ||
	    request->address + request->length_bytes + context->page_size_bytes < request->address)
		return context_fail(context, -EINVAL,
				    "0x%" PRIx64 " bytes at 0x%" PRIx64
				    " pass the end of the address space",
				    request->length_bytes, request->address);
	return 0;
}

static int unknown_address(struct p2pdma_context *context, uint32_t backend,
			   const struct runtime_request *request)
{
	char what[64];

	snprintf(what, sizeof(what), "can't export 0x%" PRIx64 " bytes at 0x%" PRIx64,
		 request->length_bytes, request->address);
	return runtime_failed(context, backend, request, -ENOENT, what);
}

/* One runtime by name: what it lacks is the answer. */
static int find_by_name(struct p2pdma_context *context, const struct runtime *runtime,
			const struct runtime_request *request, struct runtime_memory *ret_memory)
{
	char why[BACKEND_WHY_SIZE];
	int r;

	if (runtime->needs_handle && !request->handle)
		return context_fail(context, -EINVAL,
				    "%s knows memory by its context alone: set runtime_context",
				    runtime->backend->name);
	r = runtime_load(runtime, false, why);
	if (r)
		return context_fail(context, r, "%s", why);
	r = runtime->find(context, request, ret_memory);
	return r == -ENOENT ? unknown_address(context, runtime->backend->id, request) : r;
}

/* AUTO: the one that knows the address. */
static int find_any(struct p2pdma_context *context, const struct runtime_request *request,
		    const struct runtime **ret_runtime, struct runtime_memory *ret_memory)
{
	char why[BACKEND_WHY_SIZE];

	for (size_t i = 0; runtimes[i]; i++) {
		int r;

		if ((runtimes[i]->needs_handle && !request->handle) ||
		    runtime_load(runtimes[i], false, why))
			continue;
		r = runtimes[i]->find(context, request, ret_memory);
		if (r == -ENOENT)
			continue;
		*ret_runtime = runtimes[i];
		return r;
	}
	return unknown_address(context, P2PDMA_BACKEND_AUTO, request);
}

static int check_memory(const struct p2pdma_context *context, const struct runtime *runtime,
			const struct runtime_request *request, const struct runtime_memory *memory)
{
	uint32_t unknown = request->flags & ~runtime->backend->flags;

	if (unknown)
		return context_fail(context, -EOPNOTSUPP,
				    "the %s backend can't honour buffer flags 0x%" PRIx32,
				    runtime->backend->name, unknown);
	if (request->address < memory->base ||
	    request->address - memory->base >= memory->size_bytes ||
	    request->length_bytes > memory->size_bytes - (request->address - memory->base))
		return context_fail(context, -EINVAL,
				    "0x%" PRIx64 " bytes at 0x%" PRIx64
				    " aren't inside the allocation, which has 0x%" PRIx64
				    " at 0x%" PRIx64,
				    request->length_bytes, request->address, memory->size_bytes,
				    memory->base);
	if (memory->system && !(request->flags & P2PDMA_BUFFER_ALLOW_SYSTEM))
		return context_fail(context, -EOPNOTSUPP,
				    "0x%" PRIx64 " is %s: P2PDMA_BUFFER_ALLOW_SYSTEM takes it all "
				    "the same",
				    request->address, memory->system);
	return 0;
}

/* The kernel's word for it. */
static int check_exporter(const struct p2pdma_context *context,
			  const struct runtime_request *request, int fd)
{
	char exporter[DMABUF_EXPORTER_SIZE];
	int r;

	if (request->flags & P2PDMA_BUFFER_ALLOW_SYSTEM)
		return 0;
	r = dmabuf_exporter_query(context->sys, fd, exporter);
	if (r)
		return context_fail(context, -EOPNOTSUPP,
				    "nobody says whose memory the runtime's DMABUF is (fdinfo: %s)",
				    error_name(r));
	if (dmabuf_exporter_is_system(exporter))
		return context_fail(context, -EOPNOTSUPP,
				    "the runtime fell back to memory of the machine (the DMABUF is "
				    "of %s): P2PDMA_BUFFER_ALLOW_SYSTEM takes it all the same",
				    exporter);
	return 0;
}

/* Can it be the memory asked for? Takes its size. */
static int check_dmabuf(struct p2pdma_context *context, const struct runtime *runtime,
			const struct runtime_request *request, struct runtime_export *export)
{
	uint64_t page = context->page_size_bytes;
	struct export_result dmabuf;
	int r;

	r = dmabuf_query(context, export->fd, &dmabuf);
	if (r)
		return r == -EINVAL ? -EIO : r;
	export->size_bytes = dmabuf.size_bytes;
	if (export->offset_bytes > export->size_bytes ||
	    request->length_bytes > export->size_bytes - export->offset_bytes ||
	    export->offset_bytes % page != request->address % page)
		return context_fail(context, -EIO,
				    "%s gave a DMABUF of 0x%" PRIx64 " bytes for 0x%" PRIx64
				    " at 0x%" PRIx64 ", which would begin at 0x%" PRIx64
				    " in it: that can't be right",
				    runtime->backend->name, export->size_bytes,
				    request->length_bytes, request->address, export->offset_bytes);
	return check_exporter(context, request, export->fd);
}

static void give_back(const struct p2pdma_context *context, const struct runtime_export *export)
{
	if (export->close)
		export->close(export->fd);
	else
		context->sys->close(export->fd);
}

/* What comes back is checked, and the caller's to close. */
static int export_memory(struct p2pdma_context *context, const struct runtime *runtime,
			 const struct runtime_request *request, const struct runtime_memory *memory,
			 struct runtime_export *ret_export)
{
	struct runtime_export export = {.fd = -1};
	int r;

	r = runtime->export(context, request, memory, &export);
	if (r)
		return r;
	r = check_dmabuf(context, runtime, request, &export);
	if (!r) {
		r = context->sys->dup(export.fd);
		if (r < 0)
			context_tell_cause(context, r, "can't duplicate the DMABUF: %s",
					   error_name(r));
	}
	give_back(context, &export);
	if (r < 0)
		return r;
	export.fd = r;
	*ret_export = export;
	return 0;
}

static int make(struct p2pdma_context *context, const struct runtime *runtime,
		const struct runtime_request *request, const struct runtime_export *export,
		struct p2pdma_buffer **ret_buffer)
{
	struct p2pdma_buffer_options options = {.flags = request->flags};
	struct export_result result = {.fd = export->fd, .size_bytes = export->size_bytes};
	int r;

	r = buffer_create_alone(context, runtime->backend, &options, &result, ret_buffer);
	if (!r)
		snprintf((*ret_buffer)->name, sizeof((*ret_buffer)->name),
			 "%s:0x%" PRIx64 "+0x%" PRIx64, runtime->backend->name, request->address,
			 request->length_bytes);
	return r;
}

int p2pdma_buffer_new_pointer(struct p2pdma_context *context, const void *address,
			      uint64_t length_bytes, const struct p2pdma_pointer_options *options,
			      struct p2pdma_buffer **ret_buffer, uint64_t *ret_offset_bytes)
{
	struct runtime_request request = {
		.address = (uintptr_t)address,
		.length_bytes = length_bytes,
	};
	struct p2pdma_pointer_options known;
	const struct runtime *runtime;
	struct runtime_memory memory;
	struct runtime_export export;
	struct p2pdma_buffer *buffer;
	int r;

	if (!context)
		return -EINVAL;
	if (!ret_buffer || !ret_offset_bytes)
		return context_fail(context, -EINVAL, "no place for the buffer or its offset");
	r = load_options(context, options, &known);
	if (r)
		return r;
	request.flags = known.flags;
	request.handle = known.runtime_context;
	r = check_request(context, &request);
	if (r)
		return r;
	runtime = runtime_find(known.backend);
	r = runtime ? find_by_name(context, runtime, &request, &memory) :
		      find_any(context, &request, &runtime, &memory);
	if (r)
		return r;
	r = check_memory(context, runtime, &request, &memory);
	if (r)
		return r;
	r = export_memory(context, runtime, &request, &memory, &export);
	if (r)
		return r;
	r = make(context, runtime, &request, &export, &buffer);
	if (r)
		return r;
	buffer->user_data = known.user_data;
	*ret_offset_bytes = export.offset_bytes;
	*ret_buffer = buffer;
	return 0;
}
