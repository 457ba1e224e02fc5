/* SPDX-License-Identifier: MIT */
#ifndef POLICY_RULES_H
#define POLICY_RULES_H

#include "policy.h"
#include "selector.h"

/* What a policy is made of: for policy.c, for whoever builds one, and for tests. */

struct job_range {
	uint64_t first;
	uint64_t last;
};

/* Matches: an empty list or a mask of 0 is any. Limits: POLICY_NO_LIMIT is none. */
struct rule {
	char name[WIRE_NAME_SIZE];
	char *source; /* "file:line" */
	uid_t *users;
	size_t nr_users;
	gid_t *groups;
	size_t nr_groups;
	char **cgroups; /* globs */
	size_t nr_cgroups;
	char **units; /* globs */
	size_t nr_units;
	struct job_range *jobs;
	size_t nr_jobs;
	struct selector *providers;
	size_t nr_providers;
	char **publish; /* globs; with any, the rule is about who publishes, and nothing else */
	size_t nr_publish;
	uint32_t modes;	 /* 1 << enum wire_mode */
	uint32_t access; /* WIRE_ACCESS_* */

	bool is_allowed;
	bool is_unrevocable_allowed;
	uint32_t priority;
	uint64_t max_bytes;	  /* held by the user */
	uint64_t max_leases;	  /* held by the user */
	uint64_t max_lease_bytes; /* of one */
	uint64_t max_ttl_ms;
	uint64_t default_ttl_ms; /* POLICY_NO_LIMIT: the longest */
};

#define POLICY_NO_LIMIT UINT64_MAX

struct policy {
	struct policy_settings settings;
	struct rule *rules;
	size_t nr_rules;
	size_t room;
	bool needs_cgroup;
};

/* Matches everything and says no. */
void rule_init(struct rule *rule);
void rule_done(struct rule *rule);

/* Takes over what the rule owns, and leaves an initialised one. -ENOMEM: nothing is taken over. */
int policy_append(struct policy *policy, struct rule *rule);

/* Is it one of these users and groups? */
bool rule_matches_user(const struct rule *rule, const struct policy_subject *subject);

/* -- where a process runs (place.c) -- */

bool rule_goes_by_place(const struct rule *rule);
/* Is it in such a control group, unit or job? */
bool rule_matches_place(const struct rule *rule, const struct policy_subject *subject);

#endif /* POLICY_RULES_H */
