// SPDX-License-Identifier: MIT
/* How p2pd is: `status` for people, `stats` for what collects metrics. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "table.h"

static void print_status(const struct cli *cli, const struct p2pdma_broker_status *status)
{
	static const struct column columns[] = {
		{"VERSION", "version", false},	  {"PID", "pid", true},
		{"UP", "uptime_ns", true},	  {"CLIENTS", "clients", true},
		{"PROVIDERS", "providers", true}, {"LEASES", "leases", true},
		{"LEASED", "leased_bytes", true}, {"POLICY", "policy_generation", true},
		{NULL, "instance", true},	  {NULL, "policy_refused", true},
		{"ROLE", "role", false},
	};
	struct table *table = table_new(cli, "status", columns, sizeof(columns) / sizeof(*columns));
	uint64_t now = now_ns();
	uint64_t up = status->started_ns && now > status->started_ns ? now - status->started_ns : 0;
	char text[32];

	table_text(table, status->version);
	table_signed(table, status->pid);
	format_time(up, text, sizeof(text));
	table_both(table, up, text);
	table_number(table, status->nr_clients);
	table_number(table, status->nr_providers);
	table_number(table, status->nr_leases);
	table_bytes(table, status->leased_bytes);
	table_number(table, status->policy_generation);
	table_number(table, status->instance);
	table_number(table, status->policy_refused);
	table_text(table, status->flags & P2PDMA_BROKER_IS_ADMIN ? "admin" : "user");
	table_print(table);
}

int command_status(struct cli *cli, int argc, char **argv)
{
	struct p2pdma_broker_status status = {.size_bytes = sizeof(status)};
	int r;

	if (cli_option(cli, argc, argv, "", NULL) != -1)
		return EXIT_USAGE;
	if (optind != argc)
		return cli_usage(cli, "status takes no argument");
	r = cli_open(cli, 0);
	if (r)
		return r;
	r = p2pdma_broker_query(cli->context, &status);
	if (r)
		return cli_failed(cli, r, "can't ask p2pd");
	print_status(cli, &status);
	if (status.policy_refused)
		fprintf(stderr,
			"p2pctl: the policy in use isn't that of the files: they have faults, and "
			"were refused "
			"%" PRIu32 " times; p2pd --check shows them\n",
			status.policy_refused);
	return EXIT_OK;
}

int command_stats(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"dump", no_argument, NULL, 'd'}, {0}};
	uint32_t what = P2PDMA_BROKER_METRICS;
	char *text = NULL;
	int option, r;

	while ((option = cli_option(cli, argc, argv, "d", options)) != -1) {
		if (option != 'd')
			return EXIT_USAGE;
		what = P2PDMA_BROKER_DUMP;
	}
	if (optind != argc)
		return cli_usage(cli, "stats takes no argument");
	r = cli_open(cli, 0);
	if (r)
		return r;
	r = p2pdma_broker_text(cli->context, what, &text);
	if (r)
		return cli_failed(cli, r, "can't get p2pd's %s",
				  what == P2PDMA_BROKER_DUMP ? "state" : "metrics");
	fputs(text, stdout);
	free(text);
	return EXIT_OK;
}
