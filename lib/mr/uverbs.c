// SPDX-License-Identifier: MIT
/*
 * Memory regions past the provider library.
 *
 * A provider library that is older than its kernel driver lacks the call that
 * registers a DMABUF, though all it would do is this ioctl: nine attributes in,
 * two keys and a handle out. The keys are the kernel's own, so work requests
 * posted through the provider library take them.
 *
 * Every call names the number of the device's driver, which libibverbs keeps to
 * itself. It is found by asking for a method that no object has: with a wrong
 * number the kernel answers EINVAL, with the right one EPROTONOSUPPORT, and
 * neither does anything.
 *
 * Pure functions over the seam, no state, no locks.
 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/rdma_user_ioctl_cmds.h>

#include "uverbs.h"
#include "uverbs_abi.h"

#define MAX_ATTRS     9

/* Drivers are numbered from 0 on, and there are less than 30. */
#define MAX_DRIVER_ID 127

/* The last number that the kernel's table of methods has room for; no object has so many. */
#define NO_METHOD     20

/* The header ends in a flexible array; the bytes give it room. */
union command {
	struct ib_uverbs_ioctl_hdr header;
	char bytes[sizeof(struct ib_uverbs_ioctl_hdr) + MAX_ATTRS * sizeof(struct ib_uverbs_attr)];
};

static void command_init(union command *command, uint32_t driver_id, uint16_t method)
{
	memset(command, 0, sizeof(*command));
	command->header.object_id = UVERBS_OBJECT_MR;
	command->header.method_id = method;
	command->header.driver_id = driver_id;
}

static struct ib_uverbs_attr *add(union command *command, uint16_t id, uint16_t length,
				  uint64_t data)
{
	struct ib_uverbs_attr *attr = &command->header.attrs[command->header.num_attrs++];

	attr->attr_id = id;
	attr->len = length;
	attr->flags = UVERBS_ATTR_F_MANDATORY;
	attr->data = data;
	return attr;
}

static int execute(const struct sys_ops *sys, int cmd_fd, union command *command)
{
	command->header.length =
		(uint16_t)(sizeof(command->header) +
			   command->header.num_attrs * sizeof(command->header.attrs[0]));
	return sys->ioctl(cmd_fd, RDMA_VERBS_IOCTL, command);
}

/* By enum rdma_driver_id, which our oldest headers have only a part of. */
static const char *const drivers[] = {
	"unknown", "mlx5",  "mlx4",	  "cxgb3", "cxgb4", "mthca", "bnxt_re", "ocrdma",
	"nes",	   "irdma", "vmw_pvrdma", "qedr",  "hns",   "usnic", "rxe",	"hfi1",
	"qib",	   "efa",   "siw",	  "erdma", "mana",  "ionic",
};

const char *uverbs_driver_name(uint32_t driver_id)
{
	return driver_id < sizeof(drivers) / sizeof(drivers[0]) ? drivers[driver_id] : NULL;
}

int uverbs_driver_query(const struct sys_ops *sys, int cmd_fd, uint32_t *ret_driver_id)
{
	union command command;

	for (uint32_t id = 0; id <= MAX_DRIVER_ID; id++) {
		int r;

		command_init(&command, id, NO_METHOD);
		r = execute(sys, cmd_fd, &command);
		if (r == -EPROTONOSUPPORT) {
			*ret_driver_id = id;
			return 0;
		}
		if (r == -ENOTTY)
			return -EPROTONOSUPPORT;
		if (r != -EINVAL)
			return r < 0 ? r : -EIO;
	}
	return -EPROTONOSUPPORT;
}

int uverbs_reg_dmabuf(const struct sys_ops *sys, int cmd_fd, uint32_t driver_id,
		      const struct uverbs_dmabuf *dmabuf, struct uverbs_mr *ret_mr)
{
	struct ib_uverbs_attr *handle;
	uint32_t lkey = 0, rkey = 0;
	union command command;
	int r;

	/* Values of up to eight bytes travel in the attribute itself. */
	command_init(&command, driver_id, UVERBS_METHOD_REG_DMABUF_MR);
	handle = add(&command, UVERBS_ATTR_REG_DMABUF_MR_HANDLE, 0, 0);
	add(&command, UVERBS_ATTR_REG_DMABUF_MR_PD_HANDLE, 0, dmabuf->pd_handle);
	add(&command, UVERBS_ATTR_REG_DMABUF_MR_OFFSET, sizeof(uint64_t), dmabuf->offset);
	add(&command, UVERBS_ATTR_REG_DMABUF_MR_LENGTH, sizeof(uint64_t), dmabuf->length);
	add(&command, UVERBS_ATTR_REG_DMABUF_MR_IOVA, sizeof(uint64_t), dmabuf->iova);
	add(&command, UVERBS_ATTR_REG_DMABUF_MR_FD, sizeof(uint32_t), (uint32_t)dmabuf->fd);
	add(&command, UVERBS_ATTR_REG_DMABUF_MR_ACCESS_FLAGS, sizeof(uint32_t), dmabuf->access);
	add(&command, UVERBS_ATTR_REG_DMABUF_MR_RESP_LKEY, sizeof(lkey), (uintptr_t)&lkey);
	add(&command, UVERBS_ATTR_REG_DMABUF_MR_RESP_RKEY, sizeof(rkey), (uintptr_t)&rkey);
	r = execute(sys, cmd_fd, &command);
	if (r)
		return r == -ENOTTY ? -EPROTONOSUPPORT : r;
	ret_mr->handle = (uint32_t)handle->data;
	ret_mr->lkey = lkey;
	ret_mr->rkey = rkey;
	return 0;
}

int uverbs_destroy_mr(const struct sys_ops *sys, int cmd_fd, uint32_t driver_id, uint32_t handle)
{
	union command command;

	command_init(&command, driver_id, UVERBS_METHOD_MR_DESTROY);
	add(&command, UVERBS_ATTR_DESTROY_MR_HANDLE, 0, handle);
	return execute(sys, cmd_fd, &command);
}

bool uverbs_has_dmah(const struct sys_ops *sys, int cmd_fd, uint32_t driver_id)
{
	union command command;

	/* Without its attributes it does nothing, which is told by another error than to have none. */
	command_init(&command, driver_id, UVERBS_ABI_METHOD_DMAH_ALLOC);
	command.header.object_id = UVERBS_ABI_OBJECT_DMAH;
	return execute(sys, cmd_fd, &command) == -EINVAL;
}

int uverbs_data_direct_query(const struct sys_ops *sys, int cmd_fd, char *ret_path, size_t size)
{
	char path[256] = "";
	union command command;
	int r;

	command_init(&command, RDMA_DRIVER_MLX5, UVERBS_ABI_MLX5_METHOD_DATA_DIRECT_PATH);
	command.header.object_id = UVERBS_OBJECT_DEVICE;
	add(&command, UVERBS_ABI_MLX5_ATTR_DATA_DIRECT_PATH, sizeof(path) - 1, (uintptr_t)path);
	r = execute(sys, cmd_fd, &command);
	if (r)
		return r;
	snprintf(ret_path, size, "%s", path);
	return 0;
}
