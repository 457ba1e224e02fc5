/* SPDX-License-Identifier: MIT */
#ifndef CLI_H
#define CLI_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <p2pdma/p2pdma.h>

/* What every command shares. */
struct cli {
	const char *command;
	struct p2pdma_context *context; /* cli_open() */
	FILE *out;			/* of tables: standard output, or a part of a bundle */
	uint32_t timeout_ms;
	bool is_json;
	bool has_headings;
	bool is_bytes; /* sizes as numbers of bytes */
	bool has_colour;
};

/* The exit codes; a script may rely on them. */
enum cli_exit {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_UNREACHABLE = 3,
	EXIT_DENIED = 4,
	EXIT_NOT_FOUND = 5,
	EXIT_NOT_POSSIBLE = 6,
	EXIT_TIMEOUT = 7,
	EXIT_PARTIAL = 8,
};

/* A command: what is left of the command line, options parsed by itself. An exit code. */
struct command {
	const char *name;
	const char *arguments;
	const char *summary;
	int (*run)(struct cli *cli, int argc, char **argv);
};

/* main.c; the last one has no name. */
extern const struct command commands[];

/* help.c: of cli->command, or of all where there is none. @options: what the parser takes. */
void help_print(const struct cli *cli, const struct option *options, const char *letters);

int command_status(struct cli *cli, int argc, char **argv);
int command_list(struct cli *cli, int argc, char **argv);
int command_show(struct cli *cli, int argc, char **argv);
int command_acquire(struct cli *cli, int argc, char **argv);
int command_leases(struct cli *cli, int argc, char **argv);
int command_revoke(struct cli *cli, int argc, char **argv);
int command_drain(struct cli *cli, int argc, char **argv);
int command_monitor(struct cli *cli, int argc, char **argv);
int command_policy(struct cli *cli, int argc, char **argv);
int command_stats(struct cli *cli, int argc, char **argv);
int command_bind(struct cli *cli, int argc, char **argv);
int command_unbind(struct cli *cli, int argc, char **argv);
int command_topo(struct cli *cli, int argc, char **argv);
int command_check(struct cli *cli, int argc, char **argv);
int command_best(struct cli *cli, int argc, char **argv);
int command_doctor(struct cli *cli, int argc, char **argv);
int command_bench(struct cli *cli, int argc, char **argv);

/* Opens the context; an exit code, having said why. @flags: P2PDMA_CONTEXT_*. */
int cli_open(struct cli *cli, uint32_t flags);

/* The next option of a command, those common to all already taken; -1 at the end, '?' told. */
int cli_option(struct cli *cli, int argc, char **argv, const char *letters,
	       const struct option *options);

/* Says what failed, why, and what to try; the exit code for @error. */
int cli_failed(const struct cli *cli, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* A mistake on the command line: EXIT_USAGE. */
int cli_usage(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The argument of an option; false, told, when it is no time. */
bool cli_take_time(const struct cli *cli, uint64_t *ret_ms);
int cli_exit_code(int error);
/* Of several targets: all well, some, or none (then the last failure's code). */
int cli_sum_up(unsigned int nr_done, unsigned int nr_failed, int last_failure);

/* text.c: numbers that people read and write; parsers return 0 or -EINVAL. */
int parse_bytes(const char *text, uint64_t *ret_bytes);	    /* 4096, 64M, 2MiB */
int parse_time(const char *text, uint64_t *ret_ms);	    /* 500ms, 10s, 5m, 2h, 1d */
int parse_user(const char *text, uint32_t *ret_uid);	    /* a name or a number */
int parse_number(const char *text, uint64_t *ret_number);   /* decimal or 0x */
void format_bytes(uint64_t bytes, char *text, size_t size); /* 64 MiB, 1.5 GiB */
void format_time(uint64_t ns, char *text, size_t size);	    /* 1.2 s, 3 min, 2 h */
uint64_t now_ns(void);

/* utf8.c: bytes of the character that begins there; 0: none does, as it isn't well-formed. */
size_t utf8_length(const char *text);
/* To standard output, for people: what a terminal would act on is replaced, too. */
void text_print(const char *text);
/* In place of each byte that belongs to none. */
#define UTF8_REPLACEMENT "\xef\xbf\xbd"

const char *state_name(uint32_t state);
const char *mode_name(uint32_t mode);
const char *force_name(uint32_t force);
const char *backend_name(uint32_t backend);
const char *monitor_name(uint32_t type);

#endif /* CLI_H */
