// SPDX-License-Identifier: MIT
/*
 * The real seam to libibverbs: each function is one call with its error made a return
 * value. Nothing is decided here. No state, no locks.
 */
#include <errno.h>

#include <infiniband/verbs.h>

#include "verbs.h"

static int real_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t length, uint64_t iova,
			      int fd, int access, struct ibv_mr **ret_mr)
{
	struct ibv_mr *mr;

	errno = 0;
	mr = ibv_reg_dmabuf_mr(pd, offset, length, iova, fd, access);
	if (!mr)
		return errno ? -errno : -EIO;
	*ret_mr = mr;
	return 0;
}

static int real_dereg_mr(struct ibv_mr *mr)
{
	/* The error is the return value here, not errno. */
	return -ibv_dereg_mr(mr);
}

const struct verbs_ops verbs_real = {
	.reg_dmabuf_mr = real_reg_dmabuf_mr,
	.dereg_mr = real_dereg_mr,
};
