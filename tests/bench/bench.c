// SPDX-License-Identifier: MIT
/*
 * What the benchmark programs share: their command line, their output and the
 * library's side of the set-up. Each figure is measured against a floor in the
 * same run, in turn with it, so that a noisy machine is noisy for both.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static void usage(const char *program, int needs_devices)
{
	fprintf(stderr, "usage: %s %s[--json] [--rounds N]\n", program,
		needs_devices ? "PROVIDER RDMADEV " : "");
	exit(2);
}

void bench_parse(struct bench_options *options, int argc, char **argv, int needs_devices)
{
	const char **places[] = {&options->provider, &options->device};
	size_t next = needs_devices ? 0 : 2;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--json"))
			options->is_json = 1;
		else if (!strcmp(argv[i], "--rounds") && i + 1 < argc)
			options->rounds = strtoul(argv[++i], NULL, 10);
		else if (next < 2)
			*places[next++] = argv[i];
		else
			usage(argv[0], needs_devices);
	}
	if (next < 2 || !options->rounds)
		usage(argv[0], needs_devices);
}

static void print_number(const char *name, double value, const char *tail)
{
	if (value < 0)
		printf("\"%s\": null%s", name, tail);
	else
		printf("\"%s\": %.6g%s", name, value, tail);
}

void bench_print(const struct bench_options *options, const struct figure *figure)
{
	double ratio = -1;

	if (figure->floor > 0 && figure->value > 0)
		ratio = figure->is_rate ? figure->floor / figure->value :
					  figure->value / figure->floor;
	if (options->is_json) {
		printf("{\"bench\": \"%s\", ", figure->bench);
		print_number("value", figure->value, ", ");
		printf("\"unit\": \"%s\", ", figure->unit);
		print_number("floor", figure->floor, ", ");
		print_number("ratio", ratio, ", ");
		if (figure->peer)
			printf("\"peer\": \"%s\", ", figure->peer);
		else
			printf("\"peer\": null, ");
		print_number("peer_value", figure->peer ? figure->peer_value : -1, "}\n");
		return;
	}
	printf("%s: %.4g %s, floor %.4g, ratio %.3f", figure->bench, figure->value, figure->unit,
	       figure->floor, ratio);
	if (figure->peer && figure->peer_value >= 0)
		printf(", %s %.4g", figure->peer, figure->peer_value);
	printf("\n");
}

uint64_t bench_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, size_t count)
{
	qsort(values, count, sizeof(*values), compare);
	return values[count / 2];
}

void bench_must(const struct bench_setup *setup, const char *what, int r)
{
	if (!r)
		return;
	fprintf(stderr, "%s: %s: %s\n", what, strerror(-r),
		setup ? p2pdma_context_error(setup->context) : "");
	exit(1);
}

void bench_open(struct bench_setup *setup, const struct bench_options *options, size_t host_bytes)
{
	char path[64];

	memset(setup, 0, sizeof(*setup));
	bench_must(setup, "opening libp2pdma", p2pdma_context_open(NULL, &setup->context));
	bench_must(setup, options->provider,
		   p2pdma_provider_find(setup->context, options->provider, &setup->provider));
	bench_must(setup, options->device, rc_pair_open(&setup->pair, options->device, host_bytes));
	snprintf(path, sizeof(path), "/dev/p2pdma/%s", p2pdma_provider_function(setup->provider));
	setup->device_fd = open(path, O_RDWR | O_CLOEXEC);
	bench_must(setup, "finding the driver of the RDMA device", bare_find_driver(setup));
}

void bench_close(struct bench_setup *setup)
{
	rc_pair_close(&setup->pair);
	p2pdma_provider_unref(setup->provider);
	p2pdma_context_close(setup->context);
	if (setup->device_fd >= 0)
		close(setup->device_fd);
}

struct p2pdma_buffer *bench_buffer(const struct bench_setup *setup, uint64_t bytes)
{
	struct p2pdma_range range = {0, bytes};
	struct p2pdma_buffer *buffer = NULL;

	bench_must(setup, "exporting",
		   p2pdma_buffer_new(setup->context, setup->provider, &range, 1, NULL, &buffer));
	return buffer;
}

struct p2pdma_mr *bench_register(const struct bench_setup *setup, struct p2pdma_buffer *buffer)
{
	struct p2pdma_mr *mr = NULL;

	bench_must(setup, "registering",
		   p2pdma_mr_register(setup->pair.pd, buffer, 0, p2pdma_buffer_size_bytes(buffer),
				      0, BENCH_ACCESS, &mr));
	return mr;
}
