// SPDX-License-Identifier: MIT
/* Policy: what each match of a rule matches. */
#include "policy_case.h"

/* By this rule, or by none. */
static bool is_matched(struct fixture *f)
{
	decide(f);
	if (!*f->decision.rule) {
		assert_int_equal(f->decision.error, -EACCES);
		return false;
	}
	assert_string_equal(f->decision.rule, "tested");
	assert_string_equal(f->decision.source, "test.conf:7");
	assert_non_null(strstr(f->decision.because, "tested"));
	return true;
}

struct cgroup_case {
	const char *cgroup;
	bool is_match;
};

static void try_cgroups(struct fixture *f, const struct cgroup_case *cases, size_t nr_cases)
{
	append(f);
	for (size_t i = 0; i < nr_cases; i++) {
		f->subject.cgroup = cases[i].cgroup;
		if (is_matched(f) != cases[i].is_match)
			fail_msg("%s", cases[i].cgroup);
	}
}

static void match_user_one_of(void **state)
{
	struct fixture *f = *state;

	set_list(f->rule, users, nr_users, 999, 1000);
	append(f);
	assert_true(is_matched(f));
	f->subject.uid = 1001;
	f->subject.gid = 1000;
	assert_false(is_matched(f));
}

static void match_group_primary_or_supplementary(void **state)
{
	static const gid_t groups[] = {5, 6};
	struct fixture *f = *state;

	set_list(f->rule, groups, nr_groups, 6, 200);
	append(f);
	assert_false(is_matched(f));
	f->subject.gid = 200;
	assert_true(is_matched(f));
	f->subject.gid = 100;
	f->subject.groups = groups;
	f->subject.nr_groups = 1;
	assert_false(is_matched(f));
	f->subject.nr_groups = 2;
	assert_true(is_matched(f));
}

static void match_cgroup_whole_path(void **state)
{
	struct fixture *f = *state;

	set_list(f->rule, cgroups, nr_cgroups, strdup("/x"), strdup("/system.slice/*"));
	append(f);
	f->subject.cgroup = "/system.slice/a.service";
	assert_true(is_matched(f));
	f->subject.cgroup = "/system.slice/a.service/b";
	assert_false(is_matched(f));
	f->subject.cgroup = NULL;
	assert_false(is_matched(f));
}

static void match_cgroup_unknown_matches_not_even_all(void **state)
{
	struct fixture *f = *state;

	set_list(f->rule, cgroups, nr_cgroups, strdup("**"));
	append(f);
	f->subject.cgroup = "";
	assert_false(is_matched(f));
	f->subject.cgroup = "/";
	assert_true(is_matched(f));
}

static void needs_cgroup_with_each_kind_of_place(void **state)
{
	struct fixture *f = *state;

	for (int which = 0; which < 3; which++) {
		struct policy *policy;

		assert_int_equal(policy_new(&policy), 0);
		assert_int_equal(policy_append(policy, &f->rule), 0);
		assert_false(policy_needs_cgroup(policy));
		if (which == 0)
			set_list(f->rule, cgroups, nr_cgroups, strdup("/a.slice/b"));
		else if (which == 1)
			set_list(f->rule, units, nr_units, strdup("a.slice"));
		else
			set_list(f->rule, jobs, nr_jobs, {42, 42});
		assert_int_equal(policy_append(policy, &f->rule), 0);
		assert_true(policy_needs_cgroup(policy));
		assert_int_equal(policy_append(policy, &f->rule), 0);
		assert_true(policy_needs_cgroup(policy));
		policy_free(policy);
	}
}

/* What denies must not be gone around by not being known, and what allows not be had by it. */
static void match_cgroup_unknown_by_rules_that_deny_only(void **state)
{
	struct fixture *f = *state;

	for (int which = 0; which < 3; which++) {
		f->rule.is_allowed = false;
		strcpy(f->rule.name, "tested");
		if (which == 0)
			set_list(f->rule, cgroups, nr_cgroups, strdup("/a.slice/b"));
		else if (which == 1)
			set_list(f->rule, units, nr_units, strdup("a.slice"));
		else
			set_list(f->rule, jobs, nr_jobs, {42, 42});
		append(f);
		f->subject.cgroup = "/other.slice/b";
		assert_false(is_matched(f));
		f->subject.cgroup = "";
		assert_true(is_matched(f));
		f->subject.cgroup = NULL;
		assert_true(is_matched(f));
		/* The user that it doesn't name is still none of its. */
		set_list(f->policy->rules[0], users, nr_users, 7);
		assert_false(is_matched(f));
		f->policy->rules[0].nr_users = 0;
		f->policy->rules[0].is_allowed = true;
		assert_false(is_matched(f));
		rule_done(&f->policy->rules[0]);
		f->policy->nr_rules = 0;
	}
}

static void match_unit_only_where_systemd_makes_it(void **state)
{
	static const struct cgroup_case cases[] = {
		{"/system.slice/render-1.service", true},
		{"/system.slice/render-1.service/sub", true},
		{"/render-1.service", true},
		{"/system.slice/system-render.slice/render-1.service", true},
		{"/machine.slice/x.scope", true}, /* by its slice */
		{"/system.slice/other.service", false},
		/* What a user calls something below their own unit says nothing. */
		{"/user.slice/user-7.slice/user@7.service/app.slice/render-1.service", false},
		{"/system.slice/other.service/render-1.service", false},
		{"/system.slice/other.service/machine.slice", false},
		{"/system.slice/xrender-1.service", false},
		{"/", false},
		{"", false},
	};
	struct fixture *f = *state;

	set_list(f->rule, units, nr_units, strdup("render-*.service"), strdup("machine.slice"));
	try_cgroups(f, cases, ARRAY_SIZE(cases));
}

static void match_job_only_where_slurm_makes_it(void **state)
{
	static const struct cgroup_case cases[] = {
		{"/system.slice/slurmstepd.scope/job_42/step_0/user/task_0", true},
		{"/system.slice/node1_slurmstepd.scope/job_42", true},
		{"/slurm/uid_1000/job_42/step_1", true},
		{"/slurm_node1/uid_1000/job_42", true},
		{"/system.slice/slurmstepd.scope/job_100", true},
		{"/system.slice/slurmstepd.scope/job_199", true},
		{"/system.slice/slurmstepd.scope/job_41", false},
		{"/system.slice/slurmstepd.scope/job_200", false},
		{"/system.slice/slurmstepd.scope/job_4", false},
		{"/system.slice/slurmstepd.scope/job_", false},
		{"/system.slice/slurmstepd.scope/job_42x", false},
		{"/system.slice/slurmstepd.scope/job_18446744073709551658", false}, /* 2^64 + 42 */
		{"/system.slice/slurmstepd.scope", false},
		{"/system.slice/slurmstepd.scope/system/job_42", false},
		{"/system.slice/other.scope/job_42", false},
		{"/user.slice/user-7.slice/user@7.service/slurmstepd.scope/job_42", false},
		{"/slurm/job_42", false},
		{"/slurm/step_1000/job_42", false},
		{"/slurm/uid_1000", false},
		{"/x/slurm/uid_1000/job_42", false},
		{"/job_42", false},
		{"/system.slice", false},
		{"", false},
	};
	struct fixture *f = *state;

	set_list(f->rule, jobs, nr_jobs, {42, 42}, {100, 199});
	try_cgroups(f, cases, ARRAY_SIZE(cases));
}

static void match_provider_one_of(void **state)
{
	struct selector other, same;
	struct fixture *f = *state;

	assert_int_equal(selector_parse("published:*", &other), 0);
	assert_int_equal(selector_parse("10ee:*", &same), 0);
	set_list(f->rule, providers, nr_providers, other);
	append(f);
	assert_false(is_matched(f));
	strcpy(f->rule.name, "tested");
	f->rule.is_allowed = true;
	set_list(f->rule, providers, nr_providers, other, same);
	append(f);
	assert_true(is_matched(f));
}

static void match_mode_and_access_of_an_allowing_rule_nothing_beyond(void **state)
{
	struct fixture *f = *state;

	f->rule.modes = 1U << WIRE_MODE_SHARED;
	f->rule.access = WIRE_ACCESS_READ;
	append(f);
	assert_false(is_matched(f));
	f->request.mode = WIRE_MODE_SHARED;
	assert_false(is_matched(f));
	f->request.access = WIRE_ACCESS_READ;
	assert_true(is_matched(f));
	/* Not saying doesn't help. */
	f->request.access = 0;
	assert_false(is_matched(f));
	f->request.access = WIRE_ACCESS_READ;
	f->request.mode = 0;
	assert_false(is_matched(f));
	f->request.mode = 33;
	assert_false(is_matched(f));
}

static void match_mode_and_access_of_a_denying_rule_any_of_it(void **state)
{
	struct fixture *f = *state;

	f->rule.is_allowed = false;
	f->rule.access = WIRE_ACCESS_WRITE;
	append(f);
	assert_true(is_matched(f));
	f->request.access = WIRE_ACCESS_WRITE;
	assert_true(is_matched(f));
	f->request.access = 0;
	assert_true(is_matched(f));
	f->request.access = WIRE_ACCESS_READ;
	assert_false(is_matched(f));
	f->rule.modes = 1U << WIRE_MODE_EXCLUSIVE;
	strcpy(f->rule.name, "tested");
	append(f);
	assert_true(is_matched(f));
	f->request.mode = WIRE_MODE_SHARED;
	assert_false(is_matched(f));
	f->request.mode = 0;
	assert_true(is_matched(f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(match_user_one_of),
		test(match_group_primary_or_supplementary),
		test(match_cgroup_whole_path),
		test(match_cgroup_unknown_matches_not_even_all),
		test(needs_cgroup_with_each_kind_of_place),
		test(match_cgroup_unknown_by_rules_that_deny_only),
		test(match_unit_only_where_systemd_makes_it),
		test(match_job_only_where_slurm_makes_it),
		test(match_provider_one_of),
		test(match_mode_and_access_of_an_allowing_rule_nothing_beyond),
		test(match_mode_and_access_of_a_denying_rule_any_of_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
