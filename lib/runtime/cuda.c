// SPDX-License-Identifier: MIT
/*
 * Memory of CUDA, by its driver library (libcuda.so.1).
 *
 * What is declared here is the part of that library's interface that is used, in our own words.
 * Each fact was taken from NVIDIA's "CUDA Driver API" documentation and compared with the header
 * of CUDA 13.0, which tests/unit/test_runtime_abi.c does again where there is one: results are
 * integers with 0 for success; a device pointer is a 64-bit integer; contexts are pointers,
 * devices int; where the interface changed, the function's name ends in _v2.
 *
 * Whose memory it is, and where, is asked by cuPointerGetAttributes(), which needs no context
 * and doesn't fail for foreign pointers. The allocation's bounds are its RANGE attributes:
 * cuMemGetAddressRange() only knows the piece that a pointer is in, and memory made of several
 * pieces (cuMemMap) is one range for an export.
 *
 * An export starts and ends on pages of the host, so the DMABUF is of the pages that the
 * request touches, and the offset is within the first. It may thereby
 * show a bit of the program's own memory around it: small allocations share pages.
 *
 * Exporting wants a current context. That is the one that the memory was made in; memory of the
 * virtual memory calls and of pools has none, so then the thread's own, if it is the same
 * device's, or the device's primary context. The thread's stack of contexts is left as it was.
 *
 * Any thread; the library locks itself.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "buffer/buffer.h"
#include "buffer/memory.h"
#include "runtime.h"
#include "cuda_abi.h"

static struct {
	int (*driver_version)(int *version);
	int (*error_name)(int result, const char **name);
	int (*pointer_attributes)(unsigned int count, int *attributes, void **data,
				  uint64_t pointer);
	int (*range_handle)(void *handle, uint64_t pointer, size_t size, int type,
			    unsigned long long flags);
	int (*device_get)(int *device, int ordinal);
	int (*device_attribute)(int *value, int attribute, int device);
	int (*context_current)(void **context);
	int (*context_device)(int *device);
	int (*context_push)(void *context);
	int (*context_pop)(void **context);
	int (*primary_retain)(void **context, int device);
	int (*primary_release)(int device);
} cuda;

static bool is_ready;

static const char *const sonames[] = {"libcuda.so.1", "libcuda.so", NULL};

static const struct runtime_symbol symbols[] = {
	{"cuDriverGetVersion", &cuda.driver_version, false},
	{"cuGetErrorName", &cuda.error_name, false},
	{"cuPointerGetAttributes", &cuda.pointer_attributes, false},
	{"cuMemGetHandleForAddressRange", &cuda.range_handle, false},
	{"cuDeviceGet", &cuda.device_get, false},
	{"cuDeviceGetAttribute", &cuda.device_attribute, false},
	{"cuCtxGetCurrent", &cuda.context_current, false},
	{"cuCtxGetDevice", &cuda.context_device, false},
	{"cuCtxPushCurrent_v2", &cuda.context_push, false},
	{"cuCtxPopCurrent_v2", &cuda.context_pop, false},
	{"cuDevicePrimaryCtxRetain", &cuda.primary_retain, false},
	{"cuDevicePrimaryCtxRelease_v2", &cuda.primary_release, false},
	{NULL, NULL, false},
};

static int error_of(int result)
{
	switch (result) {
	case CUDA_INVALID_VALUE:
		return -EINVAL;
	case CUDA_OUT_OF_MEMORY:
		return -ENOMEM;
	case CUDA_NOT_PERMITTED:
		return -EPERM;
	case CUDA_NOT_SUPPORTED:
		return -EOPNOTSUPP;
	default:
		return -EIO;
	}
}

static int fail(struct p2pdma_context *context, const struct runtime_request *request,
		const char *what, int result)
{
	const char *name = NULL;
	char text[160];

	if (cuda.error_name(result, &name) || !name)
		name = "an unknown error";
	snprintf(text, sizeof(text), "CUDA %s, %s", what, name);
	return runtime_failed(context, P2PDMA_BACKEND_CUDA, request, error_of(result), text);
}

/* Why memory of type @type is the machine's, or NULL. */
static const char *system_of(unsigned int type, unsigned int is_managed, int device)
{
	int is_integrated = 0;

	if (is_managed)
		return "managed memory of CUDA, which moves between device and machine";
	if (type != CUDA_MEMORY_DEVICE)
		return "page-locked memory of the machine";
	if (!cuda.device_attribute(&is_integrated, CUDA_DEVICE_INTEGRATED, device) && is_integrated)
		return "memory of a GPU that has none of its own";
	return NULL;
}

/*
 * Answers that say that an address isn't CUDA's: nobody uses CUDA here yet, or any more, or the
 * address is of something that shares no address space with the machine.
 */
static bool is_foreign(int result)
{
	return result == CUDA_NOT_INITIALIZED || result == CUDA_DEINITIALIZED ||
	       result == CUDA_INVALID_CONTEXT || result == CUDA_INVALID_VALUE;
}

static int find(struct p2pdma_context *context, const struct runtime_request *request,
		struct runtime_memory *ret_memory)
{
	int attributes[] = {CUDA_POINTER_TYPE,	 CUDA_POINTER_IS_MANAGED,  CUDA_POINTER_CONTEXT,
			    CUDA_POINTER_DEVICE, CUDA_POINTER_RANGE_START, CUDA_POINTER_RANGE_SIZE};
	unsigned int type = 0, is_managed = 0;
	struct runtime_memory memory = {.page_size_bytes = context->page_size_bytes};
	int ordinal = -1, result;
	size_t size = 0;
	void *data[] = {&type, &is_managed, &memory.owner, &ordinal, &memory.base, &size};

	result = cuda.pointer_attributes(sizeof(data) / sizeof(data[0]), attributes, data,
					 request->address);
	if (is_foreign(result) || (!result && !type))
		return -ENOENT;
	if (result)
		return fail(context, request, "doesn't say what the address is", result);
	result = cuda.device_get(&memory.device, ordinal);
	if (result)
		return fail(context, request, "doesn't say which device has the memory", result);
	memory.size_bytes = size;
	memory.system = system_of(type, is_managed, memory.device);
	*ret_memory = memory;
	return 0;
}

/* Makes a context of the memory's device current. *ret_is_pushed: leave() takes it off. */
static int enter(const struct runtime_memory *memory, bool *ret_is_pushed, bool *ret_is_retained)
{
	void *context = memory->owner;
	int device, result;

	*ret_is_pushed = *ret_is_retained = false;
	if (!context && !cuda.context_current(&context) && context &&
	    !cuda.context_device(&device) && device == memory->device)
		return 0;
	if (!memory->owner) {
		result = cuda.primary_retain(&context, memory->device);
		if (result)
			return result;
		*ret_is_retained = true;
	}
	result = cuda.context_push(context);
	*ret_is_pushed = !result;
	return result;
}

static void leave(const struct runtime_memory *memory, bool is_pushed, bool is_retained)
{
	void *context;

	if (is_pushed)
		cuda.context_pop(&context);
	if (is_retained)
		cuda.primary_release(memory->device);
}

static int export(struct p2pdma_context *context, const struct runtime_request *request,
		  const struct runtime_memory *memory, struct runtime_export *ret_export)
{
	uint64_t page = context->page_size_bytes;
	uint64_t start = request->address / page * page;
	uint64_t end = (request->address + request->length_bytes + page - 1) / page * page;
	bool is_pushed, is_retained;
	int fd = -1, result;

	result = enter(memory, &is_pushed, &is_retained);
	if (!result)
		result = cuda.range_handle(
			&fd, start, (size_t)(end - start), CUDA_RANGE_DMA_BUF,
			request->flags & P2PDMA_BUFFER_PCIE_MAPPING ? CUDA_RANGE_PCIE : 0);
	leave(memory, is_pushed, is_retained);
	if (result)
		return fail(context, request,
			    request->flags & P2PDMA_BUFFER_PCIE_MAPPING ?
				    "doesn't export the memory with a PCIe mapping" :
				    "doesn't export the memory",
			    result);
	ret_export->fd = fd;
	ret_export->offset_bytes = request->address - start;
	ret_export->close = NULL;
	return 0;
}

static void describe(char *ret_text, size_t size)
{
	int version = 0;

	if (!cuda.driver_version(&version))
		snprintf(ret_text, size, "for CUDA %d.%d", version / 1000, version % 1000 / 10);
}

static const struct backend backend_cuda = {
	.name = "cuda",
	.id = P2PDMA_BACKEND_CUDA,
	.flags = P2PDMA_BUFFER_READ_ONLY | P2PDMA_BUFFER_MMAP_WC | P2PDMA_BUFFER_ALLOW_SYSTEM |
		 P2PDMA_BUFFER_PCIE_MAPPING,
	.why_unrevocable = "it is memory of CUDA, which takes none back",
	.query = memory_query,
	.map = buffer_map_dmabuf,
};

const struct runtime runtime_cuda = {
	.backend = &backend_cuda,
	.title = "CUDA",
	.vendor_id = 0x10de,
	.package = "the NVIDIA driver's libcuda1",
	.sonames = sonames,
	.needed = "CUDA 11.7 or newer",
	.symbols = symbols,
	.is_ready = &is_ready,
	.find = find,
	.export = export,
	.describe = describe,
};
