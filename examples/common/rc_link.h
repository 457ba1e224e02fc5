/* SPDX-License-Identifier: MIT */
#ifndef EXAMPLES_RC_LINK_H
#define EXAMPLES_RC_LINK_H

#include <stdint.h>

#include "rc_qp.h"

/* Memory that one end lets the other reach. */
struct rc_memory {
	uint64_t address;
	uint64_t length_bytes;
	uint32_t rkey;
};

/* One end of a reliable connection between two machines, and the socket beside it. */
struct rc_link {
	struct rc_port port;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp;
	int socket;
};

/* Everything returns 0 or -errno. @device: a name such as "rxe0"; @depth: of the send queue. */
int rc_link_open(struct rc_link *link, const char *device, uint32_t depth);
void rc_link_close(struct rc_link *link);

/* The socket: the first peer to come, or a connection to one, tried for @timeout_ms. */
int rc_link_accept(struct rc_link *link, const char *service);
int rc_link_dial(struct rc_link *link, const char *host, const char *service, int timeout_ms);

/*
 * Connects the queue pairs over the socket. @mine: what the peer may reach, zeros for nothing.
 * Both may post when it returns.
 */
int rc_link_connect(struct rc_link *link, const struct rc_memory *mine,
		    struct rc_memory *ret_theirs);

/* Posts one RDMA write or read between @local and the peer's memory at @offset_bytes. */
int rc_link_post(struct rc_link *link, enum ibv_wr_opcode opcode, const struct ibv_sge *local,
		 const struct rc_memory *theirs, uint64_t offset_bytes);
/* Polls for the next completion: its status (enum ibv_wc_status), or -ETIMEDOUT. */
int rc_link_wait(struct rc_link *link, int timeout_ms);

/* One word to the peer, and one from it. */
int rc_link_tell(struct rc_link *link, uint32_t word);
int rc_link_hear(struct rc_link *link, uint32_t *ret_word);

#endif /* EXAMPLES_RC_LINK_H */
