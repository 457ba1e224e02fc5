// SPDX-License-Identifier: MIT
/*
 * The real seam to libibverbs: each function is one call with its error made a return
 * value. Nothing is decided here. No state, no locks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

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

static int real_open(const char *name, struct ibv_context **ret_verbs)
{
	struct ibv_context *verbs = NULL;
	struct ibv_device **list;
	int r = -ENODEV;

	errno = 0;
	list = ibv_get_device_list(NULL);
	if (!list)
		return errno ? -errno : -EIO;
	for (size_t i = 0; list[i] && !verbs; i++) {
		if (strcmp(ibv_get_device_name(list[i]), name))
			continue;
		errno = 0;
		verbs = ibv_open_device(list[i]);
		if (!verbs) {
			r = errno ? -errno : -EIO;
			break;
		}
	}
	ibv_free_device_list(list);
	if (!verbs)
		return r;
	*ret_verbs = verbs;
	return 0;
}

static void real_close(struct ibv_context *verbs)
{
	ibv_close_device(verbs);
}

static int real_alloc_pd(struct ibv_context *verbs, struct ibv_pd **ret_pd)
{
	struct ibv_pd *pd;

	errno = 0;
	pd = ibv_alloc_pd(verbs);
	if (!pd)
		return errno ? -errno : -EIO;
	*ret_pd = pd;
	return 0;
}

static void real_free_pd(struct ibv_pd *pd)
{
	ibv_dealloc_pd(pd);
}

static int real_query_limits(struct ibv_context *context, struct verbs_limits *ret_limits)
{
	struct ibv_device_attr_ex attr = {.comp_mask = 0};
	int r;

	r = ibv_query_device_ex(context, NULL, &attr);
	if (r)
		return -abs(r);
	ret_limits->max_mr_bytes = attr.orig_attr.max_mr_size;
	ret_limits->has_odp = attr.odp_caps.general_caps & IBV_ODP_SUPPORT;
	return 0;
}

const struct verbs_ops verbs_real = {
	.reg_dmabuf_mr = real_reg_dmabuf_mr,
	.dereg_mr = real_dereg_mr,
	.query_limits = real_query_limits,
	.open = real_open,
	.close = real_close,
	.alloc_pd = real_alloc_pd,
	.free_pd = real_free_pd,
};
