// SPDX-License-Identifier: MIT
/* Configuration: what each setting does. */
#include <p2pdma/context.h>

#include "identities.h"
#include "policy_text.h"

static void parse_nothing_is_the_default(void **state)
{
	struct fixture *f = *state;

	parse(f, "");
	parse(f, "\n\n# nothing\n; here\n   \n\t# either\n[daemon]\n");
	assert_int_equal(f->policy->nr_rules, 0);
}

static void parse_every_setting_of_the_daemon(void **state)
{
	struct fixture *f = *state;
	const struct policy_settings *s = policy_settings(f->policy);

	parse(f, "[daemon]\n"
		 "max-connections = 3\n"
		 "max-leases = 4\n"
		 "max-bytes = 5G\n"
		 "max-unread-bytes = 64K\n"
		 "max-unread-fds = 7\n"
		 "max-published = unlimited\n"
		 "max-monitors = 9\n"
		 "requests-per-second = 100\n"
		 "requests-burst = 200\n"
		 "p2pmem-driver-bytes = 128K\n"
		 "usage-is-public = yes\n"
		 "revoke-deadline = 0\n"
		 "reattach-time = 1min\n"
		 "hello-time = 500ms\n"
		 "stall-time = 2s\n"
		 "admin-group = staff\n"
		 "metrics-file = /var/lib/x.prom\n"
		 "log-level = debug");
	assert_int_equal(s->limits.most[ACCOUNT_CONNECTIONS], 3);
	assert_int_equal(s->limits.most[ACCOUNT_LEASES], 4);
	assert_int_equal(s->limits.most[ACCOUNT_BYTES], 5ULL << 30);
	assert_int_equal(s->limits.most[ACCOUNT_UNREAD_BYTES], 65536);
	assert_int_equal(s->limits.most[ACCOUNT_UNREAD_FDS], 7);
	assert_int_equal(s->limits.most[ACCOUNT_PUBLISHED], UINT64_MAX);
	assert_int_equal(s->limits.most[ACCOUNT_MONITORS], 9);
	assert_int_equal(s->limits.requests_per_s, 100);
	assert_int_equal(s->limits.requests_burst, 200);
	assert_int_equal(s->p2pmem_driver_bytes, 131072);
	assert_true(s->is_usage_public);
	assert_int_equal(s->revoke_deadline_ms, 0);
	assert_int_equal(s->reattach_ms, 60000);
	assert_int_equal(s->hello_ms, 500);
	assert_int_equal(s->stall_ms, 2000);
	assert_int_equal(s->admin_gid, 50);
	assert_string_equal(s->metrics_path, "/var/lib/x.prom");
	assert_int_equal(s->log_level, P2PDMA_LOG_DEBUG);
}

static void parse_later_files_set_anew(void **state)
{
	struct fixture *f = *state;

	parse(f, "[daemon]\nmax-leases = 4\nmax-connections = 5\n");
	parse(f, "[daemon]\nmax-leases = 8\nrequests-per-second = unlimited\n");
	assert_int_equal(policy_settings(f->policy)->limits.most[ACCOUNT_LEASES], 8);
	assert_int_equal(policy_settings(f->policy)->limits.most[ACCOUNT_CONNECTIONS], 5);
	assert_int_equal(policy_settings(f->policy)->limits.requests_per_s, 0);
}

static void parse_every_setting_of_a_rule(void **state)
{
	struct fixture *f = *state;
	const struct rule *r;

	parse(f, "# first\n"
		 "[rule gpu-users.1]\n"
		 "user = alice, 1001 ,0\n"
		 "group = staff,4294967294\n"
		 "cgroup = /a/**, **/b\n"
		 "unit = x@*.service\n"
		 "slurm-job = 42, 100-199, *\n"
		 "provider = 0000:41:00.0/2, 10ee:*, published:a*\n"
		 "mode = exclusive, shared\n"
		 "access = read\n"
		 "allow = yes\n"
		 "unrevocable = yes\n"
		 "priority = 1000\n"
		 "max-bytes = 64M\n"
		 "max-leases = 9\n"
		 "max-lease-bytes = 2M\n"
		 "max-ttl = 1h\n"
		 "default-ttl = 1h\n");
	assert_int_equal(f->policy->nr_rules, 1);
	r = &f->policy->rules[0];
	assert_string_equal(r->name, "gpu-users.1");
	assert_string_equal(r->source, "t.conf:2");
	assert_int_equal(r->nr_users, 3);
	assert_int_equal(r->users[0], 1000);
	assert_int_equal(r->users[1], 1001);
	assert_int_equal(r->users[2], 0);
	assert_int_equal(r->nr_groups, 2);
	assert_int_equal(r->groups[0], 50);
	assert_int_equal(r->groups[1], 4294967294);
	assert_int_equal(r->nr_cgroups, 2);
	assert_string_equal(r->cgroups[1], "**/b");
	assert_int_equal(r->nr_units, 1);
	assert_string_equal(r->units[0], "x@*.service");
	assert_int_equal(r->nr_jobs, 3);
	assert_int_equal(r->jobs[0].first, 42);
	assert_int_equal(r->jobs[0].last, 42);
	assert_int_equal(r->jobs[1].first, 100);
	assert_int_equal(r->jobs[1].last, 199);
	assert_int_equal(r->jobs[2].first, 0);
	assert_int_equal(r->jobs[2].last, UINT64_MAX);
	assert_int_equal(r->nr_providers, 3);
	assert_int_equal(r->providers[0].kind, SELECTOR_BAR);
	assert_int_equal(r->providers[2].kind, SELECTOR_PUBLISHED);
	assert_int_equal(r->modes, 1U << WIRE_MODE_EXCLUSIVE | 1U << WIRE_MODE_SHARED);
	assert_int_equal(r->access, WIRE_ACCESS_READ);
	assert_true(r->is_allowed);
	assert_true(r->is_unrevocable_allowed);
	assert_int_equal(r->priority, 1000);
	assert_int_equal(r->max_bytes, 64 * MIB);
	assert_int_equal(r->max_leases, 9);
	assert_int_equal(r->max_lease_bytes, 2 * MIB);
	assert_int_equal(r->max_ttl_ms, 3600000);
	assert_int_equal(r->default_ttl_ms, 3600000);
}

static void parse_rule_about_publishing(void **state)
{
	struct fixture *f = *state;
	const struct rule *r;

	parse(f, "[rule a]\nuser = alice\npublish = gpu-*, a.B_?,\n\t**\nallow = yes\n"
		 "[rule b]\nallow = no\npublish = x\n");
	assert_int_equal(f->policy->nr_rules, 2);
	r = &f->policy->rules[0];
	assert_int_equal(r->nr_publish, 3);
	assert_string_equal(r->publish[0], "gpu-*");
	assert_string_equal(r->publish[1], "a.B_?");
	assert_string_equal(r->publish[2], "**");
	assert_true(r->is_allowed);
	assert_int_equal(f->policy->rules[1].nr_publish, 1);
	assert_false(f->policy->rules[1].is_allowed);
}

static void parse_rules_in_order_also_of_one_name(void **state)
{
	struct fixture *f = *state;

	parse(f, "[rule a]\nallow=no\nuser=7\n[rule b]\nallow=yes\n"
		 "[daemon]\n[rule a]\nallow=yes\n");
	parse(f, "[rule c]\nallow=no\n");
	assert_int_equal(f->policy->nr_rules, 4);
	assert_string_equal(f->policy->rules[0].name, "a");
	assert_int_equal(f->policy->rules[0].nr_users, 1);
	assert_string_equal(f->policy->rules[1].name, "b");
	assert_int_equal(f->policy->rules[1].nr_users, 0);
	assert_string_equal(f->policy->rules[2].source, "t.conf:7");
	assert_true(f->policy->rules[2].is_allowed);
	assert_string_equal(f->policy->rules[3].name, "c");
}

static void parse_white_space_comments_and_line_ends(void **state)
{
	struct fixture *f = *state;

	parse(f, "\xef\xbb\xbf  [ rule   a ]  ; comment\r\n"
		 "\tallow\t=\tyes\t; comment\r\n"
		 "  user = 7\r\n"
		 "    # comment\r\n"
		 "max-bytes=unlimited\r\n"
		 "max-ttl : unlimited");
	assert_int_equal(f->policy->nr_rules, 1);
	assert_string_equal(f->policy->rules[0].name, "a");
	assert_int_equal(f->policy->rules[0].users[0], 7);
	assert_int_equal(f->policy->rules[0].max_bytes, POLICY_NO_LIMIT);
	assert_int_equal(f->policy->rules[0].max_ttl_ms, POLICY_NO_LIMIT);
}

static void parse_lists_go_on_in_indented_lines(void **state)
{
	struct fixture *f = *state;

	parse(f, "[rule a]\n"
		 "  user = 1,\n"
		 "         2, 3,\n"
		 "\n"
		 "\t4\n"
		 "  allow = yes\n"
		 "provider = 10ee:*\n"
		 "  class:0302\n");
	assert_int_equal(f->policy->rules[0].nr_users, 4);
	assert_int_equal(f->policy->rules[0].users[3], 4);
	assert_int_equal(f->policy->rules[0].nr_providers, 2);
	assert_true(f->policy->rules[0].is_allowed);
}

static void parsed_rules_decide(void **state)
{
	struct policy_subject subject = {.uid = 1000, .gid = 100, .cgroup = ""};
	struct policy_request request = {.provider = &some_bar,
					 .mode = WIRE_MODE_SHARED,
					 .access = WIRE_ACCESS_READ,
					 .size_bytes = MIB};
	struct policy_decision decision;
	struct fixture *f = *state;

	parse(f, "[rule no-writing]\naccess = write\nallow = no\n"
		 "[rule alice]\nuser = alice\nprovider = 0000:41:00.0\nmax-bytes = 2M\n"
		 "max-ttl = 1min\nallow = yes\n");
	policy_decide(f->policy, &subject, &request, &decision);
	assert_int_equal(decision.error, 0);
	assert_string_equal(decision.rule, "alice");
	assert_string_equal(decision.source, "t.conf:4");
	assert_int_equal(decision.ttl_ms, 60000);
	request.held_bytes = MIB + 1;
	policy_decide(f->policy, &subject, &request, &decision);
	assert_int_equal(decision.error, -EDQUOT);
	request.access |= WIRE_ACCESS_WRITE;
	policy_decide(f->policy, &subject, &request, &decision);
	assert_int_equal(decision.error, -EACCES);
	assert_string_equal(decision.rule, "no-writing");
	subject.uid = 1001;
	request.access = WIRE_ACCESS_READ;
	policy_decide(f->policy, &subject, &request, &decision);
	assert_int_equal(decision.error, -EACCES);
	assert_string_equal(decision.rule, "");
}

/* The example as it is, or with what is commented out ("#x", not "# x"); the caller frees it. */
static char *read_example(bool is_active)
{
	FILE *file = fopen(EXAMPLE, "r");
	char *text = calloc(1, 16384);
	char line[256];

	assert_non_null(file);
	assert_non_null(text);
	while (fgets(line, sizeof(line), file)) {
		bool is_setting = line[0] == '#' && line[1] != ' ' && line[1] != '\n';

		assert_true(strlen(text) + strlen(line) < 16384);
		strcat(text, line + (is_active && is_setting));
	}
	fclose(file);
	return text;
}

static int find_any(const char *name, uint32_t *ret_id)
{
	(void)name;
	*ret_id = 77;
	return 0;
}

static void example_says_what_the_defaults_are(void **state)
{
	static const struct policy_names any = {find_any, find_any};
	struct fixture *f = *state;
	struct policy_settings before = *policy_settings(f->policy), after;
	char *text = read_example(false);

	parse(f, text);
	assert_int_equal(f->policy->nr_rules, 0);
	free(text);
	text = read_example(true);
	policy_parse(f->policy, &any, "p2pd.conf", text, strlen(text), &f->complaints);
	free(text);
	if (f->complaints.error)
		fail_msg("%s", f->complaints.text);
	assert_int_equal(f->policy->nr_rules, 4);
	/* But for the two that have no default to show. */
	after = *policy_settings(f->policy);
	assert_int_equal(after.admin_gid, 77);
	assert_string_not_equal(after.metrics_path, "");
	after.admin_gid = before.admin_gid;
	memset(after.metrics_path, 0, sizeof(after.metrics_path));
	assert_memory_equal(&after, &before, sizeof(after));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(parse_nothing_is_the_default),
		test(parse_every_setting_of_the_daemon),
		test(parse_later_files_set_anew),
		test(parse_every_setting_of_a_rule),
		test(parse_rule_about_publishing),
		test(parse_rules_in_order_also_of_one_name),
		test(parse_white_space_comments_and_line_ends),
		test(parse_lists_go_on_in_indented_lines),
		test(parsed_rules_decide),
		test(example_says_what_the_defaults_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
