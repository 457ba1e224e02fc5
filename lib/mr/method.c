// SPDX-License-Identifier: MIT
/*
 * The ways to register a DMABUF, tried in order.
 *
 *  - VERBS_EX: ibv_reg_mr_ex(), when the caller brings a DMA handle; nothing
 *    else can carry one.
 *  - VERBS: ibv_reg_dmabuf_mr(). A provider library without it answers
 *    EOPNOTSUPP before any system call.
 *  - UVERBS: the kernel's method, after that answer. The kernel may say
 *    EOPNOTSUPP as well, and then it means the NIC's driver or the exporter.
 *
 * What works is found out by calling, each time; nothing is cached, so an
 * answer is never about another device. The one exception costs up to thirty
 * ioctls: the driver number of a device, which the last registration keeps for
 * the thread's next one.
 */
#include <errno.h>

#include <infiniband/verbs.h>

#include "buffer/buffer.h"
#include "mr.h"
#include "uverbs.h"

/* Which driver answers on which descriptor; wrong is harmless (EINVAL) and asked again. */
static _Thread_local struct {
	int cmd_fd;
	uint32_t driver_id;
	int is_valid;
} last_driver;

static int try_verbs(struct ibv_pd *pd, const struct p2pdma_mr_attr *attr, int access,
		     struct p2pdma_mr *mr)
{
	const struct verbs_ops *verbs = mr->buffer->context->verbs;
	int fd = mr->buffer->fd;
	int r;

	if (attr->dmah)
		r = mr_ex_register(pd, fd, attr, access, &mr->ibv_mr);
	else
		r = verbs->reg_dmabuf_mr(pd, attr->offset_bytes, (size_t)attr->length_bytes,
					 attr->iova, fd, access, &mr->ibv_mr);
	if (r)
		return r;
	mr->method = attr->dmah ? P2PDMA_MR_METHOD_VERBS_EX : P2PDMA_MR_METHOD_VERBS;
	mr->lkey = mr->ibv_mr->lkey;
	mr->rkey = mr->ibv_mr->rkey;
	return 0;
}

static int query_driver(const struct sys_ops *sys, int cmd_fd, uint32_t *ret_driver_id)
{
	int r;

	r = uverbs_driver_query(sys, cmd_fd, ret_driver_id);
	if (r)
		return r;
	last_driver.cmd_fd = cmd_fd;
	last_driver.driver_id = *ret_driver_id;
	last_driver.is_valid = 1;
	return 0;
}

static int try_uverbs(struct ibv_pd *pd, const struct p2pdma_mr_attr *attr, int access,
		      struct p2pdma_mr *mr)
{
	const struct sys_ops *sys = mr->buffer->context->sys;
	int cmd_fd = pd->context->cmd_fd;
	int is_guess = last_driver.is_valid && last_driver.cmd_fd == cmd_fd;
	struct uverbs_dmabuf dmabuf = {
		.pd_handle = pd->handle,
		.access = (uint32_t)access,
		.offset = attr->offset_bytes,
		.length = attr->length_bytes,
		.iova = attr->iova,
		.fd = mr->buffer->fd,
	};
	uint32_t driver_id = last_driver.driver_id;
	struct uverbs_mr result;
	int r;

	if (!is_guess) {
		r = query_driver(sys, cmd_fd, &driver_id);
		if (r)
			return r;
	}
	r = uverbs_reg_dmabuf(sys, cmd_fd, driver_id, &dmabuf, &result);
	if (r == -EINVAL && is_guess) {
		/* Another device may have got the descriptor's number meanwhile. */
		r = query_driver(sys, cmd_fd, &driver_id);
		if (r)
			return r;
		r = uverbs_reg_dmabuf(sys, cmd_fd, driver_id, &dmabuf, &result);
	}
	if (r)
		return r;
	mr->method = P2PDMA_MR_METHOD_UVERBS;
	mr->verbs = pd->context;
	mr->driver_id = driver_id;
	mr->handle = result.handle;
	mr->lkey = result.lkey;
	mr->rkey = result.rkey;
	return 0;
}

int mr_methods_register(struct ibv_pd *pd, const struct p2pdma_mr_attr *attr, int access,
			struct p2pdma_mr *mr)
{
	int r;

	r = try_verbs(pd, attr, access, mr);
	return r == -EOPNOTSUPP && !attr->dmah ? try_uverbs(pd, attr, access, mr) : r;
}

int mr_methods_deregister(const struct p2pdma_context *context, struct p2pdma_mr *mr)
{
	int r;

	if (mr->method == P2PDMA_MR_METHOD_UVERBS)
		r = uverbs_destroy_mr(context->sys, mr->verbs->cmd_fd, mr->driver_id, mr->handle);
	else
		r = context->verbs->dereg_mr(mr->ibv_mr);
	/* The NIC has gone, and the kernel ended all its regions then. */
	if (r == -EIO || r == -ENODEV)
		return 0;
	if (r)
		return context_fail(context, r, "can't deregister: %s", error_name(r));
	return 0;
}
