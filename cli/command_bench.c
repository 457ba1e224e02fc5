// SPDX-License-Identifier: MIT
/*
 * How fast leases are granted: `bench` acquires and releases over one connection, and says what
 * the median and the slow ones took. A figure of this machine now, not a benchmark.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lease_options.h"
#include "table.h"

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void add_time(struct table *table, uint64_t ns)
{
	char text[32];

	format_time(ns, text, sizeof(text));
	table_both(table, ns, text);
}

static void print_times(const struct cli *cli, const char *what, uint64_t *times, size_t count,
			struct table *table)
{
	(void)cli;
	qsort(times, count, sizeof(*times), compare);
	table_row(table);
	table_text(table, what);
	table_number(table, count);
	add_time(table, times[0]);
	add_time(table, times[count / 2]);
	add_time(table, times[count * 99 / 100]);
	add_time(table, times[count - 1]);
}

static int measure(struct cli *cli, const struct p2pdma_lease_request *request, size_t count,
		   uint64_t *acquires, uint64_t *releases)
{
	for (size_t i = 0; i < count; i++) {
		struct p2pdma_buffer *buffer = NULL;
		uint64_t begin = now_ns(), granted;
		int r = p2pdma_lease_acquire(cli->context, request, &buffer);

		if (r)
			return cli_failed(cli, r, "can't acquire number %zu", i + 1);
		granted = now_ns();
		p2pdma_buffer_free(buffer);
		acquires[i] = granted - begin;
		releases[i] = now_ns() - granted;
	}
	return EXIT_OK;
}

static int bench(struct cli *cli, const struct p2pdma_lease_request *request, size_t count)
{
	static const struct column columns[] = {
		{"STEP", "step", false},     {"COUNT", "count", true},
		{"FASTEST", "min_ns", true}, {"MEDIAN", "median_ns", true},
		{"P99", "p99_ns", true},     {"SLOWEST", "max_ns", true},
	};
	uint64_t *times = calloc(count * 2, sizeof(*times));
	struct table *table;
	int r;

	if (!times) {
		fprintf(stderr, "p2pctl: out of memory\n");
		return EXIT_FAILED;
	}
	r = measure(cli, request, count, times, times + count);
	if (!r) {
		table = table_new(cli, "bench", columns, sizeof(columns) / sizeof(*columns));
		print_times(cli, "acquire", times, count, table);
		print_times(cli, "release", times + count, count, table);
		table_print(table);
	}
	free(times);
	return r;
}

int command_bench(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		LEASE_OPTIONS, {"count", required_argument, NULL, 'n'}, {0}};
	struct lease_options wanted;
	uint64_t count = 1000;
	int option, r;

	lease_options_init(&wanted);
	while ((option = cli_option(cli, argc, argv, LEASE_LETTERS "n:", options)) != -1) {
		if (option == 'n') {
			if (parse_number(optarg, &count) || !count || count > 10000000)
				return cli_usage(cli, "%s is no count", optarg);
		} else if (!lease_options_take(cli, option, &wanted)) {
			return EXIT_USAGE;
		}
	}
	if (optind < argc)
		wanted.request.selector = argv[optind++];
	if (optind != argc)
		return cli_usage(cli, "too many arguments");
	if (!wanted.request.length_bytes && !wanted.request.nr_ranges)
		wanted.request.length_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	if (!wanted.request.label)
		wanted.request.label = "p2pctl bench";
	r = lease_options_check(cli, &wanted);
	if (!r)
		r = cli_open(cli, 0);
	if (!r)
		r = lease_options_complete(cli, &wanted);
	return r ? r : bench(cli, &wanted.request, count);
}
