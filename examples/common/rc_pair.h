/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_RC_PAIR_H
#define EXAMPLES_RC_PAIR_H

#include <stddef.h>
#include <stdint.h>

#include "rc_qp.h"

/*
 * Two reliable queue pairs of one RDMA device, connected to each other, and a
 * piece of registered host memory: the least that RDMA needs. Work requests are
 * posted on the first queue pair and reach memory through the second.
 */
struct rc_pair {
	struct rc_port port;
	struct ibv_pd *pd;
	struct ibv_comp_channel *channel;
	struct ibv_cq *cq;
	struct ibv_qp *qp[2];
	uint8_t *host;
	size_t host_bytes;
	struct ibv_mr *host_mr;
};

/* The memory that a work request reads or writes through the second queue pair. */
struct rc_remote {
	uint64_t address;
	uint32_t rkey;
};

/* Everything returns 0 or -errno. @device: a name such as "rxe0". */
int rc_pair_open(struct rc_pair *pair, const char *device, size_t host_bytes);
void rc_pair_close(struct rc_pair *pair);

/* New queue pairs in place of ones that an error has stopped. */
int rc_pair_reconnect(struct rc_pair *pair);

/* Posts one RDMA write or read between the host memory at @offset and @remote. */
int rc_pair_post(struct rc_pair *pair, enum ibv_wr_opcode opcode, size_t offset, uint32_t length,
		 const struct rc_remote *remote);

/*
 * Waits for one completion. 0 with its status in *ret_status; -ETIMEDOUT.
 */
int rc_pair_wait(struct rc_pair *pair, int timeout_ms, enum ibv_wc_status *ret_status);

/* Post and wait: 0, -EIO when the completion says that it failed, or -errno. */
int rc_pair_transfer(struct rc_pair *pair, enum ibv_wr_opcode opcode, size_t offset,
		     uint32_t length, const struct rc_remote *remote);

#endif /* EXAMPLES_RC_PAIR_H */
