// SPDX-License-Identifier: MIT
/*
 * Stands in for libze_loader.so.1: one context, one device, allocations that the test puts there.
 * An export is of the allocation, or of all device memory where that is pooled; the
 * descriptor is a new one each time, or one that is kept.
 */
#include "runtime/ze_abi.h"
#include "standin.h"

#define INVALID_NULL_HANDLE 0x78000005

int zeMemGetAllocProperties(void *context, const void *pointer,
			    struct ze_memory_properties *properties, void **device);
int zeMemGetAddressRange(void *context, const void *pointer, void **base, size_t *size);
int zeDeviceGetProperties(void *device, struct ze_device_properties *properties);

static struct standin standin;
static int context_object, device_object;

struct standin *standin_ze(void)
{
	return &standin;
}

void *standin_ze_context(void)
{
	return &context_object;
}

static int export(const struct standin_memory *memory, int *ret_fd)
{
	uint64_t rounded = (memory->size_bytes + STANDIN_PAGE - 1) / STANDIN_PAGE * STANDIN_PAGE;

	standin_exports(&standin, 0);
	if (standin.result)
		return standin.result;
	if (standin.keeps_fd && standin.kept_fd >= 0) {
		*ret_fd = standin.kept_fd;
		return 0;
	}
	*ret_fd = memory->is_pooled ? standin.make(0, standin.device_bytes) :
				      standin.make(memory->offset_bytes, rounded);
	if (standin.keeps_fd)
		standin.kept_fd = *ret_fd;
	return *ret_fd < 0 ? ZE_OUT_OF_HOST_MEMORY : 0;
}

int zeMemGetAllocProperties(void *context, const void *pointer,
			    struct ze_memory_properties *properties, void **device)
{
	const struct standin_memory *memory = standin_find(&standin, (uintptr_t)pointer);
	struct ze_export_fd *request = properties->next;

	if (!standin.is_initialized)
		return ZE_UNINITIALIZED;
	if (!context)
		return INVALID_NULL_HANDLE;
	if (properties->stype != ZE_STYPE_MEMORY_PROPERTIES)
		return ZE_INVALID_ARGUMENT;
	if (context != &context_object || !memory) {
		properties->type = ZE_MEMORY_UNKNOWN;
		return 0;
	}
	properties->type = memory->type;
	properties->page_size_bytes = STANDIN_PAGE;
	if (device)
		*device = &device_object;
	if (!request)
		return 0;
	if (request->stype != ZE_STYPE_EXPORT_FD || request->flags != ZE_EXTERNAL_DMA_BUF)
		return ZE_INVALID_ARGUMENT;
	return export(memory, &request->fd);
}

int zeMemGetAddressRange(void *context, const void *pointer, void **base, size_t *size)
{
	const struct standin_memory *memory = standin_find(&standin, (uintptr_t)pointer);

	if (context != &context_object || !memory)
		return ZE_INVALID_ARGUMENT;
	*base = (void *)(uintptr_t)memory->base;
	*size = (size_t)memory->size_bytes;
	return 0;
}

int zeDeviceGetProperties(void *device, struct ze_device_properties *properties)
{
	if (device != &device_object || properties->stype != ZE_STYPE_DEVICE_PROPERTIES)
		return ZE_INVALID_ARGUMENT;
	properties->flags = standin.is_integrated ? ZE_DEVICE_INTEGRATED : 0;
	return 0;
}
