/* SPDX-License-Identifier: MIT */
/*
 * Memory regions over DMABUFs, both ways there are: the verbs call, which needs
 * a provider library that has it, and the kernel's uverbs method, which any
 * process with the device open may use.
 */
#include <errno.h>
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/rdma_user_ioctl_cmds.h>
#include <string.h>

#include "labtest.h"
#include "pair.h"

#define MAX_ATTRS 9

struct command {
	struct ib_uverbs_ioctl_hdr head;
	struct ib_uverbs_attr attrs[MAX_ATTRS];
};

static void command_init(struct command *command, uint16_t object, uint16_t method)
{
	memset(command, 0, sizeof(*command));
	command->head.object_id = object;
	command->head.method_id = method;
	command->head.driver_id = RDMA_DRIVER_RXE;
	command->head.length = sizeof(command->head);
}

static struct ib_uverbs_attr *command_add(struct command *command, uint16_t id, uint64_t data,
					  uint16_t len)
{
	struct ib_uverbs_attr *attr = &command->attrs[command->head.num_attrs++];

	attr->attr_id = id;
	attr->data = data;
	attr->len = len;
	attr->flags = UVERBS_ATTR_F_MANDATORY;
	command->head.length += sizeof(*attr);
	return attr;
}

static int register_ioctl(struct pair *pair, const struct mr_request *request, struct dmabuf_mr *mr)
{
	struct ib_uverbs_attr *handle;
	struct command command;
	int err;

	command_init(&command, UVERBS_OBJECT_MR, UVERBS_METHOD_REG_DMABUF_MR);
	handle = command_add(&command, UVERBS_ATTR_REG_DMABUF_MR_HANDLE, 0, 0);
	command_add(&command, UVERBS_ATTR_REG_DMABUF_MR_PD_HANDLE, pair->pd->handle, 0);
	command_add(&command, UVERBS_ATTR_REG_DMABUF_MR_OFFSET, request->offset, 8);
	command_add(&command, UVERBS_ATTR_REG_DMABUF_MR_LENGTH, request->length, 8);
	command_add(&command, UVERBS_ATTR_REG_DMABUF_MR_IOVA, request->iova, 8);
	command_add(&command, UVERBS_ATTR_REG_DMABUF_MR_FD, (uint32_t)request->fd, 4);
	command_add(&command, UVERBS_ATTR_REG_DMABUF_MR_ACCESS_FLAGS, request->access, 4);
	command_add(&command, UVERBS_ATTR_REG_DMABUF_MR_RESP_LKEY, (uintptr_t)&mr->lkey, 4);
	command_add(&command, UVERBS_ATTR_REG_DMABUF_MR_RESP_RKEY, (uintptr_t)&mr->rkey, 4);
	err = call(pair->context->cmd_fd, RDMA_VERBS_IOCTL, &command);
	mr->handle = (uint32_t)handle->data;
	return err;
}

int dmabuf_mr_register(struct pair *pair, enum mr_way way, const struct mr_request *request,
		       struct dmabuf_mr *mr)
{
	memset(mr, 0, sizeof(*mr));
	mr->way = way;
	if (way == MR_IOCTL)
		return register_ioctl(pair, request, mr);
	mr->mr = ibv_reg_dmabuf_mr(pair->pd, request->offset, request->length, request->iova,
				   request->fd, (int)request->access);
	if (!mr->mr)
		return -errno;
	mr->lkey = mr->mr->lkey;
	mr->rkey = mr->mr->rkey;
	return 0;
}

int dmabuf_mr_deregister(struct pair *pair, struct dmabuf_mr *mr)
{
	struct command command;

	if (mr->way == MR_VERBS)
		return -ibv_dereg_mr(mr->mr);
	command_init(&command, UVERBS_OBJECT_MR, UVERBS_METHOD_MR_DESTROY);
	command_add(&command, UVERBS_ATTR_DESTROY_MR_HANDLE, mr->handle, 0);
	return call(pair->context->cmd_fd, RDMA_VERBS_IOCTL, &command);
}
