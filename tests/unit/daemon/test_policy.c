// SPDX-License-Identifier: MIT
/* Policy: the first rule that matches decides, and what each limit limits. */
#include "policy_case.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(decide_without_rules_root_only),
		test(decide_first_match_wins_for_root_too),
		test(decide_goes_on_where_a_rule_does_not_match),
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
