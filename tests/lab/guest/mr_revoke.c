/* SPDX-License-Identifier: MIT */
/*
 * mr_revoke [-t] [-w verbs|ioctl] DEVICE EXPORTER WAY: a DMABUF is taken back
 * from under a memory region, idle or with RDMA writes going on (-t).
 *
 * WAY is one of exporter_revoke()'s, or "external": the program prints READY and
 * waits for somebody else to do it (unplug the device, unload the driver).
 * Afterwards: requests end with errors, the memory stays as its new owner
 * left it, a new registration is refused, the CPU gets SIGBUS, deregistering
 * works, and RDMA between host buffers goes on.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/exporter.h"
#include "common/labtest.h"
#include "common/pair.h"

#define SLICE_OFFSET	 0x200000
#define SLICE_LENGTH	 0x40000
#define CHUNK		 0x10000
#define QUIET		 0x5a
#define EXTERNAL_WAIT_NS (90 * 1000000000LL)

static struct {
	struct exporter exporter;
	struct slice slice;
	struct pair pair;
	struct dmabuf_mr mr;
	struct ibv_mr *host;
	uint8_t *buffer;
	uint8_t *window;
	enum mr_way way;
	bool is_traffic;
	atomic_long transfers;
	atomic_bool stop;
	int last_status;
} lab;

static int write_chunk(uint64_t at)
{
	struct transfer transfer = {
		IBV_WR_RDMA_WRITE, (uintptr_t)lab.buffer, lab.host->lkey, at, lab.mr.rkey, CHUNK,
	};

	return pair_transfer(&lab.pair, &transfer);
}

/* Writes until one fails. */
static void *traffic(void *unused)
{
	uint64_t at = 0;

	(void)unused;
	do {
		lab.last_status = write_chunk(at);
		at = (at + CHUNK) % SLICE_LENGTH;
		atomic_fetch_add(&lab.transfers, 1);
	} while (!lab.last_status && !atomic_load(&lab.stop));
	return NULL;
}

static sigjmp_buf bus_error;

static void on_bus_error(int number)
{
	siglongjmp(bus_error, number);
}

/* Does the CPU get SIGBUS when it touches the old mapping? */
static bool touch_faults(volatile uint8_t *memory)
{
	struct sigaction action = {.sa_handler = on_bus_error}, old;
	bool has_faulted = true;

	sigaction(SIGBUS, &action, &old);
	if (!sigsetjmp(bus_error, 1)) {
		(void)memory[0];
		has_faulted = false;
	}
	sigaction(SIGBUS, &old, NULL);
	return has_faulted;
}

/* The time @way took, or that somebody else needed (-1). */
static int64_t take_back(const char *way)
{
	int64_t deadline = now_ns() + EXTERNAL_WAIT_NS, duration;

	if (strcmp(way, "external")) {
		must(exporter_revoke(&lab.exporter, &lab.slice, way, &duration), way);
		return duration;
	}
	printf("# READY\n");
	fflush(stdout);
	while (now_ns() < deadline) {
		if (lab.is_traffic ? lab.last_status != 0 : write_chunk(0) != 0)
			return -1;
		usleep(20000);
	}
	die(-ETIMEDOUT, "nobody took the slice back");
}

/*
 * The slice's memory in new hands: filled through a new export, it must not
 * change any more, whatever was under way.
 */
static void test_memory_is_quiet(void)
{
	struct exporter second = {.fd = -1};
	struct slice fresh;
	uint8_t *memory;
	uint64_t i, changed = 0;
	char spec[48];

	snprintf(spec, sizeof(spec), "export:%s/%u", lab.exporter.bdf, lab.exporter.bar);
	if (exporter_open(spec, &second) ||
	    exporter_slice(&second, SLICE_OFFSET, SLICE_LENGTH, 0, &fresh)) {
		tap_skip("memory_after_revoke_is_quiet", "the device gives no new slice");
		return;
	}
	memory = exporter_map(&second, &fresh);
	if (!memory)
		die(-errno, "mapping the new slice");
	memset(memory, QUIET, SLICE_LENGTH);
	usleep(200000);
	for (i = 0; i < SLICE_LENGTH; i++)
		changed += memory[i] != QUIET;
	tap_ok(changed == 0, "memory_after_revoke_is_quiet", (long long)changed);
	exporter_unmap(memory, &fresh);
	close(fresh.fd);
	exporter_close(&second);
}

static void test_requests_fail(void)
{
	struct transfer local = {
		.opcode = IBV_WR_RDMA_WRITE,
		.lkey = lab.mr.lkey,
		.length = 64,
		.remote = (uintptr_t)lab.buffer,
		.rkey = lab.host->rkey,
	};
	int status;

	must(pair_reconnect(&lab.pair), "reconnecting");
	status = write_chunk(0);
	tap_ok(status == IBV_WC_REM_ACCESS_ERR, "write_after_revoke_is_an_access_error", status);
	must(pair_reconnect(&lab.pair), "reconnecting");
	status = pair_transfer(&lab.pair, &local);
	tap_ok(status == IBV_WC_WR_FLUSH_ERR || status == IBV_WC_LOC_PROT_ERR,
	       "local_use_after_revoke_fails", status);
	must(pair_reconnect(&lab.pair), "reconnecting");
}

static void test_host_goes_on(void)
{
	struct transfer transfer = {
		IBV_WR_RDMA_WRITE, (uintptr_t)lab.buffer,
		lab.host->lkey,	   (uintptr_t)lab.buffer + CHUNK,
		lab.host->rkey,	   CHUNK,
	};
	int status;

	pattern_fill(lab.buffer, 9, CHUNK);
	memset(lab.buffer + CHUNK, 0, CHUNK);
	status = pair_transfer(&lab.pair, &transfer);
	tap_ok(status == 0 && pattern_check(lab.buffer + CHUNK, 9, CHUNK) < 0,
	       "host_to_host_still_works", status);
}

/* What VFIO undoes: decode on again, or the end of a reset, and the same DMABUF is good for new MRs. */
static void test_comes_back(const char *way)
{
	struct mr_request request = {lab.slice.fd, 0, SLICE_LENGTH, 0, MR_ALL_ACCESS};
	struct dmabuf_mr mr;
	int64_t duration;
	int ret;

	if (!strcmp(way, "decode-off"))
		must(exporter_revoke(&lab.exporter, &lab.slice, "decode-on", &duration), way);
	ret = dmabuf_mr_register(&lab.pair, lab.way, &request, &mr);
	tap_ok(ret == 0, "register_after_it_came_back_succeeds", ret);
	if (ret == 0)
		dmabuf_mr_deregister(&lab.pair, &mr);
}

static void set_up(const char *device, const char *spec)
{
	struct mr_request request = {.length = SLICE_LENGTH, .access = MR_ALL_ACCESS};

	must(exporter_open(spec, &lab.exporter), spec);
	must(exporter_slice(&lab.exporter, SLICE_OFFSET, SLICE_LENGTH, 0, &lab.slice), "slice");
	must(pair_open(device, &lab.pair), device);
	lab.buffer = aligned_alloc(4096, 2 * CHUNK);
	memset(lab.buffer, 0x11, 2 * CHUNK);
	lab.host = ibv_reg_mr(lab.pair.pd, lab.buffer, 2 * CHUNK, MR_ALL_ACCESS);
	if (!lab.host)
		die(-errno, "registering host memory");
	request.fd = lab.slice.fd;
	must(dmabuf_mr_register(&lab.pair, lab.way, &request, &lab.mr), "registering the slice");
	/* VFIO's own mapping would keep the device open. */
	if (lab.exporter.kind == EXPORTER_EXPORT) {
		lab.window = exporter_map(&lab.exporter, &lab.slice);
		if (!lab.window)
			die(-errno, "mapping the slice");
		lab.window[0] = 1;
	}
}

static void run(const char *way)
{
	bool is_undone = lab.exporter.kind == EXPORTER_VFIO &&
			 (!strcmp(way, "reset") || !strcmp(way, "decode-off"));
	struct mr_request request = {lab.slice.fd, 0, SLICE_LENGTH, 0, MR_ALL_ACCESS};
	struct dmabuf_mr again;
	pthread_t thread;
	int64_t duration;
	int ret;

	tap_ok(write_chunk(0) == 0, "write_before_revoke_completes", 0);
	if (lab.is_traffic) {
		if (pthread_create(&thread, NULL, traffic, NULL))
			die(-EAGAIN, "starting a thread");
		while (atomic_load(&lab.transfers) < 4)
			usleep(2000);
	}
	duration = take_back(way);
	tap_ok(true, "revoke_succeeds", 0);
	if (duration >= 0)
		tap_figure(lab.is_traffic ? "revoke_traffic" : "revoke_idle", duration / 1e3, "us");
	if (lab.is_traffic) {
		pthread_join(thread, NULL);
		printf("# %ld writes before the end\n", atomic_load(&lab.transfers));
		tap_ok(lab.last_status == IBV_WC_REM_ACCESS_ERR,
		       "traffic_ends_with_an_access_error", lab.last_status);
	}
	test_memory_is_quiet();
	test_requests_fail();
	if (lab.window)
		tap_ok(touch_faults(lab.window), "cpu_access_after_revoke_is_sigbus", 0);
	if (!is_undone || strcmp(way, "reset")) {
		ret = dmabuf_mr_register(&lab.pair, lab.way, &request, &again);
		tap_ok(ret == -ENODEV, "register_after_revoke_enodev", ret);
	}
	if (is_undone)
		test_comes_back(way);
	test_host_goes_on();
	ret = dmabuf_mr_deregister(&lab.pair, &lab.mr);
	tap_ok(ret == 0, "deregister_after_revoke_succeeds", ret);
}

int main(int argc, char **argv)
{
	int opt;

	lab.way = MR_IOCTL;
	while ((opt = getopt(argc, argv, "tw:")) != -1) {
		if (opt == 't')
			lab.is_traffic = true;
		else if (opt == 'w')
			lab.way = strcmp(optarg, "verbs") ? MR_IOCTL : MR_VERBS;
		else
			return 2;
	}
	if (argc - optind != 3) {
		fprintf(stderr, "usage: mr_revoke [-t] [-w WAY] DEVICE EXPORTER WAY\n");
		return 2;
	}
	set_up(argv[optind], argv[optind + 1]);
	run(argv[optind + 2]);
	ibv_dereg_mr(lab.host);
	pair_close(&lab.pair);
	if (lab.slice.fd >= 0)
		close(lab.slice.fd);
	exporter_unmap(lab.window, &lab.slice);
	exporter_close(&lab.exporter);
	return tap_done();
}
