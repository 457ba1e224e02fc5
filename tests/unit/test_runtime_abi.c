// SPDX-License-Identifier: MIT
/*
 * Is what the ..._abi.h of lib/runtime say of GPU runtimes what their own headers say? That this
 * compiles is the test; CMake looks for the headers, and it is skipped where there are none.
 */
#include <stddef.h>
#include <stdio.h>

#include "runtime/cuda_abi.h"
#include "runtime/hsa_abi.h"
#include "runtime/ze_abi.h"

#define SAME(ours, theirs) _Static_assert((long long)(ours) == (long long)(theirs), #ours)

#ifdef HAVE_CUDA_H
#include <cuda.h>

SAME(CUDA_INVALID_VALUE, CUDA_ERROR_INVALID_VALUE);
SAME(CUDA_OUT_OF_MEMORY, CUDA_ERROR_OUT_OF_MEMORY);
SAME(CUDA_NOT_INITIALIZED, CUDA_ERROR_NOT_INITIALIZED);
SAME(CUDA_DEINITIALIZED, CUDA_ERROR_DEINITIALIZED);
SAME(CUDA_INVALID_CONTEXT, CUDA_ERROR_INVALID_CONTEXT);
SAME(CUDA_NOT_PERMITTED, CUDA_ERROR_NOT_PERMITTED);
SAME(CUDA_NOT_SUPPORTED, CUDA_ERROR_NOT_SUPPORTED);
SAME(CUDA_POINTER_CONTEXT, CU_POINTER_ATTRIBUTE_CONTEXT);
SAME(CUDA_POINTER_TYPE, CU_POINTER_ATTRIBUTE_MEMORY_TYPE);
SAME(CUDA_POINTER_IS_MANAGED, CU_POINTER_ATTRIBUTE_IS_MANAGED);
SAME(CUDA_POINTER_DEVICE, CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL);
SAME(CUDA_POINTER_RANGE_START, CU_POINTER_ATTRIBUTE_RANGE_START_ADDR);
SAME(CUDA_POINTER_RANGE_SIZE, CU_POINTER_ATTRIBUTE_RANGE_SIZE);
SAME(CUDA_MEMORY_HOST, CU_MEMORYTYPE_HOST);
SAME(CUDA_MEMORY_DEVICE, CU_MEMORYTYPE_DEVICE);
SAME(CUDA_DEVICE_INTEGRATED, CU_DEVICE_ATTRIBUTE_INTEGRATED);
SAME(CUDA_RANGE_DMA_BUF, CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD);
#if CUDA_VERSION >= 12080
SAME(CUDA_RANGE_PCIE, CU_MEM_RANGE_FLAG_DMA_BUF_MAPPING_TYPE_PCIE);
#endif
SAME(sizeof(uint64_t), sizeof(CUdeviceptr));
SAME(sizeof(int), sizeof(CUdevice));
SAME(sizeof(int), sizeof(CUresult));
SAME(sizeof(int), sizeof(CUpointer_attribute));
SAME(sizeof(int), sizeof(CUmemRangeHandleType));
SAME(sizeof(void *), sizeof(CUcontext));
#endif

#ifdef HAVE_HSA_H
#include <hsa/hsa.h>
#include <hsa/hsa_ext_amd.h>

SAME(HSA_INVALID_ARGUMENT, HSA_STATUS_ERROR_INVALID_ARGUMENT);
SAME(HSA_INVALID_ALLOCATION, HSA_STATUS_ERROR_INVALID_ALLOCATION);
SAME(HSA_INVALID_AGENT, HSA_STATUS_ERROR_INVALID_AGENT);
SAME(HSA_OUT_OF_RESOURCES, HSA_STATUS_ERROR_OUT_OF_RESOURCES);
SAME(HSA_NOT_INITIALIZED, HSA_STATUS_ERROR_NOT_INITIALIZED);
SAME(HSA_POINTER_UNKNOWN, HSA_EXT_POINTER_TYPE_UNKNOWN);
SAME(HSA_POINTER_HSA, HSA_EXT_POINTER_TYPE_HSA);
SAME(HSA_POINTER_LOCKED, HSA_EXT_POINTER_TYPE_LOCKED);
SAME(HSA_AGENT_DEVICE, HSA_AGENT_INFO_DEVICE);
#if defined(HSA_AMD_INTERFACE_VERSION_MINOR) && HSA_AMD_INTERFACE_VERSION_MINOR >= 5
SAME(HSA_AGENT_MEMORY_PROPERTIES, HSA_AMD_AGENT_INFO_MEMORY_PROPERTIES);
SAME(HSA_PROPERTY_IS_APU, HSA_AMD_MEMORY_PROPERTY_AGENT_IS_APU);
#endif
SAME(HSA_DEVICE_CPU, HSA_DEVICE_TYPE_CPU);
SAME(HSA_DEVICE_GPU, HSA_DEVICE_TYPE_GPU);
SAME(sizeof(int), sizeof(hsa_status_t));
SAME(sizeof(int), sizeof(hsa_device_type_t));
SAME(sizeof(struct hsa_agent), sizeof(hsa_agent_t));
SAME(offsetof(struct hsa_pointer_info, type), offsetof(hsa_amd_pointer_info_t, type));
SAME(offsetof(struct hsa_pointer_info, agent_base),
     offsetof(hsa_amd_pointer_info_t, agentBaseAddress));
SAME(offsetof(struct hsa_pointer_info, host_base),
     offsetof(hsa_amd_pointer_info_t, hostBaseAddress));
SAME(offsetof(struct hsa_pointer_info, size_bytes), offsetof(hsa_amd_pointer_info_t, sizeInBytes));
SAME(offsetof(struct hsa_pointer_info, owner), offsetof(hsa_amd_pointer_info_t, agentOwner));
_Static_assert(sizeof(struct hsa_pointer_info) <= sizeof(hsa_amd_pointer_info_t), "a prefix");
#endif

#ifdef HAVE_ZE_H
#include <level_zero/ze_api.h>

SAME(ZE_OUT_OF_HOST_MEMORY, ZE_RESULT_ERROR_OUT_OF_HOST_MEMORY);
SAME(ZE_NOT_AVAILABLE, ZE_RESULT_ERROR_NOT_AVAILABLE);
SAME(ZE_UNINITIALIZED, ZE_RESULT_ERROR_UNINITIALIZED);
SAME(ZE_UNSUPPORTED_FEATURE, ZE_RESULT_ERROR_UNSUPPORTED_FEATURE);
SAME(ZE_INVALID_ARGUMENT, ZE_RESULT_ERROR_INVALID_ARGUMENT);
SAME(ZE_STYPE_DEVICE_PROPERTIES, ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES);
SAME(ZE_STYPE_MEMORY_PROPERTIES, ZE_STRUCTURE_TYPE_MEMORY_ALLOCATION_PROPERTIES);
SAME(ZE_STYPE_EXPORT_FD, ZE_STRUCTURE_TYPE_EXTERNAL_MEMORY_EXPORT_FD);
SAME(ZE_MEMORY_UNKNOWN, ZE_MEMORY_TYPE_UNKNOWN);
SAME(ZE_MEMORY_HOST, ZE_MEMORY_TYPE_HOST);
SAME(ZE_MEMORY_DEVICE, ZE_MEMORY_TYPE_DEVICE);
SAME(ZE_MEMORY_SHARED, ZE_MEMORY_TYPE_SHARED);
SAME(ZE_DEVICE_INTEGRATED, ZE_DEVICE_PROPERTY_FLAG_INTEGRATED);
SAME(ZE_EXTERNAL_DMA_BUF, ZE_EXTERNAL_MEMORY_TYPE_FLAG_DMA_BUF);
SAME(sizeof(int), sizeof(ze_result_t));
SAME(sizeof(void *), sizeof(ze_context_handle_t));
SAME(sizeof(struct ze_memory_properties), sizeof(ze_memory_allocation_properties_t));
SAME(offsetof(struct ze_memory_properties, next),
     offsetof(ze_memory_allocation_properties_t, pNext));
SAME(offsetof(struct ze_memory_properties, type),
     offsetof(ze_memory_allocation_properties_t, type));
SAME(offsetof(struct ze_memory_properties, page_size_bytes),
     offsetof(ze_memory_allocation_properties_t, pageSize));
SAME(sizeof(struct ze_export_fd), sizeof(ze_external_memory_export_fd_t));
SAME(offsetof(struct ze_export_fd, next), offsetof(ze_external_memory_export_fd_t, pNext));
SAME(offsetof(struct ze_export_fd, flags), offsetof(ze_external_memory_export_fd_t, flags));
SAME(offsetof(struct ze_export_fd, fd), offsetof(ze_external_memory_export_fd_t, fd));
SAME(offsetof(struct ze_device_properties, flags), offsetof(ze_device_properties_t, flags));
_Static_assert(sizeof(struct ze_device_properties) >= sizeof(ze_device_properties_t), "room");
#endif

/* The names of those that were there. */
static const char *const compared[] = {
#ifdef HAVE_CUDA_H
	"CUDA",
#endif
#ifdef HAVE_HSA_H
	"HSA",
#endif
#ifdef HAVE_ZE_H
	"Level Zero",
#endif
	NULL,
};

int main(void)
{
	for (size_t i = 0; compared[i]; i++)
		printf("the same as in the headers of %s\n", compared[i]);
	if (compared[0])
		return 0;
	printf("skipped: no headers of CUDA, HSA or Level Zero here\n");
	return 77;
}
