/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_BROKER_WATCH_H
#define P2PDMA_BROKER_WATCH_H

#include <stddef.h>
#include <stdint.h>

#include <p2pdma/lease.h>
#include <p2pdma/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What p2pd would decide, and what it does: policy tests and the monitor. */

/**
 * struct p2pdma_policy_question - would this be granted?
 * @size_bytes:   sizeof(struct p2pdma_policy_question)
 * @mode:         enum p2pdma_lease_mode
 * @flags:        P2PDMA_BUFFER_*
 * @uid:          who asks; for another user than this one: administrators
 * @gid:          their group
 * @nr_groups:    of @groups
 * @selector:     names one provider; NULL with @publish
 * @unit:         the systemd unit or cgroup path they run in; NULL: unknown
 * @length_bytes: how much
 * @ttl_ms:       for how long; 0: as long as policy allows
 * @groups:       their supplementary groups, of another user; this one's p2pd knows
 * @publish:      may they publish under this name? NULL: may they lease?
 */
struct p2pdma_policy_question {
	uint32_t size_bytes;
	uint32_t mode;
	uint32_t flags;
	uint32_t uid;
	uint32_t gid;
	uint32_t nr_groups;
	const char *selector;
	const char *unit;
	uint64_t length_bytes;
	uint64_t ttl_ms;
	const uint32_t *groups;
	const char *publish;
};

/**
 * struct p2pdma_policy_answer - what policy says
 * @size_bytes: in: sizeof(struct p2pdma_policy_answer)
 * @error:      0: it would be granted; -EACCES, -EDQUOT
 * @rule:       the name of the rule that decided, "" for the default
 * @source:     where it stands, file:line
 * @because:    one sentence
 */
struct p2pdma_policy_answer {
	uint32_t size_bytes;
	int32_t error;
	char rule[64];
	char source[240];
	char because[240];
};

/**
 * p2pdma_policy_test() - ask which rule would decide, without acquiring anything
 * @context:    borrowed
 * @question:   borrowed
 * @ret_answer: size_bytes set by the caller
 *
 * Blocking: up to the context's broker_timeout_ms. Threads: any. Kernel: the socket. Since: 0.1
 *
 * Return: 0 with an answer, whatever that is; -EACCES when the question may not be asked; -ENODEV
 * when no provider matches; -EINVAL; -E2BIG for a question from the future, when there are more groups
 * than a request holds (1984), or when p2pd is too old to be told any; those of every call on the broker
 */
P2PDMA_API int p2pdma_policy_test(struct p2pdma_context *context,
				  const struct p2pdma_policy_question *question,
				  struct p2pdma_policy_answer *ret_answer);

/*
 * What p2pd does, as it happens. A monitor has a connection of its own, so that one that isn't
 * read loses events and endangers no lease. It connects again by itself and then says
 * P2PDMA_MONITOR_LOST. Of leases and denials of other users only administrators hear.
 */
struct p2pdma_monitor;

/* Unknown types may come; skip them. */
enum p2pdma_monitor_type {
	P2PDMA_MONITOR_PROVIDER_ADDED = 1,
	P2PDMA_MONITOR_PROVIDER_REMOVED = 2,
	P2PDMA_MONITOR_PROVIDER_CHANGED = 3, /* drained, or available again */
	P2PDMA_MONITOR_LEASE_GRANTED = 4,
	P2PDMA_MONITOR_LEASE_REVOKING = 5,
	P2PDMA_MONITOR_LEASE_ENDED = 6,
	P2PDMA_MONITOR_LEASE_DENIED = 7,
	P2PDMA_MONITOR_POLICY_LOADED = 8,
	P2PDMA_MONITOR_LOST = 9,	    /* events were missed: list again */
	P2PDMA_MONITOR_POLICY_REFUSED = 10, /* it has faults (its error): the old one stays */
};

/**
 * struct p2pdma_monitor_event - one event
 * @size_bytes:   in: sizeof(struct p2pdma_monitor_event)
 * @type:         enum p2pdma_monitor_type
 * @reason:       enum p2pdma_reason
 * @error:        LEASE_DENIED, POLICY_REFUSED: why, a -errno
 * @lease_id:     0: none
 * @length_bytes: of the lease or provider
 * @time_ns:      CLOCK_MONOTONIC
 * @uid:          whose lease
 * @pid:          whose lease
 * @provider:     which, "" for none
 * @label:        of the lease
 */
struct p2pdma_monitor_event {
	uint32_t size_bytes;
	uint32_t type;
	uint32_t reason;
	int32_t error;
	uint64_t lease_id;
	uint64_t length_bytes;
	uint64_t time_ns;
	uint32_t uid;
	int32_t pid;
	char provider[64];
	char label[64];
};

/**
 * p2pdma_monitor_new() - begin to watch p2pd
 * @context:     borrowed; it must outlive the monitor
 * @ret_monitor: owned by the caller; p2pdma_monitor_free()
 *
 * Blocking: up to the context's broker_timeout_ms. Threads: any. Kernel: a socket. Since: 0.1
 *
 * Return: 0, or -EINVAL; -ENOMEM, -EMFILE; -EDQUOT when this user has as many as p2pd's policy
 * lets one have; those of every call on the broker
 */
P2PDMA_API int p2pdma_monitor_new(struct p2pdma_context *context,
				  struct p2pdma_monitor **ret_monitor);

/**
 * p2pdma_monitor_fd() - one descriptor that says when there are events
 * @monitor: borrowed
 *
 * Poll it for reading and call p2pdma_monitor_next() until that says -EAGAIN.
 *
 * Blocking: no. Threads: any. Kernel: epoll. Since: 0.1
 *
 * Return: the descriptor, owned by the monitor, or -EINVAL for NULL
 */
P2PDMA_API int p2pdma_monitor_fd(const struct p2pdma_monitor *monitor);

/**
 * p2pdma_monitor_next() - take the next event
 * @monitor:   borrowed
 * @ret_event: size_bytes set by the caller
 *
 * Blocking: no; poll p2pdma_monitor_fd()
 * Threads:  one at a time for each monitor
 * Kernel:   the socket
 * Since:    0.1
 *
 * Return: 0, or -EAGAIN when there is none, also while p2pd is away; -EINVAL
 */
P2PDMA_API int p2pdma_monitor_next(struct p2pdma_monitor *monitor,
				   struct p2pdma_monitor_event *ret_event);

/**
 * p2pdma_monitor_free() - stop watching
 * @monitor: consumed; NULL is allowed
 *
 * Blocking: no. Threads: any. Kernel: close. Since: 0.1
 */
P2PDMA_API void p2pdma_monitor_free(struct p2pdma_monitor *monitor);

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_BROKER_WATCH_H */
