/* SPDX-License-Identifier: MIT */
/*
 * Memory regions over DMABUFs, all ways there are: the verbs call, which needs
 * a provider library that has it, and the kernel's two uverbs methods.
 */
#include <errno.h>
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/rdma_user_ioctl_cmds.h>
#include <string.h>

#include "pair.h"
#include "uverbs.h"

/* UVERBS_METHOD_REG_MR; Debian 12's headers are older than it. */
enum {
	METHOD_REG_MR = UVERBS_METHOD_REG_DMABUF_MR + 1
};

enum {
	REG_MR_HANDLE,
	REG_MR_PD_HANDLE,
	REG_MR_DMA_HANDLE,
	REG_MR_IOVA,
	REG_MR_ADDR,
	REG_MR_LENGTH,
	REG_MR_ACCESS_FLAGS,
	REG_MR_FD,
	REG_MR_FD_OFFSET,
	REG_MR_RESP_LKEY,
	REG_MR_RESP_RKEY,
};

static void fill_dmabuf(struct uverbs_call *uverbs, struct ibv_pd *pd,
			const struct mr_request *request, struct dmabuf_mr *mr)
{
	uverbs_init(uverbs, UVERBS_OBJECT_MR, UVERBS_METHOD_REG_DMABUF_MR);
	uverbs_add(uverbs, UVERBS_ATTR_REG_DMABUF_MR_HANDLE, 0, 0);
	uverbs_add(uverbs, UVERBS_ATTR_REG_DMABUF_MR_PD_HANDLE, 0, pd->handle);
	uverbs_add(uverbs, UVERBS_ATTR_REG_DMABUF_MR_OFFSET, 8, request->offset);
	uverbs_add(uverbs, UVERBS_ATTR_REG_DMABUF_MR_LENGTH, 8, request->length);
	uverbs_add(uverbs, UVERBS_ATTR_REG_DMABUF_MR_IOVA, 8, request->iova);
	uverbs_add(uverbs, UVERBS_ATTR_REG_DMABUF_MR_FD, 4, (uint32_t)request->fd);
	uverbs_add(uverbs, UVERBS_ATTR_REG_DMABUF_MR_ACCESS_FLAGS, 4, request->access);
	uverbs_add(uverbs, UVERBS_ATTR_REG_DMABUF_MR_RESP_LKEY, 4, (uintptr_t)&mr->lkey);
	uverbs_add(uverbs, UVERBS_ATTR_REG_DMABUF_MR_RESP_RKEY, 4, (uintptr_t)&mr->rkey);
}

static void fill_any(struct uverbs_call *uverbs, struct ibv_pd *pd,
		     const struct mr_request *request, struct dmabuf_mr *mr)
{
	uverbs_init(uverbs, UVERBS_OBJECT_MR, METHOD_REG_MR);
	uverbs_add(uverbs, REG_MR_HANDLE, 0, 0);
	uverbs_add(uverbs, REG_MR_PD_HANDLE, 0, pd->handle);
	uverbs_add(uverbs, REG_MR_IOVA, 8, request->iova);
	uverbs_add(uverbs, REG_MR_LENGTH, 8, request->length);
	uverbs_add(uverbs, REG_MR_ACCESS_FLAGS, 4, request->access);
	if (request->fd < 0) {
		uverbs_add(uverbs, REG_MR_ADDR, 8, request->offset);
	} else {
		uverbs_add(uverbs, REG_MR_FD, 0, request->fd);
		uverbs_add(uverbs, REG_MR_FD_OFFSET, 8, request->offset);
	}
	uverbs_add(uverbs, REG_MR_RESP_LKEY, 4, (uintptr_t)&mr->lkey);
	uverbs_add(uverbs, REG_MR_RESP_RKEY, 4, (uintptr_t)&mr->rkey);
}

int dmabuf_mr_register(struct pair *pair, enum mr_way way, const struct mr_request *request,
		       struct dmabuf_mr *mr)
{
	struct uverbs_call uverbs;
	int err;

	memset(mr, 0, sizeof(*mr));
	mr->way = way;
	if (way != MR_VERBS) {
		(way == MR_IOCTL ? fill_dmabuf : fill_any)(&uverbs, pair->pd, request, mr);
		err = uverbs_run(&uverbs, pair->context);
		mr->handle = (uint32_t)uverbs.attrs[0].data;
		return err;
	}
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
	struct uverbs_call uverbs;

	if (mr->way == MR_VERBS)
		return -ibv_dereg_mr(mr->mr);
	uverbs_init(&uverbs, UVERBS_OBJECT_MR, UVERBS_METHOD_MR_DESTROY);
	uverbs_add(&uverbs, UVERBS_ATTR_DESTROY_MR_HANDLE, 0, mr->handle);
	return uverbs_run(&uverbs, pair->context);
}
