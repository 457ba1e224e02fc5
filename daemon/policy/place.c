// SPDX-License-Identifier: MIT
/*
 * Rules by where a process runs: its control group, the systemd unit, the Slurm job.
 *
 * Only the upper part of a control group's path is the administrator's. What lies below
 * the first unit that is no slice may be delegated, and then its user names it. Units and
 * Slurm jobs are therefore only looked for where systemd and slurmd make them.
 *
 * A control group that isn't known is any to a rule that denies, and none to one that allows.
 */
#include <string.h>

#include "glob.h"
#include "rules.h"

bool rule_goes_by_place(const struct rule *rule)
{
	return rule->nr_cgroups || rule->nr_units || rule->nr_jobs;
}

static bool matches_any_glob(char *const *globs, size_t count, const char *text, size_t length)
{
	for (size_t i = 0; i < count; i++)
		if (glob_matches(globs[i], text, length))
			return true;
	return false;
}

/* The next component of a path, NULL at its end. */
static const char *next_component(const char **path, size_t *ret_length)
{
	const char *component = *path + strspn(*path, "/");

	*ret_length = strcspn(component, "/");
	*path = component + *ret_length;
	return *ret_length ? component : NULL;
}

static bool ends_with(const char *text, size_t length, const char *end)
{
	size_t end_length = strlen(end);

	return length >= end_length && !memcmp(text + length - end_length, end, end_length);
}

static bool is_text(const char *text, size_t length, const char *other)
{
	return length == strlen(other) && !memcmp(text, other, length);
}

static bool matches_cgroups(const struct rule *rule, const char *cgroup)
{
	return !rule->nr_cgroups ||
	       matches_any_glob(rule->cgroups, rule->nr_cgroups, cgroup, strlen(cgroup));
}

/* The slices, and the first unit below them. */
static bool matches_units(const struct rule *rule, const char *cgroup)
{
	const char *component;
	size_t length;

	if (!rule->nr_units)
		return true;
	while ((component = next_component(&cgroup, &length))) {
		if (matches_any_glob(rule->units, rule->nr_units, component, length))
			return true;
		if (!ends_with(component, length, ".slice"))
			return false;
	}
	return false;
}

/* "job_42": its number. */
static bool is_job(const char *component, size_t length, uint64_t *ret_job)
{
	uint64_t job = 0;

	if (!component || length < 5 || memcmp(component, "job_", 4))
		return false;
	for (size_t i = 4; i < length; i++) {
		if (component[i] < '0' || component[i] > '9' ||
		    __builtin_mul_overflow(job, 10U, &job) ||
		    __builtin_add_overflow(job, (unsigned int)(component[i] - '0'), &job))
			return false;
	}
	*ret_job = job;
	return true;
}

/*
 * Where slurmd puts its jobs: ...slice/[NODE_]slurmstepd.scope/job_N with the unified hierarchy,
 * /slurm[_NODE]/uid_U/job_N before it.
 */
static bool find_job(const char *cgroup, uint64_t *ret_job)
{
	const char *component;
	size_t length;

	do {
		component = next_component(&cgroup, &length);
	} while (component && ends_with(component, length, ".slice"));
	if (!component)
		return false;
	if (!is_text(component, length, "slurmstepd.scope") &&
	    !ends_with(component, length, "_slurmstepd.scope")) {
		if (!is_text(component, length, "slurm") &&
		    (length < 6 || memcmp(component, "slurm_", 6)))
			return false;
		component = next_component(&cgroup, &length);
		if (!component || length < 4 || memcmp(component, "uid_", 4))
			return false;
	}
	component = next_component(&cgroup, &length);
	return is_job(component, length, ret_job);
}

static bool matches_jobs(const struct rule *rule, const char *cgroup)
{
	uint64_t job;

	if (!rule->nr_jobs)
		return true;
	if (!find_job(cgroup, &job))
		return false;
	for (size_t i = 0; i < rule->nr_jobs; i++)
		if (job >= rule->jobs[i].first && job <= rule->jobs[i].last)
			return true;
	return false;
}

bool rule_matches_place(const struct rule *rule, const struct policy_subject *subject)
{
	const char *cgroup = subject->cgroup ? subject->cgroup : "";

	if (!rule_goes_by_place(rule))
		return true;
	if (!*cgroup)
		return !rule->is_allowed;
	return matches_cgroups(rule, cgroup) && matches_units(rule, cgroup) &&
	       matches_jobs(rule, cgroup);
}
