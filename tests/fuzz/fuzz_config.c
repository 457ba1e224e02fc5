// SPDX-License-Identifier: MIT
/*
 * The text of a configuration file: what is accepted is whole and decides; what isn't
 * is told with a line that exists.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/message.h"
#include "fuzz.h"
#include "policy/parse.h"
#include "policy/rules.h"

static int find_any(const char *name, uint32_t *ret_id)
{
	if (strlen(name) > 5)
		return name[0] == 'x' ? -EIO : -ENOENT;
	*ret_id = (uint32_t)strlen(name);
	return 0;
}

static const struct policy_names names = {find_any, find_any};

static void check_complaints(const struct complaints *complaints, unsigned long nr_lines)
{
	const char *end;

	fuzz_require(complaints->length == strlen(complaints->text));
	for (const char *line = complaints->text; *line; line = end + 1) {
		end = strchr(line, '\n');
		fuzz_require(end != NULL);
		if (!strncmp(line, "... and more\n", 13))
			continue;
		fuzz_require(!strncmp(line, "fuzz:", 5));
		fuzz_require(strtoul(line + 5, NULL, 10) - 1 < nr_lines);
	}
}

static void check_rule(const struct rule *rule)
{
	fuzz_require(*rule->name && wire_text_is_sound(rule->name, strlen(rule->name) + 1));
	fuzz_require(rule->source && !strncmp(rule->source, "fuzz:", 5));
	fuzz_require(rule->modes <= (1U << WIRE_MODE_EXCLUSIVE | 1U << WIRE_MODE_SHARED));
	fuzz_require(rule->access <= (WIRE_ACCESS_READ | WIRE_ACCESS_WRITE));
	fuzz_require(rule->priority <= 1000);
}

static void check_decisions(const struct policy *policy)
{
	static const char *const cgroups[] = {"", "/system.slice/x.service/y",
					      "/system.slice/slurmstepd.scope/job_42/step_0"};
	static const struct identity bar = {
		.name = "0000:41:00.0/2@77", .address = {0, 0x41, 0}, .bar = 2};
	struct policy_subject subject = {.gid = 5};
	struct policy_request request = {
		.provider = &bar, .size_bytes = 4096, .held_bytes = UINT64_MAX - 4000};
	struct policy_decision decision;

	for (uint32_t i = 0; i < 24; i++) {
		subject.uid = i % 3;
		subject.cgroup = cgroups[i / 8];
		request.mode = i % 4;
		request.access = i / 2 % 4;
		request.flags = i % 8;
		policy_decide(policy, &subject, &request, &decision);
		fuzz_require(decision.error == 0 || decision.error == -EACCES ||
			     decision.error == -EDQUOT);
		fuzz_require(*decision.because &&
			     memchr(decision.because, '\0', sizeof(decision.because)));
		policy_is_admin(policy, &subject);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct complaints complaints = {0};
	char *text = malloc(size ? size : 1);
	unsigned long nr_lines = 1;
	struct policy *policy;

	memcpy(text, data, size);
	for (size_t i = 0; i < size; i++)
		nr_lines += text[i] == '\n';
	fuzz_require(!policy_new(&policy));
	policy_parse(policy, &names, "fuzz", text, size, &complaints);
	fuzz_require(!complaints.error == !complaints.text);
	if (complaints.error)
		check_complaints(&complaints, nr_lines);
	for (size_t i = 0; i < policy->nr_rules; i++)
		check_rule(&policy->rules[i]);
	check_decisions(policy);
	policy_free(policy);
	complaints_done(&complaints);
	free(text);
	return 0;
}
