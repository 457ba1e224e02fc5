/* SPDX-License-Identifier: MIT */
#ifndef RUNTIME_HSA_ABI_H
#define RUNTIME_HSA_ABI_H

#include <stddef.h>
#include <stdint.h>

/*
 * The constants and structures of the HSA runtime that are used; see hsa.c for where they
 * are from. The documentation's names are beside them.
 */

/* hsa_status_t */
#define HSA_INVALID_ARGUMENT	    0x1001 /* HSA_STATUS_ERROR_INVALID_ARGUMENT */
#define HSA_INVALID_ALLOCATION	    0x1003 /* HSA_STATUS_ERROR_INVALID_ALLOCATION */
#define HSA_INVALID_AGENT	    0x1004 /* HSA_STATUS_ERROR_INVALID_AGENT */
#define HSA_OUT_OF_RESOURCES	    0x1008 /* HSA_STATUS_ERROR_OUT_OF_RESOURCES */
#define HSA_NOT_INITIALIZED	    0x100b /* HSA_STATUS_ERROR_NOT_INITIALIZED */

/* hsa_amd_pointer_type_t */
#define HSA_POINTER_UNKNOWN	    0 /* HSA_EXT_POINTER_TYPE_UNKNOWN */
#define HSA_POINTER_HSA		    1 /* HSA_EXT_POINTER_TYPE_HSA */
#define HSA_POINTER_LOCKED	    2 /* HSA_EXT_POINTER_TYPE_LOCKED */

/* hsa_agent_info_t and hsa_amd_agent_info_t */
#define HSA_AGENT_DEVICE	    17	   /* HSA_AGENT_INFO_DEVICE: hsa_device_type_t */
#define HSA_AGENT_MEMORY_PROPERTIES 0xa114 /* HSA_AMD_AGENT_INFO_MEMORY_PROPERTIES: uint8_t[8] */

/* hsa_device_type_t */
#define HSA_DEVICE_CPU		    0 /* HSA_DEVICE_TYPE_CPU */
#define HSA_DEVICE_GPU		    1 /* HSA_DEVICE_TYPE_GPU */

/* HSA_AMD_MEMORY_PROPERTY_AGENT_IS_APU: the number of a bit of HSA_AGENT_MEMORY_PROPERTIES */
#define HSA_PROPERTY_IS_APU	    1

/* Flags of hsa_amd_portable_export_dmabuf_v2() */
#define HSA_DMABUF_PCIE		    1 /* HSA_AMD_DMABUF_MAPPING_TYPE_PCIE */

/* hsa_agent_t */
struct hsa_agent {
	uint64_t handle;
};

/* hsa_amd_pointer_info_t, which grows at its end: the runtime fills as much as @size says */
struct hsa_pointer_info {
	uint32_t size;
	int type; /* HSA_POINTER_* */
	void *agent_base;
	void *host_base;
	size_t size_bytes;
	void *user_data;
	struct hsa_agent owner;
};

#endif /* RUNTIME_HSA_ABI_H */
