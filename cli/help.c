// SPDX-License-Identifier: MIT
/*
 * --help: what there is, from the tables that the program itself works by.
 *
 * That of a command lists the options that its parser takes, so that none is missing; here are only
 * the words for them. A test compares it with the manual page and bash's completion. No state.
 */
#include <stdio.h>
#include <string.h>

#include "cli.h"

/* Of one command before that of any; @argument: NULL for none. */
static const struct words {
	const char *command;
	const char *option;
	const char *argument;
	const char *meaning;
} words[] = {
	{"best", "all", NULL, "every function, not only those that are likely"},
	{"doctor", "all", NULL, "what is well, too"},
	{"revoke", "all", NULL, "every lease"},
	{"topo", "all", NULL, "every function, for rows and columns"},
	{NULL, "align", "SIZE", "a power of two"},
	{NULL, "allow-unrevocable", NULL, "also to importers that can't be revoked"},
	{NULL, "bundle", "FILE", "write a report to attach to a bug"},
	{NULL, "bytes", NULL, "sizes in bytes"},
	{NULL, "count", "NUMBER", "how many leases"},
	{NULL, "deadline", "TIME", "how long holders have to stop by themselves (5s)"},
	{"doctor", "direct", NULL, "leave p2pd out"},
	{NULL, "direct", NULL, "ask the kernel, not p2pd"},
	{NULL, "dot", NULL, "the tree for Graphviz"},
	{NULL, "dump", NULL, "p2pd's state as JSON"},
	{NULL, "force", NULL, "take it from a driver that is using it"},
	{NULL, "function", NULL, "all of the function where leases can't be forced alone"},
	{NULL, "gid", "NUMBER", "of a user with this group alone"},
	{NULL, "help", NULL, "this"},
	{NULL, "importer", "DEVICE", "the provider with the best path to it"},
	{NULL, "json", NULL, "JSON with a schema name and version in it"},
	{NULL, "label", "TEXT", "shown in lists"},
	{NULL, "length", "SIZE", "how much, in one piece"},
	{NULL, "no-headings", NULL, "tables without their first line"},
	{NULL, "no-probe", NULL, "leave it without a driver"},
	{NULL, "now", NULL, "without a deadline"},
	{NULL, "pid", "NUMBER", "of this process as it runs"},
	{"policy", "provider", "PROVIDER", "the same as PROVIDER alone"},
	{NULL, "provider", "SELECTOR", "those on these providers"},
	{NULL, "publish", "NAME", "about publishing under this name"},
	{NULL, "range", "OFFSET:LENGTH", "exactly this of one BAR; may be repeated"},
	{NULL, "read-only", NULL, "for reading alone"},
	{NULL, "revoke-signal", "SIGNAL", "what COMMAND gets when it is wanted back (TERM)"},
	{NULL, "shared", NULL, "others may have leases on the same bytes"},
	{NULL, "svg", NULL, "a picture"},
	{NULL, "timeout", "TIME", "how long to wait for p2pd (5s)"},
	{NULL, "try", NULL, "also what only doing shows: open, register"},
	{NULL, "ttl", "TIME", "for how long"},
	{NULL, "uid", "USER", "of this user"},
	{NULL, "undo", NULL, "let leases be granted again"},
	{NULL, "unit", "UNIT", "in this unit"},
	{"leases", "user", "USER", "this user's"},
	{"policy", "user", "USER", "the same as --uid"},
	{NULL, "user", "USER", "those of this user"},
	{NULL, "version", NULL, "the version"},
	{NULL, "wait", NULL, "until they have ended"},
	{NULL, "write-combining", NULL, "how the CPU maps it"},
};

static const struct words *find_words(const char *command, const char *option)
{
	static const struct words none = {.meaning = "?"};

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		bool is_here = !words[i].command || (command && !strcmp(words[i].command, command));

		if (is_here && !strcmp(words[i].option, option))
			return &words[i];
	}
	return &none;
}

static void print_option(const struct cli *cli, const struct option *option, const char *letters)
{
	const struct words *found = find_words(cli->command, option->name);
	char text[64], letter[8] = "    ";

	if (option->val > ' ' && option->val < 0x7f && strchr(letters, option->val))
		snprintf(letter, sizeof(letter), "-%c, ", option->val);
	snprintf(text, sizeof(text), "%s%s%s", option->name, found->argument ? " " : "",
		 found->argument ? found->argument : "");
	printf("  %s--%-21s %s\n", letter, text, found->meaning);
}

static void print_all(void)
{
	puts("usage: p2pctl [OPTION...] COMMAND [ARGUMENT...]\n\ncommands:");
	for (size_t i = 0; commands[i].name; i++)
		printf("  %-10s %s\n             %s\n", commands[i].name, commands[i].arguments,
		       commands[i].summary);
	puts("\np2pctl COMMAND --help has the options of one of them.\n\noptions of all commands:");
}

static void print_command(const struct cli *cli)
{
	for (size_t i = 0; commands[i].name; i++)
		if (!strcmp(commands[i].name, cli->command))
			printf("usage: p2pctl %s%s%s\n\n%s\n\noptions:\n", cli->command,
			       *commands[i].arguments ? " " : "", commands[i].arguments,
			       commands[i].summary);
}

void help_print(const struct cli *cli, const struct option *options, const char *letters)
{
	if (cli->command)
		print_command(cli);
	else
		print_all();
	for (size_t i = 0; options[i].name; i++)
		print_option(cli, &options[i], letters);
	puts("\nexit codes: 0 ok, 1 failure, 2 usage, 3 p2pd unreachable, 4 denied, 5 not found,\n"
	     "6 not possible, 7 timeout, 8 partial. See p2pctl(1).");
}
