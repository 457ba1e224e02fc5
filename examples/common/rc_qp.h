/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_RC_QP_H
#define EXAMPLES_RC_QP_H

#include <stdint.h>

#include <infiniband/verbs.h>

/* The first port of an RDMA device, and the address that it has there. */
struct rc_port {
	struct ibv_context *verbs;
	struct ibv_port_attr attr;
	union ibv_gid gid;
	uint8_t gid_index;
};

/* What a peer has to know of a queue pair. */
struct rc_address {
	union ibv_gid gid;
	uint32_t qp_num;
	uint16_t lid;
	enum ibv_mtu mtu;
};

/* Everything returns 0 or -errno. @device: a name such as "rxe0". */
int rc_port_open(struct rc_port *port, const char *device);
void rc_port_close(struct rc_port *port);
void rc_port_address(const struct rc_port *port, const struct ibv_qp *qp,
		     struct rc_address *ret_address);

/* A reliable queue pair for @depth sends, each with a completion; NULL with errno. */
struct ibv_qp *rc_qp_create(struct ibv_pd *pd, struct ibv_cq *cq, uint32_t depth);
/* Ready to receive and to send. */
int rc_qp_connect(const struct rc_port *port, struct ibv_qp *qp, const struct rc_address *peer);

#endif /* EXAMPLES_RC_QP_H */
