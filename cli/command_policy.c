// SPDX-License-Identifier: MIT
/* What policy says about a request that isn't made: `policy test`. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lease_options.h"
#include "table.h"

static void print_answer(const struct cli *cli, const struct p2pdma_policy_answer *answer)
{
	static const struct column columns[] = {
		{"ANSWER", "answer", false}, {"ERROR", "error", false},	    {"RULE", "rule", false},
		{"SOURCE", "source", false}, {"BECAUSE", "because", false},
	};
	struct table *table = table_new(cli, "policy", columns, sizeof(columns) / sizeof(*columns));

	table_text(table, answer->error ? "denied" : "granted");
	table_colour(table, answer->error ? "red" : "green");
	table_text(table, answer->error ? strerrorname_np(-answer->error) : NULL);
	table_text(table, *answer->rule ? answer->rule : "default");
	table_text(table, answer->source);
	table_text(table, answer->because);
	table_print(table);
}

enum {
	OPTION_UID = 1,
	OPTION_GID,
	OPTION_UNIT,
	OPTION_PROVIDER
};

struct question {
	struct p2pdma_policy_question what;
	struct lease_options lease;
};

static bool take_option(struct cli *cli, int option, struct question *question)
{
	uint64_t number;

	switch (option) {
	case OPTION_UID:
		if (!parse_user(optarg, &question->what.uid))
			return true;
		cli_usage(cli, "there is no user %s", optarg);
		return false;
	case OPTION_GID:
		if (!parse_number(optarg, &number) && number < UINT32_MAX) {
			question->what.gid = (uint32_t)number;
			return true;
		}
		cli_usage(cli, "%s is no number of a group", optarg);
		return false;
	case OPTION_UNIT:
		question->what.unit = optarg;
		return true;
	case OPTION_PROVIDER:
		question->what.selector = optarg;
		return true;
	default:
		return lease_options_take(cli, option, &question->lease);
	}
}

int command_policy(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		{"uid", required_argument, NULL, OPTION_UID},
		{"user", required_argument, NULL, OPTION_UID},
		{"gid", required_argument, NULL, OPTION_GID},
		{"unit", required_argument, NULL, OPTION_UNIT},
		{"provider", required_argument, NULL, OPTION_PROVIDER},
		{"length", required_argument, NULL, 'l'},
		{"shared", no_argument, NULL, OPTION_SHARED},
		{"read-only", no_argument, NULL, OPTION_READ_ONLY},
		{"allow-unrevocable", no_argument, NULL, OPTION_UNREVOCABLE},
		{"ttl", required_argument, NULL, OPTION_TTL},
		{0},
	};
	struct p2pdma_policy_answer answer = {.size_bytes = sizeof(answer)};
	struct question question = {
		.what = {.size_bytes = sizeof(question.what), .uid = getuid(), .gid = getgid()},
	};
	int option, r;

	if (argc < 2 || strcmp(argv[1], "test"))
		return cli_usage(cli, "policy test is all there is");
	argc--;
	argv++;
	lease_options_init(&question.lease);
	question.lease.request.length_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	while ((option = cli_option(cli, argc, argv, "l:", options)) != -1) {
		if (!take_option(cli, option, &question))
			return EXIT_USAGE;
	}
	if (optind < argc && !question.what.selector)
		question.what.selector = argv[optind++];
	if (optind != argc || !question.what.selector)
		return cli_usage(cli, "policy test needs one provider");
	question.what.mode = question.lease.request.mode;
	question.what.flags = question.lease.request.flags;
	question.what.length_bytes = question.lease.request.length_bytes;
	question.what.ttl_ms = question.lease.request.ttl_ms;
	r = cli_open(cli, 0);
	if (r)
		return r;
	r = p2pdma_policy_test(cli->context, &question.what, &answer);
	if (r)
		return cli_failed(cli, r, "can't ask about %s", question.what.selector);
	print_answer(cli, &answer);
	return cli_exit_code(answer.error);
}
