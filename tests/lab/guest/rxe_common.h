/* SPDX-License-Identifier: MIT */
/*
 * What the programs that test soft-RoCE's DMABUF import share: two connected QPs
 * on one device that do more than common/pair.h's, and the uverbs methods
 * themselves, because they are asked for things that no library would let by.
 *
 * Calls return 0 or -errno. What is no test case but must work ends the program
 * (die). Work requests are posted one at a time and return the completion's
 * status; one that fails breaks both QPs and rig_connect() makes new ones.
 */
#ifndef RXE_COMMON_H
#define RXE_COMMON_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <infiniband/verbs.h>
#include <pthread.h>
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/rdma_user_ioctl.h>
#include <rdma/rdma_user_ioctl_cmds.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/labtest.h"

#define PAGE	      4096ULL
#define HOST_SIZE     (1U << 20)
#define NO_COMPLETION 1000
#define WAIT_S	      60 /* an emulated machine may be starved */
#define SLOW_S	      3

#define ALL_RIGHTS    (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)

static inline void tap_is(long long got, long long want, const char *name)
{
	if (!tap_ok(got == want, name, got))
		printf("# wanted %lld\n", want);
}

struct rig {
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp[2]; /* what the first sends the second receives */
	union ibv_gid gid;
	int gid_index;
	uint8_t *host; /* HOST_SIZE bytes of memory, registered */
	struct ibv_mr *host_mr;
};

static inline void rig_find_gid(struct rig *rig)
{
	union ibv_gid gid;
	int i;

	for (i = 15; i >= 0; i--) {
		if (ibv_query_gid(rig->context, 1, i, &gid) || !gid.global.interface_id)
			continue;
		rig->gid = gid;
		rig->gid_index = i;
		if (!gid.global.subnet_prefix) /* made from an IPv4 address */
			return;
	}
}

static inline void modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	int err = ibv_modify_qp(qp, attr, mask);

	if (err)
		die(-err, "modify_qp to state %d", attr->qp_state);
}

static inline void connect_qp(struct rig *rig, struct ibv_qp *qp, struct ibv_qp *peer)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = 1,
		.qp_access_flags = ALL_RIGHTS | IBV_ACCESS_REMOTE_ATOMIC,
	};

	modify_qp(qp, &attr, IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);

	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_1024,
		.dest_qp_num = peer->qp_num,
		.max_dest_rd_atomic = 4,
		.min_rnr_timer = 12,
		.ah_attr =
			{
				.is_global = 1,
				.port_num = 1,
				.grh = {.dgid = rig->gid,
					.sgid_index = rig->gid_index,
					.hop_limit = 1},
			},
	};
	modify_qp(qp, &attr,
		  IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN | IBV_QP_RQ_PSN |
			  IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);

	/*
	 * 4 s: nothing gets lost here, and a machine that is too slow for a shorter
	 * time is kept busy with what it sends again. 7 retries never end in rxe.
	 */
	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTS,
		.timeout = 20,
		.retry_cnt = 6,
		.rnr_retry = 7,
		.max_rd_atomic = 4,
	};
	modify_qp(qp, &attr,
		  IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
			  IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
}

static inline struct ibv_qp *create_qp(struct rig *rig)
{
	struct ibv_qp_init_attr_ex init = {
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
		.send_cq = rig->cq,
		.recv_cq = rig->cq,
		.pd = rig->pd,
		.comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		.send_ops_flags = IBV_QP_EX_WITH_ATOMIC_WRITE,
		.cap = {.max_send_wr = 64, .max_recv_wr = 64, .max_send_sge = 1, .max_recv_sge = 1},
	};
	struct ibv_qp *qp = ibv_create_qp_ex(rig->context, &init);

	if (!qp)
		die(-errno, "QP");
	return qp;
}

static inline void destroy_qps(struct rig *rig)
{
	int i, err;

	for (i = 0; i < 2; i++) {
		err = rig->qp[i] ? ibv_destroy_qp(rig->qp[i]) : 0;
		if (err)
			die(-err, "destroying a QP");
	}
}

/* New QPs: old ones may be on their way into the error state, after a reset too. */
static inline void rig_connect(struct rig *rig)
{
	struct ibv_wc wc;

	destroy_qps(rig);
	while (ibv_poll_cq(rig->cq, 1, &wc) > 0)
		;
	rig->qp[0] = create_qp(rig);
	rig->qp[1] = create_qp(rig);
	connect_qp(rig, rig->qp[0], rig->qp[1]);
	connect_qp(rig, rig->qp[1], rig->qp[0]);
}

static inline struct ibv_context *open_device(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *context = NULL;
	int i;

	for (i = 0; list && list[i]; i++)
		if (!strcmp(ibv_get_device_name(list[i]), name))
			context = ibv_open_device(list[i]);
	if (!context)
		die(0, "no RDMA device %s", name);
	ibv_free_device_list(list);
	return context;
}

static inline void rig_init(struct rig *rig, const char *device)
{
	memset(rig, 0, sizeof(*rig));
	rig->context = open_device(device);
	rig_find_gid(rig);
	rig->pd = ibv_alloc_pd(rig->context);
	rig->cq = ibv_create_cq(rig->context, 256, NULL, NULL, 0);
	if (!rig->pd || !rig->cq)
		die(-errno, "PD or CQ");

	rig->host =
		mmap(NULL, HOST_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	rig->host_mr = ibv_reg_mr(rig->pd, rig->host, HOST_SIZE, ALL_RIGHTS);
	if (!rig->host_mr)
		die(-errno, "memory of the host");
	rig_connect(rig);
}

static inline void rig_done(struct rig *rig)
{
	destroy_qps(rig);
	if (ibv_dereg_mr(rig->host_mr) || ibv_destroy_cq(rig->cq) || ibv_dealloc_pd(rig->pd) ||
	    ibv_close_device(rig->context))
		die(-errno, "taking the RDMA device down");
	munmap(rig->host, HOST_SIZE);
}

/* The status of the next completion; NO_COMPLETION when none comes within WAIT_S seconds. */
static inline int rig_wait(struct rig *rig)
{
	const int64_t start = now_ns();
	struct ibv_wc wc;
	int n;

	do {
		n = ibv_poll_cq(rig->cq, 1, &wc);
		if (n < 0)
			die(0, "poll_cq");
		if (n) {
			if (now_ns() - start > SLOW_S * 1000000000LL)
				printf("# a completion took %.1f s\n", (now_ns() - start) / 1e9);
			return wc.status;
		}
		sched_yield();
	} while (now_ns() - start < WAIT_S * 1000000000LL);
	return NO_COMPLETION;
}

/* One side of a transfer. */
struct place {
	uint64_t address;
	uint32_t key;
};

static inline struct place host_at(struct rig *rig, size_t offset)
{
	return (struct place){(uintptr_t)rig->host + offset, rig->host_mr->lkey};
}

/* RDMA or atomic from the first QP: the completion's status, or -errno of posting it. */
static inline int rig_do(struct rig *rig, enum ibv_wr_opcode opcode, struct place local,
			 struct place remote, uint32_t length)
{
	struct ibv_sge sge = {.addr = local.address, .length = length, .lkey = local.key};
	struct ibv_send_wr wr = {.opcode = opcode, .sg_list = &sge, .num_sge = 1};
	struct ibv_send_wr *bad;
	int err;

	if (opcode == IBV_WR_ATOMIC_FETCH_AND_ADD || opcode == IBV_WR_ATOMIC_CMP_AND_SWP) {
		wr.wr.atomic.remote_addr = remote.address;
		wr.wr.atomic.rkey = remote.key;
		wr.wr.atomic.compare_add = 1;
	} else if (opcode == IBV_WR_LOCAL_INV) {
		wr.num_sge = 0;
		wr.invalidate_rkey = remote.key;
	} else {
		wr.wr.rdma.remote_addr = remote.address;
		wr.wr.rdma.rkey = remote.key;
	}

	err = ibv_post_send(rig->qp[0], &wr, &bad);
	return err ? -abs(err) : rig_wait(rig);
}

/* Eight bytes at once; ibv_post_send() has no place for them. */
static inline int rig_atomic_write(struct rig *rig, struct place remote)
{
	struct ibv_qp_ex *qp = ibv_qp_to_qp_ex(rig->qp[0]);

	ibv_wr_start(qp);
	qp->wr_flags = IBV_SEND_SIGNALED;
	ibv_wr_atomic_write(qp, remote.key, remote.address, "eight by");
	if (ibv_wr_complete(qp))
		die(0, "posting an atomic write");
	return rig_wait(rig);
}

/* A message from @from to @to; the worse of the two completions' statuses. */
static inline int rig_send(struct rig *rig, struct place from, struct place to, uint32_t length)
{
	struct ibv_sge sge = {.addr = to.address, .length = length, .lkey = to.key};
	struct ibv_recv_wr wr = {.sg_list = &sge, .num_sge = 1};
	struct ibv_recv_wr *bad;
	int first, second;

	if (ibv_post_recv(rig->qp[1], &wr, &bad))
		die(0, "post_recv");
	first = rig_do(rig, IBV_WR_SEND, from, (struct place){}, length);
	second = rig_wait(rig);
	return first > second ? first : second;
}

/* A memory region on a DMABUF, made by the uverbs method. */
struct dmabuf_mr {
	uint32_t handle;
	uint32_t lkey;
	uint32_t rkey;
};

struct dmabuf_range {
	int fd;
	uint64_t offset;
	uint64_t length;
	uint64_t iova;
	uint32_t access;
};

#define MAX_ATTRS 12

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

struct method_call {
	struct ib_uverbs_ioctl_hdr hdr;
	struct ib_uverbs_attr attrs[MAX_ATTRS];
};

static inline void call_init(struct method_call *call, uint16_t object, uint16_t method)
{
	memset(call, 0, sizeof(*call));
	call->hdr.object_id = object;
	call->hdr.method_id = method;
	call->hdr.driver_id = RDMA_DRIVER_RXE;
}

static inline void call_add(struct method_call *call, uint16_t id, uint16_t length, uint64_t data)
{
	struct ib_uverbs_attr *attr = &call->attrs[call->hdr.num_attrs++];

	attr->attr_id = id;
	attr->len = length;
	attr->flags = UVERBS_ATTR_F_MANDATORY;
	attr->data = data;
}

static inline int call_run(struct method_call *call, struct ibv_context *context)
{
	call->hdr.length = sizeof(call->hdr) + call->hdr.num_attrs * sizeof(call->attrs[0]);
	return ioctl(context->cmd_fd, RDMA_VERBS_IOCTL, &call->hdr) ? -errno : 0;
}

static inline int dmabuf_reg(struct ibv_pd *pd, const struct dmabuf_range *range,
			     struct dmabuf_mr *ret_mr)
{
	struct method_call call;
	int err;

	call_init(&call, UVERBS_OBJECT_MR, UVERBS_METHOD_REG_DMABUF_MR);
	call_add(&call, UVERBS_ATTR_REG_DMABUF_MR_HANDLE, 0, 0);
	call_add(&call, UVERBS_ATTR_REG_DMABUF_MR_PD_HANDLE, 0, pd->handle);
	call_add(&call, UVERBS_ATTR_REG_DMABUF_MR_OFFSET, 8, range->offset);
	call_add(&call, UVERBS_ATTR_REG_DMABUF_MR_LENGTH, 8, range->length);
	call_add(&call, UVERBS_ATTR_REG_DMABUF_MR_IOVA, 8, range->iova);
	call_add(&call, UVERBS_ATTR_REG_DMABUF_MR_FD, 4, (uint32_t)range->fd);
	call_add(&call, UVERBS_ATTR_REG_DMABUF_MR_ACCESS_FLAGS, 4, range->access);
	call_add(&call, UVERBS_ATTR_REG_DMABUF_MR_RESP_LKEY, 4, (uintptr_t)&ret_mr->lkey);
	call_add(&call, UVERBS_ATTR_REG_DMABUF_MR_RESP_RKEY, 4, (uintptr_t)&ret_mr->rkey);
	err = call_run(&call, pd->context);
	if (!err)
		ret_mr->handle = call.attrs[0].data;
	return err;
}

/* By the method that takes both: a DMABUF, or memory at @address when the fd is -1. */
static inline int any_reg(struct ibv_pd *pd, const struct dmabuf_range *range, void *address,
			  struct dmabuf_mr *ret_mr)
{
	struct method_call call;
	int err;

	call_init(&call, UVERBS_OBJECT_MR, METHOD_REG_MR);
	call_add(&call, REG_MR_HANDLE, 0, 0);
	call_add(&call, REG_MR_PD_HANDLE, 0, pd->handle);
	call_add(&call, REG_MR_IOVA, 8, range->iova);
	call_add(&call, REG_MR_LENGTH, 8, range->length);
	call_add(&call, REG_MR_ACCESS_FLAGS, 4, range->access);
	if (range->fd < 0) {
		call_add(&call, REG_MR_ADDR, 8, (uintptr_t)address);
	} else {
		call_add(&call, REG_MR_FD, 0, range->fd);
		call_add(&call, REG_MR_FD_OFFSET, 8, range->offset);
	}
	call_add(&call, REG_MR_RESP_LKEY, 4, (uintptr_t)&ret_mr->lkey);
	call_add(&call, REG_MR_RESP_RKEY, 4, (uintptr_t)&ret_mr->rkey);
	err = call_run(&call, pd->context);
	if (!err)
		ret_mr->handle = call.attrs[0].data;
	return err;
}

static inline int dmabuf_dereg(struct ibv_context *context, struct dmabuf_mr *mr)
{
	struct method_call call;

	call_init(&call, UVERBS_OBJECT_MR, UVERBS_METHOD_MR_DESTROY);
	call_add(&call, UVERBS_ATTR_DESTROY_MR_HANDLE, 0, mr->handle);
	return call_run(&call, context);
}

#endif
