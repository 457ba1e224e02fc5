/* SPDX-License-Identifier: MIT */
#ifndef RUNTIME_CUDA_ABI_H
#define RUNTIME_CUDA_ABI_H

/*
 * The constants of CUDA's driver interface that are used; see cuda.c for where they are
 * from. The documentation's names are beside them.
 */

/* CUresult */
#define CUDA_INVALID_VALUE	 1   /* CUDA_ERROR_INVALID_VALUE */
#define CUDA_OUT_OF_MEMORY	 2   /* CUDA_ERROR_OUT_OF_MEMORY */
#define CUDA_NOT_INITIALIZED	 3   /* CUDA_ERROR_NOT_INITIALIZED */
#define CUDA_DEINITIALIZED	 4   /* CUDA_ERROR_DEINITIALIZED */
#define CUDA_INVALID_CONTEXT	 201 /* CUDA_ERROR_INVALID_CONTEXT */
#define CUDA_NOT_PERMITTED	 800 /* CUDA_ERROR_NOT_PERMITTED */
#define CUDA_NOT_SUPPORTED	 801 /* CUDA_ERROR_NOT_SUPPORTED */

/* CUpointer_attribute, with the type that its data points to */
#define CUDA_POINTER_CONTEXT	 1  /* CU_POINTER_ATTRIBUTE_CONTEXT: CUcontext */
#define CUDA_POINTER_TYPE	 2  /* CU_POINTER_ATTRIBUTE_MEMORY_TYPE: unsigned int */
#define CUDA_POINTER_IS_MANAGED	 8  /* CU_POINTER_ATTRIBUTE_IS_MANAGED: a boolean */
#define CUDA_POINTER_DEVICE	 9  /* CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: int */
#define CUDA_POINTER_RANGE_START 11 /* CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: CUdeviceptr */
#define CUDA_POINTER_RANGE_SIZE	 12 /* CU_POINTER_ATTRIBUTE_RANGE_SIZE: size_t */

/* CUmemorytype; 0 for a pointer that isn't CUDA's */
#define CUDA_MEMORY_HOST	 1 /* CU_MEMORYTYPE_HOST */
#define CUDA_MEMORY_DEVICE	 2 /* CU_MEMORYTYPE_DEVICE */

/* CUdevice_attribute */
#define CUDA_DEVICE_INTEGRATED	 18 /* CU_DEVICE_ATTRIBUTE_INTEGRATED */

/* CUmemRangeHandleType and CUmemRangeFlags */
#define CUDA_RANGE_DMA_BUF	 1 /* CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD */
#define CUDA_RANGE_PCIE		 1 /* CU_MEM_RANGE_FLAG_DMA_BUF_MAPPING_TYPE_PCIE */

#endif /* RUNTIME_CUDA_ABI_H */
