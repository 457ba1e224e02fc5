// SPDX-License-Identifier: MIT
/*
 * rdma_write PROVIDER RDMADEV [--json] [--rounds N]: RDMA write bandwidth into a
 * BAR on a memory region of the library, against one made by hand from the same
 * slice, in turn. The library isn't in the data path, so the ratio should be 1;
 * writes on the library's are posted inside its guard.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

#define BYTES (1U << 20)

static struct bench_setup setup;

static double mb_per_s(const struct rc_remote *remote, struct p2pdma_mr *guarded)
{
	uint64_t start = bench_now_ns();

	if (guarded)
		bench_must(&setup, "entering", p2pdma_mr_enter(guarded));
	bench_must(&setup, "posting",
		   rc_pair_post(&setup.pair, IBV_WR_RDMA_WRITE, 0, BYTES, remote));
	if (guarded)
		p2pdma_mr_exit(guarded);
	{
		enum ibv_wc_status status;

		bench_must(&setup, "completing", rc_pair_wait(&setup.pair, 10000, &status));
		bench_must(&setup, ibv_wc_status_str(status), status ? -EIO : 0);
	}
	return BYTES / ((double)(bench_now_ns() - start) / 1e3);
}

int main(int argc, char **argv)
{
	struct bench_options options = {.rounds = 101};
	struct figure figure = {.bench = "rdma_write", .unit = "MB/s", .is_rate = 1};
	struct rc_remote library, hand;
	struct p2pdma_buffer *buffer;
	struct bare_slice slice;
	struct bare_mr bare;
	struct p2pdma_mr *mr;
	double *values, *floors;

	bench_parse(&options, argc, argv, 1);
	bench_open(&setup, &options, BYTES);
	buffer = bench_buffer(&setup, BYTES);
	mr = bench_register(&setup, buffer);
	bench_must(&setup, "exporting by hand", bare_export(&setup, BYTES, &slice));
	bench_must(&setup, "registering by hand", bare_register(&setup, slice.fd, BYTES, &bare));
	library = (struct rc_remote){p2pdma_mr_iova(mr), p2pdma_mr_rkey(mr)};
	hand = (struct rc_remote){0, bare.rkey};
	values = calloc(2 * options.rounds, sizeof(*values));
	if (!values)
		return 1;
	floors = values + options.rounds;
	for (size_t i = 0; i < options.rounds; i++) {
		values[i] = mb_per_s(&library, mr);
		floors[i] = mb_per_s(&hand, NULL);
	}
	figure.value = bench_median(values, options.rounds);
	figure.floor = bench_median(floors, options.rounds);
	bench_print(&options, &figure);
	free(values);
	bench_must(&setup, "deregistering", bare_deregister(&setup, &bare));
	bench_must(&setup, "deregistering", p2pdma_mr_deregister(mr));
	p2pdma_buffer_free(buffer);
	close(slice.fd);
	bench_close(&setup);
	return 0;
}
