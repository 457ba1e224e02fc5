/* SPDX-License-Identifier: MIT */
#ifndef VERBS_H
#define VERBS_H

#include <stddef.h>
#include <stdint.h>

struct ibv_mr;
struct ibv_pd;

/* The seam to libibverbs, as struct sys_ops is the one to the kernel. 0 or -errno. */
struct verbs_ops {
	/* NULL and errno become a negative return, as everywhere. */
	int (*reg_dmabuf_mr)(struct ibv_pd *pd, uint64_t offset, size_t length, uint64_t iova,
			     int fd, int access, struct ibv_mr **ret_mr);
	int (*dereg_mr)(struct ibv_mr *mr);
};

extern const struct verbs_ops verbs_real;

#endif /* VERBS_H */
