/* SPDX-License-Identifier: MIT */
#ifndef VERBS_H
#define VERBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ibv_context;
struct ibv_mr;
struct ibv_pd;

/* What a device says of itself. */
struct verbs_limits {
	uint64_t max_mr_bytes;
	bool has_odp;
};

/* The seam to libibverbs, as struct sys_ops is the one to the kernel. 0 or -errno. */
struct verbs_ops {
	/* NULL and errno become a negative return, as everywhere. */
	int (*reg_dmabuf_mr)(struct ibv_pd *pd, uint64_t offset, size_t length, uint64_t iova,
			     int fd, int access, struct ibv_mr **ret_mr);
	int (*dereg_mr)(struct ibv_mr *mr);
	int (*query_limits)(struct ibv_context *context, struct verbs_limits *ret_limits);

	/* -ENODEV: libibverbs has no such device, as it knows no library for it, say. */
	int (*open)(const char *name, struct ibv_context **ret_verbs);
	void (*close)(struct ibv_context *verbs);
	int (*alloc_pd)(struct ibv_context *verbs, struct ibv_pd **ret_pd);
	void (*free_pd)(struct ibv_pd *pd);
};

extern const struct verbs_ops verbs_real;

#endif /* VERBS_H */
