/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_CUDA_H
#define EXAMPLES_CUDA_H

#include <stddef.h>
#include <stdint.h>

/* What the examples use of CUDA's driver library; its own results, 0 for success. */
struct cuda {
	int (*init)(unsigned int flags);
	int (*device_get)(int *device, int ordinal);
	int (*context_retain)(void **context, int device);
	int (*context_push)(void *context);
	int (*allocate)(uint64_t *pointer, size_t size);
	int (*free)(uint64_t pointer);
	int (*copy_in)(uint64_t to, const void *from, size_t size);
	int (*copy_out)(void *to, uint64_t from, size_t size);
};

extern struct cuda cuda;

/* Loads it and makes the first GPU's context current. 0, or 77 with a line that says why not. */
int cuda_open(void);

#endif /* EXAMPLES_CUDA_H */
