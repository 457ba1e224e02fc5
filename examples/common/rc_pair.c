// SPDX-License-Identifier: MIT
/*
 * RDMA plumbing of the examples, so that each can show its own subject.
 *
 * One device, one completion queue, two queue pairs that are connected to each
 * other (rc_qp.c): both ends are in this process, so the numbers that usually
 * travel over a socket are at hand. Used by one thread at a time.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "rc_pair.h"

#define DEPTH	    64
#define HOST_ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)

static int connect_pair(struct rc_pair *pair)
{
	struct rc_address address[2];
	int r = 0;

	for (int i = 0; i < 2; i++) {
		pair->qp[i] = rc_qp_create(pair->pd, pair->cq, DEPTH);
		if (!pair->qp[i])
			return -errno;
		rc_port_address(&pair->port, pair->qp[i], &address[i]);
	}
	for (int i = 0; !r && i < 2; i++)
		r = rc_qp_connect(&pair->port, pair->qp[i], &address[1 - i]);
	return r;
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
	r = rc_port_open(&pair->port, device);
	if (r)
		return r;
	pair->pd = ibv_alloc_pd(pair->port.verbs);
	pair->channel = ibv_create_comp_channel(pair->port.verbs);
	if (pair->pd && pair->channel)
		pair->cq = ibv_create_cq(pair->port.verbs, 2 * DEPTH, NULL, pair->channel, 0);
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
	rc_port_close(&pair->port);
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
