// SPDX-License-Identifier: MIT
/*
 * Stands in for libhsa-runtime64.so.1: one agent, allocations that the test puts there. An
 * export is of all device memory, as one of a real buffer object is.
 */
#include <string.h>
#include <unistd.h>

#include "runtime/hsa_abi.h"
#include "standin.h"

#define AGENT 0x5ca1ab1eULL

int hsa_status_string(int status, const char **text);
int hsa_agent_get_info(struct hsa_agent agent, int attribute, void *value);
int hsa_amd_pointer_info(const void *pointer, struct hsa_pointer_info *info,
			 void *(*allocate)(size_t size), uint32_t *nr_accessible,
			 struct hsa_agent **accessible);
int hsa_amd_portable_export_dmabuf(const void *pointer, size_t size, int *fd, uint64_t *offset);
int hsa_amd_portable_export_dmabuf_v2(const void *pointer, size_t size, int *fd, uint64_t *offset,
				      uint64_t flags);
int hsa_amd_portable_close_dmabuf(int fd);

static struct standin standin;

struct standin *standin_hsa(void)
{
	return &standin;
}

int hsa_status_string(int status, const char **text)
{
	*text = "HSA_STATUS_ERROR_OUT_OF_RESOURCES";
	return status == HSA_OUT_OF_RESOURCES ? 0 : HSA_INVALID_ARGUMENT;
}

int hsa_agent_get_info(struct hsa_agent agent, int attribute, void *value)
{
	if (agent.handle != AGENT)
		return HSA_INVALID_AGENT;
	if (attribute == HSA_AGENT_DEVICE) {
		*(int *)value = standin.is_host_device ? HSA_DEVICE_CPU : HSA_DEVICE_GPU;
		return 0;
	}
	if (attribute != HSA_AGENT_MEMORY_PROPERTIES)
		return HSA_INVALID_ARGUMENT;
	memset(value, 0, 8);
	*(uint8_t *)value = (uint8_t)(standin.is_integrated << HSA_PROPERTY_IS_APU);
	return 0;
}

int hsa_amd_pointer_info(const void *pointer, struct hsa_pointer_info *info,
			 void *(*allocate)(size_t size), uint32_t *nr_accessible,
			 struct hsa_agent **accessible)
{
	const struct standin_memory *memory = standin_find(&standin, (uintptr_t)pointer);

	if (!standin.is_initialized)
		return HSA_NOT_INITIALIZED;
	if (allocate || nr_accessible || accessible || info->size < sizeof(*info))
		return HSA_INVALID_ARGUMENT;
	info->type = memory ? memory->type : HSA_POINTER_UNKNOWN;
	if (!memory)
		return 0;
	/* Locked memory has an address of its own on the device. */
	info->agent_base =
		(void *)(uintptr_t)(memory->type == HSA_POINTER_LOCKED ? 0x1000 : memory->base);
	info->host_base = (void *)(uintptr_t)memory->base;
	info->size_bytes = (size_t)memory->size_bytes;
	info->owner.handle = memory->has_owner ? AGENT : 0;
	return 0;
}

int hsa_amd_portable_export_dmabuf(const void *pointer, size_t size, int *fd, uint64_t *offset)
{
	return hsa_amd_portable_export_dmabuf_v2(pointer, size, fd, offset, 0);
}

int hsa_amd_portable_export_dmabuf_v2(const void *pointer, size_t size, int *fd, uint64_t *offset,
				      uint64_t flags)
{
	uint64_t address = (uintptr_t)pointer;
	const struct standin_memory *memory = standin_find(&standin, address);

	if (!standin.is_initialized)
		return HSA_NOT_INITIALIZED;
	if (!memory || size > memory->size_bytes - (address - memory->base))
		return HSA_INVALID_ALLOCATION;
	if (standin.is_host_device)
		return HSA_INVALID_AGENT;
	standin_exports(&standin, flags);
	if (standin.result)
		return standin.result;
	*fd = standin.make(0, standin.device_bytes);
	*offset = memory->offset_bytes + (address - memory->base) + standin.lie_bytes;
	return *fd < 0 ? HSA_OUT_OF_RESOURCES : 0;
}

int hsa_amd_portable_close_dmabuf(int fd)
{
	__atomic_fetch_add(&standin.nr_closed, 1, __ATOMIC_RELAXED);
	return close(fd) ? HSA_OUT_OF_RESOURCES : 0;
}
