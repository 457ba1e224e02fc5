// SPDX-License-Identifier: MIT
/*
 * Verbs as the fake machine plays them: the kernel's methods, and libibverbs with a provider
 * library above.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/rdma_user_ioctl_cmds.h>

#include "fake_call.h"
#include "mr/uverbs_abi.h"

static int verbs_data_direct(struct ib_uverbs_ioctl_hdr *header)
{
	if (header->method_id != UVERBS_ABI_MLX5_METHOD_DATA_DIRECT_PATH ||
	    header->driver_id != RDMA_DRIVER_MLX5)
		return -EPROTONOSUPPORT;
	if (!fake.data_direct)
		return -ENODEV;
	assert_true(strlen(fake.data_direct) < header->attrs[0].len);
	strcpy((char *)(uintptr_t)header->attrs[0].data, fake.data_direct);
	return 0;
}

static int call(struct ib_uverbs_ioctl_hdr *header)
{
	struct ib_uverbs_attr *attrs = header->attrs;

	if (header->driver_id != fake.driver_id)
		return -EINVAL;
	if (header->object_id == UVERBS_ABI_OBJECT_DMAH)
		return fake.has_dmah && !header->num_attrs ? -EINVAL : -EPROTONOSUPPORT;
	if (header->object_id == UVERBS_OBJECT_DEVICE)
		return verbs_data_direct(header);
	if (header->object_id != UVERBS_OBJECT_MR)
		return -EPROTONOSUPPORT;
	assert_int_equal(header->length, sizeof(*header) + header->num_attrs * sizeof(attrs[0]));
	if (header->method_id == UVERBS_METHOD_MR_DESTROY) {
		if (fake.dereg_error)
			return fake.dereg_error;
		fake.nr_mrs--;
		return 0;
	}
	if (header->method_id != UVERBS_METHOD_REG_DMABUF_MR)
		return -EPROTONOSUPPORT;
	assert_int_equal(header->num_attrs, 9);
	if (fake.probe_error)
		return fake.probe_error;
	if (fcntl((int)attrs[5].data, F_GETFD) < 0)
		return -EBADF;
	if (!fake_is_dmabuf((int)attrs[5].data))
		return -EINVAL;
	if (fake.refused_access & attrs[6].data)
		return -EOPNOTSUPP;
	if (fake.uverbs_error)
		return fake.uverbs_error;
	fake.last_access = (uint32_t)attrs[6].data;
	if (fake.on_register)
		fake.on_register(fake.on_register_data);
	attrs[0].data = 77;
	*(uint32_t *)(uintptr_t)attrs[7].data = 0x111;
	*(uint32_t *)(uintptr_t)attrs[8].data = 0x222;
	fake.nr_mrs++;
	return 0;
}

int fake_verbs_ioctl(unsigned long request, void *argument)
{
	return request == RDMA_VERBS_IOCTL ? call(argument) : -ENOTTY;
}

static int verbs_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t length, uint64_t iova,
			       int fd, int access, struct ibv_mr **ret_mr)
{
	HOLD_LOCK;
	struct ibv_mr *mr;

	(void)offset;
	(void)iova;
	assert_true(fd < 0 || fake_is_dmabuf(fd));
	if (fake.verbs_error)
		return fake.verbs_error;
	if (fd < 0)
		return -EBADF;
	mr = calloc(1, sizeof(*mr));
	mr->pd = pd;
	mr->length = length;
	mr->lkey = 0x11;
	mr->rkey = 0x22;
	fake.last_access = (uint32_t)access;
	fake.nr_mrs++;
	if (fake.on_register)
		fake.on_register(fake.on_register_data);
	*ret_mr = mr;
	return 0;
}

static int verbs_dereg_mr(struct ibv_mr *mr)
{
	HOLD_LOCK;

	if (fake.dereg_error == -EBUSY)
		return fake.dereg_error;
	usleep(fake.dereg_us);
	free(mr);
	fake.nr_mrs--;
	return fake.dereg_error;
}

static int verbs_open(const char *name, struct ibv_context **ret_verbs)
{
	if (fake.open_error || strcmp(name, "mlx5_0"))
		return fake.open_error ? fake.open_error : -ENODEV;
	if (fake.on_open)
		fake.on_open();
	fake.nr_verbs++;
	*ret_verbs = fake_pd()->context;
	return 0;
}

static void verbs_close(struct ibv_context *verbs)
{
	(void)verbs;
	fake.nr_verbs--;
}

static int verbs_alloc_pd(struct ibv_context *verbs, struct ibv_pd **ret_pd)
{
	(void)verbs;
	if (fake.pd_error)
		return fake.pd_error;
	fake.nr_verbs++;
	*ret_pd = fake_pd();
	return 0;
}

static void verbs_free_pd(struct ibv_pd *pd)
{
	(void)pd;
	fake.nr_verbs--;
}

static int verbs_query_limits(struct ibv_context *context, struct verbs_limits *ret_limits)
{
	(void)context;
	ret_limits->max_mr_bytes = fake.max_mr_bytes ? fake.max_mr_bytes : UINT64_MAX;
	ret_limits->has_odp = fake.has_odp;
	return fake.limits_error;
}

const struct verbs_ops fake_verbs = {
	.reg_dmabuf_mr = verbs_reg_dmabuf_mr,
	.dereg_mr = verbs_dereg_mr,
	.query_limits = verbs_query_limits,
	.open = verbs_open,
	.close = verbs_close,
	.alloc_pd = verbs_alloc_pd,
	.free_pd = verbs_free_pd,
};
