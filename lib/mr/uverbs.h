/* SPDX-License-Identifier: MIT */
#ifndef UVERBS_H
#define UVERBS_H

#include <stdbool.h>
#include <stddef.h>
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

/* "mlx5"; NULL for a number that is newer than we are. */
const char *uverbs_driver_name(uint32_t driver_id);

int uverbs_reg_dmabuf(const struct sys_ops *sys, int cmd_fd, uint32_t driver_id,
		      const struct uverbs_dmabuf *dmabuf, struct uverbs_mr *ret_mr);
int uverbs_destroy_mr(const struct sys_ops *sys, int cmd_fd, uint32_t driver_id, uint32_t handle);

/* DMA handles (TPH) of this device. */
bool uverbs_has_dmah(const struct sys_ops *sys, int cmd_fd, uint32_t driver_id);
/* The second function that an mlx5 device reads peers by. -ENODEV: none; -EPROTONOSUPPORT. */
int uverbs_data_direct_query(const struct sys_ops *sys, int cmd_fd, char *ret_path, size_t size);

#endif /* UVERBS_H */
