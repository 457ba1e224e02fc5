// SPDX-License-Identifier: MIT
/*
 * Policy: the first rule that matches decides.
 *
 * A rule that allows matches what asks for nothing beyond it; a rule that denies
 * matches what asks for any of it. So neither a list of modes nor one of accesses can be
 * gone around by asking for more. A policy never changes once it is built, and is shared
 * without locks.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <p2pdma/context.h>

#include "common/message.h"
#include "rules.h"

static const struct policy_settings default_settings = {
	.limits =
		{
			.most =
				{
					[ACCOUNT_CONNECTIONS] = 256,
					[ACCOUNT_LEASES] = 1024,
					[ACCOUNT_BYTES] = POLICY_NO_LIMIT,
					[ACCOUNT_UNREAD_BYTES] = 1024 * 1024,
					[ACCOUNT_UNREAD_FDS] = 64,
					[ACCOUNT_PUBLISHED] = 64,
					[ACCOUNT_CLOSING] = 4,
					[ACCOUNT_MONITORS] = 16,
				},
			.requests_per_s = 20000,
			.requests_burst = 20000,
		},
	.revoke_deadline_ms = 5000,
	.reattach_ms = 30000,
	.hello_ms = 5000,
	.stall_ms = 10000,
	.admin_gid = (gid_t)-1,
	.log_level = P2PDMA_LOG_INFO,
};

int policy_new(struct policy **ret_policy)
{
	struct policy *policy = calloc(1, sizeof(*policy));

	if (!policy)
		return -ENOMEM;
	policy->settings = default_settings;
	*ret_policy = policy;
	return 0;
}

void policy_free(struct policy *policy)
{
	if (!policy)
		return;
	for (size_t i = 0; i < policy->nr_rules; i++)
		rule_done(&policy->rules[i]);
	free(policy->rules);
	free(policy);
}

const struct policy_settings *policy_settings(const struct policy *policy)
{
	return &policy->settings;
}

void rule_init(struct rule *rule)
{
	*rule = (struct rule){
		.max_bytes = POLICY_NO_LIMIT,
		.max_leases = POLICY_NO_LIMIT,
		.max_lease_bytes = POLICY_NO_LIMIT,
		.max_ttl_ms = POLICY_NO_LIMIT,
		.default_ttl_ms = POLICY_NO_LIMIT,
	};
}

static void free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}

void rule_done(struct rule *rule)
{
	free(rule->source);
	free(rule->users);
	free(rule->groups);
	free_texts(rule->cgroups, rule->nr_cgroups);
	free_texts(rule->units, rule->nr_units);
	free(rule->jobs);
	free(rule->providers);
	free_texts(rule->publish, rule->nr_publish);
	rule_init(rule);
}

int policy_append(struct policy *policy, struct rule *rule)
{
	if (policy->nr_rules == policy->room) {
		size_t room = policy->room ? policy->room * 2 : 16;
		struct rule *grown = reallocarray(policy->rules, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		policy->rules = grown;
		policy->room = room;
	}
	policy->needs_cgroup |= rule_goes_by_place(rule);
	policy->rules[policy->nr_rules++] = *rule;
	rule_init(rule);
	return 0;
}

bool policy_needs_cgroup(const struct policy *policy)
{
	return policy->needs_cgroup;
}

static int compare_groups(const void *a, const void *b)
{
	gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;

	return x < y ? -1 : x > y;
}

/* The kernel has them so already, unless its numbers are other ones than ours. */
void policy_sort_groups(gid_t *groups, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		if (groups[i - 1] <= groups[i])
			continue;
		qsort(groups, count, sizeof(*groups), compare_groups);
		return;
	}
}

bool policy_is_member(const struct policy_subject *subject, gid_t gid)
{
	size_t low = 0, high = subject->nr_groups;

	if (subject->gid == gid)
		return true;
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (subject->groups[middle] < gid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < subject->nr_groups && subject->groups[low] == gid;
}

bool policy_is_admin(const struct policy *policy, const struct policy_subject *subject)
{
	gid_t gid = policy->settings.admin_gid;

	return subject->uid == 0 || (gid != (gid_t)-1 && policy_is_member(subject, gid));
}

static bool matches_users(const struct rule *rule, const struct policy_subject *subject)
{
	for (size_t i = 0; i < rule->nr_users; i++)
		if (rule->users[i] == subject->uid)
			return true;
	return !rule->nr_users;
}

static bool matches_groups(const struct rule *rule, const struct policy_subject *subject)
{
	for (size_t i = 0; i < rule->nr_groups; i++)
		if (policy_is_member(subject, rule->groups[i]))
			return true;
	return !rule->nr_groups;
}

bool rule_matches_user(const struct rule *rule, const struct policy_subject *subject)
{
	return matches_users(rule, subject) && matches_groups(rule, subject);
}

static bool matches_providers(const struct rule *rule, const struct identity *provider)
{
	for (size_t i = 0; i < rule->nr_providers; i++)
		if (selector_matches(&rule->providers[i], provider))
			return true;
	return !rule->nr_providers;
}

/* Nothing beyond it, or any of it: see above. */
static bool matches_mask(const struct rule *rule, uint32_t mask, uint32_t asked)
{
	if (!mask)
		return true;
	return rule->is_allowed ? !(asked & ~mask) : (asked & mask) != 0;
}

static bool matches(const struct rule *rule, const struct policy_subject *subject,
		    const struct policy_request *request)
{
	uint32_t modes = 1U << WIRE_MODE_EXCLUSIVE | 1U << WIRE_MODE_SHARED;
	uint32_t access = request->access ? request->access : UINT32_MAX;

	if (request->mode == WIRE_MODE_EXCLUSIVE || request->mode == WIRE_MODE_SHARED)
		modes = 1U << request->mode;
	return !rule->nr_publish && rule_matches_user(rule, subject) &&
	       matches_mask(rule, rule->modes, modes) && matches_mask(rule, rule->access, access) &&
	       matches_providers(rule, request->provider) && rule_matches_place(rule, subject);
}

__attribute__((format(printf, 3, 4))) static void decide(struct policy_decision *decision,
							 int error, const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	decision->error = error;
	/* Cut at a character. */
	wire_text_set(decision->because, sizeof(decision->because), text);
}

static uint64_t ttl_of(const struct rule *rule, uint64_t asked_ms)
{
	uint64_t ttl_ms = asked_ms ? asked_ms : rule->default_ttl_ms;

	if (ttl_ms > rule->max_ttl_ms)
		ttl_ms = rule->max_ttl_ms;
	return ttl_ms == POLICY_NO_LIMIT ? 0 : ttl_ms;
}

static bool is_beyond(uint64_t held, uint64_t more, uint64_t limit)
{
	uint64_t sum;

	return limit != POLICY_NO_LIMIT &&
	       (__builtin_add_overflow(held, more, &sum) || sum > limit);
}

static void decide_by(const struct rule *rule, const struct policy_request *request,
		      struct policy_decision *decision)
{
	decision->rule = rule->name;
	decision->source = rule->source ? rule->source : "";
	decision->priority = rule->priority;
	decision->ttl_ms = ttl_of(rule, request->ttl_ms);
	if (!rule->is_allowed)
		decide(decision, -EACCES, "rule %s (%s) denies it", rule->name, decision->source);
	else if (request->flags & WIRE_ACQUIRE_ALLOW_UNREVOCABLE && !rule->is_unrevocable_allowed)
		decide(decision, -EACCES,
		       "rule %s (%s) doesn't allow importers that can't be revoked", rule->name,
		       decision->source);
	else if (request->size_bytes > rule->max_lease_bytes)
		decide(decision, -EDQUOT,
		       "rule %s (%s) allows %" PRIu64 " bytes in one lease, not %" PRIu64,
		       rule->name, decision->source, rule->max_lease_bytes, request->size_bytes);
	else if (is_beyond(request->held_leases, 1, rule->max_leases))
		decide(decision, -EDQUOT,
		       "rule %s (%s) allows %" PRIu64 " leases, and the user has %" PRIu64,
		       rule->name, decision->source, rule->max_leases, request->held_leases);
	else if (is_beyond(request->held_bytes, request->size_bytes, rule->max_bytes))
		decide(decision, -EDQUOT,
		       "rule %s (%s) allows %" PRIu64 " bytes in all: the user has %" PRIu64
		       " and asks for %" PRIu64,
		       rule->name, decision->source, rule->max_bytes, request->held_bytes,
		       request->size_bytes);
	else
		decide(decision, 0, "rule %s (%s) allows it", rule->name, decision->source);
}

void policy_decide(const struct policy *policy, const struct policy_subject *subject,
		   const struct policy_request *request, struct policy_decision *ret_decision)
{
	*ret_decision =
		(struct policy_decision){.rule = "", .source = "", .ttl_ms = request->ttl_ms};
	for (size_t i = 0; i < policy->nr_rules; i++)
		if (matches(&policy->rules[i], subject, request)) {
			decide_by(&policy->rules[i], request, ret_decision);
			return;
		}
	if (subject->uid == 0)
		decide(ret_decision, 0, "no rule matches, and root may do what no rule forbids");
	else
		decide(ret_decision, -EACCES,
		       "no rule matches user %" PRIu32
		       " and this request: what isn't allowed is denied",
		       (uint32_t)subject->uid);
}
