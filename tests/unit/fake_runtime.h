/* SPDX-License-Identifier: MIT */
#ifndef FAKE_RUNTIME_H
#define FAKE_RUNTIME_H

#include <p2pdma/p2pdma.h>

#include "fake.h"
#include "standin.h"

#define RUNTIME_DEVICE_BYTES (8 * MIB)
#define NR_RUNTIMES	     3

/* What the tests need to know of each runtime. */
struct runtime_kind {
	enum p2pdma_backend backend;
	const char *name;
	const char *soname;
	const char *getter;
	int device_type;
	int system_type;
	struct standin *standin;
	void *library;
};

extern struct runtime_kind runtime_kinds[NR_RUNTIMES];

/* NULL until they are loaded. */
extern void (*runtime_cuda_current)(int device);
extern void *runtime_ze_context;
extern bool runtime_is_truncated; /* DMABUFs are too small */

#define for_each_runtime(kind)                                                                     \
	for (struct runtime_kind *kind = runtime_kinds; kind < runtime_kinds + NR_RUNTIMES; kind++)

/* What a program has done that has memory of all of them. */
void runtime_load_all(void);

/* fake_setup(), and fresh devices; fake_teardown() ends it. */
int runtime_setup(void **state);

/* An allocation, with the same place in a page for the program as in the device's memory. */
struct standin_memory *runtime_allocate(struct runtime_kind *kind, uint64_t offset, uint64_t size);

/* A DMABUF of a piece of device memory, for stand-ins: the fake knows them by their name. */
int runtime_make(uint64_t offset, uint64_t size);

/* Something that is no DMABUF. */
int runtime_make_file(uint64_t offset, uint64_t size);

/* @kind: NULL is AUTO. */
int runtime_new(const struct runtime_kind *kind, uint64_t address, uint64_t length, uint32_t flags,
		struct p2pdma_buffer **ret_buffer, uint64_t *ret_offset);

/* Tries it; nothing may be left open, whatever the answer. */
int runtime_try(const struct runtime_kind *kind, uint64_t address, uint64_t length, uint32_t flags);

/* The bytes of the buffer from @offset on are those of device memory from @device_offset on. */
bool runtime_has_bytes(struct p2pdma_buffer *buffer, uint64_t offset, uint64_t device_offset,
		       uint64_t length);

#endif /* FAKE_RUNTIME_H */
