// SPDX-License-Identifier: MIT
/*
 * bw_client HOST RDMADEV [SECONDS [PORT]]: RDMA writes to the memory that bw_server offers.
 *
 *	bw_client 192.0.2.1 rxe0
 *
 * A plain verbs program: it gets an address and a key, and needs not know that
 * a PCI device is behind them. It measures writes of several sizes, DEPTH of
 * them in flight, leaves a pattern that the server checks, and reads it back. After the
 * server has taken the memory back, a write has to end with an error.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/bw.h"
#include "common/rc_link.h"
#include "common/story.h"

#define DEPTH	   16
#define TIMEOUT_MS 30000
#define DIAL_MS	   60000

static struct rc_link wire;
static struct rc_memory memory; /* the server's */
static struct ibv_mr *mr;
static uint8_t *host; /* the pattern; behind it, what is read back */

static int meet(const char *name, const char *service, const char *device)
{
	const struct rc_memory mine = {0};
	int r;

	r = rc_link_open(&wire, device, DEPTH);
	if (r)
		return story_fail(NULL, device, r);
	r = rc_link_dial(&wire, name, service, DIAL_MS);
	if (!r)
		r = rc_link_connect(&wire, &mine, &memory);
	if (r)
		return story_fail(NULL, name, r);
	if (!posix_memalign((void **)&host, 4096, 2 * memory.length_bytes))
		mr = ibv_reg_mr(wire.pd, host, 2 * memory.length_bytes, IBV_ACCESS_LOCAL_WRITE);
	if (!mr)
		return story_fail(NULL, "registering host memory", -errno);
	story_fill(host, memory.length_bytes, BW_SEED);
	memset(host + memory.length_bytes, 0, memory.length_bytes);
	story_tell("%s offers %s", name, story_size(memory.length_bytes));
	return 0;
}

static int post(enum ibv_wr_opcode opcode, uint64_t offset, uint32_t bytes)
{
	uint64_t place = offset + (opcode == IBV_WR_RDMA_READ ? memory.length_bytes : 0);
	struct ibv_sge sge = {(uintptr_t)host + place, bytes, mr->lkey};

	return rc_link_post(&wire, opcode, &sge, &memory, offset);
}

/* Writes of @bytes all over the memory, again and again, for @duration_us. */
static int measure(uint32_t bytes, double duration_us)
{
	double start = story_now_us(), end = start + duration_us, us;
	uint64_t offset = 0, done = 0, in_flight = 0;
	int r = 0;

	while (!r && (in_flight || story_now_us() < end)) {
		if (in_flight < DEPTH && story_now_us() < end) {
			r = post(IBV_WR_RDMA_WRITE, offset, bytes);
			offset = offset + 2 * bytes > memory.length_bytes ? 0 : offset + bytes;
			in_flight++;
		} else {
			r = rc_link_wait(&wire, TIMEOUT_MS);
			in_flight--;
			done++;
		}
	}
	if (r)
		return story_fail(NULL, "writing", r < 0 ? r : -EIO);
	us = story_now_us() - start;
	story_tell("%7u bytes: %8.2f MB/s, %.0f writes/s, %d in flight", bytes,
		   (double)(done * bytes) / us, (double)done / us * 1e6, DEPTH);
	return 0;
}

static int move_all(enum ibv_wr_opcode opcode)
{
	int r = post(opcode, 0, (uint32_t)memory.length_bytes);

	return r ? r : rc_link_wait(&wire, TIMEOUT_MS);
}

/* The whole pattern goes there and comes back, and the server looks at it. */
static int verify(void)
{
	uint32_t word = 0;
	int r;

	r = move_all(IBV_WR_RDMA_WRITE);
	if (!r)
		r = move_all(IBV_WR_RDMA_READ);
	if (r || story_check(host + memory.length_bytes, memory.length_bytes, BW_SEED) >= 0)
		return story_fail(NULL, "reading it back", r < 0 ? r : -EIO);
	story_tell("read back: all %s are right", story_size(memory.length_bytes));
	r = rc_link_tell(&wire, BW_WRITTEN);
	if (!r)
		r = rc_link_hear(&wire, &word);
	if (r || word != BW_RIGHT)
		return story_fail(NULL, "what the server sees", r ? r : -EIO);
	story_tell("the server sees the same in its device");
	return 0;
}

static int after_the_end(void)
{
	uint32_t word = 0;
	int r;

	r = rc_link_hear(&wire, &word);
	if (r || word != BW_REVOKED)
		return story_fail(NULL, "waiting for the end", r ? r : -EPROTO);
	r = move_all(IBV_WR_RDMA_WRITE);
	story_tell("a write after the server has taken it back: %s",
		   r < 0 ? strerror(-r) : ibv_wc_status_str((enum ibv_wc_status)r));
	return r != IBV_WC_REM_ACCESS_ERR;
}

int main(int argc, char **argv)
{
	double seconds = argc > 3 ? atof(argv[3]) : 1;
	int rc;

	if (argc < 3 || seconds <= 0)
		return story_tell("usage: bw_client HOST RDMADEV [SECONDS [PORT]]"), 2;
	rc = meet(argv[1], argc > 4 ? argv[4] : BW_SERVICE, argv[2]);
	for (uint32_t bytes = 4096; !rc && bytes <= memory.length_bytes; bytes *= 16)
		rc = measure(bytes, seconds * 1e6);
	rc = rc || verify() || after_the_end();
	if (mr)
		ibv_dereg_mr(mr);
	free(host);
	rc_link_close(&wire);
	if (!rc)
		story_tell("done: written to a PCI device of another machine");
	return rc;
}
