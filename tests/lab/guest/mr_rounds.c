/* SPDX-License-Identifier: MIT */
/*
 * mr_rounds ROUNDS DEVICE BDF BAR: bind, export, map, write, revoke, unbind, as
 * often as told.
 *
 * For the count of what stays behind: everything the kernel allocates for a
 * function, an export and a mapping comes and goes once a round. The way of
 * giving up changes from round to round: revoke first, close first, unbind
 * with everything open.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/exporter.h"
#include "common/labtest.h"
#include "common/pair.h"

#define LENGTH 0x4000

static struct {
	struct pair pair;
	struct ibv_mr *host;
	void *buffer;
	char spec[48];
	char bdf[16];
	int64_t revoke_ns[3];
} lab;

static int bind_driver(void)
{
	int tries, err = write_file("/sys/bus/pci/drivers/p2pdma_export/bind", lab.bdf);
	char node[48];

	snprintf(node, sizeof(node), "/dev/p2pdma/%s", lab.bdf);
	for (tries = 0; tries < 100 && !err; tries++) {
		if (!access(node, R_OK))
			return 0;
		usleep(1000);
	}
	return err ? err : -ETIMEDOUT;
}

/* Write through the mapping; a round with a spoilt pair starts with a new one. */
static int write_through(const struct dmabuf_mr *mr, unsigned int round)
{
	struct transfer transfer = {
		IBV_WR_RDMA_WRITE, (uintptr_t)lab.buffer, lab.host->lkey, 0, mr->rkey, LENGTH,
	};

	pattern_fill(lab.buffer, round, 256);
	return pair_transfer(&lab.pair, &transfer);
}

static int give_up(struct exporter *exporter, struct slice *slice, struct dmabuf_mr *mr,
		   unsigned int round)
{
	static const char *const ways[] = {"ioctl", "close", "unbind"};
	int64_t duration;
	int err = exporter_revoke(exporter, slice, ways[round % 3], &duration);

	if (!err && lab.revoke_ns[round % 3] < duration)
		lab.revoke_ns[round % 3] = duration;
	if (!err)
		err = dmabuf_mr_deregister(&lab.pair, mr);
	close(slice->fd);
	exporter_close(exporter);
	if (round % 3 != 2)
		err = err ? err : write_file("/sys/bus/pci/drivers/p2pdma_export/unbind", lab.bdf);
	return err;
}

static int one_round(unsigned int round)
{
	struct mr_request request = {.length = LENGTH, .access = MR_ALL_ACCESS};
	struct exporter exporter;
	struct dmabuf_mr mr;
	struct slice slice;
	uint8_t *window;
	int err = bind_driver();

	if (err || (err = exporter_open(lab.spec, &exporter)) ||
	    (err = exporter_slice(&exporter, round % 64 * LENGTH, LENGTH, 0, &slice)))
		return err;
	request.fd = slice.fd;
	err = dmabuf_mr_register(&lab.pair, MR_IOCTL, &request, &mr);
	window = exporter_map(&exporter, &slice);
	if (err || !window)
		return err ? err : -errno;
	window[0] = 0;
	err = write_through(&mr, round);
	if (!err && pattern_check(window, round, 256) >= 0)
		err = -EBADMSG;
	exporter_unmap(window, &slice);
	return err ? err : give_up(&exporter, &slice, &mr, round);
}

int main(int argc, char **argv)
{
	unsigned int rounds, round;
	int64_t begin;
	int err = 0;

	if (argc != 5) {
		fprintf(stderr, "usage: mr_rounds ROUNDS DEVICE BDF BAR\n");
		return 2;
	}
	rounds = (unsigned int)strtoul(argv[1], NULL, 0);
	snprintf(lab.bdf, sizeof(lab.bdf), "%.12s", argv[3]);
	snprintf(lab.spec, sizeof(lab.spec), "export:%s/%.1s", lab.bdf, argv[4]);
	must(pair_open(argv[2], &lab.pair), argv[2]);
	lab.buffer = aligned_alloc(4096, LENGTH);
	memset(lab.buffer, 0, LENGTH);
	lab.host = ibv_reg_mr(lab.pair.pd, lab.buffer, LENGTH, MR_ALL_ACCESS);
	if (!lab.host)
		die(-errno, "registering host memory");
	begin = now_ns();
	for (round = 0; round < rounds && !err; round++)
		err = one_round(round);
	tap_ok(err == 0, "rounds_all_complete", err);
	printf("# %u rounds, the last with %s\n", round, error_name(err));
	tap_figure("round", (now_ns() - begin) / 1e6 / (round ? round : 1), "ms");
	tap_figure("revoke_worst", lab.revoke_ns[0] / 1e3, "us");
	ibv_dereg_mr(lab.host);
	pair_close(&lab.pair);
	return tap_done();
}
