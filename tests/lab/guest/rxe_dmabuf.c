// SPDX-License-Identifier: MIT
/*
 * rxe_dmabuf RDMADEV BUFFER...: memory regions on a DMABUF, while all is well.
 *
 * Bytes moved by every operation that may touch such a memory region are
 * compared on the far side by the CPU's own view of the memory.
 */
#include "rxe_buffer.h"

#define IOVA 0x7000000000ULL

static struct rig rig;
static struct buffer buf;
static uint8_t scratch[BUFFER_SIZE];

static void test_rdma(void)
{
	struct mr_request range = buffer_request(&buf, IOVA, MR_ALL_ACCESS);
	struct dmabuf_mr mr = rig_register(&rig, &range);

	pattern_fill(rig.host, 1, buf.size);
	tap_is(rig_do(&rig, IBV_WR_RDMA_WRITE, host_at(&rig, 0), mr_at(&mr, IOVA), buf.size), 0,
	       "write_whole_buffer");
	tap_is(buffer_differs(&buf, 0, rig.host, buf.size), -1, "write_whole_buffer_bytes_arrive");

	pattern_fill(scratch, 2, buf.size);
	buffer_write(&buf, 0, scratch, buf.size);
	tap_is(rig_do(&rig, IBV_WR_RDMA_READ, host_at(&rig, 0), mr_at(&mr, IOVA), buf.size), 0,
	       "read_whole_buffer");
	tap_is(memcmp(rig.host, scratch, buf.size), 0, "read_whole_buffer_bytes_arrive");

	/* as the local side of a transfer */
	pattern_fill(scratch, 3, buf.size);
	buffer_write(&buf, 0, scratch, buf.size);
	tap_is(rig_do(&rig, IBV_WR_RDMA_WRITE, (struct place){IOVA, mr.lkey}, host_at(&rig, 0),
		      buf.size),
	       0, "write_from_buffer");
	tap_is(memcmp(rig.host, scratch, buf.size), 0, "write_from_buffer_bytes_arrive");
	pattern_fill(rig.host, 4, buf.size);
	tap_is(rig_do(&rig, IBV_WR_RDMA_READ, (struct place){IOVA, mr.lkey}, host_at(&rig, 0),
		      buf.size),
	       0, "read_into_buffer");
	tap_is(buffer_differs(&buf, 0, rig.host, buf.size), -1, "read_into_buffer_bytes_arrive");
	rig_deregister(&rig, &mr);
}

static void test_messages(void)
{
	struct mr_request range = buffer_request(&buf, IOVA, IBV_ACCESS_LOCAL_WRITE);
	struct dmabuf_mr mr = rig_register(&rig, &range);
	const uint32_t length = 3 * PAGE + 77;

	pattern_fill(rig.host, 5, length);
	tap_is(rig_send(&rig, host_at(&rig, 0), (struct place){IOVA + 5, mr.lkey}, length), 0,
	       "receive_into_buffer");
	tap_is(buffer_differs(&buf, 5, rig.host, length), -1, "receive_into_buffer_bytes_arrive");

	memset(rig.host, 0, length);
	buffer_read(&buf, 5, scratch, length);
	tap_is(rig_send(&rig, (struct place){IOVA + 5, mr.lkey}, host_at(&rig, 0), length), 0,
	       "send_from_buffer");
	tap_is(memcmp(rig.host, scratch, length), 0, "send_from_buffer_bytes_arrive");
	rig_deregister(&rig, &mr);
}

/* A write into a piece: it arrives where it should and nowhere else. */
static bool write_piece(uint64_t offset, uint64_t length, uint64_t iova, uint32_t seed)
{
	struct mr_request range = {.fd = buf.fd,
				   .offset = offset,
				   .length = length,
				   .iova = iova,
				   .access = MR_ALL_ACCESS};
	struct dmabuf_mr mr = rig_register(&rig, &range);
	int status;

	pattern_fill(scratch, seed, buf.size);
	buffer_write(&buf, 0, scratch, buf.size);
	pattern_fill(rig.host, seed + 1, length);
	memcpy(scratch + offset, rig.host, length);
	status = rig_do(&rig, IBV_WR_RDMA_WRITE, host_at(&rig, 0), mr_at(&mr, iova), length);
	rig_deregister(&rig, &mr);
	return status == IBV_WC_SUCCESS && buffer_differs(&buf, 0, scratch, buf.size) < 0;
}

static void test_pieces(void)
{
	unsigned int i, failures = 0;

	tap_ok(write_piece(0, 1, 0, 10), "write_one_byte_iova_zero", 0);
	tap_ok(write_piece(buf.size - 1, 1, IOVA + PAGE - 1, 11), "write_last_byte", 0);
	tap_ok(write_piece(0x234, 777, 0x1234567000ULL + 0x234, 12), "write_within_page", 0);
	tap_ok(write_piece(3 * PAGE + 0xffe, 4, IOVA + 0xffe, 13), "write_across_pages", 0);
	tap_ok(write_piece(5 * PAGE, 3 * PAGE, UINT64_MAX - 3 * PAGE + 1, 14),
	       "write_at_end_of_address_space", 0);
	tap_ok(write_piece(PAGE + 1, buf.size - PAGE - 2, 7 * PAGE + 1, 15),
	       "write_all_but_the_edges", 0);
	for (i = 0; i < 60; i++) {
		uint64_t offset = (i * 7919ULL) % (buf.size - 1);
		uint64_t length = 1 + (i * 104729ULL) % (buf.size - offset);

		failures += !write_piece(offset, length, (uint64_t)i << 33 | offset % PAGE, 20 + i);
	}
	tap_is(failures, 0, "write_60_pieces");
}

/* The newer method, which registers memory of either kind. */
static void test_any_method(void)
{
	struct mr_request range = {.fd = buf.fd,
				   .offset = PAGE,
				   .length = 2 * PAGE,
				   .iova = IOVA,
				   .access = MR_ALL_ACCESS};
	struct dmabuf_mr mr, host;

	tap_is(dmabuf_mr_register(&rig.pair, MR_ANY, &range, &mr), 0,
	       "register_buffer_by_any_method");
	range.fd = -1;
	range.offset = (uintptr_t)rig.host + 16 * PAGE;
	range.iova = 3 * IOVA;
	tap_is(dmabuf_mr_register(&rig.pair, MR_ANY, &range, &host), 0,
	       "register_memory_by_any_method");
	pattern_fill(rig.host + 16 * PAGE, 6, 2 * PAGE);
	tap_is(rig_do(&rig, IBV_WR_RDMA_WRITE, (struct place){range.iova, host.lkey},
		      mr_at(&mr, IOVA), 2 * PAGE),
	       0, "write_by_any_method");
	tap_is(buffer_differs(&buf, PAGE, rig.host + 16 * PAGE, 2 * PAGE), -1,
	       "write_by_any_method_bytes_arrive");
	rig_connect(&rig);
	rig_deregister(&rig, &host);
	rig_deregister(&rig, &mr);
}

/* Not more at once than a kernel with CONFIG_DMA_API_DEBUG takes without a warning. */
static void test_many(void)
{
	struct mr_request range = buffer_request(&buf, IOVA, MR_ALL_ACCESS);
	struct dmabuf_mr mrs[6];
	int round, i, errors = 0;

	for (round = 0; round < 20; round++) {
		for (i = 0; i < 6; i++) {
			range.iova = IOVA + i * buf.size;
			mrs[i] = rig_register(&rig, &range);
		}
		pattern_fill(rig.host, round, PAGE);
		errors += !!rig_do(&rig, IBV_WR_RDMA_WRITE, host_at(&rig, 0),
				   mr_at(&mrs[5], range.iova), PAGE);
		errors += !!rig_do(&rig, IBV_WR_RDMA_READ, host_at(&rig, PAGE),
				   mr_at(&mrs[0], IOVA), PAGE);
		errors += !!memcmp(rig.host, rig.host + PAGE, PAGE);
		for (i = 0; i < 6; i++)
			rig_deregister(&rig, &mrs[i]);
	}
	tap_is(errors, 0, "share_buffer_by_6_regions_20_times");
}

int main(int argc, char **argv)
{
	if (argc < 3)
		die(0, "usage: rxe_dmabuf RDMADEV BUFFER...");
	rig_init(&rig, argv[1]);
	buffer_init(&buf, argc - 2, argv + 2);

	test_rdma();
	test_messages();
	test_pieces();
	test_any_method();
	test_many();

	rig_done(&rig);
	return tap_done();
}
