// SPDX-License-Identifier: MIT
/* Configuration: what each setting does, and each mistake with its line. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <p2pdma/context.h>

#include "core.h"
#include "policy_parse.h"
#include "policy_rules.h"

static int find_user(const char *name, uid_t *ret_uid)
{
	if (!strcmp(name, "broken"))
		return -EIO;
	if (strcmp(name, "alice") != 0)
		return -ENOENT;
	*ret_uid = 1000;
	return 0;
}

static int find_group(const char *name, gid_t *ret_gid)
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

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	assert_int_equal(policy_new(&f.policy), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	policy_free(f->policy);
	complaints_done(&f->complaints);
	return 0;
}

static void parse_bytes(struct fixture *f, const char *text, size_t size)
{
	/* A copy of its own: reading past it is seen. */
	char *copy = malloc(size ? size : 1);

	assert_non_null(copy);
	memcpy(copy, text, size);
	policy_parse(f->policy, &names, "t.conf", copy, size, &f->complaints);
	free(copy);
}

/* It must be right. */
static void parse(struct fixture *f, const char *text)
{
	parse_bytes(f, text, strlen(text));
	if (f->complaints.error)
		fail_msg("%s", f->complaints.text);
	assert_null(f->complaints.text);
}

static void again(struct fixture *f)
{
	complaints_done(&f->complaints);
	policy_free(f->policy);
	assert_int_equal(policy_new(&f->policy), 0);
}

static size_t count_lines(const char *text)
{
	size_t count = 0;

	for (; text && *text; text++)
		count += *text == '\n';
	return count;
}

/* Exactly one complaint, about this line, that says @what. */
static void refuse_bytes(struct fixture *f, const char *text, size_t size, unsigned int line,
			 const char *what)
{
	char start[32];

	again(f);
	parse_bytes(f, text, size);
	snprintf(start, sizeof(start), "t.conf:%u: ", line);
	if (f->complaints.error != -EINVAL || count_lines(f->complaints.text) != 1 ||
	    strncmp(f->complaints.text, start, strlen(start)) != 0 ||
	    !strstr(f->complaints.text, what))
		fail_msg("wanted %s...%s, got %d: %s\nfor: %s", start, what, f->complaints.error,
			 f->complaints.text ? f->complaints.text : "nothing\n", text);
}

static void refuse(struct fixture *f, const char *text, unsigned int line, const char *what)
{
	refuse_bytes(f, text, strlen(text), line, what);
}

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
		 "requests-per-second = 100\n"
		 "requests-burst = 200\n"
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
	assert_int_equal(s->limits.requests_per_s, 100);
	assert_int_equal(s->limits.requests_burst, 200);
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

static void refuse_what_is_no_line(void **state)
{
	struct fixture *f = *state;
	char line[600];

	refuse(f, "x = 1\n", 1, "before the first section");
	refuse(f, "[daemon]\n\nnonsense\n", 3, "neither a section nor a setting");
	refuse(f, "[daemon]\nnonsense", 2, "neither a section nor a setting");
	refuse(f, "[daemon]\n  10ee:*\n", 2, "only a list goes on");
	refuse(f, "[daemon]\n= 1\n", 2, "unknown setting");
	refuse_bytes(f, "[daemon]\nlog-\0level = info\n", 27, 2, "NUL");
	refuse(f, "[daemon]\n# \x01\n", 2, "control character");
	refuse(f, "[daemon]\n# \x80\n", 2, "UTF-8");
	refuse(f, "[daemon]\n# a\rb\n", 2, "control character");
	memset(line, 'x', sizeof(line));
	memcpy(line, "[daemon]\n# ", 11);
	memcpy(line + sizeof(line) - 2, "\n", 2);
	refuse(f, line, 2, "longer than");
}

static void parse_longest_line_that_fits(void **state)
{
	struct fixture *f = *state;
	char line[400];
	size_t length = 10;

	/* Comments, longer and longer: accepted, and from some length on refused, never split. */
	for (; length < sizeof(line) - 20; length++) {
		again(f);
		memset(line, '#', sizeof(line));
		memcpy(line + length, "\nx", 3);
		parse_bytes(f, line, strlen(line));
		if (count_lines(f->complaints.text) == 2)
			break;
		/* The x after it is what is wrong, in line 2. */
		assert_int_equal(count_lines(f->complaints.text), 1);
		assert_int_equal(strncmp(f->complaints.text, "t.conf:2: ", 10), 0);
	}
	assert_in_range(length, 150, 300);
	assert_int_equal(strncmp(f->complaints.text, "t.conf:1: longer", 16), 0);
}

static void refuse_sections(void **state)
{
	struct fixture *f = *state;
	char name[200];

	refuse(f, "[demon]\nx=1\n", 1, "unknown section");
	refuse(f, "[]\n", 1, "unknown section");
	refuse(f, "[rule]\nallow=yes\n", 1, "unknown section");
	refuse(f, "[rule \xc3\xa4]\nallow=yes\n", 1, "name of a rule");
	refuse(f, "[rule a b]\nallow=yes\n", 1, "name of a rule");
	refuse(f, "[daemon\nlog-level=info\n", 1, "a section is");
	refuse(f, "[daemon] x\nlog-level=info\n", 1, "a section is");
	refuse(f, "\n[rule a]]\n", 2, "a section is");
	refuse(f, "[daemon]\n[rule a]\nallow=yes\n[daemon]\nx=1\n", 4, "a second [daemon]");
	memset(name, 'n', sizeof(name));
	memcpy(name, "[rule ", 6);
	strcpy(name + 6 + WIRE_NAME_SIZE, "]\n");
	refuse(f, name, 1, "name of a rule");
	strcpy(name + 6 + WIRE_NAME_SIZE - 1, "]\nallow=yes\n");
	again(f);
	parse(f, name);
	assert_int_equal(strlen(f->policy->rules[0].name), WIRE_NAME_SIZE - 1);
}

static void refuse_settings(void **state)
{
	struct fixture *f = *state;

	refuse(f, "[daemon]\nmax-widgets = 1\n", 2, "unknown setting \"max-widgets\"");
	refuse(f, "[daemon]\nMax-leases = 1\n", 2, "unknown setting");
	refuse(f, "[daemon]\nallow = yes\n", 2, "belongs into [rule NAME]");
	refuse(f, "[rule a]\nallow = yes\nlog-level = info\n", 3, "belongs into [daemon]");
	refuse(f, "[daemon]\nmax-leases = 1\nmax-leases = 1\n", 3, "a second time");
	refuse(f, "[rule a]\nallow = yes\nuser = 1\n\nuser = 2\n", 5, "a second time");
	refuse(f, "[rule a]\nallow = yes\n\tno\n", 3, "only a list goes on");
	refuse(f, "[rule a]\nuser = 1\n", 1, "doesn't say allow");
	refuse(f, "\n[rule a]\n", 2, "doesn't say allow");
	refuse(f, "[rule a]\nallow = no\nmax-bytes = 1M\n", 1, "max-bytes has no meaning");
	refuse(f, "[rule a]\nallow = no\nunrevocable = no\n", 1, "unrevocable has no meaning");
	refuse(f, "[rule a]\nallow = yes\nmax-ttl = 1s\ndefault-ttl = 1001ms\n", 1,
	       "longer than max-ttl");
}

static void refuse_values_of_a_rule(void **state)
{
	static const char *const bad[] = {
		"user =",
		"user = nobody-such",
		"user = broken",
		"user = 4294967295",
		"user = 99999999999999999999",
		"user = -1",
		"user = 1,,2",
		"user = ,1",
		"user = ,",
		"user = alice bob",
		"group = alice",
		"group = 4294967295",
		"cgroup = a/b",
		"cgroup = /a, b",
		"unit = a/b",
		"slurm-job = x",
		"slurm-job = 9-1",
		"slurm-job = 1-",
		"slurm-job = -1",
		"slurm-job = 1-2-3",
		"slurm-job = 18446744073709551616",
		"slurm-job = 1*",
		"provider = 41:00.0",
		"provider = all",
		"mode = any",
		"mode = exclusive shared",
		"access = rw",
		"access = read-write",
		"unrevocable = maybe",
		"priority = 1001",
		"priority = -1",
		"priority = unlimited",
		"max-bytes = 0",
		"max-bytes = 64m",
		"max-bytes = 16E",
		"max-leases = 0",
		"max-leases = 1K",
		"max-lease-bytes = lots",
		"max-ttl = 30",
		"max-ttl = 0",
		"max-ttl = 367d",
		"max-ttl = forever",
		"default-ttl = 1 s",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char text[200];

		snprintf(text, sizeof(text), "[rule a]\nallow = yes\n%s\n", bad[i]);
		refuse(f, text, 3, "");
	}
	refuse(f, "[rule a]\nallow = perhaps\n", 2, "allow is yes or no, not \"perhaps\"");
	refuse(f, "[rule a]\nallow = yes\nuser = broken\n", 3, strerror(EIO));
	refuse(f, "[rule a]\nallow = yes\nuser = zoe\n", 3, "\"zoe\"");
}

static void refuse_values_of_the_daemon(void **state)
{
	static const char *const bad[] = {
		"max-connections = 0",
		"max-connections = many",
		"max-leases = -1",
		"max-bytes = 1X",
		"max-unread-bytes = 8191",
		"max-unread-bytes = unlimited",
		"max-unread-fds = 0",
		"max-unread-fds = 1000001",
		"max-published = 0",
		"requests-per-second = 0",
		"requests-per-second = 1000001",
		"requests-burst = 0",
		"requests-burst = unlimited",
		"revoke-deadline = 30",
		"revoke-deadline = unlimited",
		"reattach-time = 1y",
		"hello-time = 0",
		"stall-time = 0",
		"stall-time = 99999999999999999999s",
		"admin-group = alice",
		"admin-group = 4294967295",
		"admin-group =",
		"metrics-file = relative",
		"log-level = loud",
		"log-level = 3",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		char text[200];

		snprintf(text, sizeof(text), "[daemon]\n%s\n", bad[i]);
		refuse(f, text, 2, "");
	}
}

static void refuse_all_that_is_wrong_at_once(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "[daemon]\nmax-leases = x\nunknown = 1\n"
				   "[rule a]\nuser = nobody-such\nnonsense\n[huh]\nskipped = 1\n"
				   "[rule b]\nallow = yes\nmode = odd,\n\tand, so, on\n";
	static const char *const lines[] = {
		":2: ", ":3: ", ":5: ", ":6: ", ":4: ", ":7: ", ":11: "};
	const char *at;

	parse_bytes(f, text, strlen(text));
	assert_int_equal(f->complaints.error, -EINVAL);
	assert_int_equal(count_lines(f->complaints.text), ARRAY_SIZE(lines));
	at = f->complaints.text;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(strncmp(at + strlen("t.conf"), lines[i], strlen(lines[i])), 0);
		at = strchr(at, '\n') + 1;
	}
}

static void refuse_a_flood_in_few_words(void **state)
{
	struct fixture *f = *state;
	size_t size = POLICY_FILE_BYTES;
	char *text = malloc(size + 1);

	assert_non_null(text);
	for (size_t i = 0; i < size; i += 2)
		memcpy(text + i, "x\n", 2);
	parse_bytes(f, text, size);
	assert_int_equal(f->complaints.error, -EINVAL);
	assert_true(f->complaints.is_full);
	assert_in_range(f->complaints.length, 60000, 70000);
	assert_string_equal(f->complaints.text + f->complaints.length - 13, "... and more\n");
	free(text);
}

static void refuse_too_many_rules(void **state)
{
	static const char one[] = "[rule a]\nallow=no\n";
	struct fixture *f = *state;
	size_t length = strlen(one), count = POLICY_RULES_MAX + 1;
	char *text = malloc(length * count);

	assert_non_null(text);
	for (size_t i = 0; i < count; i++)
		memcpy(text + i * length, one, length);
	parse_bytes(f, text, length * (count - 1));
	assert_int_equal(f->complaints.error, 0);
	assert_int_equal(f->policy->nr_rules, POLICY_RULES_MAX);
	again(f);
	parse_bytes(f, text, length * count);
	assert_int_equal(f->complaints.error, -EINVAL);
	assert_int_equal(count_lines(f->complaints.text), 1);
	assert_non_null(strstr(f->complaints.text, "t.conf:20001: more than 10000 rules"));
	free(text);
}

static void parsed_rules_decide(void **state)
{
	static const struct identity bar = {
		.name = "0000:41:00.0/2@77", .address = {0, 0x41, 0}, .bar = 2};
	struct policy_subject subject = {.uid = 1000, .gid = 100, .cgroup = ""};
	struct policy_request request = {.provider = &bar,
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
	assert_int_equal(f->policy->nr_rules, 3);
	/* But for the two that have no default to show. */
	after = *policy_settings(f->policy);
	assert_int_equal(after.admin_gid, 77);
	assert_string_not_equal(after.metrics_path, "");
	after.admin_gid = before.admin_gid;
	memset(after.metrics_path, 0, sizeof(after.metrics_path));
	assert_memory_equal(&after, &before, sizeof(after));
}

#define test(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(parse_nothing_is_the_default),
		test(parse_every_setting_of_the_daemon),
		test(parse_later_files_set_anew),
		test(parse_every_setting_of_a_rule),
		test(parse_rules_in_order_also_of_one_name),
		test(parse_white_space_comments_and_line_ends),
		test(parse_lists_go_on_in_indented_lines),
		test(refuse_what_is_no_line),
		test(parse_longest_line_that_fits),
		test(refuse_sections),
		test(refuse_settings),
		test(refuse_values_of_a_rule),
		test(refuse_values_of_the_daemon),
		test(refuse_all_that_is_wrong_at_once),
		test(refuse_a_flood_in_few_words),
		test(refuse_too_many_rules),
		test(parsed_rules_decide),
		test(example_says_what_the_defaults_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
