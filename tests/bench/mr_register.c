// SPDX-License-Identifier: MIT
/*
 * mr_register PROVIDER RDMADEV [--json] [--rounds N]: registering and
 * deregistering one memory region of 1 MiB, through the library, by the bare
 * verbs call and by the bare ioctl, in turn.
 *
 * The floor is the bare call that the library uses here: ibv_reg_dmabuf_mr()
 * where the NIC's provider library has it, else the ioctl. The peer is the
 * other one.
 */
#include <errno.h>
#include <stdlib.h>

#include "bench.h"

#define BYTES (1U << 20)

static struct bench_setup setup;
static struct p2pdma_buffer *buffer;

static double by_library(void)
{
	uint64_t start = bench_now_ns();
	struct p2pdma_mr *mr = bench_register(&setup, buffer);

	bench_must(&setup, "deregistering", p2pdma_mr_deregister(mr));
	return (double)(bench_now_ns() - start) / 1e3;
}

static double by_ioctl(void)
{
	uint64_t start = bench_now_ns();
	struct bare_mr mr;

	bench_must(&setup, "the bare ioctl",
		   bare_register(&setup, p2pdma_buffer_fd(buffer), BYTES, &mr));
	bench_must(&setup, "the bare ioctl", bare_deregister(&setup, &mr));
	return (double)(bench_now_ns() - start) / 1e3;
}

/* Negative where the provider library hasn't the call. */
static double by_verbs(void)
{
	uint64_t start = bench_now_ns();
	struct ibv_mr *mr;

	mr = ibv_reg_dmabuf_mr(setup.pair.pd, 0, BYTES, 0, p2pdma_buffer_fd(buffer), BENCH_ACCESS);
	if (!mr)
		return -1;
	bench_must(&setup, "ibv_dereg_mr", -ibv_dereg_mr(mr));
	return (double)(bench_now_ns() - start) / 1e3;
}

int main(int argc, char **argv)
{
	struct bench_options options = {.rounds = 301};
	struct figure figure = {.bench = "mr_register", .unit = "us"};
	double *library, *ioctls, *verbs, ioctl_us, verbs_us;

	bench_parse(&options, argc, argv, 1);
	bench_open(&setup, &options, 4096);
	buffer = bench_buffer(&setup, BYTES);
	library = calloc(3 * options.rounds, sizeof(*library));
	if (!library)
		return 1;
	ioctls = library + options.rounds;
	verbs = ioctls + options.rounds;
	for (size_t i = 0; i < options.rounds; i++) {
		library[i] = by_library();
		ioctls[i] = by_ioctl();
		verbs[i] = by_verbs();
	}
	ioctl_us = bench_median(ioctls, options.rounds);
	verbs_us = bench_median(verbs, options.rounds);
	figure.value = bench_median(library, options.rounds);
	figure.floor = verbs_us < 0 ? ioctl_us : verbs_us;
	figure.peer = verbs_us < 0 ? NULL : "bare_ioctl";
	figure.peer_value = ioctl_us;
	bench_print(&options, &figure);
	free(library);
	p2pdma_buffer_free(buffer);
	bench_close(&setup);
	return 0;
}
