// SPDX-License-Identifier: MIT
/*
 * Policy: who may publish under which names.
 *
 * A name is whose memory others believe to get, so nobody has one by coming first: rules with publish =
 * are about that and about nothing else, as all others are about leases. Of these, too, the first that
 * matches decides, and where none does root may and nobody else.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/message.h"
#include "glob.h"
#include "rules.h"

static bool matches_name(const struct rule *rule, const char *name)
{
	for (size_t i = 0; i < rule->nr_publish; i++)
		if (glob_matches(rule->publish[i], name, strlen(name)))
			return true;
	return false;
}

static const struct rule *find_rule(const struct policy *policy,
				    const struct policy_subject *subject, const char *name)
{
	for (size_t i = 0; i < policy->nr_rules; i++) {
		const struct rule *rule = &policy->rules[i];

		if (matches_name(rule, name) && rule_matches_user(rule, subject) &&
		    rule_matches_place(rule, subject))
			return rule;
	}
	return NULL;
}

void policy_decide_publish(const struct policy *policy, const struct policy_subject *subject,
			   const char *name, struct policy_decision *ret_decision)
{
	const struct rule *rule = find_rule(policy, subject, name);
	char text[1024];

	*ret_decision = (struct policy_decision){.rule = "", .source = ""};
	if (rule) {
		ret_decision->rule = rule->name;
		ret_decision->source = rule->source ? rule->source : "";
		ret_decision->error = rule->is_allowed ? 0 : -EACCES;
		snprintf(text, sizeof(text), "rule %s (%s) %s to publish \"%.63s\"", rule->name,
			 ret_decision->source, rule->is_allowed ? "allows" : "denies", name);
	} else if (subject->uid == 0) {
		snprintf(text, sizeof(text),
			 "no rule matches, and root may publish what no rule forbids");
	} else {
		ret_decision->error = -EACCES;
		snprintf(text, sizeof(text),
			 "no rule lets user %" PRIu32 " publish \"%.63s\": what isn't allowed is "
			 "denied",
			 (uint32_t)subject->uid, name);
	}
	/* Cut at a character. */
	wire_text_set(ret_decision->because, sizeof(ret_decision->because), text);
}

bool policy_is_publisher(const struct policy *policy, const struct policy_subject *subject)
{
	for (size_t i = 0; i < policy->nr_rules; i++)
		if (policy->rules[i].nr_publish && policy->rules[i].is_allowed &&
		    rule_matches_user(&policy->rules[i], subject))
			return true;
	return subject->uid == 0;
}
