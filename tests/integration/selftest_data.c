// SPDX-License-Identifier: MIT
/*
 * Bytes: what RDMA writes is what RDMA reads and what the CPU sees, at every
 * offset, over every piece, and nowhere else.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "selftest.h"

static void write_whole(void)
{
	struct p2pdma_buffer *buffer = new_buffer(0, SLICE, 0);
	struct p2pdma_mr *mr = buffer ? new_mr(buffer) : NULL;
	uint8_t *host = selftest.pair.host;
	uint8_t *window;
	int r;

	if (!mr)
		return;
	window = new_map(buffer);
	if (!window)
		return;
	story_fill(host, SLICE, 1);
	memset(host + SLICE, 0, SLICE);
	r = transfer(IBV_WR_RDMA_WRITE, 0, SLICE, 0, p2pdma_mr_rkey(mr));
	tap_ok(!r, "write_whole_completes", r);
	tap_ok(story_check(window, SLICE, 1) < 0, "write_whole_seen_by_cpu",
	       story_check(window, SLICE, 1));
	r = transfer(IBV_WR_RDMA_READ, SLICE, SLICE, 0, p2pdma_mr_rkey(mr));
	tap_ok(!r && story_check(host + SLICE, SLICE, 1) < 0, "read_whole_bytes_equal", r);
	/* The other way round: the CPU writes, RDMA reads. */
	story_fill(window, SLICE, 2);
	r = transfer(IBV_WR_RDMA_READ, SLICE, SLICE, 0, p2pdma_mr_rkey(mr));
	tap_ok(!r && story_check(host + SLICE, SLICE, 2) < 0, "read_what_cpu_wrote", r);
	tap_ok(!p2pdma_mr_deregister(mr), "deregister_succeeds", 0);
	p2pdma_buffer_free(buffer);
}

/* A region inside the buffer, unaligned, with an iova of its own: nothing beside it changes. */
static void write_part(void)
{
	static const struct {
		uint32_t offset, bytes;
	} parts[] = {{0, 1}, {PAGE, PAGE}, {5, 3 * PAGE + 11}, {SLICE - 7, 7}, {123 * 64, 100001}};
	struct p2pdma_buffer *buffer = new_buffer(SLICE, SLICE, 0);
	uint8_t *host = selftest.pair.host;
	uint8_t *window;

	if (!buffer)
		return;
	window = new_map(buffer);
	for (size_t i = 0; window && i < sizeof(parts) / sizeof(parts[0]); i++) {
		uint64_t iova = 0x123456789000ULL + parts[i].offset % PAGE;
		uint32_t offset = parts[i].offset, bytes = parts[i].bytes;
		struct p2pdma_mr *mr = NULL;
		uint8_t *expected = host + SLICE;
		int r;

		story_fill(window, SLICE, 7);
		story_fill(expected, SLICE, 7);
		story_fill(host, bytes, 9);
		memcpy(expected + offset, host, bytes);
		r = p2pdma_mr_register(selftest.pair.pd, buffer, offset, bytes, iova, ACCESS, &mr);
		if (!tap_ok(!r, "register_part_with_own_iova", r))
			continue;
		r = transfer(IBV_WR_RDMA_WRITE, 0, bytes, iova, p2pdma_mr_rkey(mr));
		tap_ok(!r && !memcmp(window, expected, SLICE), "write_part_touches_nothing_else",
		       r);
		r = transfer(IBV_WR_RDMA_WRITE, 0, bytes, iova + 1, p2pdma_mr_rkey(mr));
		tap_ok(r == IBV_WC_REM_ACCESS_ERR, "write_past_the_end_is_refused", r);
		tap_ok(!memcmp(window, expected, SLICE), "refused_write_changes_nothing", 0);
		tap_ok(!p2pdma_mr_deregister(mr), "deregister_part_succeeds", 0);
	}
	p2pdma_buffer_free(buffer);
}

static int export_pieces(struct p2pdma_buffer **ret_buffer)
{
	/* Neither in order nor of one size. */
	static const struct p2pdma_range ranges[] = {
		{64 * PAGE, 3 * PAGE}, {0, PAGE}, {200 * PAGE, 10 * PAGE}, {32 * PAGE, 2 * PAGE}};
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;

	options.backend = selftest.backend;
	return p2pdma_buffer_new(selftest.context, selftest.provider, ranges, 4, &options,
				 ret_buffer);
}

static void write_pieces(void)
{
	struct p2pdma_buffer *buffer = NULL;
	struct p2pdma_mr *mr = NULL;
	uint8_t *host = selftest.pair.host;
	uint8_t *window;
	int r;

	r = export_pieces(&buffer);
	if (!tap_ok(!r && p2pdma_buffer_size_bytes(buffer) == 16 * PAGE, "export_pieces", r))
		return;
	r = p2pdma_mr_register(selftest.pair.pd, buffer, 0, 16 * PAGE, 0, ACCESS, &mr);
	if (r == -EADDRINUSE) {
		tap_skip("write_pieces", "this kernel can't map pieces through an IOMMU for VFIO");
		p2pdma_buffer_free(buffer);
		return;
	}
	window = tap_ok(!r, "register_pieces", r) ? new_map(buffer) : NULL;
	if (window) {
		story_fill(host, 16 * PAGE, 3);
		r = transfer(IBV_WR_RDMA_WRITE, 0, 16 * PAGE, 0, p2pdma_mr_rkey(mr));
		tap_ok(!r && story_check(window, 16 * PAGE, 3) < 0, "write_pieces_in_order", r);
		/* Across the border between two pieces. */
		memset(host + SLICE, 0, SLICE);
		r = transfer(IBV_WR_RDMA_READ, SLICE, 100, 3 * PAGE - 50, p2pdma_mr_rkey(mr));
		tap_ok(!r && !memcmp(host + SLICE, host + 3 * PAGE - 50, 100),
		       "read_across_a_border", r);
	}
	tap_ok(!p2pdma_mr_deregister(mr), "deregister_pieces", 0);
	p2pdma_buffer_free(buffer);
}

static void write_read_only(void)
{
	struct p2pdma_buffer *buffer = new_buffer(0, SLICE, P2PDMA_BUFFER_READ_ONLY);
	struct p2pdma_mr *mr = NULL;
	void *address;
	int r;

	if (!buffer)
		return;
	r = p2pdma_mr_register(selftest.pair.pd, buffer, 0, SLICE, 0, ACCESS, &mr);
	tap_ok(r == -EACCES, "register_read_only_for_writing_eacces", r);
	r = p2pdma_buffer_map(buffer, 0, SLICE, P2PDMA_MAP_WRITE, &address);
	tap_ok(r == -EACCES, "map_read_only_for_writing_eacces", r);
	r = p2pdma_mr_register(selftest.pair.pd, buffer, 0, SLICE, 0, IBV_ACCESS_REMOTE_READ, &mr);
	if (tap_ok(!r, "register_read_only_for_reading", r)) {
		r = transfer(IBV_WR_RDMA_READ, SLICE, SLICE, 0, p2pdma_mr_rkey(mr));
		tap_ok(!r, "read_from_read_only", r);
		r = transfer(IBV_WR_RDMA_WRITE, 0, PAGE, 0, p2pdma_mr_rkey(mr));
		tap_ok(r == IBV_WC_REM_ACCESS_ERR, "write_to_read_only_is_refused", r);
	}
	tap_ok(!p2pdma_mr_deregister(mr), "deregister_read_only", 0);
	p2pdma_buffer_free(buffer);
}

void test_data(void)
{
	write_whole();
	write_part();
	write_pieces();
	write_read_only();
}
