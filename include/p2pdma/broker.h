/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_BROKER_H
#define P2PDMA_BROKER_H

#include <stddef.h>
#include <stdint.h>

#include <p2pdma/lease.h>
#include <p2pdma/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Looking at p2pd and telling it what to do: what p2pctl is made of. Anyone may ask; what a
 * user may not see is left out, and what only administrators may do is -EACCES. What every call on
 * the broker may answer is in <p2pdma/lease.h>.
 */

/* This program may use the administrator's calls. */
#define P2PDMA_BROKER_IS_ADMIN (1U << 0)

/**
 * struct p2pdma_broker_status - the daemon as a whole
 * @size_bytes:        in: sizeof(struct p2pdma_broker_status)
 * @flags:             P2PDMA_BROKER_*
 * @pid:               of the daemon
 * @nr_clients:        connections
 * @nr_leases:         of everyone
 * @nr_providers:      that it knows
 * @leased_bytes:      of everyone
 * @started_ns:        CLOCK_MONOTONIC
 * @policy_generation: counts the times that policy was loaded
 * @instance:          changes when it lost its state
 * @version:           of its package
 * @policy_refused:    reloads since then whose policy had faults: it isn't the one in the files
 * @reserved:          zero
 */
struct p2pdma_broker_status {
	uint32_t size_bytes;
	uint32_t flags;
	int32_t pid;
	uint32_t nr_clients;
	uint32_t nr_leases;
	uint32_t nr_providers;
	uint64_t leased_bytes;
	uint64_t started_ns;
	uint64_t policy_generation;
	uint64_t instance;
	char version[64];
	uint32_t policy_refused;
	uint32_t reserved;
};

/**
 * p2pdma_broker_query() - ask how p2pd is
 * @context:    borrowed
 * @ret_status: size_bytes set by the caller
 *
 * Blocking: up to broker_timeout_ms. Threads: any. Kernel: the socket. Since: 0.1
 *
 * Return: 0, or -EINVAL; those of every call on the broker
 */
P2PDMA_API int p2pdma_broker_query(struct p2pdma_context *context,
				   struct p2pdma_broker_status *ret_status);

/* Records of one list query, in p2pd's order. */
struct p2pdma_broker_list;

/* No new leases are granted on it. */
#define P2PDMA_PROVIDER_DRAINING    (1U << 0)
/* It is there, but nothing can be exported from it now: see the cause. */
#define P2PDMA_PROVIDER_UNAVAILABLE (1U << 1)

/**
 * struct p2pdma_broker_provider - one provider as p2pd sees it
 * @size_bytes:         of the structure
 * @flags:              P2PDMA_PROVIDER_*
 * @backend:            enum p2pdma_backend
 * @force:              enum p2pdma_lease_force of leases on it
 * @nr_leases:          of everyone
 * @nr_free_extents:    more than one: its free space is fragmented
 * @length_bytes:       all of it; 0: not known (vram)
 * @free_bytes:         not leased exclusively
 * @largest_free_bytes: in one piece
 * @pci_class:          0xCCSSPP
 * @vendor_id:          PCI
 * @device_id:          PCI
 * @numa_node:          -1 where unknown
 * @publisher_uid:      who published it, where somebody did
 * @name:               with its generation
 * @driver:             of the function
 * @cause:              why it can't be leased now, "" when it can
 */
struct p2pdma_broker_provider {
	uint32_t size_bytes;
	uint32_t flags;
	uint32_t backend;
	uint32_t force;
	uint32_t nr_leases;
	uint32_t nr_free_extents;
	uint64_t length_bytes;
	uint64_t free_bytes;
	uint64_t largest_free_bytes;
	uint32_t pci_class;
	uint32_t vendor_id;
	uint32_t device_id;
	int32_t numa_node;
	uint32_t publisher_uid;
	uint32_t reserved;
	char name[64];
	char driver[64];
	char cause[240];
};

/**
 * p2pdma_broker_list_providers() - the providers that p2pd offers
 * @context:  borrowed
 * @selector: as in struct p2pdma_lease_request; NULL: all
 * @ret_list: owned by the caller; p2pdma_broker_list_free()
 *
 * Blocking: up to broker_timeout_ms for each packet. Threads: any. Kernel: the socket. Since: 0.1
 *
 * Return: 0, or -EINVAL for a selector that isn't one; -ENOMEM; those of every call on the broker
 */
P2PDMA_API int p2pdma_broker_list_providers(struct p2pdma_context *context, const char *selector,
					    struct p2pdma_broker_list **ret_list);

/* Leases of every user, for p2pdma_broker_list_leases(). */
#define P2PDMA_BROKER_ANY_UID UINT32_MAX

/**
 * p2pdma_broker_list_leases() - the leases that this program may see
 * @context:  borrowed
 * @selector: those on which providers; NULL: all
 * @uid:      of which user; P2PDMA_BROKER_ANY_UID: all
 * @ret_list: owned by the caller; p2pdma_broker_list_free()
 *
 * Administrators see everyone's, others those of their own user.
 *
 * Blocking: up to broker_timeout_ms for each packet. Threads: any. Kernel: the socket. Since: 0.1
 *
 * Return: as p2pdma_broker_list_providers()
 */
P2PDMA_API int p2pdma_broker_list_leases(struct p2pdma_context *context, const char *selector,
					 uint32_t uid, struct p2pdma_broker_list **ret_list);

/**
 * p2pdma_broker_list_count() - how many records a list has
 * @list: borrowed; NULL counts 0
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the number
 */
P2PDMA_API size_t p2pdma_broker_list_count(const struct p2pdma_broker_list *list);

/**
 * p2pdma_broker_list_provider() - one record of p2pdma_broker_list_providers()
 * @list:  borrowed
 * @index: 0 .. count - 1
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the record, borrowed from the list; NULL beyond the end or in a list of leases
 */
P2PDMA_API const struct p2pdma_broker_provider *
p2pdma_broker_list_provider(const struct p2pdma_broker_list *list, size_t index);

/**
 * p2pdma_broker_list_lease() - one record of p2pdma_broker_list_leases()
 * @list:  borrowed
 * @index: 0 .. count - 1
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the record, borrowed from the list; NULL beyond the end or in a list of providers
 */
P2PDMA_API const struct p2pdma_lease_info *
p2pdma_broker_list_lease(const struct p2pdma_broker_list *list, size_t index);

/**
 * p2pdma_broker_list_free() - release a list
 * @list: consumed; NULL is allowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 */
P2PDMA_API void p2pdma_broker_list_free(struct p2pdma_broker_list *list);

/* Which leases are to be revoked. */
enum p2pdma_broker_scope {
	P2PDMA_BROKER_SCOPE_LEASE = 1,	  /* @lease_id */
	P2PDMA_BROKER_SCOPE_PROVIDER = 2, /* those on what @selector names */
	P2PDMA_BROKER_SCOPE_UID = 3,	  /* those of @uid */
	P2PDMA_BROKER_SCOPE_ALL = 4,
};

/**
 * struct p2pdma_broker_revocation - what to take back
 * @size_bytes:  sizeof(struct p2pdma_broker_revocation)
 * @scope:       enum p2pdma_broker_scope
 * @flags:       zero or P2PDMA_REVOKE_FUNCTION: where only whole functions can be forced, take
 *               every lease of them
 * @uid:         SCOPE_UID
 * @lease_id:    SCOPE_LEASE
 * @deadline_ms: how long holders get to stop by themselves; 0: none
 * @selector:    SCOPE_PROVIDER
 */
struct p2pdma_broker_revocation {
	uint32_t size_bytes;
	uint32_t scope;
	uint32_t flags;
	uint32_t uid;
	uint64_t lease_id;
	uint64_t deadline_ms;
	const char *selector;
};

/**
 * struct p2pdma_broker_count - how many leases were concerned
 * @size_bytes: in: sizeof(struct p2pdma_broker_count)
 * @nr_leases:  that the call began to revoke
 * @nr_busy:    revoked, but still mapped by importers that can't be revoked
 * @reserved:   zero
 */
struct p2pdma_broker_count {
	uint32_t size_bytes;
	uint32_t nr_leases;
	uint32_t nr_busy;
	uint32_t reserved;
};

/**
 * p2pdma_broker_revoke() - take leases back
 * @context:    borrowed
 * @revocation: borrowed
 * @ret_count:  size_bytes set by the caller; NULL is allowed
 *
 * Returns when every holder has been told; when it is over shows in the monitor's events
 * and in lists.
 *
 * Blocking: up to broker_timeout_ms. Threads: any. Kernel: the socket. Since: 0.1
 *
 * Return: 0, also when there was nothing to revoke; -EACCES for other than administrators;
 * -ENOENT when there is no such lease; -EOPNOTSUPP when only a whole function can be forced;
 * -EINVAL; -E2BIG for a revocation from the future; those of every call on the broker
 */
P2PDMA_API int p2pdma_broker_revoke(struct p2pdma_context *context,
				    const struct p2pdma_broker_revocation *revocation,
				    struct p2pdma_broker_count *ret_count);

/**
 * p2pdma_broker_drain() - end the leases of providers and grant no new ones, or do so again
 * @context:     borrowed
 * @selector:    which providers
 * @is_on:       1 drains, 0 ends it
 * @deadline_ms: how long holders get to stop by themselves
 * @ret_count:   size_bytes set by the caller; NULL is allowed
 *
 * Blocking: up to broker_timeout_ms. Threads: any. Kernel: the socket. Since: 0.1
 *
 * Return: as p2pdma_broker_revoke(); -ENODEV when no provider matches
 */
P2PDMA_API int p2pdma_broker_drain(struct p2pdma_context *context, const char *selector, int is_on,
				   uint64_t deadline_ms, struct p2pdma_broker_count *ret_count);

enum p2pdma_broker_text {
	P2PDMA_BROKER_METRICS = 0, /* Prometheus text */
	P2PDMA_BROKER_DUMP = 1,	   /* its state as JSON; administrators */
};

/**
 * p2pdma_broker_text() - figures of p2pd, as text
 * @context:  borrowed
 * @what:     enum p2pdma_broker_text
 * @ret_text: NUL-terminated, owned by the caller; free()
 *
 * Blocking: up to broker_timeout_ms. Threads: any. Kernel: the socket, a memfd. Since: 0.1
 *
 * Return: 0, or -EACCES; -EBUSY while too many metrics are on their way to others; -ENOMEM; -EINVAL;
 * those of every call on the broker
 */
P2PDMA_API int p2pdma_broker_text(struct p2pdma_context *context, uint32_t what, char **ret_text);

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_BROKER_H */
