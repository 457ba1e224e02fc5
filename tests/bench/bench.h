/* SPDX-License-Identifier: MIT */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

#include <infiniband/verbs.h>
#include <p2pdma/p2pdma.h>

#include "common/rc_pair.h"

/*
 * One figure. A ratio of 1 is the floor and more is always worse: for a rate it
 * is floor / value, for a time value / floor. Negative: not measured.
 */
struct figure {
	const char *bench;
	const char *unit;
	double value;
	double floor;
	const char *peer; /* NULL: none */
	double peer_value;
	int is_rate;
};

/* Common command line: PROVIDER RDMADEV [--json] [--rounds N] */
struct bench_options {
	const char *provider;
	const char *device;
	int is_json;
	size_t rounds;
};

/* Exits with a usage line; @needs_devices: PROVIDER and RDMADEV are mandatory. */
void bench_parse(struct bench_options *options, int argc, char **argv, int needs_devices);

void bench_print(const struct bench_options *options, const struct figure *figure);

uint64_t bench_now_ns(void);

/* Sorts and gives the value in the middle. */
double bench_median(double *values, size_t count);

/* The library's side: a context, a provider and an RDMA device. Exits when something fails. */
struct bench_setup {
	struct p2pdma_context *context;
	struct p2pdma_provider *provider;
	struct rc_pair pair;
	int device_fd; /* the bare side: /dev/p2pdma/FUNCTION, -1 where there is none */
	uint32_t driver_id;
};

void bench_open(struct bench_setup *setup, const struct bench_options *options, size_t host_bytes);
void bench_close(struct bench_setup *setup);

/* Ends the program with @what and the cause unless @r is 0. */
void bench_must(const struct bench_setup *setup, const char *what, int r);

#define BENCH_ACCESS                                                                               \
	((unsigned int)(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE))

struct p2pdma_buffer *bench_buffer(const struct bench_setup *setup, uint64_t bytes);
struct p2pdma_mr *bench_register(const struct bench_setup *setup, struct p2pdma_buffer *buffer);

/*
 * The same without the library: the fewest system calls that do the job, as a
 * program would that knows its kernel and checks nothing. They return 0 or -errno.
 */
struct bare_slice {
	int fd;
	uint32_t export_id;
	uint64_t bytes;
};

struct bare_mr {
	uint32_t handle;
	uint32_t lkey;
	uint32_t rkey;
};

int bare_export(const struct bench_setup *setup, uint64_t bytes, struct bare_slice *ret_slice);
int bare_revoke(const struct bench_setup *setup, const struct bare_slice *slice);
int bare_find_driver(struct bench_setup *setup);
int bare_register(const struct bench_setup *setup, int fd, uint64_t bytes, struct bare_mr *ret_mr);
int bare_deregister(const struct bench_setup *setup, const struct bare_mr *mr);

#endif /* BENCH_H */
