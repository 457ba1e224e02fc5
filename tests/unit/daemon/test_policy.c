// SPDX-License-Identifier: MIT
/* Policy: what each match matches, what each limit limits, and that the first rule decides. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "policy_rules.h"

static const struct identity bar = {
	.name = "0000:41:00.0/2@77",
	.backend = WIRE_BACKEND_EXPORT,
	.address = {0, 0x41, 0},
	.bar = 2,
	.generation = 77,
	.vendor_id = 0x10ee,
	.device_id = 0x903f,
};

struct fixture {
	struct policy *policy;
	struct rule rule; /* that the test builds */
	struct policy_subject subject;
	struct policy_request request;
	struct policy_decision decision;
};

static int setup(void **state)
{
	static struct fixture f;

	f = (struct fixture){
		.subject = {.uid = 1000, .gid = 100, .cgroup = ""},
		.request = {.provider = &bar,
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

static int teardown(void **state)
{
	struct fixture *f = *state;

	rule_done(&f->rule);
	policy_free(f->policy);
	return 0;
}

static void *copy(const void *data, size_t size)
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
static void append(struct fixture *f)
{
	f->rule.source = strdup("test.conf:7");
	assert_int_equal(policy_append(f->policy, &f->rule), 0);
	strcpy(f->rule.name, "next");
}

static int decide(struct fixture *f)
{
	policy_decide(f->policy, &f->subject, &f->request, &f->decision);
	assert_true(strlen(f->decision.because) > 10);
	return f->decision.error;
}

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

static void decide_without_rules_root_only(void **state)
{
	struct fixture *f = *state;

	f->request.ttl_ms = 1234;
	f->request.flags = WIRE_ACQUIRE_ALLOW_UNREVOCABLE;
	assert_int_equal(decide(f), -EACCES);
	assert_string_equal(f->decision.rule, "");
	assert_string_equal(f->decision.source, "");
	f->subject.uid = 0;
	assert_int_equal(decide(f), 0);
	assert_int_equal(f->decision.ttl_ms, 1234);
	assert_int_equal(f->decision.priority, 0);
	/* Its group is not its user. */
	f->subject.uid = 1000;
	f->subject.gid = 0;
	assert_int_equal(decide(f), -EACCES);
}

static void decide_first_match_wins_for_root_too(void **state)
{
	struct fixture *f = *state;

	f->rule.is_allowed = false;
	append(f);
	f->rule.is_allowed = true;
	append(f);
	assert_int_equal(decide(f), -EACCES);
	assert_string_equal(f->decision.rule, "tested");
	f->subject.uid = 0;
	assert_int_equal(decide(f), -EACCES);
	assert_string_equal(f->decision.rule, "tested");
}

static void decide_goes_on_where_a_rule_does_not_match(void **state)
{
	struct fixture *f = *state;

	f->rule.is_allowed = false;
	set_list(f->rule, users, nr_users, 7);
	append(f);
	f->rule.is_allowed = true;
	append(f);
	assert_int_equal(decide(f), 0);
	assert_string_equal(f->decision.rule, "next");
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
	static const struct {
		const char *cgroup;
		bool is_match;
	} cases[] = {
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
	append(f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		f->subject.cgroup = cases[i].cgroup;
		if (is_matched(f) != cases[i].is_match)
			fail_msg("%s", cases[i].cgroup);
	}
}

static void match_job_only_where_slurm_makes_it(void **state)
{
	static const struct {
		const char *cgroup;
		bool is_match;
	} cases[] = {
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
	append(f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		f->subject.cgroup = cases[i].cgroup;
		if (is_matched(f) != cases[i].is_match)
			fail_msg("%s", cases[i].cgroup);
	}
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

static void limit_unrevocable_eacces(void **state)
{
	struct fixture *f = *state;

	append(f);
	f->request.flags = WIRE_ACQUIRE_ALLOW_UNREVOCABLE | WIRE_ACQUIRE_MMAP_WC;
	assert_int_equal(decide(f), -EACCES);
	assert_non_null(strstr(f->decision.because, "revoked"));
	f->request.flags = WIRE_ACQUIRE_MMAP_WC;
	assert_int_equal(decide(f), 0);
}

static void limit_unrevocable_allowed(void **state)
{
	struct fixture *f = *state;

	f->rule.is_unrevocable_allowed = true;
	append(f);
	f->request.flags = WIRE_ACQUIRE_ALLOW_UNREVOCABLE;
	assert_int_equal(decide(f), 0);
}

static void limit_lease_bytes_edquot(void **state)
{
	struct fixture *f = *state;

	f->rule.max_lease_bytes = 4096;
	append(f);
	assert_int_equal(decide(f), 0);
	f->request.size_bytes = 4097;
	assert_int_equal(decide(f), -EDQUOT);
	assert_non_null(strstr(f->decision.because, "4097"));
}

static void limit_bytes_with_what_is_held_edquot(void **state)
{
	struct fixture *f = *state;

	f->rule.max_bytes = 10000;
	append(f);
	f->request.held_bytes = 10000 - 4096;
	assert_int_equal(decide(f), 0);
	f->request.held_bytes++;
	assert_int_equal(decide(f), -EDQUOT);
	f->request.held_bytes = UINT64_MAX - 100;
	assert_int_equal(decide(f), -EDQUOT);
	f->request.held_bytes = 0;
	f->request.size_bytes = UINT64_MAX;
	assert_int_equal(decide(f), -EDQUOT);
}

static void limit_leases_with_what_is_held_edquot(void **state)
{
	struct fixture *f = *state;

	f->rule.max_leases = 3;
	append(f);
	f->request.held_leases = 2;
	assert_int_equal(decide(f), 0);
	f->request.held_leases = 3;
	assert_int_equal(decide(f), -EDQUOT);
	f->request.held_leases = UINT64_MAX;
	assert_int_equal(decide(f), -EDQUOT);
}

static void limits_none_all_is_allowed(void **state)
{
	struct fixture *f = *state;

	append(f);
	f->request.held_bytes = f->request.held_leases = f->request.size_bytes = UINT64_MAX;
	assert_int_equal(decide(f), 0);
	assert_int_equal(f->decision.ttl_ms, 0);
}

static void ttl_asked_default_and_longest(void **state)
{
	static const struct {
		uint64_t most, usual, asked, granted;
	} cases[] = {
		{POLICY_NO_LIMIT, POLICY_NO_LIMIT, 0, 0},
		{POLICY_NO_LIMIT, POLICY_NO_LIMIT, 500, 500},
		{1000, POLICY_NO_LIMIT, 0, 1000},
		{1000, POLICY_NO_LIMIT, 500, 500},
		{1000, POLICY_NO_LIMIT, 1001, 1000},
		{1000, 200, 0, 200},
		{1000, 200, 500, 500},
		{1000, 200, UINT64_MAX, 1000},
		{POLICY_NO_LIMIT, 200, 0, 200},
		{POLICY_NO_LIMIT, 200, 5000, 5000},
	};
	struct fixture *f = *state;

	append(f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		f->policy->rules[0].max_ttl_ms = cases[i].most;
		f->policy->rules[0].default_ttl_ms = cases[i].usual;
		f->request.ttl_ms = cases[i].asked;
		assert_int_equal(decide(f), 0);
		assert_int_equal(f->decision.ttl_ms, cases[i].granted);
	}
}

static void decision_has_the_rules_priority(void **state)
{
	struct fixture *f = *state;

	f->rule.priority = 17;
	append(f);
	assert_int_equal(decide(f), 0);
	assert_int_equal(f->decision.priority, 17);
}

static void because_is_cut_at_a_character(void **state)
{
	struct fixture *f = *state;
	char *source = f->rule.source = malloc(801);

	for (size_t i = 0; i < 800; i += 2)
		memcpy(source + i, "\xc3\xa4", 2);
	source[800] = '\0';
	assert_int_equal(policy_append(f->policy, &f->rule), 0);
	assert_int_equal(decide(f), 0);
	assert_in_range(strlen(f->decision.because), 238, 239);
	/* The last character is whole. */
	assert_int_equal((unsigned char)f->decision.because[strlen(f->decision.because) - 1], 0xa4);
}

static void is_admin_root_and_the_group(void **state)
{
	static const gid_t groups[] = {5, 44};
	struct fixture *f = *state;

	f->subject.gid = (gid_t)-1;
	assert_false(policy_is_admin(f->policy, &f->subject));
	f->policy->settings.admin_gid = 44;
	assert_false(policy_is_admin(f->policy, &f->subject));
	f->subject.groups = groups;
	f->subject.nr_groups = 2;
	assert_true(policy_is_admin(f->policy, &f->subject));
	f->subject.nr_groups = 1;
	assert_false(policy_is_admin(f->policy, &f->subject));
	f->subject.gid = 44;
	assert_true(policy_is_admin(f->policy, &f->subject));
	f->subject.gid = 0;
	assert_false(policy_is_admin(f->policy, &f->subject));
	f->subject.uid = 0;
	assert_true(policy_is_admin(f->policy, &f->subject));
}

static void default_settings_are_usable(void **state)
{
	struct fixture *f = *state;
	const struct policy_settings *settings = policy_settings(f->policy);

	for (int kind = 0; kind < ACCOUNT_NR_KINDS; kind++)
		assert_true(settings->limits.most[kind] > 0);
	assert_true(settings->hello_ms > 0 && settings->stall_ms > 0);
	assert_int_equal(settings->admin_gid, (gid_t)-1);
	assert_string_equal(settings->metrics_path, "");
	policy_free(NULL);
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(decide_without_rules_root_only),
		test(decide_first_match_wins_for_root_too),
		test(decide_goes_on_where_a_rule_does_not_match),
		test(match_user_one_of),
		test(match_group_primary_or_supplementary),
		test(match_cgroup_whole_path),
		test(match_cgroup_unknown_matches_not_even_all),
		test(match_cgroup_unknown_by_rules_that_deny_only),
		test(match_unit_only_where_systemd_makes_it),
		test(match_job_only_where_slurm_makes_it),
		test(match_provider_one_of),
		test(match_mode_and_access_of_an_allowing_rule_nothing_beyond),
		test(match_mode_and_access_of_a_denying_rule_any_of_it),
		test(limit_unrevocable_eacces),
		test(limit_unrevocable_allowed),
		test(limit_lease_bytes_edquot),
		test(limit_bytes_with_what_is_held_edquot),
		test(limit_leases_with_what_is_held_edquot),
		test(limits_none_all_is_allowed),
		test(ttl_asked_default_and_longest),
		test(decision_has_the_rules_priority),
		test(because_is_cut_at_a_character),
		test(is_admin_root_and_the_group),
		test(default_settings_are_usable),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
