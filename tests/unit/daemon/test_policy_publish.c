// SPDX-License-Identifier: MIT
/* Policy: who may publish under which names. */
#include "policy_case.h"

static int decide_publish(struct fixture *f, const char *name)
{
	policy_decide_publish(f->policy, &f->subject, name, &f->decision);
	assert_true(strlen(f->decision.because) > 10);
	return f->decision.error;
}

static void append_publish(struct fixture *f, const char *pattern, bool is_allowed)
{
	set_list(f->rule, publish, nr_publish, strdup(pattern));
	f->rule.is_allowed = is_allowed;
	append(f);
}

static void publish_without_rules_root_only(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(decide_publish(f, "a"), -EACCES);
	assert_string_equal(f->decision.rule, "");
	assert_non_null(strstr(f->decision.because, "user 1000"));
	assert_non_null(strstr(f->decision.because, "\"a\""));
	assert_false(policy_is_publisher(f->policy, &f->subject));
	f->subject.uid = 0;
	assert_int_equal(decide_publish(f, "a"), 0);
	assert_true(policy_is_publisher(f->policy, &f->subject));
}

static void publish_by_pattern_whole_name(void **state)
{
	static const struct {
		const char *pattern, *name;
		bool is_match;
	} cases[] = {
		{"gpu-*", "gpu-", true},
		{"gpu-*", "gpu-0.a_b", true},
		{"gpu-*", "xgpu-0", false},
		{"gpu-*", "gpu", false},
		{"a", "a", true},
		{"a", "A", false},
		{"a", "ab", false},
		{"?", "x", true},
		{"?", "xy", false},
		{"*-scratch", "-scratch", true},
		{"*-scratch", "scratch", false},
		{"**", "anything", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture *f = *state;

		append_publish(f, cases[i].pattern, true);
		if (decide_publish(f, cases[i].name) != (cases[i].is_match ? 0 : -EACCES))
			fail_msg("%s %s", cases[i].pattern, cases[i].name);
		if (cases[i].is_match) {
			assert_non_null(strstr(f->decision.because, "(test.conf:7) allows"));
			assert_string_equal(f->decision.source, "test.conf:7");
		}
		teardown(state);
		setup(state);
	}
}

static void publish_first_that_matches_decides_root_too(void **state)
{
	struct fixture *f = *state;

	append_publish(f, "gpu-root", false);
	append_publish(f, "gpu-*", true);
	append_publish(f, "gpu-1", false);
	f->subject.uid = 0;
	assert_int_equal(decide_publish(f, "gpu-root"), -EACCES);
	assert_string_equal(f->decision.rule, "tested");
	assert_int_equal(decide_publish(f, "gpu-1"), 0);
	assert_string_equal(f->decision.rule, "next");
	assert_int_equal(decide_publish(f, "other"), 0);
	assert_string_equal(f->decision.rule, "");
}

static void publish_by_user_group_and_place(void **state)
{
	static const gid_t groups[] = {5, 6};
	struct fixture *f = *state;

	set_list(f->rule, users, nr_users, 1000, 1001);
	set_list(f->rule, groups, nr_groups, 6);
	set_list(f->rule, units, nr_units, strdup("x.service"));
	append_publish(f, "*", true);
	assert_true(policy_needs_cgroup(f->policy));
	assert_false(policy_is_publisher(f->policy, &f->subject));
	assert_int_equal(decide_publish(f, "a"), -EACCES);
	f->subject.groups = groups;
	f->subject.nr_groups = ARRAY_SIZE(groups);
	/* As far as is known. */
	assert_true(policy_is_publisher(f->policy, &f->subject));
	assert_int_equal(decide_publish(f, "a"), -EACCES);
	f->subject.cgroup = "/system.slice/x.service";
	assert_int_equal(decide_publish(f, "a"), 0);
	f->subject.uid = 1002;
	assert_int_equal(decide_publish(f, "a"), -EACCES);
	assert_false(policy_is_publisher(f->policy, &f->subject));
}

/* Unknown: what denies matches, what allows doesn't. */
static void publish_from_unknown_place(void **state)
{
	struct fixture *f = *state;

	set_list(f->rule, units, nr_units, strdup("x.service"));
	append_publish(f, "a", true);
	set_list(f->rule, units, nr_units, strdup("y.service"));
	append_publish(f, "b", false);
	append_publish(f, "*", true);
	f->subject.cgroup = NULL;
	assert_int_equal(decide_publish(f, "a"), 0);
	assert_string_equal(f->decision.because, "rule next (test.conf:7) allows to publish \"a\"");
	assert_int_equal(decide_publish(f, "b"), -EACCES);
}

/* Neither kind of rule says anything about the other. */
static void publish_and_lease_rules_apart(void **state)
{
	struct fixture *f = *state;

	append(f);
	assert_int_equal(decide(f), 0);
	assert_int_equal(decide_publish(f, "a"), -EACCES);
	assert_false(policy_is_publisher(f->policy, &f->subject));
	policy_free(f->policy);
	assert_int_equal(policy_new(&f->policy), 0);
	append_publish(f, "*", true);
	f->request.provider = &some_bar;
	assert_int_equal(decide(f), -EACCES);
	assert_string_equal(f->decision.rule, "");
	assert_int_equal(decide_publish(f, "a"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(publish_without_rules_root_only),
		test(publish_by_pattern_whole_name),
		test(publish_first_that_matches_decides_root_too),
		test(publish_by_user_group_and_place),
		test(publish_from_unknown_place),
		test(publish_and_lease_rules_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
