// SPDX-License-Identifier: MIT
/* Configuration: each mistake is refused, with its line. */
#include "policy_text.h"

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

/* Each of these as line @line, behind @before. */
static void refuse_each(struct fixture *f, const char *before, unsigned int line,
			const char *const *bad, size_t nr_bad)
{
	for (size_t i = 0; i < nr_bad; i++) {
		char text[200];

		snprintf(text, sizeof(text), "%s%s\n", before, bad[i]);
		refuse(f, text, line, "");
	}
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
	refuse(f, "[rule a]\nallow = yes\npublish = a\nmax-bytes = 1M\n", 1,
	       "about publishing: max-bytes has no meaning");
	refuse(f, "[rule a]\nallow = yes\npublish = a\nprovider = *\n", 1,
	       "about publishing: provider has no meaning");
	refuse(f, "[rule a]\nallow = no\nmode = shared\npublish = a\n", 1, "mode has no meaning");
	refuse(f, "[rule a]\nallow = no\naccess = read\npublish = a\n", 1, "access has no meaning");
	refuse(f, "[rule a]\nallow = no\npriority = 1\npublish = a\n", 1,
	       "about publishing: priority has no meaning");
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
		"publish =",
		"publish = a/b",
		"publish = a b",
		"publish = published:a",
		"publish = a,,b",
		"publish = [ab]",
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

	refuse_each(f, "[rule a]\nallow = yes\n", 3, bad, ARRAY_SIZE(bad));
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
		"max-monitors = 0",
		"max-monitors = few",
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

	refuse_each(f, "[daemon]\n", 2, bad, ARRAY_SIZE(bad));
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(refuse_what_is_no_line),
		test(parse_longest_line_that_fits),
		test(refuse_sections),
		test(refuse_settings),
		test(refuse_values_of_a_rule),
		test(refuse_values_of_the_daemon),
		test(refuse_all_that_is_wrong_at_once),
		test(refuse_a_flood_in_few_words),
		test(refuse_too_many_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
