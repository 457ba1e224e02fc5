/* SPDX-License-Identifier: MIT */
/*
 * Two connected queue pairs of one RDMA device in one process, and memory regions
 * over DMABUFs: RDMA without a second machine and without the library.
 */
#ifndef LAB_PAIR_H
#define LAB_PAIR_H

#include <infiniband/verbs.h>
#include <stdbool.h>
#include <stdint.h>

struct pair {
	struct ibv_context *context;
	struct ibv_pd *pd;
	struct ibv_cq *cq;
	struct ibv_qp *qp[2];
	union ibv_gid gid;
	uint8_t gid_index;
	uint8_t timeout; /* for an answer, 4096 ns << timeout; 0: 4 s */
};

int pair_open(const char *device, struct pair *ret_pair);
/* Closes everything, whatever fails meanwhile; 0, or the first -errno. */
int pair_close(struct pair *pair);
/* New queue pairs, after an error has spoilt these. */
int pair_reconnect(struct pair *pair);
/* Its steps: new ones that take nothing in yet; one that is connected to the other one. */
int pair_renew(struct pair *pair);
int pair_ready(struct pair *pair, int i);
/* Back to where pair_renew() leaves it: the same queue pair, which remembers nothing. */
int pair_reset(struct pair *pair, int i);

struct transfer {
	enum ibv_wr_opcode opcode;
	uint64_t local;
	uint32_t lkey;
	uint64_t remote;
	uint32_t rkey;
	uint32_t length;
};

/* Post a request: 0 or -errno. At most 64 may be on their way. */
int pair_post(struct pair *pair, const struct transfer *transfer);
/* The next completion's status, in the order of posting. */
int pair_wait(struct pair *pair);
/* Both: the completion's status (enum ibv_wc_status), or -errno; -ETIMEDOUT after 60 s. */
int pair_transfer(struct pair *pair, const struct transfer *transfer);

/* ibv_reg_dmabuf_mr(), the uverbs method itself, or the newer one that takes memory, too. */
enum mr_way {
	MR_VERBS,
	MR_IOCTL,
	MR_ANY
};

struct dmabuf_mr {
	struct ibv_mr *mr;
	uint32_t handle;
	uint32_t lkey;
	uint32_t rkey;
	enum mr_way way;
};

struct mr_request {
	int fd;
	/* In the DMABUF; for MR_ANY with @fd -1 an address. */
	uint64_t offset;
	uint64_t length;
	uint64_t iova;
	uint32_t access;
};

/* 0, or the kernel's -errno. */
int dmabuf_mr_register(struct pair *pair, enum mr_way way, const struct mr_request *request,
		       struct dmabuf_mr *ret_mr);
int dmabuf_mr_deregister(struct pair *pair, struct dmabuf_mr *mr);

#define MR_ALL_ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)

#endif /* LAB_PAIR_H */
