/* SPDX-License-Identifier: MIT */
/*
 * mr_hold DEVICE EXPORTER: registers a slice, prints READY, and writes through
 * it until the RDMA device is taken away from under it. The process then must
 * see errors, get rid of everything it holds, and end.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/exporter.h"
#include "common/labtest.h"
#include "common/pair.h"

#define LENGTH	0x20000
#define WAIT_NS (60 * 1000000000LL)

int main(int argc, char **argv)
{
	struct mr_request request = {.length = LENGTH, .access = MR_ALL_ACCESS};
	struct transfer transfer = {.opcode = IBV_WR_RDMA_WRITE, .length = LENGTH};
	int64_t deadline = now_ns() + WAIT_NS;
	struct exporter exporter;
	struct dmabuf_mr mr;
	struct slice slice;
	struct pair pair;
	struct ibv_mr *host;
	void *buffer = aligned_alloc(4096, LENGTH);
	int status;

	if (argc != 3) {
		fprintf(stderr, "usage: mr_hold DEVICE EXPORTER\n");
		return 2;
	}
	must(exporter_open(argv[2], &exporter), argv[2]);
	must(exporter_slice(&exporter, 0, LENGTH, 0, &slice), "slice");
	must(pair_open(argv[1], &pair), argv[1]);
	pattern_fill(buffer, 5, LENGTH);
	host = ibv_reg_mr(pair.pd, buffer, LENGTH, MR_ALL_ACCESS);
	request.fd = slice.fd;
	must(host ? 0 : -errno, "registering host memory");
	must(dmabuf_mr_register(&pair, MR_IOCTL, &request, &mr), "registering the slice");
	transfer.local = (uintptr_t)buffer;
	transfer.lkey = host->lkey;
	transfer.rkey = mr.rkey;
	tap_ok(pair_transfer(&pair, &transfer) == 0, "write_before_the_unplug_completes", 0);
	printf("# READY\n");
	fflush(stdout);
	do {
		status = pair_transfer(&pair, &transfer);
	} while (!status && now_ns() < deadline);
	tap_ok(status != 0, "write_after_the_unplug_fails", status);
	tap_ok(dmabuf_mr_register(&pair, MR_IOCTL, &request, &mr) < 0,
	       "register_after_the_unplug_fails", 0);
	pair_close(&pair);
	close(slice.fd);
	exporter_close(&exporter);
	tap_ok(true, "everything_is_closed", 0);
	return tap_done();
}
