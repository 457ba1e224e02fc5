/* SPDX-License-Identifier: MIT */
/*
 * A connected pair on one device: qp[0] asks, qp[1] answers. Any completion with
 * an error leaves both unusable; pair_reconnect() makes new ones.
 */
#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "labtest.h"
#include "pair.h"

#define TRANSFER_TIMEOUT_NS (60 * 1000000000LL)
#define PORT		    1

static struct ibv_context *open_device(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *context = NULL;
	int i;

	for (i = 0; list && list[i]; i++)
		if (!strcmp(ibv_get_device_name(list[i]), name))
			context = ibv_open_device(list[i]);
	if (list)
		ibv_free_device_list(list);
	return context;
}

/* The first RoCE v2 address that maps an IPv4 one; it is there once the interface is up. */
static int find_gid(struct pair *pair)
{
	struct ibv_gid_entry entry;
	uint8_t i;

	for (i = 0; i < 16; i++) {
		if (ibv_query_gid_ex(pair->context, PORT, i, &entry, 0))
			continue;
		if (entry.gid_type != IBV_GID_TYPE_ROCE_V2 || entry.gid.raw[10] != 0xff ||
		    entry.gid.raw[11] != 0xff)
			continue;
		pair->gid = entry.gid;
		pair->gid_index = i;
		return 0;
	}
	return -EADDRNOTAVAIL;
}

static int to_init(struct ibv_qp *qp)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = PORT,
		.qp_access_flags = MR_ALL_ACCESS | IBV_ACCESS_REMOTE_ATOMIC,
	};

	return -ibv_modify_qp(qp, &attr,
			      IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
}

static int to_ready(struct pair *pair, struct ibv_qp *qp, struct ibv_qp *peer)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = IBV_MTU_1024,
		.dest_qp_num = peer->qp_num,
		.max_dest_rd_atomic = 4,
		.min_rnr_timer = 12,
		.ah_attr =
			{
				.is_global = 1,
				.port_num = PORT,
				.grh =
					{
						.dgid = pair->gid,
						.sgid_index = pair->gid_index,
						.hop_limit = 1,
					},
			},
	};
	int err = -ibv_modify_qp(qp, &attr,
				 IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
					 IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
					 IBV_QP_MIN_RNR_TIMER);

	if (err)
		return err;
	/*
	 * 4 s: nothing gets lost here, and a machine that is too slow for a shorter
	 * time is kept busy with what it sends again. 7 retries never end in rxe.
	 */
	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTS,
		.timeout = pair->timeout ? pair->timeout : 20,
		.retry_cnt = 6,
		.rnr_retry = 7,
		.max_rd_atomic = 4,
	};
	return -ibv_modify_qp(qp, &attr,
			      IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
				      IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
}

static struct ibv_qp *create_qp(struct pair *pair)
{
	struct ibv_qp_init_attr_ex init = {
		.qp_type = IBV_QPT_RC,
		.send_cq = pair->cq,
		.recv_cq = pair->cq,
		.pd = pair->pd,
		.comp_mask = IBV_QP_INIT_ATTR_PD | IBV_QP_INIT_ATTR_SEND_OPS_FLAGS,
		/* What ibv_post_send() has no place for, or looks at too closely. */
		.send_ops_flags = IBV_QP_EX_WITH_ATOMIC_WRITE |
				  IBV_QP_EX_WITH_ATOMIC_FETCH_AND_ADD |
				  IBV_QP_EX_WITH_ATOMIC_CMP_AND_SWP,
		.cap = {.max_send_wr = 64, .max_recv_wr = 64, .max_send_sge = 1, .max_recv_sge = 1},
	};

	return ibv_create_qp_ex(pair->context, &init);
}

static int create_pair(struct pair *pair)
{
	int i, err = 0;

	for (i = 0; i < 2; i++) {
		pair->qp[i] = create_qp(pair);
		if (!pair->qp[i])
			return -errno;
		err = err ? err : to_init(pair->qp[i]);
	}
	return err;
}

int pair_ready(struct pair *pair, int i)
{
	return to_ready(pair, pair->qp[i], pair->qp[!i]);
}

static int connect_pair(struct pair *pair)
{
	int i, err = create_pair(pair);

	for (i = 0; i < 2 && !err; i++)
		err = pair_ready(pair, i);
	return err;
}

/* The first of several errors. */
static void keep_first(int *err, int next)
{
	if (!*err)
		*err = next;
}

static int disconnect_pair(struct pair *pair)
{
	struct ibv_wc wc;
	int i, err = 0;

	for (i = 0; i < 2; i++) {
		if (pair->qp[i])
			keep_first(&err, -ibv_destroy_qp(pair->qp[i]));
		pair->qp[i] = NULL;
	}
	while (pair->cq && ibv_poll_cq(pair->cq, 1, &wc) > 0)
		;
	return err;
}

int pair_renew(struct pair *pair)
{
	int err = disconnect_pair(pair);

	return err ? err : create_pair(pair);
}

int pair_reset(struct pair *pair, int i)
{
	struct ibv_qp_attr attr = {.qp_state = IBV_QPS_RESET};
	int err = -ibv_modify_qp(pair->qp[i], &attr, IBV_QP_STATE);

	return err ? err : to_init(pair->qp[i]);
}

int pair_reconnect(struct pair *pair)
{
	int err = disconnect_pair(pair);

	return err ? err : connect_pair(pair);
}

int pair_open(const char *device, struct pair *pair)
{
	int tries, err = -EADDRNOTAVAIL;

	memset(pair, 0, sizeof(*pair));
	pair->context = open_device(device);
	if (!pair->context)
		return -ENODEV;
	for (tries = 0; tries < 50 && err; tries++) {
		err = find_gid(pair);
		if (err)
			usleep(100000);
	}
	if (err)
		return err;
	pair->pd = ibv_alloc_pd(pair->context);
	pair->cq = ibv_create_cq(pair->context, 256, NULL, NULL, 0);
	if (!pair->pd || !pair->cq)
		return -errno;
	return connect_pair(pair);
}

int pair_close(struct pair *pair)
{
	int err = disconnect_pair(pair);

	if (pair->cq)
		keep_first(&err, -ibv_destroy_cq(pair->cq));
	if (pair->pd)
		keep_first(&err, -ibv_dealloc_pd(pair->pd));
	if (pair->context && ibv_close_device(pair->context))
		keep_first(&err, -errno);
	memset(pair, 0, sizeof(*pair));
	return err;
}

int pair_post(struct pair *pair, const struct transfer *transfer)
{
	struct ibv_sge sge = {transfer->local, transfer->length, transfer->lkey};
	struct ibv_send_wr *bad, wr = {
					 .sg_list = &sge,
					 .num_sge = 1,
					 .opcode = transfer->opcode,
					 .send_flags = IBV_SEND_SIGNALED,
					 .wr.rdma = {transfer->remote, transfer->rkey},
				 };

	return -abs(ibv_post_send(pair->qp[0], &wr, &bad));
}

int pair_wait(struct pair *pair)
{
	int64_t deadline = now_ns() + TRANSFER_TIMEOUT_NS;
	struct ibv_wc wc;
	int n;

	do {
		n = ibv_poll_cq(pair->cq, 1, &wc);
		if (n < 0)
			return -EIO;
		if (n > 0)
			return (int)wc.status;
		sched_yield();
	} while (now_ns() < deadline);
	return -ETIMEDOUT;
}

int pair_transfer(struct pair *pair, const struct transfer *transfer)
{
	int err = pair_post(pair, transfer);

	return err ? err : pair_wait(pair);
}
