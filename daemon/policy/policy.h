/* SPDX-License-Identifier: MIT */
#ifndef POLICY_H
#define POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "broker/account.h"
#include "client/identity.h"

/*
 * Who may lease what, and who may publish under which name: an ordered list of rules, the first
 * that matches decides; none matches: root may, nobody else may. It does no I/O and looks up no
 * names: users and groups are numbers by the time it is built (file.h).
 */
struct policy;

/*
 * Who asks. Groups are those at the time of the connection; the control group is the one at the time
 * at which policy needs it first.
 */
struct policy_subject {
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* supplementary, ascending */
	size_t nr_groups;
	/*
	 * "/system.slice/slurmstepd.scope/job_42/...". "": unknown, then of the rules by it those
	 * that deny match and those that allow don't.
	 */
	const char *cgroup;
};

/* What is asked for. */
struct policy_request {
	const struct identity *provider;
	uint32_t mode;	 /* enum wire_mode */
	uint32_t access; /* WIRE_ACCESS_* */
	uint32_t flags;	 /* WIRE_ACQUIRE_* */
	uint64_t size_bytes;
	uint64_t ttl_ms; /* 0: as long as possible */
	/* What the user holds already in all, without this: see account. */
	uint64_t held_leases;
	uint64_t held_bytes;
};

/* The answer. Texts are the policy's or static; copy them to keep them. */
struct policy_decision {
	int error;	    /* 0, -EACCES, -EDQUOT */
	uint64_t ttl_ms;    /* granted; 0: for ever */
	uint32_t priority;  /* of the lease */
	const char *rule;   /* name, "" where none matched */
	const char *source; /* "file:line", "" */
	char because[240];  /* one sentence */
};

#define POLICY_FOUND_FILE   (1U << 0)
#define POLICY_FOUND_FOLDER (1U << 1) /* conf.d */

/* What is no rule. */
struct policy_settings {
	struct account_limits limits;
	uint64_t revoke_deadline_ms; /* graceful revocations, where nobody says */
	uint64_t
		reattach_ms; /* leases wait for their holder after a restart or a lost connection */
	uint64_t hello_ms;   /* a new connection must have said HELLO */
	uint64_t stall_ms;   /* a client that doesn't read this long is dropped */
	/* So much of a pool of p2pmem may be with its driver when it is leased. */
	uint64_t p2pmem_driver_bytes;
	gid_t admin_gid;	/* members may administrate, as root may; (gid_t)-1: none */
	bool is_usage_public;	/* everybody is told what each user has */
	char metrics_path[256]; /* node_exporter textfile, "": none */
	uint32_t log_level;	/* enum p2pdma_log_level */
	uint32_t found;		/* POLICY_FOUND_*: not a setting, but where they come from */
};

/* The default policy: no rules, settings as documented. -ENOMEM. */
int policy_new(struct policy **ret_policy);

/*
 * Checks nothing but what policy has to say: the request is sound. An access of 0 is taken for
 * all, so that no rule is gone around by it.
 */
void policy_decide(const struct policy *policy, const struct policy_subject *subject,
		   const struct policy_request *request, struct policy_decision *ret_decision);

/* May it publish a DMABUF under this name? Rules about publishing only; none matches: root may. */
void policy_decide_publish(const struct policy *policy, const struct policy_subject *subject,
			   const char *name, struct policy_decision *ret_decision);

/* Is there any name that it may publish, as far as can be said without its control group? */
bool policy_is_publisher(const struct policy *policy, const struct policy_subject *subject);

/* As struct policy_subject wants them. */
void policy_sort_groups(gid_t *groups, size_t count);

/* By its first group or another. */
bool policy_is_member(const struct policy_subject *subject, gid_t gid);

/* Does any rule go by control group, unit or job? */
bool policy_needs_cgroup(const struct policy *policy);

/* Root, or in the administrators' group. */
bool policy_is_admin(const struct policy *policy, const struct policy_subject *subject);

const struct policy_settings *policy_settings(const struct policy *policy);

/* NULL is allowed. */
void policy_free(struct policy *policy);

#endif /* POLICY_H */
