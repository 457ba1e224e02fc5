// SPDX-License-Identifier: MIT
/* What policy says about a request that isn't made: `policy test`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lease_options.h"
#include "subject.h"
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
	OPTION_PROVIDER,
	OPTION_PID,
	OPTION_PUBLISH,
};

struct question {
	struct p2pdma_policy_question what;
	struct lease_options lease;
	struct subject subject; /* of another user than this one */
	bool has_subject;
	bool has_group;
};

static bool take_subject(struct cli *cli, int error, struct question *question)
{
	if (error) {
		if (error == -ENOENT || error == -ESRCH)
			cli_usage(cli, "there is no %s %s", error == -ENOENT ? "user" : "process",
				  optarg);
		else
			cli_usage(cli, "can't find out about %s: %s", optarg, strerror(-error));
		return false;
	}
	question->has_subject = true;
	return true;
}

static bool take_process(struct cli *cli, struct question *question)
{
	uint64_t pid;

	if (parse_number(optarg, &pid)) {
		cli_usage(cli, "%s is no number of a process", optarg);
		return false;
	}
	subject_done(&question->subject);
	return take_subject(cli, subject_of_process(pid, &question->subject), question);
}

static bool take_user(struct cli *cli, struct question *question)
{
	subject_done(&question->subject);
	return take_subject(cli, subject_of_user(optarg, &question->subject), question);
}

/* Of this user p2pd knows more than can be said, unless another process of theirs is meant. */
static void set_subject(struct question *question)
{
	struct p2pdma_policy_question *what = &question->what;
	const struct subject *subject = &question->subject;

	if (!question->has_subject)
		return;
	what->uid = subject->uid;
	if (!question->has_group) {
		what->gid = subject->gid;
		what->groups = subject->groups;
		what->nr_groups = (uint32_t)subject->nr_groups;
	}
	if (!what->unit)
		what->unit = subject->cgroup;
}

static bool take_option(struct cli *cli, int option, struct question *question)
{
	uint64_t number;

	switch (option) {
	case OPTION_UID:
		return take_user(cli, question);
	case OPTION_PID:
		return take_process(cli, question);
	case OPTION_PUBLISH:
		question->what.publish = optarg;
		return true;
	case OPTION_GID:
		if (!parse_number(optarg, &number) && number < UINT32_MAX) {
			question->what.gid = (uint32_t)number;
			question->has_group = true;
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

static int ask(struct cli *cli, const struct question *question)
{
	const struct p2pdma_policy_question *what = &question->what;
	struct p2pdma_policy_answer answer = {.size_bytes = sizeof(answer)};
	int r;

	r = cli_open(cli, 0);
	if (r)
		return r;
	r = p2pdma_policy_test(cli->context, what, &answer);
	if (r)
		return cli_failed(cli, r, "can't ask about %s",
				  what->publish ? what->publish : what->selector);
	print_answer(cli, &answer);
	return cli_exit_code(answer.error);
}

/* -1: go on; else the exit code. */
static int parse(struct cli *cli, int argc, char **argv, struct question *question)
{
	static const struct option options[] = {
		{"uid", required_argument, NULL, OPTION_UID},
		{"user", required_argument, NULL, OPTION_UID},
		{"gid", required_argument, NULL, OPTION_GID},
		{"pid", required_argument, NULL, OPTION_PID},
		{"unit", required_argument, NULL, OPTION_UNIT},
		{"publish", required_argument, NULL, OPTION_PUBLISH},
		{"provider", required_argument, NULL, OPTION_PROVIDER},
		{"length", required_argument, NULL, 'l'},
		{"shared", no_argument, NULL, OPTION_SHARED},
		{"read-only", no_argument, NULL, OPTION_READ_ONLY},
		{"allow-unrevocable", no_argument, NULL, OPTION_UNREVOCABLE},
		{"ttl", required_argument, NULL, OPTION_TTL},
		{0},
	};
	bool is_test = argc > 1 && !strcmp(argv[1], "test");
	int option;

	argc -= is_test;
	argv += is_test;
	lease_options_init(&question->lease);
	question->lease.request.length_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	while ((option = cli_option(cli, argc, argv, "l:", options)) != -1) {
		if (!take_option(cli, option, question))
			return EXIT_USAGE;
	}
	if (!is_test)
		return cli_usage(cli, "policy test is all there is");
	if (optind < argc && !question->what.selector)
		question->what.selector = argv[optind++];
	if (optind != argc || !question->what.selector == !question->what.publish)
		return cli_usage(cli, "policy test needs one provider, or --publish");
	set_subject(question);
	question->what.mode = question->lease.request.mode;
	question->what.flags = question->lease.request.flags;
	question->what.length_bytes = question->lease.request.length_bytes;
	question->what.ttl_ms = question->lease.request.ttl_ms;
	return -1;
}

int command_policy(struct cli *cli, int argc, char **argv)
{
	struct question question = {
		.what = {.size_bytes = sizeof(question.what), .uid = getuid(), .gid = getgid()},
	};
	int r;

	r = parse(cli, argc, argv, &question);
	if (r < 0)
		r = ask(cli, &question);
	subject_done(&question.subject);
	return r;
}
