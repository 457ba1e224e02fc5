/* SPDX-License-Identifier: MIT */
#ifndef BUFFER_H
#define BUFFER_H

#include <p2pdma/buffer.h>
#include <p2pdma/event.h>

#include "backend/device.h"
#include "dmabuf.h"

#define BUFFER_NAME_SIZE 64 /* a provider's name, also a published one's */

/* A CPU mapping. */
struct mapping {
	struct list link;
	void *address;
	size_t length_bytes;
	bool is_view; /* of the buffer's own memory, which ends with the buffer */
};

struct p2pdma_buffer {
	struct list link; /* in device->buffers */
	struct p2pdma_context *context;
	const struct backend *backend;
	struct device *device; /* NULL: adopted */
	unsigned int refs;     /* the caller's and one for each MR; atomic */
	int fd;		       /* -1: it has no DMABUF, but */
	void *memory;	       /* memory in this process; else NULL */
	uint32_t flags;	       /* P2PDMA_BUFFER_* */
	uint32_t export_id;
	uint64_t size_bytes;
	uint64_t inode;
	char name[BUFFER_NAME_SIZE];
	char exporter[DMABUF_EXPORTER_SIZE]; /* once asked for, under context->lock; else "" */
	void *user_data;
	bool is_freed; /* by the caller; MRs keep it */

	/* Under context->lock. */
	uint32_t state;
	uint32_t reason;
	bool is_revoke_told; /* its REVOKED event is queued or taken */
	struct list mrs;
	uint32_t nr_mrs;
	struct list mappings;
	struct mr_identity *identity; /* for caches; NULL: none has seen it. Read without lock */
	struct list identity_link;    /* in identity->buffers */
	bool is_open;		      /* counted in identity->nr_open. Read without lock */

	uint32_t bar;
	size_t nr_ranges;
	struct p2pdma_range ranges[]; /* 0 for an adopted one */
};

/* All of P2PDMA_BUFFER_*. */
#define BUFFER_FLAGS                                                                               \
	(P2PDMA_BUFFER_READ_ONLY | P2PDMA_BUFFER_MMAP_WC | P2PDMA_BUFFER_ALLOW_UNREVOCABLE |       \
	 P2PDMA_BUFFER_INHERIT | P2PDMA_BUFFER_ALLOW_SYSTEM | P2PDMA_BUFFER_PCIE_MAPPING)

/* What holds for the options of every kind of buffer: size, known flags, nothing reserved. */
int buffer_options_load(const struct p2pdma_context *context,
			const struct p2pdma_buffer_options *options,
			struct p2pdma_buffer_options *ret_known);

/* -EOPNOTSUPP for what the backend can't honour; memory of the machine is for it to allow. */
int buffer_check_flags(const struct p2pdma_context *context, const struct backend *backend,
		       uint32_t flags);

/* Everything but the references is set up by the caller; takes over the result. Publishes it. */
int buffer_create(struct p2pdma_context *context, const struct backend *backend,
		  const struct export_request *request, const struct export_result *result,
		  struct p2pdma_buffer **ret_buffer);
/*
 * The same of one that no device is behind, named by its backend and inode, with the flags and the
 * user_data of @options. Closes the descriptor in @result where it fails.
 */
int buffer_create_alone(struct p2pdma_context *context, const struct backend *backend,
			const struct p2pdma_buffer_options *options,
			const struct export_result *result, struct p2pdma_buffer **ret_buffer);
void buffer_ref(struct p2pdma_buffer *buffer);
void buffer_unref(struct p2pdma_buffer *buffer);

/*
 * Under context->lock. @state: REVOKING or REVOKED, which is GONE for a reason that takes the
 * device. Goes forward only, the first reason stays; shuts the guards. True for a change.
 */
bool buffer_mark(struct p2pdma_buffer *buffer, uint32_t state, uint32_t reason);
/* Under context->lock: marks a buffer that is revoked for sure, and tells it once. */
void buffer_revoked(struct p2pdma_buffer *buffer, uint32_t reason, uint64_t time_ns);

/* What calls on it answer: 0, -ESTALE or -ENODEV with its cause. Takes context->lock. */
int buffer_check(struct p2pdma_buffer *buffer);
/* After a failure: does the kernel say that the buffer is at its end? Then its error, else @error. */
int buffer_check_after(struct p2pdma_buffer *buffer, int error);

/* A REMOVE or a SHUTDOWN ends the device too. */
bool reason_is_gone(uint32_t reason);

/* Checks ranges against a BAR; *ret_size_bytes is their sum. */
int ranges_check(const struct p2pdma_context *context, const char *name, uint64_t bar_bytes,
		 const struct p2pdma_range *ranges, size_t nr_ranges, uint64_t *ret_size_bytes);

/* The same for memory that its driver lays out; @memory_bytes: 0 where nobody tells. */
int ranges_check_amount(const struct p2pdma_context *context, const char *name,
			uint64_t memory_bytes, const struct p2pdma_range *ranges, size_t nr_ranges);

/* Unmaps or, where @is_cover, replaces by pages that raise SIGBUS. Under context->lock. */
void mappings_end(struct p2pdma_buffer *buffer, bool is_cover);

/* Takes all CPU mappings away, as a revocation does. Takes context->lock. */
void mappings_cover(struct p2pdma_buffer *buffer);

/* Waits for posts in progress; how many remain. *ret_now_ns moves on when anything was waited for. */
uint32_t buffer_wait_for_posts(struct p2pdma_buffer *buffer, uint64_t deadline_ns,
			       uint64_t *ret_now_ns);

/* Why that went wrong: tells the cause and returns the error. */
int buffer_map_failed(struct p2pdma_buffer *buffer, uint64_t offset_bytes, uint64_t length_bytes,
		      int protection, int error);
/* struct backend's map() by mmap of the DMABUF. */
int buffer_map_dmabuf(struct p2pdma_buffer *buffer, uint64_t offset_bytes, uint64_t length_bytes,
		      int protection, void **ret_address);

/* Revokes without waiting for anything that can't be revoked; for the last reference. */
void buffer_take_back(struct p2pdma_buffer *buffer);

#endif /* BUFFER_H */
