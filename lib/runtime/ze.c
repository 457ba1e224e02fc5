// SPDX-License-Identifier: MIT
/*
 * Memory of Level Zero, by its loader (libze_loader.so.1), which SYCL is built on.
 *
 * What is declared here is the part of that library's interface that is used, in our own words.
 * Each fact was taken from the oneAPI Level Zero specification and compared with the headers of
 * its versions 1.8 and 1.20, which tests/unit/test_runtime_abi.c does again where they are
 * installed. Handles are pointers, results integers with 0 for success, structures begin with a
 * type and a pointer to the next.
 *
 * Level Zero knows memory by the context that it was made in: in another one its type is
 * unknown. So the program has to give its context.
 *
 * An export is of the whole allocation and no call says where in the DMABUF it begins: at its
 * start, where the program asked for an exportable allocation, as the specification demands. A
 * driver that exports all the same what it has cut out of something larger would give the wrong
 * bytes. Two things give it away: the allocation doesn't begin on a page of its own, or the
 * DMABUF is larger than rounding explains; either is refused.
 *
 * Nothing says who closes the descriptor, and drivers differ: some keep one for each
 * allocation, others make one a call. So it is asked for twice. The same number twice
 * is one that the driver keeps; two are both ours.
 *
 * Any thread; the library locks itself.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "buffer/buffer.h"
#include "buffer/memory.h"
#include "runtime.h"
#include "ze_abi.h"

/* The largest page that allocations are rounded to. */
#define LARGEST_PAGE_BYTES (2ULL << 20)

static struct {
	int (*memory_properties)(void *context, const void *pointer,
				 struct ze_memory_properties *properties, void **device);
	int (*address_range)(void *context, const void *pointer, void **base, size_t *size);
	int (*device_properties)(void *device, struct ze_device_properties *properties);
} ze;

static bool is_ready;

static const char *const sonames[] = {"libze_loader.so.1", "libze_loader.so", NULL};

static const struct runtime_symbol symbols[] = {
	{"zeMemGetAllocProperties", &ze.memory_properties, false},
	{"zeMemGetAddressRange", &ze.address_range, false},
	{"zeDeviceGetProperties", &ze.device_properties, false},
	{NULL, NULL, false},
};

static int error_of(int result)
{
	switch (result) {
	case ZE_OUT_OF_HOST_MEMORY:
		return -ENOMEM;
	case ZE_NOT_AVAILABLE:
	case ZE_UNSUPPORTED_FEATURE:
		return -EOPNOTSUPP;
	case ZE_INVALID_ARGUMENT:
		return -EINVAL;
	default:
		return -EIO;
	}
}

static int fail(struct p2pdma_context *context, const struct runtime_request *request,
		const char *what, int result)
{
	char text[160];

	snprintf(text, sizeof(text), "Level Zero %s, result 0x%x", what, (unsigned int)result);
	return runtime_failed(context, P2PDMA_BACKEND_ZE, request, error_of(result), text);
}

static const char *system_of(int type, void *device)
{
	struct ze_device_properties properties = {.stype = ZE_STYPE_DEVICE_PROPERTIES};

	if (type == ZE_MEMORY_HOST)
		return "host memory of Level Zero";
	if (type != ZE_MEMORY_DEVICE)
		return "shared memory of Level Zero, which moves between device and machine";
	if (!device || ze.device_properties(device, &properties))
		return "memory of a device that the runtime doesn't show";
	if (properties.flags & ZE_DEVICE_INTEGRATED)
		return "memory of a GPU that has none of its own";
	return NULL;
}

static int find(struct p2pdma_context *context, const struct runtime_request *request,
		struct runtime_memory *ret_memory)
{
	struct ze_memory_properties properties = {.stype = ZE_STYPE_MEMORY_PROPERTIES};
	const void *pointer = (const void *)(uintptr_t)request->address;
	struct runtime_memory memory = {.owner = request->handle};
	void *device = NULL, *base = NULL;
	size_t size = 0;
	int result;

	result = ze.memory_properties(request->handle, pointer, &properties, &device);
	if (result == ZE_UNINITIALIZED || (!result && properties.type == ZE_MEMORY_UNKNOWN))
		return -ENOENT;
	if (!result)
		result = ze.address_range(request->handle, pointer, &base, &size);
	if (result)
		return fail(context, request, "doesn't say what the address is", result);
	memory.base = (uintptr_t)base;
	memory.size_bytes = size;
	memory.page_size_bytes = properties.page_size_bytes;
	if (memory.page_size_bytes < context->page_size_bytes)
		memory.page_size_bytes = context->page_size_bytes;
	memory.system = system_of(properties.type, device);
	*ret_memory = memory;
	return 0;
}

static int export_fd(const struct runtime_memory *memory, int *ret_fd)
{
	struct ze_export_fd fd = {
		.stype = ZE_STYPE_EXPORT_FD,
		.flags = ZE_EXTERNAL_DMA_BUF,
		.fd = -1,
	};
	struct ze_memory_properties properties = {
		.stype = ZE_STYPE_MEMORY_PROPERTIES,
		.next = &fd,
	};
	int result;

	result = ze.memory_properties(memory->owner, (const void *)(uintptr_t)memory->base,
				      &properties, NULL);
	*ret_fd = fd.fd;
	return result;
}

/* Is the DMABUF the allocation's, so that it begins where that begins? */
static int check_base(struct p2pdma_context *context, const struct runtime_memory *memory, int fd)
{
	struct export_result dmabuf;
	int r;

	r = dmabuf_query(context, fd, &dmabuf);
	if (r)
		return r == -EINVAL ? -EIO : r;
	if (memory->base % memory->page_size_bytes == 0 &&
	    dmabuf.size_bytes >= memory->size_bytes &&
	    dmabuf.size_bytes - memory->size_bytes < LARGEST_PAGE_BYTES)
		return 0;
	return context_fail(context, -EOPNOTSUPP,
			    "Level Zero cut this allocation (0x%" PRIx64 " bytes at 0x%" PRIx64
			    ") out of 0x%" PRIx64 " bytes, and doesn't say where: allocate it with "
			    "ze_external_memory_export_desc_t",
			    memory->size_bytes, memory->base, dmabuf.size_bytes);
}

/* What nobody else closes. */
static void keep_open(int fd)
{
	(void)fd;
}

static int export(struct p2pdma_context *context, const struct runtime_request *request,
		  const struct runtime_memory *memory, struct runtime_export *ret_export)
{
	int fd = -1, again = -1, result, r;

	result = export_fd(memory, &fd);
	if (result || fd < 0)
		return fail(context, request,
			    "doesn't export the memory (was it allocated with "
			    "ze_external_memory_export_desc_t?)",
			    result);
	result = export_fd(memory, &again);
	if (result || again < 0) {
		/* One that it keeps could have been had again: this was ours. */
		context->sys->close(fd);
		return fail(context, request, "exports the memory only once", result);
	}
	if (again != fd)
		context->sys->close(again);
	r = check_base(context, memory, fd);
	if (r && again != fd)
		context->sys->close(fd);
	if (r)
		return r;
	ret_export->fd = fd;
	ret_export->offset_bytes = request->address - memory->base;
	ret_export->close = again == fd ? keep_open : NULL;
	return 0;
}

static const struct backend backend_ze = {
	.name = "ze",
	.id = P2PDMA_BACKEND_ZE,
	.flags = P2PDMA_BUFFER_READ_ONLY | P2PDMA_BUFFER_MMAP_WC | P2PDMA_BUFFER_ALLOW_SYSTEM,
	.why_unrevocable = "it is memory of Level Zero, which takes none back",
	.query = memory_query,
	.map = buffer_map_dmabuf,
};

const struct runtime runtime_ze = {
	.backend = &backend_ze,
	.title = "Level Zero",
	.vendor_id = 0x8086,
	.package = "libze1, or level-zero",
	.sonames = sonames,
	.needed = "Level Zero 1.0 or newer",
	.symbols = symbols,
	.is_ready = &is_ready,
	.needs_handle = true,
	.find = find,
	.export = export,
};
