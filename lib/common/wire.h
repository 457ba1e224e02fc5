/* SPDX-License-Identifier: MIT */
#ifndef COMMON_WIRE_H
#define COMMON_WIRE_H

#include <stddef.h>
#include <stdint.h>

/*
 * What p2pd and its clients say to each other.
 *
 * SOCK_SEQPACKET, one message a packet, in the byte order of the machine (it is
 * an AF_UNIX socket). Every message begins with struct wire_header. A client
 * sends requests, each with a serial of its choice other than 0; the daemon
 * answers each exactly once, in order, with the same serial, and sends events, with
 * serial 0, in between.
 *
 * Rules for both sides:
 *
 *  - The first request is HELLO; the daemon drops a peer that begins otherwise
 *    or takes too long.
 *  - A request may be longer than the structure that the daemon knows when the
 *    unknown tail is all zero (-E2BIG when it isn't). A shorter one than first
 *    published is -EINVAL. Replies and events may be longer than the client
 *    knows: it ignores the tail.
 *  - Reserved fields and unknown flag bits are zero, or -EINVAL. An unknown opcode
 *    is answered with -ENOTTY.
 *  - A packet that is not a message (shorter than the header, size_bytes that
 *    isn't the packet's size, truncated, serial 0, more descriptors than the
 *    request takes) ends the connection. Every descriptor that came with it is closed.
 *  - Texts are NUL-terminated within their field and UTF-8 without control characters, nor such as
 *    end a line or turn its direction (U+2028 to U+202E, U+2066 to U+2069); the rest of the field
 *    is zero.
 *  - Times are CLOCK_MONOTONIC nanoseconds.
 *
 * A structure never changes once released, but may grow at its end.
 */

#define WIRE_VERSION_MIN   1
#define WIRE_VERSION_MAX   1

#define WIRE_SOCKET_PATH   "/run/p2pd/p2pd.sock"

#define WIRE_MESSAGE_MAX   8192 /* bytes of a packet */
#define WIRE_RANGES_MAX	   32	/* of one lease */
#define WIRE_FDS_MAX	   1	/* with one message */

#define WIRE_NAME_SIZE	   64
#define WIRE_SELECTOR_SIZE 96
#define WIRE_TEXT_SIZE	   240
#define WIRE_TOKEN_SIZE	   16

enum wire_opcode {
	WIRE_HELLO = 1,
	WIRE_PROVIDERS = 2,
	WIRE_ACQUIRE = 3,
	WIRE_ATTACH = 4,
	WIRE_RELEASE = 5,
	WIRE_RENEW = 6,
	WIRE_ACK = 7,
	WIRE_LEASES = 8,
	WIRE_REVOKE = 9,
	WIRE_DRAIN = 10,
	WIRE_MONITOR = 11,
	WIRE_STATS = 12,
	WIRE_POLICY_TEST = 13,
	WIRE_PUBLISH = 14,
	WIRE_UNPUBLISH = 15,
	WIRE_STATUS = 16,

	WIRE_EVENT_REVOKE_REQUESTED = 64,
	WIRE_EVENT_REVOKED = 65,
	WIRE_EVENT_MONITOR = 66,
};

#define WIRE_REPLY 0x8000 /* or'ed to the opcode of the request */

struct wire_header {
	uint32_t size_bytes; /* of the whole packet */
	uint16_t opcode;     /* enum wire_opcode, WIRE_REPLY */
	uint16_t flags;	     /* zero */
	uint32_t serial;     /* events: 0 */
	int32_t error;	     /* replies: 0 or -errno; otherwise zero */
};

/* The body of a reply with an error: one sentence with the cause and what to try. */
struct wire_failure {
	char cause[WIRE_TEXT_SIZE];
};

/* HELLO: which versions and features the client speaks. -EPROTONOSUPPORT: none in common. */
struct wire_hello {
	uint32_t version_min;
	uint32_t version_max;
	uint64_t features; /* WIRE_FEATURE_*, none yet */
	char program[WIRE_NAME_SIZE];
};

#define WIRE_HELLO_IS_ADMIN (1U << 0) /* the peer may use the administrator's requests */

struct wire_hello_reply {
	uint32_t version; /* the highest that both know */
	uint32_t flags;	  /* WIRE_HELLO_* */
	uint64_t features;
	uint64_t instance; /* changes when the daemon lost its state */
	uint32_t message_max;
	uint32_t page_bytes;
};

/* What a backend can force on one lease without its holder's goodwill. */
enum wire_force {
	WIRE_FORCE_NONE = 0,	 /* only the publisher or driver can take it back */
	WIRE_FORCE_FUNCTION = 1, /* only the function as a whole */
	WIRE_FORCE_LEASE = 2,	 /* this lease alone, at once */
	WIRE_FORCE_WAITS = 3,	 /* importers that can't be revoked are waited for */
};

enum wire_backend {
	WIRE_BACKEND_EXPORT = 1,
	WIRE_BACKEND_VFIO = 2,
	WIRE_BACKEND_DRM = 3,
	WIRE_BACKEND_P2PMEM = 4,
	WIRE_BACKEND_PUBLISHED = 5,
};

#define WIRE_PROVIDER_DRAINING	  (1U << 0)
#define WIRE_PROVIDER_UNAVAILABLE (1U << 1) /* seen, but can't be exported now; see cause */

/* One provider, in replies to PROVIDERS and in monitor events. */
struct wire_provider {
	/* "0000:41:00.0/2@7", ".../vram@7", ".../p2pmem@7"; published ones: the name */
	char name[WIRE_NAME_SIZE];
	char driver[WIRE_NAME_SIZE];
	char cause[WIRE_TEXT_SIZE];
	uint32_t backend; /* enum wire_backend */
	uint32_t force;	  /* enum wire_force */
	uint32_t flags;	  /* WIRE_PROVIDER_* */
	uint32_t nr_leases;
	uint64_t size_bytes; /* 0: not known */
	uint64_t free_bytes;
	uint64_t largest_free_bytes;
	uint32_t nr_free_extents; /* more than one: fragmented */
	uint32_t pci_class;
	uint32_t vendor_id;
	uint32_t device_id;
	int32_t numa_node;
	uint32_t publisher_uid; /* published ones */
};

enum wire_mode {
	WIRE_MODE_EXCLUSIVE = 1,
	WIRE_MODE_SHARED = 2,
};

#define WIRE_ACCESS_READ	       (1U << 0)
#define WIRE_ACCESS_WRITE	       (1U << 1)

#define WIRE_ACQUIRE_MMAP_WC	       (1U << 0)
#define WIRE_ACQUIRE_ALLOW_UNREVOCABLE (1U << 1)

struct wire_range {
	uint64_t offset_bytes;
	uint64_t length_bytes;
};

/*
 * ACQUIRE: a slice, by name or by need. With ranges these are taken; without, the
 * daemon looks for @length_bytes in one piece. The descriptor of the DMABUF comes
 * with the reply.
 *
 * The ranges, struct wire_range each, begin @ranges_at bytes after the header and end the packet.
 * What lies between this structure, as the daemon knows it, and them is zero (-E2BIG), so
 * that it can grow at its end like any other.
 *
 * A reply can be lost with its connection. Who says a random @nonce and repeats the
 * request with it on the next connection gets the lease that it had been granted, with a new
 * descriptor (what the first one exported is revoked), if it waits for its holder or is this
 * connection's; else a new one, which can't be had again as long as the other one is there.
 * -EINVAL: that lease was of other mode, access, flags or size.
 *
 * Errors: -EACCES policy; -EBUSY held exclusively, draining, or no room; -EDQUOT;
 * -ENODEV nothing matches; -ESTALE old generation; -EOPNOTSUPP; -EINVAL.
 */
struct wire_acquire {
	char selector[WIRE_SELECTOR_SIZE]; /* see daemon/policy/selector.h; which provider */
	char importer[WIRE_NAME_SIZE];	   /* "mlx5_0" or a PCI address: best path to it; "" any */
	char label[WIRE_NAME_SIZE];
	uint32_t mode;	 /* enum wire_mode */
	uint32_t access; /* WIRE_ACCESS_* */
	uint32_t flags;	 /* WIRE_ACQUIRE_* */
	uint32_t nr_ranges;
	uint64_t length_bytes; /* without ranges; a multiple of the page size */
	uint64_t align_bytes;  /* a power of two, 0: the page size */
	uint64_t ttl_ms;       /* 0: as long as policy allows */
	uint64_t nonce;	       /* 0: none */
	uint32_t ranges_at;    /* a multiple of 8; 0 without ranges */
	uint32_t reserved;
};

enum wire_lease_state {
	WIRE_LEASE_PENDING = 0,
	WIRE_LEASE_ACTIVE = 1,
	WIRE_LEASE_REVOKING = 2,
	WIRE_LEASE_REVOKED = 3,
	WIRE_LEASE_RELEASED = 4,
};

/* Why a lease ended or is about to. */
enum wire_reason {
	WIRE_REASON_NONE = 0,
	WIRE_REASON_HOLDER = 1,	 /* its holder released it */
	WIRE_REASON_DEATH = 2,	 /* its holder died or did not come back */
	WIRE_REASON_EXPIRED = 3, /* its time was over */
	WIRE_REASON_ADMIN = 4,	 /* an administrator took it */
	WIRE_REASON_DRAIN = 5,	 /* its provider is drained */
	WIRE_REASON_POLICY = 6,	 /* a new policy forbids it */
	WIRE_REASON_REMOVAL = 7, /* somebody wants the function: unbind, VFIO request */
	WIRE_REASON_GONE = 8,	 /* the function has gone */
	WIRE_REASON_KERNEL = 9,	 /* the kernel revoked it: reset, suspend, error */
	WIRE_REASON_SHUTDOWN = 10,
	WIRE_REASON_PUBLISHER = 11,  /* its publisher withdrew or died */
	WIRE_REASON_MISBEHAVED = 12, /* its holder doesn't read or doesn't keep the protocol */
};

/* One lease. The token is only told to its holder; elsewhere it is zero. */
struct wire_lease {
	uint64_t id;
	uint8_t token[WIRE_TOKEN_SIZE];
	char provider[WIRE_NAME_SIZE]; /* with its generation */
	char label[WIRE_NAME_SIZE];
	uint32_t state;	  /* enum wire_lease_state */
	uint32_t reason;  /* enum wire_reason */
	uint32_t mode;	  /* enum wire_mode */
	uint32_t access;  /* WIRE_ACCESS_* */
	uint32_t flags;	  /* WIRE_ACQUIRE_* */
	uint32_t force;	  /* enum wire_force */
	uint32_t backend; /* enum wire_backend */
	uint32_t uid;
	int32_t pid;
	uint32_t nr_ranges;
	uint64_t size_bytes;
	uint64_t granted_ns;
	uint64_t expires_ns;	 /* 0: never */
	uint64_t deadline_ns;	 /* revoking; 0 otherwise */
	struct wire_range first; /* the first range */
};

/* ATTACH: its holder takes a lease up again on a new connection. Reply: wire_lease. */
struct wire_attach {
	uint64_t lease_id;
	uint8_t token[WIRE_TOKEN_SIZE];
};

/* RELEASE, ACK, UNPUBLISH. */
struct wire_lease_id {
	uint64_t lease_id;
};

struct wire_renew {
	uint64_t lease_id;
	uint64_t ttl_ms;
};

struct wire_renew_reply {
	uint64_t expires_ns;
};

/*
 * PROVIDERS and LEASES: as many records as fit a packet, in order, from @cursor (0
 * begins). A selector limits both; LEASES shows others' leases to administrators only.
 */
struct wire_list {
	uint64_t cursor;
	char selector[WIRE_SELECTOR_SIZE]; /* "": all */
	uint32_t uid;			   /* LEASES: of this user, UINT32_MAX: all */
	uint32_t reserved;
};

/* Then @nr_records records of @record_bytes: struct wire_provider or struct wire_lease. */
struct wire_list_reply {
	uint64_t next_cursor; /* 0: that was all */
	uint32_t nr_records;
	uint32_t record_bytes;
};

enum wire_scope {
	WIRE_SCOPE_LEASE = 1,
	WIRE_SCOPE_PROVIDER = 2, /* by selector */
	WIRE_SCOPE_UID = 3,
	WIRE_SCOPE_ALL = 4,
};

/* Take what can only be forced together: every lease of the functions concerned. */
#define WIRE_REVOKE_FUNCTION (1U << 0)

/*
 * REVOKE: administrators. The reply comes when every lease has been marked and its holder
 * told, not when it is over: see monitor events.
 */
struct wire_revoke {
	uint32_t scope; /* enum wire_scope */
	uint32_t flags; /* WIRE_REVOKE_* */
	uint64_t lease_id;
	char selector[WIRE_SELECTOR_SIZE];
	uint32_t uid;
	uint32_t reserved;
	uint64_t deadline_ms; /* 0: at once */
};

struct wire_revoke_reply {
	uint32_t nr_leases; /* that this request began to revoke */
	uint32_t nr_busy;   /* revoked, but still mapped by importers that can't be revoked */
};

/* DRAIN: administrators. Reply: wire_revoke_reply. */
struct wire_drain {
	char selector[WIRE_SELECTOR_SIZE];
	uint32_t is_on; /* 0 lets new leases be granted again */
	uint32_t reserved;
	uint64_t deadline_ms;
};

/* MONITOR: from now on this connection hears of every lease it may see and every provider. */
struct wire_monitor {
	uint32_t is_on;
	uint32_t reserved;
};

#define WIRE_STATS_METRICS 0 /* Prometheus text */
#define WIRE_STATS_DUMP	   1 /* the daemon's state as JSON, administrators */

/* STATS: the text comes as a sealed memfd with the reply. */
struct wire_stats {
	uint32_t what; /* WIRE_STATS_* */
	uint32_t reserved;
};

struct wire_stats_reply {
	uint64_t size_bytes;
};

/* A flag of POLICY_TEST: may "published:NAME" be published? Whoever has it now. */
#define WIRE_POLICY_TEST_PUBLISH (1U << 31)

/*
 * POLICY_TEST: what policy says; for another user than oneself: administrators.
 *
 * Of another user p2pd knows what it is told: @gid, and the supplementary groups, uint32_t each,
 * that begin @groups_at bytes after the header and end the packet, as the ranges of ACQUIRE do.
 */
struct wire_policy_test {
	char selector[WIRE_SELECTOR_SIZE]; /* one provider */
	char unit[WIRE_SELECTOR_SIZE];	   /* systemd unit or cgroup path, "" unknown */
	uint32_t uid;
	uint32_t gid;
	uint32_t mode;
	uint32_t access;
	uint32_t flags; /* WIRE_ACQUIRE_*, WIRE_POLICY_TEST_* */
	uint32_t reserved;
	uint64_t length_bytes;
	uint64_t ttl_ms;
	/* Grown by these two. */
	uint32_t nr_groups;
	uint32_t groups_at; /* a multiple of 8; 0 without groups */
};

#define WIRE_POLICY_TEST_FIRST_BYTES offsetof(struct wire_policy_test, nr_groups)
#define WIRE_POLICY_TEST_GROUPS_MAX                                                                \
	((WIRE_MESSAGE_MAX - sizeof(struct wire_header) - sizeof(struct wire_policy_test)) /       \
	 sizeof(uint32_t))

struct wire_policy_test_reply {
	int32_t error; /* 0: it would be granted; -EACCES, -EDQUOT */
	uint32_t reserved;
	char rule[WIRE_NAME_SIZE];    /* the rule's name, "" for the default */
	char source[WIRE_TEXT_SIZE];  /* file:line */
	char because[WIRE_TEXT_SIZE]; /* one sentence */
};

/*
 * PUBLISH: the DMABUF comes with the request. Others acquire it by @name as
 * "published:NAME". Reply: wire_publish_reply.
 */
struct wire_publish {
	char name[WIRE_NAME_SIZE]; /* letters, digits, . _ - */
	uint32_t mode;		   /* SHARED: many may hold it; EXCLUSIVE: one at a time */
	uint32_t access;
	uint32_t uid; /* only this user; UINT32_MAX: policy alone decides */
	uint32_t gid; /* or this group */
};

struct wire_publish_reply {
	uint64_t id; /* for UNPUBLISH */
	uint64_t size_bytes;
	uint64_t inode;
};

/* STATUS: the daemon as a whole; no body. */
struct wire_status_reply {
	char version[WIRE_NAME_SIZE];
	int32_t pid;
	uint32_t nr_clients;
	uint32_t nr_leases;
	uint32_t nr_providers;
	uint64_t leased_bytes;
	uint64_t started_ns;
	uint64_t policy_generation; /* counts reloads */
	uint64_t instance;
	uint32_t policy_refused; /* reloads since that one that had faults, and changed nothing */
	uint32_t reserved;
};

/* EVENT_REVOKE_REQUESTED, EVENT_REVOKED. */
struct wire_event_lease {
	uint64_t lease_id;
	uint32_t reason;       /* enum wire_reason */
	uint32_t nr_mappings;  /* REVOKED: device mappings undone */
	uint32_t nr_remaining; /* REVOKED: by importers that can't be revoked */
	uint32_t reserved;
	uint64_t deadline_ns; /* REVOKE_REQUESTED */
	uint64_t time_ns;
};

enum wire_monitor_type {
	WIRE_MONITOR_PROVIDER_ADDED = 1,
	WIRE_MONITOR_PROVIDER_REMOVED = 2,
	WIRE_MONITOR_PROVIDER_CHANGED = 3, /* draining, available again */
	WIRE_MONITOR_LEASE_GRANTED = 4,
	WIRE_MONITOR_LEASE_REVOKING = 5,
	WIRE_MONITOR_LEASE_ENDED = 6,
	WIRE_MONITOR_LEASE_DENIED = 7,
	WIRE_MONITOR_POLICY_LOADED = 8,
	WIRE_MONITOR_LOST = 9,		  /* events were dropped: list again */
	WIRE_MONITOR_POLICY_REFUSED = 10, /* its error: the old one stays */
};

struct wire_event_monitor {
	uint32_t type; /* enum wire_monitor_type */
	uint32_t reason;
	uint64_t lease_id; /* 0: none */
	uint64_t size_bytes;
	uint32_t uid;
	int32_t pid;
	int32_t error; /* LEASE_DENIED */
	uint32_t reserved;
	char provider[WIRE_NAME_SIZE];
	char label[WIRE_NAME_SIZE];
	uint64_t time_ns;
};

#endif /* COMMON_WIRE_H */
