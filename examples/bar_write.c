// SPDX-License-Identifier: MIT
/*
 * bar_write PROVIDER RDMADEV [BYTES [FILE]]: RDMA into a PCI device's memory and back.
 *
 *	bar_write 0000:01:00.0/2 rxe0
 *
 * A slice of the BAR becomes a DMABUF, the DMABUF a memory region. The NIC
 * writes a pattern from host memory into it and reads it back into other host
 * memory; the CPU looks at the BAR as well. All three must agree. The pattern goes
 * to FILE, too, for whoever can look at the device from its other side.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rc_pair.h"
#include "common/story.h"

#define ACCESS                                                                                     \
	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE |               \
	 IBV_ACCESS_RELAXED_ORDERING)

static struct p2pdma_context *context;
static struct p2pdma_provider *provider;
static struct p2pdma_buffer *buffer;
static struct p2pdma_mr *mr;
static struct rc_pair pair;

static const char *method_name(void)
{
	return p2pdma_mr_method(mr) == P2PDMA_MR_METHOD_UVERBS ?
		       "the kernel's own method; the NIC's library lacks ibv_reg_dmabuf_mr()" :
		       "ibv_reg_dmabuf_mr()";
}

static int prepare(const char *name, const char *device, uint64_t bytes)
{
	struct p2pdma_range range = {.offset_bytes = 0, .length_bytes = bytes};
	double start;
	int r;

	if (story_open(name, &context, &provider))
		return 1;
	start = story_now_us();
	r = p2pdma_buffer_new(context, provider, &range, 1, NULL, &buffer);
	if (r)
		return story_fail(context, "exporting the BAR", r);
	story_tell("exported its first %s as DMABUF %d in %.0f us", story_size(bytes),
		   p2pdma_buffer_fd(buffer), story_now_us() - start);
	r = rc_pair_open(&pair, device, 2 * bytes);
	if (r)
		return story_fail(NULL, device, r);
	start = story_now_us();
	r = p2pdma_mr_register(pair.pd, buffer, 0, bytes, 0, ACCESS, &mr);
	if (r)
		return story_fail(context, "registering the memory region", r);
	story_tell("registered it with %s in %.0f us, rkey 0x%x", device, story_now_us() - start,
		   p2pdma_mr_rkey(mr));
	story_tell("    by %s", method_name());
	return 0;
}

static int move(enum ibv_wr_opcode opcode, size_t offset, uint32_t bytes)
{
	struct rc_remote remote = {.address = p2pdma_mr_iova(mr), .rkey = p2pdma_mr_rkey(mr)};
	const char *what =
		opcode == IBV_WR_RDMA_WRITE ? "RDMA write, host -> BAR" : "RDMA read,  BAR -> host";
	double start = story_now_us(), us;
	int r;

	r = rc_pair_transfer(&pair, opcode, offset, bytes, &remote);
	if (r)
		return story_fail(NULL, what, r);
	us = story_now_us() - start;
	story_tell("%s: %s in %.0f us, %.0f MB/s", what, story_size(bytes), us, bytes / us);
	return 0;
}

static int keep(const char *path, const uint8_t *pattern, size_t bytes)
{
	FILE *file = fopen(path, "w");
	size_t done = file ? fwrite(pattern, 1, bytes, file) : 0;

	if (!file || fclose(file) || done != bytes)
		return story_fail(NULL, path, -EIO);
	return 0;
}

static int tell(const char *name, const char *device, uint32_t bytes)
{
	void *window;
	int r;

	if (prepare(name, device, bytes))
		return 1;
	story_fill(pair.host, bytes, 1);
	memset(pair.host + bytes, 0, bytes);
	if (move(IBV_WR_RDMA_WRITE, 0, bytes) || move(IBV_WR_RDMA_READ, bytes, bytes))
		return 1;
	if (story_compare("read back by RDMA", pair.host + bytes, bytes, 1))
		return 1;
	r = p2pdma_buffer_map(buffer, 0, bytes, P2PDMA_MAP_READ, &window);
	if (r)
		return story_fail(context, "mapping the BAR", r);
	return story_compare("seen by the CPU in the BAR", window, bytes, 1);
}

int main(int argc, char **argv)
{
	long bytes = argc > 3 ? atol(argv[3]) : 1 << 20;
	int rc;

	if (argc < 3 || bytes <= 0 || bytes > 1 << 30) {
		story_tell("usage: bar_write PROVIDER RDMADEV [BYTES [FILE]]");
		return 2;
	}
	rc = tell(argv[1], argv[2], (uint32_t)bytes) ||
	     (argc > 4 && keep(argv[4], pair.host, (size_t)bytes));
	if (p2pdma_mr_deregister(mr))
		rc = story_fail(context, "deregistering", -EBUSY);
	p2pdma_buffer_free(buffer);
	rc_pair_close(&pair);
	p2pdma_provider_unref(provider);
	p2pdma_context_close(context);
	if (!rc)
		story_tell("done: the NIC and the PCI device spoke to each other, no host copy");
	return rc;
}
