/* SPDX-License-Identifier: MIT */
#ifndef CHECK_H
#define CHECK_H

#include <stdbool.h>

#include "common/wire.h"

struct policy;

/* What getopt_long() calls the options of the question. */
enum {
	CHECK_UID = 256,
	CHECK_GID,
	CHECK_PROVIDER,
	CHECK_UNIT,
	CHECK_LENGTH,
	CHECK_SHARED,
	CHECK_READ_ONLY,
	CHECK_UNREVOCABLE,
	CHECK_TTL,
	CHECK_PUBLISH,
};

/* What `p2pd --check` asks of the configuration beside being free of faults. */
struct check {
	bool has_question;
	const char *user;  /* name or number */
	const char *group; /* the same; NULL: those of the user */
	struct wire_policy_test test;
};

void check_init(struct check *check);
/* False, with a sentence on standard error: it can't be that. */
bool check_take_option(struct check *check, int option, const char *argument);
/* The same for all of them together. */
bool check_is_complete(const struct check *check);

/*
 * Answers on standard output. The exit code: 0 granted, 1 the machine can't be looked at,
 * 4 denied, 5 there is no such provider, user or group.
 *
 * Blocking: NSS and sysfs.
 */
int check_run(const struct check *check, const struct policy *policy);

#endif /* CHECK_H */
