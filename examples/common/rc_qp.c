// SPDX-License-Identifier: MIT
/*
 * Reliable queue pairs without a connection manager: each end learns the other's
 * address (struct rc_address) in some other way, and then moves its queue pair
 * through its states. Used by one thread at a time.
 */
#include <errno.h>
#include <string.h>

#include "rc_qp.h"

#define PORT	    1
#define PSN	    1000
#define PEER_ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)

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
static int choose_gid(struct rc_port *port)
{
	static const uint8_t ipv4[12] = {[10] = 0xff, [11] = 0xff};
	int found = -1;

	if (ibv_query_port(port->verbs, PORT, &port->attr))
		return -errno;
	if (port->attr.link_layer != IBV_LINK_LAYER_ETHERNET)
		return 0;
	for (int i = 0; i < port->attr.gid_tbl_len && i <= UINT8_MAX; i++) {
		struct ibv_gid_entry entry;

		if (ibv_query_gid_ex(port->verbs, PORT, (uint32_t)i, &entry, 0) ||
		    entry.gid_type != IBV_GID_TYPE_ROCE_V2)
			continue;
		if (found >= 0 && memcmp(entry.gid.raw, ipv4, sizeof(ipv4)))
			continue;
		found = i;
		port->gid = entry.gid;
		port->gid_index = (uint8_t)i;
		if (!memcmp(entry.gid.raw, ipv4, sizeof(ipv4)))
			break;
	}
	return found < 0 ? -EADDRNOTAVAIL : 0;
}

int rc_port_open(struct rc_port *port, const char *device)
{
	int r;

	memset(port, 0, sizeof(*port));
	port->verbs = open_device(device);
	if (!port->verbs)
		return -errno;
	r = choose_gid(port);
	if (r)
		rc_port_close(port);
	return r;
}

void rc_port_close(struct rc_port *port)
{
	if (port->verbs)
		ibv_close_device(port->verbs);
	memset(port, 0, sizeof(*port));
}

void rc_port_address(const struct rc_port *port, const struct ibv_qp *qp,
		     struct rc_address *ret_address)
{
	*ret_address = (struct rc_address){
		.gid = port->gid,
		.qp_num = qp->qp_num,
		.lid = port->attr.lid,
		.mtu = port->attr.active_mtu,
	};
}

struct ibv_qp *rc_qp_create(struct ibv_pd *pd, struct ibv_cq *cq, uint32_t depth)
{
	struct ibv_qp_init_attr attr = {
		.send_cq = cq,
		.recv_cq = cq,
		.cap = {.max_send_wr = depth,
			.max_recv_wr = 1,
			.max_send_sge = 1,
			.max_recv_sge = 1},
		.qp_type = IBV_QPT_RC,
		.sq_sig_all = 1,
	};

	return ibv_create_qp(pd, &attr);
}

static int ready_to_receive(const struct rc_port *port, struct ibv_qp *qp,
			    const struct rc_address *peer)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_RTR,
		.path_mtu = peer->mtu < port->attr.active_mtu ? peer->mtu : port->attr.active_mtu,
		.dest_qp_num = peer->qp_num,
		.rq_psn = PSN,
		.max_dest_rd_atomic = 1,
		.min_rnr_timer = 12,
		.ah_attr = {.dlid = peer->lid, .port_num = PORT},
	};

	if (port->attr.link_layer == IBV_LINK_LAYER_ETHERNET) {
		attr.ah_attr.is_global = 1;
		attr.ah_attr.grh.dgid = peer->gid;
		attr.ah_attr.grh.sgid_index = port->gid_index;
		attr.ah_attr.grh.hop_limit = 64;
	}
	return -ibv_modify_qp(qp, &attr,
			      IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
				      IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC |
				      IBV_QP_MIN_RNR_TIMER);
}

int rc_qp_connect(const struct rc_port *port, struct ibv_qp *qp, const struct rc_address *peer)
{
	struct ibv_qp_attr attr = {
		.qp_state = IBV_QPS_INIT,
		.port_num = PORT,
		.qp_access_flags = PEER_ACCESS,
	};
	int r;

	r = ibv_modify_qp(qp, &attr,
			  IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
	if (r)
		return -r;
	r = ready_to_receive(port, qp, peer);
	if (r)
		return r;
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
