/* SPDX-License-Identifier: MIT */
#ifndef POLICY_CASE_H
#define POLICY_CASE_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "identities.h"
#include "policy/rules.h"

/* A policy that a test gives its rules, and somebody who asks it for something. */

struct fixture {
	struct policy *policy;
	struct rule rule; /* that the test builds */
	struct policy_subject subject;
	struct policy_request request;
	struct policy_decision decision;
};

static inline int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){
		.subject = {.uid = 1000, .gid = 100, .cgroup = ""},
		.request = {.provider = &some_bar,
			    .mode = WIRE_MODE_EXCLUSIVE,
			    .access = WIRE_ACCESS_READ | WIRE_ACCESS_WRITE,
			    .size_bytes = 4096},
	};
	assert_int_equal(policy_new(&f.policy), 0);
	rule_init(&f.rule);
	strcpy(f.rule.name, "tested");
	f.rule.is_allowed = true;
	*state = &f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	rule_done(&f->rule);
	policy_free(f->policy);
	return 0;
}

static inline void *copy(const void *data, size_t size)
{
	void *memory = malloc(size);

	assert_non_null(memory);
	memcpy(memory, data, size);
	return memory;
}

#define set_list(rule, list, count, ...)                                                           \
	do {                                                                                       \
		__auto_type first = (__typeof__(*(rule).list)[]){__VA_ARGS__};                     \
		size_t bytes = sizeof((__typeof__(*(rule).list)[]){__VA_ARGS__});                  \
		free((rule).list);                                                                 \
		(rule).list = copy(first, bytes);                                                  \
		(rule).count = bytes / sizeof(*(rule).list);                                       \
	} while (0)

/* The rule goes to the end; the next one begins anew. */
static inline void append(struct fixture *f)
{
	f->rule.source = strdup("test.conf:7");
	assert_int_equal(policy_append(f->policy, &f->rule), 0);
	strcpy(f->rule.name, "next");
}

static inline int decide(struct fixture *f)
{
	policy_decide(f->policy, &f->subject, &f->request, &f->decision);
	assert_true(strlen(f->decision.because) > 10);
	return f->decision.error;
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif /* POLICY_CASE_H */
