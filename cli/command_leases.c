// SPDX-License-Identifier: MIT
/*
 * Leases, and taking them back: `leases`, `revoke` and `drain`.
 *
 * A revocation is over when the leases have gone, which `--wait` waits for by looking again: the
 * reply only says that every holder was told. Several leases are revoked one by one; one that can't be
 * doesn't keep the others.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tables.h"

#define DEFAULT_DEADLINE_MS 5000

static const struct column columns[] = {
	{"LEASE", "id", true},	      {"PROVIDER", "provider", false},
	{"SIZE", "size_bytes", true}, {"OFFSET", "offset_bytes", true},
	{"MODE", "mode", false},      {"ACCESS", "access", false},
	{"STATE", "state", false},    {"REASON", "reason", false},
	{"UID", "uid", true},	      {"PID", "pid", true},
	{"AGE", "age_ns", true},      {"LEFT", "left_ns", true},
	{"FORCE", "force", false},    {NULL, "backend", false},
	{NULL, "ranges", true},	      {"LABEL", "label", false},
};

struct table *lease_table_new(const struct cli *cli)
{
	return table_new(cli, "leases", columns, sizeof(columns) / sizeof(*columns));
}

/* How long until then, from now; what is over is 0. */
static void add_left(struct table *table, const struct p2pdma_lease_info *lease, uint64_t now)
{
	uint64_t end = lease->deadline_ns ? lease->deadline_ns : lease->expires_ns;
	uint64_t left = end > now ? end - now : 0;
	char text[32];

	if (!end) {
		table_text(table, NULL);
		return;
	}
	format_time(left, text, sizeof(text));
	table_both(table, left, text);
	if (lease->deadline_ns)
		table_colour(table, "red");
}

void lease_table_add(struct table *table, const struct p2pdma_lease_info *lease)
{
	uint64_t now = now_ns();
	uint64_t age = now > lease->granted_ns ? now - lease->granted_ns : 0;
	char text[32];

	table_row(table);
	table_number(table, lease->id);
	table_text(table, lease->provider);
	table_bytes(table, lease->length_bytes);
	snprintf(text, sizeof(text), "0x%" PRIx64, lease->offset_bytes);
	table_both(table, lease->offset_bytes, text);
	table_text(table, mode_name(lease->mode));
	table_text(table, lease->flags & P2PDMA_BUFFER_READ_ONLY ? "ro" : "rw");
	table_text(table, state_name(lease->state));
	if (lease->state >= P2PDMA_LEASE_REVOKING)
		table_colour(table, "yellow");
	table_text(table, lease->reason ? p2pdma_reason_name(lease->reason) : NULL);
	table_number(table, lease->uid);
	table_signed(table, lease->pid);
	format_time(age, text, sizeof(text));
	table_both(table, age, text);
	add_left(table, lease, now);
	table_text(table, force_name(lease->force));
	table_text(table, backend_name(lease->backend));
	table_number(table, lease->nr_ranges);
	table_text(table, lease->label);
}

int command_leases(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {{"user", required_argument, NULL, 'u'}, {0}};
	struct p2pdma_broker_list *list = NULL;
	uint32_t uid = P2PDMA_BROKER_ANY_UID;
	const char *selector = NULL;
	struct table *table;
	int option, r;

	while ((option = cli_option(cli, argc, argv, "u:", options)) != -1) {
		if (option != 'u')
			return EXIT_USAGE;
		if (parse_user(optarg, &uid))
			return cli_usage(cli, "there is no user %s", optarg);
	}
	if (optind < argc)
		selector = argv[optind++];
	if (optind != argc)
		return cli_usage(cli, "too many arguments");
	r = cli_open(cli, 0);
	if (r)
		return r;
	r = p2pdma_broker_list_leases(cli->context, selector, uid, &list);
	if (r)
		return cli_failed(cli, r, "can't list the leases");
	table = lease_table_new(cli);
	for (size_t i = 0; i < p2pdma_broker_list_count(list); i++)
		lease_table_add(table, p2pdma_broker_list_lease(list, i));
	table_print(table);
	p2pdma_broker_list_free(list);
	return EXIT_OK;
}

struct revocation {
	struct p2pdma_broker_revocation what;
	bool is_waiting;
	uint32_t nr_leases;
	uint32_t nr_busy;
};

static bool is_concerned(const struct p2pdma_broker_revocation *what,
			 const struct p2pdma_lease_info *lease)
{
	if (lease->state >= P2PDMA_LEASE_REVOKED)
		return false;
	return what->scope != P2PDMA_BROKER_SCOPE_LEASE || lease->id == what->lease_id;
}

/* Looks again until nothing of it is there; -ETIMEDOUT. */
static int wait_for_end(struct cli *cli, const struct p2pdma_broker_revocation *what)
{
	uint32_t uid = what->scope == P2PDMA_BROKER_SCOPE_UID ? what->uid : P2PDMA_BROKER_ANY_UID;
	uint64_t end;

	/* Some time beyond the deadline; far enough is for ever. */
	if (__builtin_mul_overflow(what->deadline_ms, 1000000, &end) ||
	    __builtin_add_overflow(end, now_ns() + 10000000000ULL, &end))
		end = UINT64_MAX;
	for (;;) {
		struct p2pdma_broker_list *list = NULL;
		bool is_over = true;
		int r = p2pdma_broker_list_leases(cli->context, what->selector, uid, &list);

		if (r)
			return r;
		for (size_t i = 0; i < p2pdma_broker_list_count(list); i++)
			is_over &= !is_concerned(what, p2pdma_broker_list_lease(list, i));
		p2pdma_broker_list_free(list);
		if (is_over)
			return 0;
		if (now_ns() > end)
			return -ETIMEDOUT;
		usleep(50000);
	}
}

static int revoke_one(struct cli *cli, struct revocation *revocation, const char *name)
{
	struct p2pdma_broker_count count = {.size_bytes = sizeof(count)};
	int r;

	r = p2pdma_broker_revoke(cli->context, &revocation->what, &count);
	if (r)
		return cli_failed(cli, r, "can't revoke %s", name);
	revocation->nr_leases += count.nr_leases;
	revocation->nr_busy += count.nr_busy;
	r = revocation->is_waiting ? wait_for_end(cli, &revocation->what) : 0;
	if (r == -ETIMEDOUT) {
		fprintf(stderr, "p2pctl: %s isn't over\n  try: p2pctl leases\n", name);
		return EXIT_TIMEOUT;
	}
	return r ? cli_failed(cli, r, "can't wait for %s", name) : EXIT_OK;
}

static void print_count(const struct cli *cli, const char *name, uint32_t nr_leases,
			uint32_t nr_busy)
{
	static const struct column count_columns[] = {{"LEASES", "leases", true},
						      {"BUSY", "busy", true}};
	struct table *table;

	if (cli->is_json) {
		table = table_new(cli, name, count_columns, 2);
		table_number(table, nr_leases);
		table_number(table, nr_busy);
		table_print(table);
		return;
	}
	printf("%" PRIu32 " lease%s wanted back\n", nr_leases, nr_leases == 1 ? "" : "s");
	if (nr_busy)
		printf("%" PRIu32 " still mapped by importers that can't be revoked\n", nr_busy);
}

static int revoke_leases(struct cli *cli, struct revocation *revocation, int argc, char **argv)
{
	unsigned int nr_done = 0, nr_failed = 0;
	int failure = EXIT_OK;

	for (int i = optind; i < argc; i++) {
		int r;

		if (parse_number(argv[i], &revocation->what.lease_id))
			r = cli_usage(cli, "%s is no number of a lease", argv[i]);
		else
			r = revoke_one(cli, revocation, argv[i]);
		nr_done += r == EXIT_OK;
		nr_failed += r != EXIT_OK;
		if (r)
			failure = r;
	}
	return cli_sum_up(nr_done, nr_failed, failure);
}

enum {
	OPTION_NOW = 256,
	OPTION_ALL,
	OPTION_FUNCTION,
	OPTION_UNDO
};

/* An option of `revoke`; false, told, when it can't be. */
static bool take_revoke_option(struct cli *cli, int option, struct revocation *revocation)
{
	struct p2pdma_broker_revocation *what = &revocation->what;

	switch (option) {
	case 'd':
		return cli_take_time(cli, &what->deadline_ms);
	case OPTION_NOW:
		what->deadline_ms = 0;
		return true;
	case OPTION_FUNCTION:
		what->flags = P2PDMA_REVOKE_FUNCTION;
		return true;
	case 'w':
		revocation->is_waiting = true;
		return true;
	case 'p':
		what->scope = P2PDMA_BROKER_SCOPE_PROVIDER;
		what->selector = optarg;
		return true;
	case 'u':
		what->scope = P2PDMA_BROKER_SCOPE_UID;
		if (!parse_user(optarg, &what->uid))
			return true;
		cli_usage(cli, "there is no user %s", optarg);
		return false;
	case OPTION_ALL:
		what->scope = P2PDMA_BROKER_SCOPE_ALL;
		return true;
	default:
		return false;
	}
}

int command_revoke(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		{"deadline", required_argument, NULL, 'd'},
		{"now", no_argument, NULL, OPTION_NOW},
		{"function", no_argument, NULL, OPTION_FUNCTION},
		{"wait", no_argument, NULL, 'w'},
		{"provider", required_argument, NULL, 'p'},
		{"user", required_argument, NULL, 'u'},
		{"all", no_argument, NULL, OPTION_ALL},
		{0},
	};
	struct revocation revocation = {
		.what = {.size_bytes = sizeof(revocation.what),
			 .scope = P2PDMA_BROKER_SCOPE_LEASE,
			 .deadline_ms = DEFAULT_DEADLINE_MS},
	};
	int option, r;

	while ((option = cli_option(cli, argc, argv, "d:wp:u:", options)) != -1) {
		if (!take_revoke_option(cli, option, &revocation))
			return EXIT_USAGE;
	}
	if ((revocation.what.scope == P2PDMA_BROKER_SCOPE_LEASE) != (optind < argc))
		return cli_usage(cli, "either leases, or one of --provider, --user and --all");
	r = cli_open(cli, 0);
	if (r)
		return r;
	if (optind < argc)
		r = revoke_leases(cli, &revocation, argc, argv);
	else
		r = revoke_one(cli, &revocation, "the leases");
	if (r == EXIT_OK || r == EXIT_PARTIAL)
		print_count(cli, "revoke", revocation.nr_leases, revocation.nr_busy);
	return r;
}

int command_drain(struct cli *cli, int argc, char **argv)
{
	static const struct option options[] = {
		{"deadline", required_argument, NULL, 'd'},
		{"undo", no_argument, NULL, OPTION_UNDO},
		{0},
	};
	struct p2pdma_broker_count count = {.size_bytes = sizeof(count)};
	uint64_t deadline_ms = DEFAULT_DEADLINE_MS;
	int option, r, is_on = 1;

	while ((option = cli_option(cli, argc, argv, "d:", options)) != -1) {
		if (option == OPTION_UNDO)
			is_on = 0;
		else if (option != 'd' || !cli_take_time(cli, &deadline_ms))
			return EXIT_USAGE;
	}
	if (optind != argc - 1)
		return cli_usage(cli, "drain needs one selector");
	r = cli_open(cli, 0);
	if (r)
		return r;
	r = p2pdma_broker_drain(cli->context, argv[optind], is_on, deadline_ms, &count);
	if (r)
		return cli_failed(cli, r, "can't %s %s", is_on ? "drain" : "end draining",
				  argv[optind]);
	if (is_on || cli->is_json)
		print_count(cli, "drain", count.nr_leases, count.nr_busy);
	return EXIT_OK;
}
