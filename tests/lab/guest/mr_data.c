/* SPDX-License-Identifier: MIT */
/*
 * mr_data [-w verbs|ioctl] [-e ERRNO] [-o FILE] DEVICE EXPORTER: RDMA to and
 * from a DMABUF, by the kernel's interfaces alone.
 *
 * A slice of the exporter is registered, written and read by RDMA, with offsets
 * and with an iova of its own, and each byte is compared through the CPU's own
 * mapping. -e: registering has to fail with that errno, and nothing else is
 * tried. -o: what the slice must hold at the end, for the host to compare.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/exporter.h"
#include "common/labtest.h"
#include "common/pair.h"

#define SLICE_OFFSET 0x100000
#define SLICE_LENGTH 0x80000
#define IOVA	     0x7000000000ULL

static struct {
	struct exporter exporter;
	struct slice slice;
	struct pair pair;
	enum mr_way way;
	uint8_t *window;
	uint8_t *buffer;
	struct ibv_mr *host;
} lab;

static int reg(uint64_t offset, uint64_t length, uint64_t iova, uint32_t access,
	       struct dmabuf_mr *mr)
{
	struct mr_request request = {lab.slice.fd, offset, length, iova, access};

	return dmabuf_mr_register(&lab.pair, lab.way, &request, mr);
}

/* Between the host's buffer and @remote; a failed one leaves a fresh pair behind. */
static int move(enum ibv_wr_opcode opcode, uint64_t at, uint64_t remote, uint32_t rkey,
		uint32_t length)
{
	struct transfer transfer = {
		opcode, (uintptr_t)lab.buffer + at, lab.host->lkey, remote, rkey, length,
	};
	int status = pair_transfer(&lab.pair, &transfer);

	if (status)
		must(pair_reconnect(&lab.pair), "reconnecting");
	return status;
}

static void test_whole(void)
{
	struct dmabuf_mr mr;
	int ret = reg(0, SLICE_LENGTH, 0, MR_ALL_ACCESS, &mr);

	if (!tap_ok(ret == 0, "register_whole_slice_succeeds", ret))
		return;
	memset(lab.window, 0, SLICE_LENGTH);
	pattern_fill(lab.buffer, 1, SLICE_LENGTH);
	ret = move(IBV_WR_RDMA_WRITE, 0, 0, mr.rkey, SLICE_LENGTH);
	tap_ok(ret == 0, "write_whole_completes", ret);
	tap_ok(pattern_check(lab.window, 1, SLICE_LENGTH) < 0, "write_whole_bytes_arrive",
	       pattern_check(lab.window, 1, SLICE_LENGTH));
	memset(lab.buffer, 0, SLICE_LENGTH);
	ret = move(IBV_WR_RDMA_READ, 0, 0, mr.rkey, SLICE_LENGTH);
	tap_ok(ret == 0, "read_whole_completes", ret);
	tap_ok(pattern_check(lab.buffer, 1, SLICE_LENGTH) < 0, "read_whole_bytes_equal",
	       pattern_check(lab.buffer, 1, SLICE_LENGTH));
	ret = dmabuf_mr_deregister(&lab.pair, &mr);
	tap_ok(ret == 0, "deregister_succeeds", ret);
}

/* A piece in the middle, with an iova of its own: nothing beside it may change. */
static void test_offset(void)
{
	const uint64_t offset = 0x3000, length = 0x5000;
	struct dmabuf_mr mr;
	uint64_t i, strays = 0;
	int ret = reg(offset, length, IOVA + 0x8000, MR_ALL_ACCESS, &mr);

	if (!tap_ok(ret == 0, "register_at_offset_with_iova_succeeds", ret))
		return;
	memset(lab.window, 0xee, SLICE_LENGTH);
	pattern_fill(lab.buffer, 2, 0x2345);
	/* Unaligned in every way, across page borders. */
	ret = move(IBV_WR_RDMA_WRITE, 0, IOVA + 0x8000 + 0x1ffd, mr.rkey, 0x2345);
	tap_ok(ret == 0, "write_unaligned_completes", ret);
	tap_ok(pattern_check(lab.window + offset + 0x1ffd, 2, 0x2345) < 0,
	       "write_unaligned_bytes_arrive",
	       pattern_check(lab.window + offset + 0x1ffd, 2, 0x2345));
	for (i = 0; i < SLICE_LENGTH; i++)
		if ((i < offset + 0x1ffd || i >= offset + 0x1ffd + 0x2345) && lab.window[i] != 0xee)
			strays++;
	tap_ok(strays == 0, "write_unaligned_leaves_the_rest", (long long)strays);
	ret = move(IBV_WR_RDMA_WRITE, 0, IOVA + 0x8000 + length - 4, mr.rkey, 8);
	tap_ok(ret == IBV_WC_REM_ACCESS_ERR, "write_past_the_end_is_an_access_error", ret);
	ret = move(IBV_WR_RDMA_READ, 0, IOVA + 0x8000 - 8, mr.rkey, 8);
	tap_ok(ret == IBV_WC_REM_ACCESS_ERR, "read_before_the_start_is_an_access_error", ret);
	tap_ok(lab.window[offset + length] == 0xee && lab.window[offset + length - 1] == 0xee,
	       "access_error_writes_nothing", lab.window[offset + length]);
	ret = dmabuf_mr_deregister(&lab.pair, &mr);
	tap_ok(ret == 0, "deregister_at_offset_succeeds", ret);
}

/* The slice as the side that is read or written locally. */
static void test_local(void)
{
	struct dmabuf_mr mr;
	struct transfer transfer = {.opcode = IBV_WR_RDMA_WRITE, .local = IOVA, .length = 0x4000};
	int ret = reg(0x10000, 0x4000, IOVA, IBV_ACCESS_LOCAL_WRITE, &mr);

	if (!tap_ok(ret == 0, "register_for_local_use_succeeds", ret))
		return;
	transfer.lkey = mr.lkey;
	transfer.remote = (uintptr_t)lab.buffer;
	transfer.rkey = lab.host->rkey;
	pattern_fill(lab.window + 0x10000, 3, 0x4000);
	memset(lab.buffer, 0, 0x4000);
	ret = pair_transfer(&lab.pair, &transfer);
	tap_ok(ret == 0 && pattern_check(lab.buffer, 3, 0x4000) < 0,
	       "write_from_the_slice_to_the_host", ret);
	pattern_fill(lab.buffer, 4, 0x4000);
	transfer.opcode = IBV_WR_RDMA_READ;
	ret = pair_transfer(&lab.pair, &transfer);
	tap_ok(ret == 0 && pattern_check(lab.window + 0x10000, 4, 0x4000) < 0,
	       "read_from_the_host_into_the_slice", ret);
	ret = move(IBV_WR_RDMA_WRITE, 0, IOVA, mr.rkey, 64);
	tap_ok(ret == IBV_WC_REM_ACCESS_ERR, "remote_write_without_the_right_is_refused", ret);
	dmabuf_mr_deregister(&lab.pair, &mr);
}

static void refused(int wanted, const char *name, int ret, struct dmabuf_mr *mr)
{
	if (ret == 0)
		dmabuf_mr_deregister(&lab.pair, mr);
	tap_ok(ret == wanted, name, ret);
}

static void test_refusals(void)
{
	struct mr_request request = {-1, 0, 0x1000, 0, MR_ALL_ACCESS};
	struct dmabuf_mr mr;

	refused(-EINVAL, "register_past_the_end_einval",
		reg(SLICE_LENGTH - 0x1000, 0x2000, 0, MR_ALL_ACCESS, &mr), &mr);
	refused(-EINVAL, "register_overflowing_range_einval",
		reg(0x1000, UINT64_MAX - 0xfff, 0, MR_ALL_ACCESS, &mr), &mr);
	refused(-EINVAL, "register_nothing_einval", reg(0, 0, 0, MR_ALL_ACCESS, &mr), &mr);
	refused(-EINVAL, "register_iova_and_offset_disagree_einval",
		reg(0x1000, 0x1000, IOVA + 0x10, MR_ALL_ACCESS, &mr), &mr);
	refused(-EBADF, "register_closed_fd_ebadf",
		dmabuf_mr_register(&lab.pair, lab.way, &request, &mr), &mr);
	request.fd = must(open("/dev/null", O_RDWR | O_CLOEXEC), "/dev/null");
	refused(-EINVAL, "register_foreign_fd_einval",
		dmabuf_mr_register(&lab.pair, lab.way, &request, &mr), &mr);
	close(request.fd);
}

/*
 * Many at once over one DMABUF, whose descriptor is closed before their end. The
 * kernel's DMA-API debugging takes more than seven mappings of a page for a leak.
 */
static void test_many(void)
{
	enum {
		NR = 32,
		PIECE = SLICE_LENGTH / NR
	};
	const int nr = access("/sys/kernel/debug/dma-api", F_OK) ? NR : 6;
	struct dmabuf_mr mr[NR];
	int i, ret = 0, status = 0;
	struct slice own;

	must(exporter_slice(&lab.exporter, SLICE_OFFSET, SLICE_LENGTH, 0, &own), "second slice");
	for (i = 0; i < nr && !ret; i++) {
		struct mr_request request = {
			own.fd, (uint64_t)i * PIECE, PIECE, IOVA, MR_ALL_ACCESS,
		};

		ret = dmabuf_mr_register(&lab.pair, lab.way, &request, &mr[i]);
	}
	tap_ok(ret == 0, "register_many_over_one_dmabuf", ret);
	if (ret)
		return;
	close(own.fd);
	for (i = 0; i < nr && !status; i++) {
		pattern_fill(lab.buffer, 100 + i, PIECE);
		status = move(IBV_WR_RDMA_WRITE, 0, IOVA, mr[i].rkey, PIECE);
	}
	tap_ok(status == 0, "write_through_many_after_the_fd_is_closed", status);
	for (i = 0, ret = 0; i < nr; i++)
		ret |= dmabuf_mr_deregister(&lab.pair, &mr[i]);
	tap_ok(ret == 0, "deregister_many", ret);
	if (!exporter_is_peer(&lab.exporter))
		return;
	for (i = 0, ret = -1; i < nr && ret < 0; i++)
		ret = (int)pattern_check(lab.window + i * PIECE, 100 + i, PIECE);
	tap_ok(ret < 0, "write_through_many_bytes_arrive", ret);
}

static void write_expected(const char *file)
{
	FILE *out = fopen(file, "w");

	if (!out)
		die(-errno, "%s", file);
	pattern_fill(lab.window, 77, SLICE_LENGTH);
	pattern_fill(lab.buffer, 78, SLICE_LENGTH);
	/* The CPU's pattern below, RDMA's above it. */
	must(pair_reconnect(&lab.pair), "reconnecting");
	for (int i = 0; i < SLICE_LENGTH; i++)
		putc(i < SLICE_LENGTH / 2 ? pattern_byte(77, i) : pattern_byte(78, i), out);
	fclose(out);
}

static void test_for_the_host(const char *file)
{
	struct dmabuf_mr mr;
	int ret = reg(0, SLICE_LENGTH, 0, MR_ALL_ACCESS, &mr);

	must(ret, "registering for the host");
	write_expected(file);
	ret = move(IBV_WR_RDMA_WRITE, SLICE_LENGTH / 2, SLICE_LENGTH / 2, mr.rkey,
		   SLICE_LENGTH / 2);
	tap_ok(ret == 0, "write_for_the_host_completes", ret);
	dmabuf_mr_deregister(&lab.pair, &mr);
}

static void set_up(const char *device, const char *spec)
{
	must(exporter_open(spec, &lab.exporter), spec);
	must(exporter_slice(&lab.exporter, SLICE_OFFSET, SLICE_LENGTH, 0, &lab.slice), "slice");
	must(pair_open(device, &lab.pair), device);
	lab.buffer = aligned_alloc(4096, SLICE_LENGTH);
	lab.host = ibv_reg_mr(lab.pair.pd, lab.buffer, SLICE_LENGTH, MR_ALL_ACCESS);
	if (!lab.host)
		die(-errno, "registering host memory");
}

int main(int argc, char **argv)
{
	const char *expected = NULL, *file = NULL;
	struct dmabuf_mr mr;
	int opt, ret;

	lab.way = MR_IOCTL;
	while ((opt = getopt(argc, argv, "w:e:o:")) != -1) {
		if (opt == 'w')
			lab.way = strcmp(optarg, "verbs") ? MR_IOCTL : MR_VERBS;
		else if (opt == 'e')
			expected = optarg;
		else if (opt == 'o')
			file = optarg;
		else
			return 2;
	}
	if (argc - optind != 2) {
		fprintf(stderr, "usage: mr_data [-w WAY] [-e ERRNO] [-o FILE] DEVICE EXPORTER\n");
		return 2;
	}
	set_up(argv[optind], argv[optind + 1]);
	if (expected) {
		ret = reg(0, SLICE_LENGTH, 0, MR_ALL_ACCESS, &mr);
		tap_ok(!strcmp(error_name(ret), expected), "register_is_refused", ret);
		return tap_done();
	}
	lab.window = exporter_map(&lab.exporter, &lab.slice);
	if (!lab.window)
		die(-errno, "mapping the slice");
	test_whole();
	test_offset();
	test_local();
	test_refusals();
	test_many();
	if (file)
		test_for_the_host(file);
	exporter_unmap(lab.window, &lab.slice);
	ibv_dereg_mr(lab.host);
	pair_close(&lab.pair);
	close(lab.slice.fd);
	exporter_close(&lab.exporter);
	return tap_done();
}
