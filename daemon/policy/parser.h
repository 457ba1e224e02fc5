/* SPDX-License-Identifier: MIT */
#ifndef POLICY_PARSER_H
#define POLICY_PARSER_H

#include <stdint.h>

#include "parse.h"
#include "rules.h"

/* Between parse.c (lines and sections), keys.c (settings) and own.c (their values). */

enum section {
	SECTION_NONE,
	SECTION_DAEMON,
	SECTION_RULE,
	SECTION_BAD, /* told already; what is in it is skipped */
};

struct parser {
	struct policy *policy;
	const struct policy_names *names;
	const char *file;
	struct complaints *complaints;

	const char *text; /* what is left */
	size_t left;
	unsigned int line;

	enum section section;
	unsigned int section_line;
	bool is_daemon_seen; /* in this file */
	uint64_t seen;	     /* bits: keys of this section that were set */
	struct rule rule;    /* SECTION_RULE */

	bool is_setting_due;   /* the line just read must come back as a setting */
	bool is_continuation;  /* it goes on with the setting before */
	bool is_value_refused; /* that one was wrong: what goes on with it is skipped */
};

/* Tells what is wrong, with file and line. */
__attribute__((format(printf, 2, 3))) void parser_fail(struct parser *parser, const char *format,
						       ...);
/* The same for another line than the current one. */
__attribute__((format(printf, 3, 4))) void parser_fail_at(struct parser *parser, unsigned int line,
							  const char *format, ...);

/* One setting in a known section. */
void parser_set(struct parser *parser, const char *name, const char *value);
/* What only the rule as a whole can have wrong. */
void parser_check_rule(struct parser *parser);

/* -- one value or element (own.c): 0, -EINVAL, or another -errno that it has told -- */

int parser_add_user(struct parser *parser, const char *value);
int parser_add_group(struct parser *parser, const char *value);
int parser_add_cgroup(struct parser *parser, const char *value);
int parser_add_unit(struct parser *parser, const char *value);
int parser_add_job(struct parser *parser, const char *value);
int parser_add_provider(struct parser *parser, const char *value);
int parser_add_publish(struct parser *parser, const char *value);
int parser_add_mode(struct parser *parser, const char *value);
int parser_add_access(struct parser *parser, const char *value);
int parser_set_admin_group(struct parser *parser, const char *value);
int parser_set_metrics_file(struct parser *parser, const char *value);
int parser_set_log_level(struct parser *parser, const char *value);

#endif /* POLICY_PARSER_H */
