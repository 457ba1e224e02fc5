/* SPDX-License-Identifier: MIT */
#ifndef SELFTEST_H
#define SELFTEST_H

#include <stdbool.h>
#include <stdint.h>

#include <infiniband/verbs.h>
#include <p2pdma/p2pdma.h>

#include "common/rc_pair.h"
#include "common/story.h"

#define SLICE (256U << 10)
#define PAGE  4096U
#define ACCESS                                                                                     \
	((unsigned int)(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE))

/* What all cases share: one machine, as the command line names it. */
struct selftest {
	struct p2pdma_context *context;
	struct p2pdma_provider *provider;
	struct rc_pair pair; /* 2 * SLICE of host memory */
	uint32_t backend;
	int nr_cases;
	int nr_failed;
};

extern struct selftest selftest;

/* Opens and closes what is shared; open ends the program when it fails. */
void selftest_open(const char *provider, const char *device, uint32_t backend);
void selftest_close(void);

/* One case of the report. Returns @is_good. @detail: an errno, a byte, anything that helps. */
bool tap_ok(bool is_good, const char *name, long detail);
void tap_skip(const char *name, const char *why);
/* The plan, at the end; the exit status. */
int tap_done(void);

/* A buffer of one range; NULL with a failed case. */
struct p2pdma_buffer *new_buffer(uint64_t offset, uint64_t bytes, uint32_t flags);
/* A region of a whole buffer with iova 0; NULL with a failed case. */
struct p2pdma_mr *new_mr(struct p2pdma_buffer *buffer);
void *new_map(struct p2pdma_buffer *buffer);

/*
 * RDMA between host memory at @host_offset and @iova of the region. 0, or the
 * status of the completion that says it failed, after which the queue pairs are
 * fresh; -errno for anything else.
 */
int transfer(enum ibv_wr_opcode opcode, size_t host_offset, uint32_t bytes, uint64_t iova,
	     uint32_t rkey);

/* Takes events until one of @type comes; false when there is none. */
bool wait_event(uint32_t type, int timeout_ms, struct p2pdma_event *ret_event);
void drain_events(void);

int count_fds(void);

void test_data(void);
void test_registration(void);
void test_revocation(void);
void test_adoption(void);

#endif /* SELFTEST_H */
