/* SPDX-License-Identifier: MIT */
/*
 * mr_latency ROUNDS DEVICE EXPORTER WAY: how long a revocation takes with a
 * memory region on the DMABUF, idle and with writes in flight.
 *
 * WAY is "ioctl" for our module, "decode-off" or "reset" for VFIO. Prints
 * minimum, median and maximum of each, in microseconds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/exporter.h"
#include "common/labtest.h"
#include "common/pair.h"

#define LENGTH	   0x100000
#define IN_FLIGHT  12
#define MAX_ROUNDS 1000

static struct {
	struct exporter exporter;
	struct pair pair;
	struct ibv_mr *host;
	void *buffer;
	const char *way;
} lab;

/* Errors are what is expected here; the pair is new in the next round. */
static void drain(int nr)
{
	while (nr-- > 0)
		if (pair_wait(&lab.pair) < 0)
			die(-ETIMEDOUT, "a request never ends");
}

static int64_t one_round(bool is_traffic)
{
	struct mr_request request = {.length = LENGTH, .access = MR_ALL_ACCESS};
	struct transfer transfer = {
		IBV_WR_RDMA_WRITE, (uintptr_t)lab.buffer, lab.host->lkey, 0, 0, LENGTH,
	};
	struct dmabuf_mr mr;
	struct slice slice;
	int64_t duration, unused;
	int i;

	must(exporter_slice(&lab.exporter, 0, LENGTH, 0, &slice), "slice");
	request.fd = slice.fd;
	must(dmabuf_mr_register(&lab.pair, MR_IOCTL, &request, &mr), "registering");
	transfer.rkey = mr.rkey;
	must(pair_transfer(&lab.pair, &transfer) == 0 ? 0 : -EIO, "the first write");
	for (i = 0; is_traffic && i < IN_FLIGHT; i++)
		must(pair_post(&lab.pair, &transfer), "posting");
	if (is_traffic)
		usleep(500);
	must(exporter_revoke(&lab.exporter, &slice, lab.way, &duration), lab.way);
	if (is_traffic) {
		drain(IN_FLIGHT);
		must(pair_reconnect(&lab.pair), "reconnecting");
	}
	must(dmabuf_mr_deregister(&lab.pair, &mr), "deregistering");
	close(slice.fd);
	if (!strcmp(lab.way, "decode-off"))
		must(exporter_revoke(&lab.exporter, &slice, "decode-on", &unused), "decode on");
	return duration;
}

static int compare(const void *left, const void *right)
{
	int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;

	return a < b ? -1 : a > b;
}

static void measure(const char *name, bool is_traffic, unsigned int rounds)
{
	static int64_t times[MAX_ROUNDS];
	char key[40];
	unsigned int i;

	for (i = 0; i < rounds; i++)
		times[i] = one_round(is_traffic);
	qsort(times, rounds, sizeof(times[0]), compare);
	printf("LATENCY %s %.1f %.1f %.1f\n", name, times[0] / 1e3, times[rounds / 2] / 1e3,
	       times[rounds - 1] / 1e3);
	snprintf(key, sizeof(key), "revoke_%s_median", name);
	tap_figure(key, times[rounds / 2] / 1e3, "us");
	tap_ok(true, key, 0);
}

int main(int argc, char **argv)
{
	unsigned int rounds = argc == 5 ? (unsigned int)atoi(argv[1]) : 0;

	if (rounds == 0 || rounds > MAX_ROUNDS) {
		fprintf(stderr, "usage: mr_latency ROUNDS(1..1000) DEVICE EXPORTER WAY\n");
		return 2;
	}
	lab.way = argv[4];
	must(exporter_open(argv[3], &lab.exporter), argv[3]);
	must(pair_open(argv[2], &lab.pair), argv[2]);
	lab.buffer = aligned_alloc(4096, LENGTH);
	memset(lab.buffer, 1, LENGTH);
	lab.host = ibv_reg_mr(lab.pair.pd, lab.buffer, LENGTH, MR_ALL_ACCESS);
	must(lab.host ? 0 : -errno, "registering host memory");
	measure("idle", false, rounds);
	measure("traffic", true, rounds);
	ibv_dereg_mr(lab.host);
	pair_close(&lab.pair);
	exporter_close(&lab.exporter);
	return tap_done();
}
