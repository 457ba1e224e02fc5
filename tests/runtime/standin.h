/* SPDX-License-Identifier: MIT */
#ifndef STANDIN_H
#define STANDIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An allocation. */
struct standin_memory {
	uint64_t base; /* as the program sees it */
	uint64_t size_bytes;
	uint64_t offset_bytes; /* of the base in the device's memory */
	int type;	       /* the runtime's word for it */
	bool is_managed;
	bool is_pooled; /* cut out of something larger: the export is of all device memory */
	bool has_owner; /* made in a context of its device */
	int device;
};

/*
 * What a stand-in plays. Of a device with @device_bytes of memory it has @memories; a
 * DMABUF of a piece of that is made by the test.
 */
struct standin {
	struct standin_memory memories[4];
	size_t nr_memories;
	uint64_t device_bytes;
	bool is_initialized;
	bool is_integrated;  /* the devices' memory is the machine's */
	bool keeps_fd;	     /* one descriptor for each allocation, for ever */
	bool is_host_device; /* the owner is a CPU */

	int (*make)(uint64_t offset_bytes, uint64_t size_bytes); /* a descriptor; -1: fails */

	int find_result;    /* of questions for an address, where it is not 0; CUDA alone */
	int result;	    /* of exports, where it isn't 0 */
	uint64_t lie_bytes; /* added to the offset that an export says */

	unsigned int nr_exports;
	unsigned int nr_closed; /* by the runtime's own call */
	unsigned int nr_retained;
	unsigned int nr_contexts; /* on the calling threads' stacks */
	uint64_t last_flags;
	int kept_fd;
};

struct standin *standin_cuda(void);
struct standin *standin_hsa(void);
struct standin *standin_ze(void);

/* The thread's current context of CUDA, as cuCtxSetCurrent() would; -1: none. */
void standin_cuda_current(int device);
/* Level Zero's context of which all memory is. */
void *standin_ze_context(void);

#define STANDIN_PAGE 4096U

/* An export has begun. From any thread, as the real ones can be called. */
static inline void standin_exports(struct standin *standin, uint64_t flags)
{
	__atomic_fetch_add(&standin->nr_exports, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&standin->last_flags, flags, __ATOMIC_RELAXED);
}

static inline struct standin_memory *standin_find(struct standin *standin, uint64_t address)
{
	for (size_t i = 0; i < standin->nr_memories; i++) {
		struct standin_memory *memory = &standin->memories[i];

		if (address >= memory->base && address - memory->base < memory->size_bytes)
			return memory;
	}
	return NULL;
}

#endif /* STANDIN_H */
