// SPDX-License-Identifier: MIT
/* What p2pd does, as it happens: `monitor`. Ends with a signal or where nobody reads it. */
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "table.h"

static const struct column columns[] = {
	{"TIME", "time_ns", true}, {"EVENT", "event", false},	 {"PROVIDER", "provider", false},
	{"LEASE", "lease", true},  {"SIZE", "size_bytes", true}, {"UID", "uid", true},
	{"PID", "pid", true},	   {"REASON", "reason", false},	 {"ERROR", "error", false},
	{"LABEL", "label", false},
};

static void add_event(struct table *table, const struct p2pdma_monitor_event *event)
{
	char text[32];

	snprintf(text, sizeof(text), "%" PRIu64 ".%06" PRIu64, event->time_ns / 1000000000,
		 event->time_ns / 1000 % 1000000);
	table_both(table, event->time_ns, text);
	table_text(table, monitor_name(event->type));
	table_text(table, *event->provider ? event->provider : NULL);
	if (event->lease_id)
		table_number(table, event->lease_id);
	else
		table_text(table, NULL);
	if (event->length_bytes)
		table_bytes(table, event->length_bytes);
	else
		table_text(table, NULL);
	table_number(table, event->uid);
	table_signed(table, event->pid);
	table_text(table, event->reason ? p2pdma_reason_name(event->reason) : NULL);
	table_text(table, event->error ? strerrorname_np(-event->error) : NULL);
	table_text(table, *event->label ? event->label : NULL);
}

int command_monitor(struct cli *cli, int argc, char **argv)
{
	struct p2pdma_monitor_event event = {.size_bytes = sizeof(event)};
	struct p2pdma_monitor *monitor = NULL;
	struct table *table;
	int r;

	if (cli_option(cli, argc, argv, "", NULL) != -1)
		return EXIT_USAGE;
	if (optind != argc)
		return cli_usage(cli, "monitor takes no argument");
	r = cli_open(cli, 0);
	if (r)
		return r;
	r = p2pdma_monitor_new(cli->context, &monitor);
	if (r)
		return cli_failed(cli, r, "can't watch p2pd");
	table = table_new(cli, "event", columns, sizeof(columns) / sizeof(*columns));
	/* Somebody who waits for the first event hears that it is being waited for. */
	if (!cli->is_json && isatty(STDERR_FILENO))
		fprintf(stderr, "p2pctl: watching; Ctrl-C ends it\n");
	for (;;) {
		struct pollfd fd = {.fd = p2pdma_monitor_fd(monitor), .events = POLLIN};

		while (!p2pdma_monitor_next(monitor, &event)) {
			add_event(table, &event);
			table_print_row(table);
			if (ferror(stdout))
				return EXIT_FAILED;
		}
		poll(&fd, 1, -1);
	}
}
