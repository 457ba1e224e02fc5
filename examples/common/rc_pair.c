// SPDX-License-Identifier: MIT
/*
 * RDMA plumbing of the examples, so that each can show its own subject.
 *
 * One device, one completion queue, two queue pairs that are connected to each
 * other without a connection manager: both ends are in this process, so the
 * numbers that usually travel over a socket are at hand. Used by one thread at a
 * time.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "rc_pair.h"

#define PORT	    1
#define PSN	    1000
#define DEPTH	    64
#define HOST_ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)

static struct ibv_context *open_device(const char *name)
{
	struct ibv_device **devices = ibv_get_device_list(NULL);
	struct ibv_context *verbs = NULL;

	if (!devices)
		return NULL;
	errno = ENODEV;
	for (size_t i = 0; devices[i]; i++) {
		if (!strcmp(ibv_get_device_name(devices[i]), name))
			verbs = ibv_open_device(devices[i]);
	}
	ibv_free_device_list(devices);
	return verbs;
}

/* On Ethernet: the RoCE v2 address that is an IPv4 one, else the first RoCE v2 one. */
static int choose_gid(struct rc_pair *pair)
{
	static const uint8_t ipv4[12] = {[10] = 0xff, [11] = 0xff};
	int found = -1;

	if (ibv_query_port(pair->verbs, PORT, &pair->port))
		return -errno;
	if (pair->port.link_layer != IBV_LINK_LAYER_ETHERNET)
		return 0;
	for (int i = 0; i < pair->port.gid_tbl_len && i <= UINT8_MAX; i++) {
		struct ibv_gid_entry entry;

		if (ibv_query_gid_ex(pair->verbs, PORT, (uint32_t)i, &entry, 0) ||
		    entry.gid_type != IBV_GID_TYPE_ROCE_V2)
			continue;
		if (found >= 0 && memcmp(entry.gid.raw, ipv4, sizeof(ipv4)))
			continue;
		found = i;
		pair->gid = entry.gid;
		pair->gid_index = (uint8_t)i;
		if (!memcmp(entry.gid.raw, ipv4, sizeof(ipv4)))
			break;
	}
	return found < 0 ? -EADDRNOTAVAIL : 0;
}

static int connect_qp(struct rc_pair *pair, struct ibv_qp *qp, uint32_t peer)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = PORT,
		.qp_access_flags = HOST_ACCESS,
	};
	int r;

	r = ibv_modify_qp(qp, &attr,
			  IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
	if (r)
		return -r;
	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTR,
		.path_mtu = pair->port.active_mtu,
		.dest_qp_num = peer,
		.rq_psn = PSN,
		.max_dest_rd_atomic = 1,
		.min_rnr_timer = 12,
		.ah_attr = {.dlid = pair->port.lid, .port_num = PORT},
	};
	if (pair->port.link_layer == IBV_LINK_LAYER_ETHERNET) {
		attr.ah_attr.is_global = 1;
		attr.ah_attr.grh.dgid = pair->gid;
		attr.ah_attr.grh.sgid_index = pair->gid_index;
		attr.ah_attr.grh.hop_limit = 64;
	}
	r = ibv_modify_qp(qp, &attr,
			  IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
				  IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
	if (r)
		return -r;
	attr = (struct ibv_qp_attr){
		.qp_state = IBV_QPS_RTS,
		.timeout = 14,
		.retry_cnt = 7,
		.rnr_retry = 7,
		.sq_psn = PSN,
		.max_rd_atomic = 1,
	};
	return -ibv_modify_qp(qp, &attr,
			      IBV_QP_STATE | IBV_QP_TIMEOUT | IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
				      IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
}

static int connect_pair(struct rc_pair *pair)
{
	struct ibv_qp_init_attr attr = {
		.send_cq = pair->cq,
		.recv_cq = pair->cq,
		.cap = {.max_send_wr = DEPTH,
			.max_recv_wr = 1,
			.max_send_sge = 1,
			.max_recv_sge = 1},
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};
	int r;

	for (int i = 0; i < 2; i++) {
		pair->qp[i] = ibv_create_qp(pair->pd, &attr);
		if (!pair->qp[i])
			return -errno;
	}
	r = connect_qp(pair, pair->qp[0], pair->qp[1]->qp_num);
	return r ? r : connect_qp(pair, pair->qp[1], pair->qp[0]->qp_num);
}

static void destroy_qps(struct rc_pair *pair)
{
	for (int i = 0; i < 2; i++) {
		if (pair->qp[i])
			ibv_destroy_qp(pair->qp[i]);
		pair->qp[i] = NULL;
	}
}

int rc_pair_open(struct rc_pair *pair, const char *device, size_t host_bytes)
{
	int r;

	memset(pair, 0, sizeof(*pair));
	pair->host_bytes = host_bytes;
	pair->verbs = open_device(device);
	if (!pair->verbs)
		return -errno;
	r = choose_gid(pair);
	if (r)
		goto fail;
	pair->pd = ibv_alloc_pd(pair->verbs);
	pair->channel = ibv_create_comp_channel(pair->verbs);
	if (pair->pd && pair->channel)
		pair->cq = ibv_create_cq(pair->verbs, 2 * DEPTH, NULL, pair->channel, 0);
	if (pair->cq && !posix_memalign((void **)&pair->host, 4096, host_bytes))
		pair->host_mr = ibv_reg_mr(pair->pd, pair->host, host_bytes, HOST_ACCESS);
	if (!pair->host_mr) {
		r = errno ? -errno : -ENOMEM;
		goto fail;
	}
	r = connect_pair(pair);
	if (!r)
		return 0;
fail:
	rc_pair_close(pair);
	return r;
}

void rc_pair_close(struct rc_pair *pair)
{
	destroy_qps(pair);
	if (pair->host_mr)
		ibv_dereg_mr(pair->host_mr);
	free(pair->host);
	if (pair->cq)
		ibv_destroy_cq(pair->cq);
	if (pair->channel)
		ibv_destroy_comp_channel(pair->channel);
	if (pair->pd)
		ibv_dealloc_pd(pair->pd);
	if (pair->verbs)
		ibv_close_device(pair->verbs);
	memset(pair, 0, sizeof(*pair));
}

int rc_pair_reconnect(struct rc_pair *pair)
{
	struct ibv_wc wc;

	destroy_qps(pair);
	while (ibv_poll_cq(pair->cq, 1, &wc) > 0)
		;
	return connect_pair(pair);
}

int rc_pair_post(struct rc_pair *pair, enum ibv_wr_opcode opcode, size_t offset, uint32_t length,
		 const struct rc_remote *remote)
{
	struct ibv_sge sge = {
		.addr = (uintptr_t)pair->host + offset,
		.length = length,
		.lkey = pair->host_mr->lkey,
	};
	struct ibv_send_wr wr = {.sg_list = &sge, .num_sge = 1, .opcode = opcode};
	struct ibv_send_wr *bad;

	wr.wr.rdma.remote_addr = remote->address;
	wr.wr.rdma.rkey = remote->rkey;
	return -ibv_post_send(pair->qp[0], &wr, &bad);
}

int rc_pair_wait(struct rc_pair *pair, int timeout_ms, enum ibv_wc_status *ret_status)
{
	struct pollfd event = {.fd = pair->channel->fd, .events = POLLIN};
	struct ibv_wc wc;
	struct ibv_cq *cq;
	void *unused;
	int n;

	for (;;) {
		n = ibv_poll_cq(pair->cq, 1, &wc);
		if (n)
			break;
		/* Ask to be woken, and look again: one may have come in between. */
		if (ibv_req_notify_cq(pair->cq, 0))
			return -EIO;
		n = ibv_poll_cq(pair->cq, 1, &wc);
		if (n)
			break;
		if (poll(&event, 1, timeout_ms) <= 0)
			return -ETIMEDOUT;
		if (ibv_get_cq_event(pair->channel, &cq, &unused))
			return -errno;
		ibv_ack_cq_events(cq, 1);
	}
	if (n < 0)
		return -EIO;
	*ret_status = wc.status;
	return 0;
}

int rc_pair_transfer(struct rc_pair *pair, enum ibv_wr_opcode opcode, size_t offset,
		     uint32_t length, const struct rc_remote *remote)
{
	enum ibv_wc_status status;
	int r;

	r = rc_pair_post(pair, opcode, offset, length, remote);
	if (!r)
		r = rc_pair_wait(pair, 10000, &status);
	if (r)
		return r;
	return status == IBV_WC_SUCCESS ? 0 : -EIO;
}
