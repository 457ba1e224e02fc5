/* SPDX-License-Identifier: MIT */
#ifndef RUNTIME_H
#define RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "backend/backend.h"

struct p2pdma_context;

/* What a program wants a DMABUF of; checked as far as no runtime is needed. */
struct runtime_request {
	uint64_t address;
	uint64_t length_bytes;
	uint32_t flags; /* P2PDMA_BUFFER_* */
	void *handle;	/* the runtime's own context; NULL: none was given */
};

/* What a runtime knows of the memory at an address. */
struct runtime_memory {
	uint64_t base; /* of what it calls the allocation */
	uint64_t size_bytes;
	const char *system; /* what kind of the machine's memory it is; NULL: a device's */
	uint64_t page_size_bytes;
	void *owner;
	int device;
};

/* A DMABUF as a runtime gives it. */
struct runtime_export {
	int fd;
	uint64_t offset_bytes; /* of the request's address */
	uint64_t size_bytes;   /* the runtime need not say */
	/* The runtime keeps the descriptor, or closes it by a call of its own; else close(). */
	void (*close)(int fd);
};

struct runtime_symbol {
	const char *name;
	void *slot; /* of a pointer to the function */
	bool is_optional;
};

/* A GPU runtime's library. One file each. */
struct runtime {
	const struct backend *backend; /* what its buffers are */
	const char *title;	       /* "Level Zero" */
	uint32_t vendor_id;	       /* of the GPUs that it is for */
	const char *package;	       /* what has its library */
	const char *const *sonames;    /* the first is what people know it by; ends with NULL */
	const char *needed;	       /* the release that has all symbols */
	const struct runtime_symbol *symbols; /* ends with a name of NULL */
	bool *is_ready;			      /* all slots are filled; under runtime.c's lock */
	bool needs_handle;

	/*
	 * Whose is it? -ENOENT, without a cause, for memory that the runtime doesn't know; other
	 * errors with one.
	 */
	int (*find)(struct p2pdma_context *context, const struct runtime_request *request,
		    struct runtime_memory *ret_memory);
	int (*export)(struct p2pdma_context *context, const struct runtime_request *request,
		      const struct runtime_memory *memory, struct runtime_export *ret_export);
	/* The version of the library and such; may be NULL. */
	void (*describe)(char *ret_text, size_t size);
};

extern const struct runtime runtime_cuda;
extern const struct runtime runtime_hsa;
extern const struct runtime runtime_ze;

/* In the order in which AUTO asks them; ends with NULL. */
extern const struct runtime *const runtimes[];

/*
 * A runtime has failed, with its own result in @what, or doesn't know the address: tells the cause and
 * returns the error. @backend: enum p2pdma_backend; AUTO: none of those that are loaded.
 */
int runtime_failed(struct p2pdma_context *context, uint32_t backend,
		   const struct runtime_request *request, int error, const char *what);

/* NULL: none. */
const struct runtime *runtime_find(uint32_t id);

/*
 * Makes the functions of a library that this process has loaded ready. @may_load: load it
 * otherwise, for looking at the machine. 0, or -EOPNOTSUPP; a sentence for either.
 */
int runtime_load(const struct runtime *runtime, bool may_load, char why[BACKEND_WHY_SIZE]);

#endif /* RUNTIME_H */
