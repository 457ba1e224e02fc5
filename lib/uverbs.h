/* SPDX-License-Identifier: MIT */
#ifndef UVERBS_H
#define UVERBS_H

#include <stdint.h>

#include "common/sys.h"

/*
 * The kernel's own methods for memory regions of DMABUFs, on the descriptor of an
 * open ibv_context. Returns 0 or -errno.
 */

struct uverbs_mr {
	uint32_t handle;
	uint32_t lkey;
	uint32_t rkey;
};

struct uverbs_dmabuf {
	uint32_t pd_handle;
	uint32_t access;
	uint64_t offset;
	uint64_t length;
	uint64_t iova;
	int fd;
};

/*
 * The number of the device's driver, which every call must name. -EPROTONOSUPPORT: the kernel has
 * no ioctl for verbs.
 */
int uverbs_driver_query(const struct sys_ops *sys, int cmd_fd, uint32_t *ret_driver_id);

int uverbs_reg_dmabuf(const struct sys_ops *sys, int cmd_fd, uint32_t driver_id,
		      const struct uverbs_dmabuf *dmabuf, struct uverbs_mr *ret_mr);
int uverbs_destroy_mr(const struct sys_ops *sys, int cmd_fd, uint32_t driver_id, uint32_t handle);

#endif /* UVERBS_H */
