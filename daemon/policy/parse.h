/* SPDX-License-Identifier: MIT */
#ifndef POLICY_PARSE_H
#define POLICY_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct policy;

/* Everything that is wrong, a line each. */
struct complaints {
	char *text; /* NULL: none */
	size_t length;
	bool is_full; /* more than anybody reads: the last line says that some are missing */
	int error;    /* 0: nothing is wrong; -EINVAL, or what stood in the way of reading */
};

/* Formats a line, without its newline. @error: the first one stays. */
__attribute__((format(printf, 3, 4))) void complain(struct complaints *complaints, int error,
						    const char *format, ...);
void complaints_done(struct complaints *complaints);

/* Who is called what. 0, -ENOENT, or another -errno. */
struct policy_names {
	int (*find_user)(const char *name, uid_t *ret_uid);
	int (*find_group)(const char *name, gid_t *ret_gid);
};

#define POLICY_FILE_BYTES (1024 * 1024)
#define POLICY_RULES_MAX  10000

/*
 * Adds to @policy what the text of one file says. @file: its name, for complaints and as the
 * rules' source. The syntax: p2pd.conf(5).
 */
void policy_parse(struct policy *policy, const struct policy_names *names, const char *file,
		  const char *text, size_t size_bytes, struct complaints *complaints);

#endif /* POLICY_PARSE_H */
