/* SPDX-License-Identifier: MIT */
#ifndef POLICY_TEXT_H
#define POLICY_TEXT_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "policy/parse.h"
#include "policy/rules.h"

/* Configuration as text, read into a policy. Of users there is alice, of groups staff. */

static inline int find_user(const char *name, uid_t *ret_uid)
{
	if (!strcmp(name, "broken"))
		return -EIO;
	if (strcmp(name, "alice") != 0)
		return -ENOENT;
	*ret_uid = 1000;
	return 0;
}

static inline int find_group(const char *name, gid_t *ret_gid)
{
	if (strcmp(name, "staff") != 0)
		return -ENOENT;
	*ret_gid = 50;
	return 0;
}

static const struct policy_names names = {find_user, find_group};

struct fixture {
	struct policy *policy;
	struct complaints complaints;
};

static inline int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	assert_int_equal(policy_new(&f.policy), 0);
	*state = &f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	policy_free(f->policy);
	complaints_done(&f->complaints);
	return 0;
}

static inline void parse_bytes(struct fixture *f, const char *text, size_t size)
{
	/* A copy of its own: reading past it is seen. */
	char *copy = malloc(size ? size : 1);

	assert_non_null(copy);
	memcpy(copy, text, size);
	policy_parse(f->policy, &names, "t.conf", copy, size, &f->complaints);
	free(copy);
}

/* It must be right. */
static inline void parse(struct fixture *f, const char *text)
{
	parse_bytes(f, text, strlen(text));
	if (f->complaints.error)
		fail_msg("%s", f->complaints.text);
	assert_null(f->complaints.text);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif /* POLICY_TEXT_H */
