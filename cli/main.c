// SPDX-License-Identifier: MIT
/*
 * p2pctl: the command line of p2pd, on the public API alone.
 *
 * One table of commands. Options that all share may stand before or behind the command's name;
 * a command takes its own by cli_option(). Every failure is said once, by cli_failed(), with its
 * cause and what to try, and has the exit code that the manual page promises.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

const struct command commands[] = {
	{"status", "", "how p2pd is", command_status},
	{"list", "[--direct] [SELECTOR]", "the providers", command_list},
	{"show", "PROVIDER...", "one provider and its leases", command_show},
	{"acquire", "[OPTION...] [SELECTOR] [-- COMMAND [ARGUMENT...]]",
	 "hold a lease while COMMAND runs", command_acquire},
	{"leases", "[--user USER] [SELECTOR]", "the leases", command_leases},
	{"revoke", "[OPTION...] LEASE... | --provider SELECTOR | --user USER | --all",
	 "take leases back", command_revoke},
	{"drain", "[--deadline TIME] [--undo] SELECTOR", "end leases and grant no new ones",
	 command_drain},
	{"monitor", "", "follow what p2pd does", command_monitor},
	{"policy", "test [OPTION...] PROVIDER | --publish NAME", "which rule would decide",
	 command_policy},
	{"stats", "[--dump]", "p2pd's metrics", command_stats},
	{"bind", "[--force] FUNCTION [DRIVER]", "give a PCI function to p2pdma_export",
	 command_bind},
	{"unbind", "[--force] [--no-probe] FUNCTION", "and back to its own driver", command_unbind},
	{"topo", "[--all] [--dot | --svg]", "which provider reaches which importer, and how",
	 command_topo},
	{"check", "PROVIDER IMPORTER", "does it work, why, and what to change", command_check},
	{"best", "[--all] PROVIDER | IMPORTER", "its partners, the best first", command_best},
	{"doctor", "[--all] [--direct] [--try] [--bundle FILE]",
	 "what of this machine is in the way, and what to do", command_doctor},
	{"bench", "[OPTION...] [SELECTOR]", "how fast leases are granted", command_bench},
	{NULL, NULL, NULL, NULL},
};

int cli_exit_code(int error)
{
	switch (error) {
	case 0:
		return EXIT_OK;
	case -ECONNREFUSED:
	case -ECONNRESET:
		return EXIT_UNREACHABLE;
	case -EACCES:
	case -EPERM:
		return EXIT_DENIED;
	case -ENOENT:
	case -ENODEV:
	case -ESTALE:
		return EXIT_NOT_FOUND;
	case -EOPNOTSUPP:
	case -EBUSY:
	case -EDQUOT:
	case -ENOSPC:
		return EXIT_NOT_POSSIBLE;
	case -ETIMEDOUT:
		return EXIT_TIMEOUT;
	default:
		return EXIT_FAILED;
	}
}

static bool is_command(const struct cli *cli, const char *name)
{
	return cli->command && !strcmp(cli->command, name);
}

static const char *hint(const struct cli *cli, int error)
{
	switch (cli_exit_code(error)) {
	case EXIT_UNREACHABLE:
		return is_command(cli, "list") ?
			       "start it by `systemctl start p2pd.socket`, name its socket in "
			       "P2PDMA_SOCKET, or do without: `p2pctl list --direct`" :
			       "start it by `systemctl start p2pd.socket`, or name its socket in "
			       "P2PDMA_SOCKET";
	case EXIT_DENIED:
		return "`p2pctl policy test PROVIDER` says which rule decides; an administrator "
		       "can";
	case EXIT_NOT_FOUND:
		if (is_command(cli, "check") || is_command(cli, "best"))
			return "`p2pctl topo --all` shows what there is";
		return "`p2pctl list` and `p2pctl leases` show what there is";
	case EXIT_NOT_POSSIBLE:
		return error == -EDQUOT ? "`p2pctl leases` shows what you hold" :
		       error == -EBUSY	? "`p2pctl show PROVIDER` shows who holds it" :
					  "`p2pctl show PROVIDER` shows what it can do";
	case EXIT_TIMEOUT:
		return "`journalctl -u p2pd` may say what it is doing; --timeout waits longer";
	default:
		return NULL;
	}
}

int cli_failed(const struct cli *cli, int error, const char *format, ...)
{
	const char *cause =
		cli->context ? p2pdma_context_error(cli->context) : p2pdma_context_error(NULL);
	va_list arguments;

	fflush(stdout);
	fprintf(stderr, "p2pctl: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fprintf(stderr, ": %s\n", *cause ? cause : strerror(-error));
	if (hint(cli, error))
		fprintf(stderr, "  try: %s\n", hint(cli, error));
	return cli_exit_code(error);
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "p2pctl: ");
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	for (size_t i = 0; cli->command && commands[i].name; i++) {
		if (!strcmp(commands[i].name, cli->command))
			fprintf(stderr, "usage: p2pctl %s %s\n", cli->command,
				commands[i].arguments);
	}
	if (!cli->command)
		fprintf(stderr, "  try: p2pctl --help\n");
	return EXIT_USAGE;
}

bool cli_take_time(const struct cli *cli, uint64_t *ret_ms)
{
	if (!parse_time(optarg, ret_ms))
		return true;
	cli_usage(cli, "%s is no time, such as 500ms or 10s", optarg);
	return false;
}

int cli_sum_up(unsigned int nr_done, unsigned int nr_failed, int last_failure)
{
	if (!nr_failed)
		return EXIT_OK;
	return nr_done ? EXIT_PARTIAL : last_failure;
}

int cli_open(struct cli *cli, uint32_t flags)
{
	struct p2pdma_context_options options = P2PDMA_CONTEXT_OPTIONS_INIT;
	int r;

	options.flags = flags | P2PDMA_CONTEXT_NO_HOTPLUG;
	options.broker_timeout_ms = cli->timeout_ms;
	r = p2pdma_context_open(&options, &cli->context);
	return r ? cli_failed(cli, r, "can't begin") : EXIT_OK;
}

enum {
	OPTION_NO_HEADINGS = 1000,
	OPTION_TIMEOUT
};

static const struct option common[] = {
	{"json", no_argument, NULL, 'J'},  {"no-headings", no_argument, NULL, OPTION_NO_HEADINGS},
	{"bytes", no_argument, NULL, 'b'}, {"timeout", required_argument, NULL, OPTION_TIMEOUT},
	{"help", no_argument, NULL, 'h'},
};

#define NR_COMMON   (sizeof(common) / sizeof(common[0]))
#define MAX_OPTIONS 32

/* True: it was one of those. */
static bool take_common(struct cli *cli, int option, bool *ret_is_wrong)
{
	uint64_t ms;

	switch (option) {
	case 'J':
		cli->is_json = true;
		return true;
	case OPTION_NO_HEADINGS:
		cli->has_headings = false;
		return true;
	case 'b':
		cli->is_bytes = true;
		return true;
	case OPTION_TIMEOUT:
		*ret_is_wrong = parse_time(optarg, &ms) || !ms || ms > UINT32_MAX;
		if (*ret_is_wrong)
			cli_usage(cli, "--timeout %s is no time, such as 500ms or 10s", optarg);
		else
			cli->timeout_ms = (uint32_t)ms;
		return true;
	default:
		return false;
	}
}

int cli_option(struct cli *cli, int argc, char **argv, const char *letters,
	       const struct option *options)
{
	struct option all[MAX_OPTIONS] = {0};
	bool is_wrong = false;
	char short_options[64];
	size_t n = 0;

	while (options && options[n].name && n < MAX_OPTIONS - NR_COMMON - 1) {
		all[n] = options[n];
		n++;
	}
	memcpy(all + n, common, sizeof(common));
	snprintf(short_options, sizeof(short_options), "+Jbh%s", letters);
	for (;;) {
		int option = getopt_long(argc, argv, short_options, all, NULL);

		if (option == 'h') {
			help_print(cli, all, short_options);
			exit(EXIT_OK);
		}
		if (!take_common(cli, option, &is_wrong)) {
			if (option == '?')
				cli_usage(cli, "the options are in p2pctl(1)");
			return option;
		}
		if (is_wrong)
			return '?';
	}
}

static int run(struct cli *cli, int argc, char **argv)
{
	for (size_t i = 0; commands[i].name; i++) {
		if (strcmp(commands[i].name, argv[0]))
			continue;
		cli->command = commands[i].name;
		/* getopt's complaints begin with it. */
		argv[0] = (char *)"p2pctl";
		optind = 0;
		return commands[i].run(cli, argc, argv);
	}
	return cli_usage(cli, "there is no command %s", argv[0]);
}

int main(int argc, char **argv)
{
	static const struct option version[] = {{"version", no_argument, NULL, 'V'}, {0}};
	struct cli cli = {.out = stdout, .has_headings = true};
	const char *no_colour = getenv("NO_COLOR");
	int option, code;

	cli.has_colour = isatty(STDOUT_FILENO) && !(no_colour && *no_colour);
	cli.command = NULL;
	while ((option = cli_option(&cli, argc, argv, "V", version)) != -1) {
		if (option != 'V')
			return EXIT_USAGE;
		printf("p2pctl %s\n", p2pdma_version_string());
		return EXIT_OK;
	}
	if (optind == argc)
		return cli_usage(&cli, "no command was given");
	code = run(&cli, argc - optind, argv + optind);
	p2pdma_context_close(cli.context);
	if (fflush(stdout) || ferror(stdout)) {
		fprintf(stderr, "p2pctl: can't write: %s\n", strerror(errno));
		return EXIT_FAILED;
	}
	return code;
}
