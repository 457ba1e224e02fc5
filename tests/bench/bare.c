// SPDX-License-Identifier: MIT
/*
 * The floor: exporting, registering and revoking by bare system calls, written
 * for speed and nothing else. It shares no code with the library on purpose.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/p2pdma_export.h>
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/rdma_user_ioctl_cmds.h>

#include "bench.h"

union request {
	struct ib_uverbs_ioctl_hdr header;
	char room[sizeof(struct ib_uverbs_ioctl_hdr) + 9 * sizeof(struct ib_uverbs_attr)];
};

static void begin(union request *request, uint32_t driver_id, uint16_t method)
{
	memset(request, 0, sizeof(*request));
	request->header.object_id = UVERBS_OBJECT_MR;
	request->header.method_id = method;
	request->header.driver_id = driver_id;
}

static void put(union request *request, uint16_t id, uint16_t length, uint64_t data)
{
	request->header.attrs[request->header.num_attrs++] = (struct ib_uverbs_attr){
		.attr_id = id,
		.len = length,
		.flags = UVERBS_ATTR_F_MANDATORY,
		.data = data,
	};
}

static int submit(const struct bench_setup *setup, union request *request)
{
	request->header.length =
		(uint16_t)(sizeof(request->header) +
			   request->header.num_attrs * sizeof(struct ib_uverbs_attr));
	return ioctl(setup->pair.port.verbs->cmd_fd, RDMA_VERBS_IOCTL, request) < 0 ? -errno : 0;
}

int bare_find_driver(struct bench_setup *setup)
{
	union request request;

	for (uint32_t id = 0; id < 64; id++) {
		begin(&request, id, 20);
		if (submit(setup, &request) == -EPROTONOSUPPORT) {
			setup->driver_id = id;
			return 0;
		}
	}
	return -EPROTONOSUPPORT;
}

int bare_export(const struct bench_setup *setup, uint64_t bytes, struct bare_slice *ret_slice)
{
	struct p2pdma_export_range range = {.length = bytes};
	struct p2pdma_export_export argument = {
		.argsz = sizeof(argument),
		.bar = p2pdma_provider_bar(setup->provider),
		.nr_ranges = 1,
		.ranges = (uintptr_t)&range,
		.open_flags = O_CLOEXEC | O_RDWR,
	};

	if (ioctl(setup->device_fd, P2PDMA_EXPORT_EXPORT, &argument) < 0)
		return -errno;
	*ret_slice = (struct bare_slice){argument.fd, argument.export_id, bytes};
	return 0;
}

int bare_revoke(const struct bench_setup *setup, const struct bare_slice *slice)
{
	struct p2pdma_export_revoke argument = {
		.argsz = sizeof(argument),
		.export_id = slice->export_id,
	};

	return ioctl(setup->device_fd, P2PDMA_EXPORT_REVOKE, &argument) < 0 ? -errno : 0;
}

int bare_register(const struct bench_setup *setup, int fd, uint64_t bytes, struct bare_mr *ret_mr)
{
	union request request;
	int r;

	begin(&request, setup->driver_id, UVERBS_METHOD_REG_DMABUF_MR);
	put(&request, UVERBS_ATTR_REG_DMABUF_MR_HANDLE, 0, 0);
	put(&request, UVERBS_ATTR_REG_DMABUF_MR_PD_HANDLE, 0, setup->pair.pd->handle);
	put(&request, UVERBS_ATTR_REG_DMABUF_MR_OFFSET, 8, 0);
	put(&request, UVERBS_ATTR_REG_DMABUF_MR_LENGTH, 8, bytes);
	put(&request, UVERBS_ATTR_REG_DMABUF_MR_IOVA, 8, 0);
	put(&request, UVERBS_ATTR_REG_DMABUF_MR_FD, 4, (uint32_t)fd);
	put(&request, UVERBS_ATTR_REG_DMABUF_MR_ACCESS_FLAGS, 4, BENCH_ACCESS);
	put(&request, UVERBS_ATTR_REG_DMABUF_MR_RESP_LKEY, 4, (uintptr_t)&ret_mr->lkey);
	put(&request, UVERBS_ATTR_REG_DMABUF_MR_RESP_RKEY, 4, (uintptr_t)&ret_mr->rkey);
	r = submit(setup, &request);
	ret_mr->handle = (uint32_t)request.header.attrs[0].data;
	return r;
}

int bare_deregister(const struct bench_setup *setup, const struct bare_mr *mr)
{
	union request request;

	begin(&request, setup->driver_id, UVERBS_METHOD_MR_DESTROY);
	put(&request, UVERBS_ATTR_DESTROY_MR_HANDLE, 0, mr->handle);
	return submit(setup, &request);
}
