/* SPDX-License-Identifier: MIT */
#ifndef RUNTIME_ZE_ABI_H
#define RUNTIME_ZE_ABI_H

#include <stddef.h>
#include <stdint.h>

/*
 * The constants and structures of Level Zero that are used; see ze.c for where they are
 * from. The specification's names are beside them.
 */

/* ze_result_t */
#define ZE_OUT_OF_HOST_MEMORY	   0x70000002 /* ZE_RESULT_ERROR_OUT_OF_HOST_MEMORY */
#define ZE_NOT_AVAILABLE	   0x70010001 /* ZE_RESULT_ERROR_NOT_AVAILABLE */
#define ZE_UNINITIALIZED	   0x78000001 /* ZE_RESULT_ERROR_UNINITIALIZED */
#define ZE_UNSUPPORTED_FEATURE	   0x78000003 /* ZE_RESULT_ERROR_UNSUPPORTED_FEATURE */
#define ZE_INVALID_ARGUMENT	   0x78000004 /* ZE_RESULT_ERROR_INVALID_ARGUMENT */

/* ze_structure_type_t */
#define ZE_STYPE_DEVICE_PROPERTIES 0x03 /* ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES */
#define ZE_STYPE_MEMORY_PROPERTIES 0x17 /* ZE_STRUCTURE_TYPE_MEMORY_ALLOCATION_PROPERTIES */
#define ZE_STYPE_EXPORT_FD	   0x1a /* ZE_STRUCTURE_TYPE_EXTERNAL_MEMORY_EXPORT_FD */

/* ze_memory_type_t */
#define ZE_MEMORY_UNKNOWN	   0 /* ZE_MEMORY_TYPE_UNKNOWN */
#define ZE_MEMORY_HOST		   1 /* ZE_MEMORY_TYPE_HOST */
#define ZE_MEMORY_DEVICE	   2 /* ZE_MEMORY_TYPE_DEVICE */
#define ZE_MEMORY_SHARED	   3 /* ZE_MEMORY_TYPE_SHARED */

#define ZE_DEVICE_INTEGRATED	   (1U << 0) /* ZE_DEVICE_PROPERTY_FLAG_INTEGRATED */
#define ZE_EXTERNAL_DMA_BUF	   (1U << 1) /* ZE_EXTERNAL_MEMORY_TYPE_FLAG_DMA_BUF */

/* ze_memory_allocation_properties_t */
struct ze_memory_properties {
	int stype;
	void *next;
	int type; /* ZE_MEMORY_* */
	uint64_t id;
	uint64_t page_size_bytes;
};

/* ze_external_memory_export_fd_t */
struct ze_export_fd {
	int stype;
	const void *next;
	uint32_t flags;
	int fd;
};

/* ze_device_properties_t: the members that are read, and room for all others */
struct ze_device_properties {
	int stype;
	void *next;
	int type;
	uint32_t vendor_id;
	uint32_t device_id;
	uint32_t flags; /* ZE_DEVICE_* */
	uint8_t rest[336];
};

#endif /* RUNTIME_ZE_ABI_H */
