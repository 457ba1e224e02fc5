// SPDX-License-Identifier: MIT
/*
 * Stands in for libcuda.so.1. It has two devices with a primary context each, a stack of contexts
 * for each thread, and allocations that the test puts there. Wrong calls get the errors
 * that the documentation names.
 */
#include <string.h>

#include "runtime/cuda_abi.h"
#include "standin.h"

#define NR_DEVICES  2
#define NR_CONTEXTS 8

int cuDriverGetVersion(int *version);
int cuGetErrorName(int result, const char **name);
int cuPointerGetAttributes(unsigned int count, int *attributes, void **data, uint64_t pointer);
int cuMemGetHandleForAddressRange(void *handle, uint64_t pointer, size_t size, int type,
				  unsigned long long flags);
int cuDeviceGet(int *device, int ordinal);
int cuDeviceGetAttribute(int *value, int attribute, int device);
int cuCtxGetCurrent(void **context);
int cuCtxGetDevice(int *device);
int cuCtxPushCurrent_v2(void *context);
int cuCtxPopCurrent_v2(void **context);
int cuDevicePrimaryCtxRetain(void **context, int device);
int cuDevicePrimaryCtxRelease_v2(int device);

/* A device's handle isn't its ordinal, so that nobody takes one for the other. */
#define HANDLE_OF(ordinal) ((ordinal) + 100)

static struct standin standin;
static int contexts[NR_DEVICES] = {HANDLE_OF(0), HANDLE_OF(1)};
static _Thread_local void *stack[NR_CONTEXTS];
static _Thread_local unsigned int depth;

struct standin *standin_cuda(void)
{
	return &standin;
}

void standin_cuda_current(int device)
{
	depth = 0;
	if (device >= 0)
		stack[depth++] = &contexts[device];
}

static bool is_context(const void *context)
{
	return context == &contexts[0] || context == &contexts[1];
}

int cuDriverGetVersion(int *version)
{
	*version = 13010;
	return 0;
}

int cuGetErrorName(int result, const char **name)
{
	*name = result == CUDA_OUT_OF_MEMORY ? "CUDA_ERROR_OUT_OF_MEMORY" : NULL;
	return *name ? 0 : CUDA_INVALID_VALUE;
}

static int attribute_get(const struct standin_memory *memory, int attribute, void *data)
{
	uint64_t base = memory ? memory->base : 0;
	size_t size = memory ? (size_t)memory->size_bytes : 0;
	void *owner = memory && memory->has_owner ? &contexts[memory->device] : NULL;

	switch (attribute) {
	case CUDA_POINTER_TYPE:
		*(unsigned int *)data = memory ? (unsigned int)memory->type : 0;
		return 0;
	case CUDA_POINTER_IS_MANAGED:
		*(unsigned char *)data = memory && memory->is_managed;
		return 0;
	case CUDA_POINTER_CONTEXT:
		memcpy(data, &owner, sizeof(owner));
		return 0;
	case CUDA_POINTER_DEVICE:
		*(int *)data = memory ? memory->device : -2;
		return 0;
	case CUDA_POINTER_RANGE_START:
		memcpy(data, &base, sizeof(base));
		return 0;
	case CUDA_POINTER_RANGE_SIZE:
		memcpy(data, &size, sizeof(size));
		return 0;
	default:
		return CUDA_INVALID_VALUE;
	}
}

int cuPointerGetAttributes(unsigned int count, int *attributes, void **data, uint64_t pointer)
{
	const struct standin_memory *memory = standin_find(&standin, pointer);

	if (!standin.is_initialized)
		return CUDA_NOT_INITIALIZED;
	if (standin.find_result)
		return standin.find_result;
	for (unsigned int i = 0; i < count; i++) {
		int result = attribute_get(memory, attributes[i], data[i]);

		if (result)
			return result;
	}
	return 0;
}

/* The allocation with the pages that its first and last bytes are in. */
static const struct standin_memory *find_pages(uint64_t start, uint64_t size)
{
	for (size_t i = 0; i < standin.nr_memories; i++) {
		const struct standin_memory *memory = &standin.memories[i];
		uint64_t first = memory->base / STANDIN_PAGE * STANDIN_PAGE;
		uint64_t end = (memory->base + memory->size_bytes + STANDIN_PAGE - 1) /
			       STANDIN_PAGE * STANDIN_PAGE;

		if (start >= first && start + size <= end)
			return memory;
	}
	return NULL;
}

int cuMemGetHandleForAddressRange(void *handle, uint64_t pointer, size_t size, int type,
				  unsigned long long flags)
{
	const struct standin_memory *memory = find_pages(pointer, size);

	if (!depth)
		return CUDA_INVALID_CONTEXT;
	if (!memory || pointer % STANDIN_PAGE || size % STANDIN_PAGE || !size ||
	    type != CUDA_RANGE_DMA_BUF || flags & ~(unsigned long long)CUDA_RANGE_PCIE ||
	    *(int *)stack[depth - 1] != HANDLE_OF(memory->device))
		return CUDA_INVALID_VALUE;
	standin_exports(&standin, flags);
	if (standin.result)
		return standin.result;
	*(int *)handle = standin.make(memory->offset_bytes + (pointer - memory->base), size);
	return *(int *)handle < 0 ? CUDA_OUT_OF_MEMORY : 0;
}

int cuDeviceGet(int *device, int ordinal)
{
	if (ordinal < 0 || ordinal >= NR_DEVICES)
		return CUDA_INVALID_VALUE;
	*device = HANDLE_OF(ordinal);
	return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device)
{
	if (attribute != CUDA_DEVICE_INTEGRATED || device < HANDLE_OF(0) ||
	    device >= HANDLE_OF(NR_DEVICES))
		return CUDA_INVALID_VALUE;
	*value = standin.is_integrated;
	return 0;
}

int cuCtxGetCurrent(void **context)
{
	*context = depth ? stack[depth - 1] : NULL;
	return 0;
}

int cuCtxGetDevice(int *device)
{
	if (!depth)
		return CUDA_INVALID_CONTEXT;
	*device = *(int *)stack[depth - 1];
	return 0;
}

int cuCtxPushCurrent_v2(void *context)
{
	if (!is_context(context) || depth == NR_CONTEXTS)
		return CUDA_INVALID_CONTEXT;
	stack[depth++] = context;
	__atomic_fetch_add(&standin.nr_contexts, 1, __ATOMIC_RELAXED);
	return 0;
}

int cuCtxPopCurrent_v2(void **context)
{
	if (!depth)
		return CUDA_INVALID_CONTEXT;
	*context = stack[--depth];
	__atomic_fetch_sub(&standin.nr_contexts, 1, __ATOMIC_RELAXED);
	return 0;
}

int cuDevicePrimaryCtxRetain(void **context, int device)
{
	if (device < HANDLE_OF(0) || device >= HANDLE_OF(NR_DEVICES))
		return CUDA_INVALID_VALUE;
	*context = &contexts[device - HANDLE_OF(0)];
	__atomic_fetch_add(&standin.nr_retained, 1, __ATOMIC_RELAXED);
	return 0;
}

int cuDevicePrimaryCtxRelease_v2(int device)
{
	if (device < HANDLE_OF(0) || device >= HANDLE_OF(NR_DEVICES) || !standin.nr_retained)
		return CUDA_INVALID_VALUE;
	__atomic_fetch_sub(&standin.nr_retained, 1, __ATOMIC_RELAXED);
	return 0;
}
