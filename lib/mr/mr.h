/* SPDX-License-Identifier: MIT */
#ifndef MR_H
#define MR_H

#include <stdbool.h>

#include <p2pdma/mr.h>

#include "common/list.h"

struct ibv_context;
struct mr_entry;
struct p2pdma_buffer;
struct p2pdma_context;
struct p2pdma_explanation;

struct p2pdma_mr {
	struct p2pdma_mr_guard guard; /* first: the inline guard counts on it */
	unsigned int refs;	      /* the caller's and a revocation's that waits; atomic */
	struct list link;	      /* in buffer->mrs, under context->lock */
	struct p2pdma_buffer *buffer;
	struct mr_entry *entry; /* of a cache, or NULL; set under context->lock, once */
	enum p2pdma_mr_method method;
	struct ibv_mr *ibv_mr;	   /* VERBS, VERBS_EX */
	struct ibv_context *verbs; /* UVERBS: whose cmd_fd */
	uint32_t handle;	   /* UVERBS */
	uint32_t driver_id;	   /* UVERBS */
	uint32_t lkey;
	uint32_t rkey;
	uint64_t iova;
	uint64_t length_bytes;
};

void mr_unref(struct p2pdma_mr *mr);

/* Registers what mr_check() has passed, and the end of it; deregistering may say -EBUSY. */
int mr_create(struct ibv_pd *pd, struct p2pdma_buffer *buffer, const struct p2pdma_mr_attr *attr,
	      int access, struct p2pdma_mr **ret_mr);
int mr_end(struct p2pdma_mr *mr);

/* What the kernel's method for DMABUFs takes. */
#define MR_DMABUF_ACCESS                                                                           \
	((uint32_t)(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |    \
		    IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_RELAXED_ORDERING))

/* A registration as the rules see it. */
struct mr_rules {
	bool is_dmabuf; /* false: memory by its address, which is @iova */
	uint32_t access;
	uint32_t takes; /* access flags that whoever registers takes */
	uint64_t offset_bytes;
	uint64_t length_bytes;
	uint64_t iova;
	uint64_t size_bytes;
	uint64_t page_bytes;
};

/* True: a rule is broken, which the explanation names; the kernel's answer is -EINVAL. */
bool mr_rules_break(const struct mr_rules *rules, struct p2pdma_explanation *out);
/* Does anybody write with such access? */
bool mr_writes(uint32_t access);

/* The rules that need no kernel; *ret_access is what to hand on. */
int mr_check(const struct p2pdma_context *context, const struct p2pdma_buffer *buffer,
	     const struct p2pdma_mr_attr *attr, int *ret_access);
/*
 * The part of it that a range inside a registration may still break. False: mr_check()
 * may say why, or it is about what no registration has.
 */
bool mr_check_quickly(const struct p2pdma_buffer *buffer, const struct p2pdma_mr_attr *attr,
		      uint32_t *ret_access);

/* Fills in method, keys and handles. The cause of a failure isn't told yet. */
int mr_methods_register(struct ibv_pd *pd, const struct p2pdma_mr_attr *attr, int access,
			struct p2pdma_mr *mr);
int mr_methods_deregister(const struct p2pdma_context *context, struct p2pdma_mr *mr);

/* ibv_reg_mr_ex() with a DMA handle, where libibverbs has it, else -EOPNOTSUPP. */
int mr_ex_register(struct ibv_pd *pd, int fd, const struct p2pdma_mr_attr *attr, int access,
		   struct ibv_mr **ret_mr);

#endif /* MR_H */
