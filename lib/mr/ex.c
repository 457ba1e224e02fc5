// SPDX-License-Identifier: MIT
/*
 * Registration with a DMA handle, for a libibverbs that has ibv_reg_mr_ex().
 * ex_stub.c takes this file's place where it hasn't. No state, no locks.
 */
#include <errno.h>

#include <infiniband/verbs.h>

#include "mr.h"

int mr_ex_register(struct ibv_pd *pd, int fd, const struct p2pdma_mr_attr *attr, int access,
		   struct ibv_mr **ret_mr)
{
	struct ibv_mr_init_attr init = {
		.length = (size_t)attr->length_bytes,
		.access = access,
		.comp_mask = IBV_REG_MR_MASK_IOVA | IBV_REG_MR_MASK_FD | IBV_REG_MR_MASK_FD_OFFSET |
			     IBV_REG_MR_MASK_DMAH,
		.iova = attr->iova,
		.fd = fd,
		.fd_offset = attr->offset_bytes,
		.dmah = attr->dmah,
	};
	struct ibv_mr *mr;

	errno = 0;
	mr = ibv_reg_mr_ex(pd, &init);
	if (!mr)
		return errno ? -errno : -EIO;
	*ret_mr = mr;
	return 0;
}
