/* SPDX-License-Identifier: MIT */
#ifndef LEASE_OPTIONS_H
#define LEASE_OPTIONS_H

#include "cli.h"

/* The options that say which slice is wanted, for `acquire` and `bench`. */
struct lease_options {
	struct p2pdma_lease_request request;
	struct p2pdma_range ranges[P2PDMA_LEASE_MAX_RANGES];
};

enum {
	OPTION_ALIGN = 512,
	OPTION_IMPORTER,
	OPTION_SHARED,
	OPTION_READ_ONLY,
	OPTION_WC,
	OPTION_UNREVOCABLE,
	OPTION_TTL,
	OPTION_LABEL,
	OPTION_RANGE,
	OPTION_REVOKE_SIGNAL,
};

#define LEASE_LETTERS "l:"
#define LEASE_OPTIONS                                                                              \
	{"length", required_argument, NULL, 'l'},                                                  \
		{"align", required_argument, NULL, OPTION_ALIGN},                                  \
		{"importer", required_argument, NULL, OPTION_IMPORTER},                            \
		{"shared", no_argument, NULL, OPTION_SHARED},                                      \
		{"read-only", no_argument, NULL, OPTION_READ_ONLY},                                \
		{"write-combining", no_argument, NULL, OPTION_WC},                                 \
		{"allow-unrevocable", no_argument, NULL, OPTION_UNREVOCABLE},                      \
		{"ttl", required_argument, NULL, OPTION_TTL},                                      \
		{"label", required_argument, NULL, OPTION_LABEL},                                  \
	{                                                                                          \
		"range", required_argument, NULL, OPTION_RANGE                                     \
	}

void lease_options_init(struct lease_options *options);
/* False, having said why, when the option can't be. */
bool lease_options_take(struct cli *cli, int option, struct lease_options *options);
/* Before the context is open: EXIT_OK or EXIT_USAGE. */
int lease_options_check(struct cli *cli, struct lease_options *options);
/* Behind it: what was published is acquired whole. An exit code. */
int lease_options_complete(struct cli *cli, struct lease_options *options);

#endif /* LEASE_OPTIONS_H */
