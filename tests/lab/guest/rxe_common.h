/* SPDX-License-Identifier: MIT */
/*
 * What the programs that test soft-RoCE's DMABUF import share: a pair of QPs with
 * registered memory of the host, and operations of every kind between them.
 *
 * What is no test case but must work ends the program (die). Work requests are
 * posted one at a time and return the completion's status; one that fails breaks
 * both QPs and rig_connect() makes new ones.
 */
#ifndef RXE_COMMON_H
#define RXE_COMMON_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/labtest.h"
#include "common/pair.h"

#define PAGE		 4096ULL
#define HOST_SIZE	 (1U << 20)
#define NO_COMPLETION	 1000
#define MR_ATOMIC_ACCESS (MR_ALL_ACCESS | IBV_ACCESS_REMOTE_ATOMIC)
#define SLOW_S		 3

static inline void tap_is(long long got, long long want, const char *name)
{
	if (!tap_ok(got == want, name, got))
		printf("# wanted %lld\n", want);
}

struct rig {
	struct pair pair; /* what the first QP sends the second receives */
	uint8_t *host;	  /* HOST_SIZE bytes of memory, registered */
	struct ibv_mr *host_mr;
};

/* New QPs: old ones may be on their way into the error state, after a reset too. */
static inline void rig_connect(struct rig *rig)
{
	must(pair_reconnect(&rig->pair), "reconnecting");
}

static inline void rig_init(struct rig *rig, const char *device)
{
	must(pair_open(device, &rig->pair), device);
	rig->host =
		mmap(NULL, HOST_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	rig->host_mr = ibv_reg_mr(rig->pair.pd, rig->host, HOST_SIZE, MR_ATOMIC_ACCESS);
	if (!rig->host_mr)
		die(-errno, "memory of the host");
}

static inline void rig_done(struct rig *rig)
{
	must(-ibv_dereg_mr(rig->host_mr), "deregistering the host's memory");
	must(pair_close(&rig->pair), "taking the RDMA device down");
	munmap(rig->host, HOST_SIZE);
}

/* The status of the next completion; NO_COMPLETION when none comes. */
static inline int rig_wait(struct rig *rig)
{
	const int64_t start = now_ns();
	int status = pair_wait(&rig->pair);

	if (status == -ETIMEDOUT)
		return NO_COMPLETION;
	must(status, "polling for a completion");
	if (now_ns() - start > SLOW_S * 1000000000LL)
		printf("# a completion took %.1f s\n", (now_ns() - start) / 1e9);
	return status;
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

static inline struct place mr_at(const struct dmabuf_mr *mr, uint64_t iova)
{
	return (struct place){iova, mr->rkey};
}

static inline struct dmabuf_mr rig_register(struct rig *rig, const struct mr_request *request)
{
	struct dmabuf_mr mr;

	must(dmabuf_mr_register(&rig->pair, MR_IOCTL, request, &mr), "registration");
	return mr;
}

static inline void rig_deregister(struct rig *rig, struct dmabuf_mr *mr)
{
	must(dmabuf_mr_deregister(&rig->pair, mr), "deregistration");
}

/* RDMA from the first QP: the completion's status, or -errno of posting it. */
static inline int rig_do(struct rig *rig, enum ibv_wr_opcode opcode, struct place local,
			 struct place remote, uint32_t length)
{
	struct ibv_sge sge = {.addr = local.address, .length = length, .lkey = local.key};
	struct ibv_send_wr wr = {
		.opcode = opcode,
		.sg_list = &sge,
		.num_sge = 1,
		.send_flags = IBV_SEND_SIGNALED,
	};
	struct ibv_send_wr *bad;
	int err;

	if (opcode == IBV_WR_LOCAL_INV) {
		wr.num_sge = 0;
		wr.invalidate_rkey = remote.key;
	} else {
		wr.wr.rdma.remote_addr = remote.address;
		wr.wr.rdma.rkey = remote.key;
	}

	err = ibv_post_send(rig->pair.qp[0], &wr, &bad);
	return err ? -abs(err) : rig_wait(rig);
}

/* What to do with eight bytes at once. */
struct atomic_op {
	enum ibv_wr_opcode opcode;
	uint64_t compare; /* for a swap */
	uint64_t operand; /* the new value, or what is added */
};

/*
 * An atomic operation; @local takes what was there before, except for an atomic write.
 * ibv_post_send() has no place for that, and librxe lets no other be misaligned there.
 */
static inline void rig_post_atomic(struct rig *rig, const struct atomic_op *op, struct place local,
				   struct place remote)
{
	struct ibv_qp_ex *qp = ibv_qp_to_qp_ex(rig->pair.qp[0]);

	ibv_wr_start(qp);
	qp->wr_flags = IBV_SEND_SIGNALED;
	if (op->opcode == IBV_WR_ATOMIC_WRITE)
		ibv_wr_atomic_write(qp, remote.key, remote.address, &op->operand);
	else if (op->opcode == IBV_WR_ATOMIC_FETCH_AND_ADD)
		ibv_wr_atomic_fetch_add(qp, remote.key, remote.address, op->operand);
	else
		ibv_wr_atomic_cmp_swp(qp, remote.key, remote.address, op->compare, op->operand);
	if (op->opcode != IBV_WR_ATOMIC_WRITE)
		ibv_wr_set_sge(qp, local.key, local.address, sizeof(op->operand));
	must(-abs(ibv_wr_complete(qp)), "posting an atomic operation");
}

static inline int rig_atomic_to(struct rig *rig, const struct atomic_op *op, struct place local,
				struct place remote)
{
	rig_post_atomic(rig, op, local, remote);
	return rig_wait(rig);
}

/* The same, and what was there before. */
static inline int rig_atomic(struct rig *rig, const struct atomic_op *op, struct place remote,
			     uint64_t *ret_before)
{
	int status;

	memset(rig->host, 0x5a, 8);
	status = rig_atomic_to(rig, op, host_at(rig, 0), remote);
	memcpy(ret_before, rig->host, 8);
	return status;
}

/* A message from @from to @to; the worse of the two completions' statuses. */
static inline int rig_send(struct rig *rig, struct place from, struct place to, uint32_t length)
{
	struct ibv_sge sge = {.addr = to.address, .length = length, .lkey = to.key};
	struct ibv_recv_wr wr = {.sg_list = &sge, .num_sge = 1};
	struct ibv_recv_wr *bad;
	int first, second;

	if (ibv_post_recv(rig->pair.qp[1], &wr, &bad))
		die(0, "post_recv");
	first = rig_do(rig, IBV_WR_SEND, from, (struct place){}, length);
	second = rig_wait(rig);
	return first > second ? first : second;
}

#endif
