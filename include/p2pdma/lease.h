/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_LEASE_H
#define P2PDMA_LEASE_H

#include <stddef.h>
#include <stdint.h>

#include <p2pdma/buffer.h>
#include <p2pdma/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct p2pdma_context;

/*
 * A lease: the right to one slice, which p2pd grants to this program for a time. It is a buffer
 * like any other (its backend is P2PDMA_BACKEND_BROKER) that can be wanted back: then comes
 * P2PDMA_EVENT_REVOKE_REQUESTED with a deadline, the program stops, and says so by
 * p2pdma_lease_ack(), p2pdma_buffer_revoke() or p2pdma_buffer_free(). When the deadline passes the
 * memory is taken without it. The library never gives up a lease by itself.
 *
 * The connection to p2pd is made with the first call that needs it. When it breaks, because p2pd
 * is restarted or killed, the memory stays leased and mapped: the library connects again by
 * itself, from p2pdma_next_event() and from any call on the broker, and takes its leases
 * up. A lease that p2pd doesn't know any more is told as revoked.
 *
 * Calls that need p2pd wait for its answer up to the context's broker_timeout_ms. All of them
 * may answer, besides what they document: -ECONNREFUSED when p2pd isn't there; -EACCES when this
 * program may not use it; -ETIMEDOUT when it didn't answer in time, or let go of each connection
 * because there are too many; -EPROTO when what it said makes no sense; -EPROTONOSUPPORT when it
 * speaks no version of the protocol that the library does; -EOPNOTSUPP when the context is
 * P2PDMA_CONTEXT_DIRECT; -EMFILE, -ENFILE, -ENOMEM. One request is under way at a time: threads
 * that call at once wait for each other within their timeouts. A child of fork() must not use the connection, which is close-on-exec.
 */

/* How others may share the slice. */
enum p2pdma_lease_mode {
	P2PDMA_LEASE_EXCLUSIVE = 1, /* nobody else has a lease on these bytes */
	P2PDMA_LEASE_SHARED = 2,    /* others may, in this mode */
};

/* What p2pd can do to a lease without its holder's help. Higher is not better. */
enum p2pdma_lease_force {
	P2PDMA_LEASE_FORCE_NONE = 0,	 /* nothing: only the publisher or the driver can */
	P2PDMA_LEASE_FORCE_FUNCTION = 1, /* take the function as a whole */
	P2PDMA_LEASE_FORCE_LEASE = 2,	 /* take this lease alone, at once */
	P2PDMA_LEASE_FORCE_WAITS = 3, /* take it, then wait for importers that can't be revoked */
};

enum p2pdma_lease_state {
	P2PDMA_LEASE_PENDING = 0,
	P2PDMA_LEASE_ACTIVE = 1,
	P2PDMA_LEASE_REVOKING = 2, /* wanted back, the deadline runs */
	P2PDMA_LEASE_REVOKED = 3,
	P2PDMA_LEASE_RELEASED = 4,
};

/**
 * struct p2pdma_lease_request - which slice is wanted
 * @size_bytes:   sizeof(struct p2pdma_lease_request)
 * @mode:         enum p2pdma_lease_mode
 * @flags:        P2PDMA_BUFFER_*
 * @reserved:     zero
 * @selector:     which provider: "0000:41:00.0/2" (one BAR), "0000:41:00.0" (one function),
 *                "10ee:903f" (vendor and device), "class:0302" (PCI class), "backend:export",
 *                "published:NAME", or "*" (any device's). NULL means "*"
 * @importer:     the device that will use it, such as "mlx5_0" or a PCI address: among the
 *                providers that match, the one with the best path to it. NULL: any
 * @label:        for people who look at leases, up to 63 bytes; NULL: none
 * @length_bytes: how much, in one piece, a multiple of the page size; not with @ranges. What
 *                was published is acquired whole
 * @align_bytes:  a power of two, at least the page size; 0: the page size. Not with @ranges
 * @ttl_ms:       for how long; 0: as long as policy allows
 * @ranges:       exactly these, of the one BAR that @selector names; or NULL
 * @nr_ranges:    0 .. P2PDMA_LEASE_MAX_RANGES
 * @user_data:    for the caller, see p2pdma_buffer_user_data()
 */
struct p2pdma_lease_request {
	uint32_t size_bytes;
	uint32_t mode;
	uint32_t flags;
	uint32_t reserved;
	const char *selector;
	const char *importer;
	const char *label;
	uint64_t length_bytes;
	uint64_t align_bytes;
	uint64_t ttl_ms;
	const struct p2pdma_range *ranges;
	size_t nr_ranges;
	void *user_data;
};

#define P2PDMA_LEASE_REQUEST_INIT                                                                  \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_lease_request), P2PDMA_LEASE_EXCLUSIVE, 0, 0, 0, 0, \
			0, 0, 0, 0, 0, 0, 0                                                        \
	}

/* The most ranges that one lease may have. */
#define P2PDMA_LEASE_MAX_RANGES 32

/**
 * struct p2pdma_lease_info - one lease
 * @size_bytes:   in: sizeof(struct p2pdma_lease_info)
 * @state:        enum p2pdma_lease_state
 * @id:           names the lease to the administrator
 * @reason:       enum p2pdma_reason: why it ended or is about to
 * @mode:         enum p2pdma_lease_mode
 * @flags:        P2PDMA_BUFFER_*
 * @force:        enum p2pdma_lease_force
 * @backend:      enum p2pdma_backend: how p2pd makes the DMABUF
 * @uid:          whose it is
 * @pid:          whose it is, as it was when the lease was granted
 * @nr_ranges:    of how many pieces
 * @length_bytes: all pieces together
 * @offset_bytes: of the first piece from the start of the BAR
 * @granted_ns:   CLOCK_MONOTONIC
 * @expires_ns:   CLOCK_MONOTONIC; 0: never
 * @deadline_ns:  CLOCK_MONOTONIC: when it is taken; 0 while nobody wants it back
 * @provider:     name with its generation; the name of a published one
 * @label:        what its holder called it
 */
struct p2pdma_lease_info {
	uint32_t size_bytes;
	uint32_t state;
	uint64_t id;
	uint32_t reason;
	uint32_t mode;
	uint32_t flags;
	uint32_t force;
	uint32_t backend;
	uint32_t uid;
	int32_t pid;
	uint32_t nr_ranges;
	uint64_t length_bytes;
	uint64_t offset_bytes;
	uint64_t granted_ns;
	uint64_t expires_ns;
	uint64_t deadline_ns;
	char provider[64];
	char label[64];
};

#define P2PDMA_LEASE_INFO_INIT                                                                     \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_lease_info), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
			0, 0, {0},                                                                 \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}

/**
 * p2pdma_lease_acquire() - ask p2pd for a slice, by name, by class or by need
 * @context:    borrowed; it must outlive the use of the buffer's events
 * @request:    borrowed
 * @ret_buffer: the buffer, owned by the caller; p2pdma_buffer_free() releases the lease
 *
 * For a provider and ranges that are known p2pdma_buffer_new() does the same.
 *
 * Blocking: until p2pd answers, up to broker_timeout_ms
 * Threads:  any; not in a child of fork()
 * Kernel:   a SOCK_SEQPACKET socket; what arrives is proven to be a DMABUF by fstatfs
 * Since:    0.1
 *
 * Return: 0, or -EINVAL for a request that can't be; -E2BIG for one from the future; -EACCES
 * when policy says no; -EDQUOT over a quota; -EBUSY when it is held exclusively, drained, or no room
 * is left; -ENODEV when nothing matches; -ESTALE when another function is in the slot;
 * -EOPNOTSUPP when the provider can't do what is asked, or the context is
 * P2PDMA_CONTEXT_DIRECT; -ENOMEM, -EMFILE; those of every call on the broker
 */
P2PDMA_API int p2pdma_lease_acquire(struct p2pdma_context *context,
				    const struct p2pdma_lease_request *request,
				    struct p2pdma_buffer **ret_buffer);

/**
 * p2pdma_lease_query() - what is known of a lease
 * @buffer:   borrowed; one that p2pd granted
 * @ret_info: size_bytes set by the caller
 *
 * Works after a revocation, too.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   none
 * Since:    0.1
 *
 * Return: 0, or -EOPNOTSUPP for a buffer of another backend; -EINVAL
 */
P2PDMA_API int p2pdma_lease_query(struct p2pdma_buffer *buffer, struct p2pdma_lease_info *ret_info);

/**
 * p2pdma_lease_renew() - ask for more time
 * @buffer: borrowed
 * @ttl_ms: from now; 0: as long as policy allows
 *
 * Policy may grant less; p2pdma_lease_query() has the new expires_ns.
 *
 * Blocking: until p2pd answers, up to broker_timeout_ms
 * Threads:  any; not in a child of fork()
 * Kernel:   the socket
 * Since:    0.1
 *
 * Return: 0, or -ESTALE once it is wanted back or revoked; -ENODEV when the device has gone;
 * -EACCES when policy says no; -EOPNOTSUPP for a buffer of another backend; -EINVAL; those of every
 * call on the broker
 */
P2PDMA_API int p2pdma_lease_renew(struct p2pdma_buffer *buffer, uint64_t ttl_ms);

/**
 * p2pdma_lease_ack() - this program has stopped: p2pd may take the lease now
 * @buffer:     borrowed; one for which P2PDMA_EVENT_REVOKE_REQUESTED came
 * @timeout_ms: how long to wait for posts in progress; 0 doesn't wait
 *
 * p2pdma_mr_enter() begins to fail and the buffer can't be mapped or registered any
 * more. When no post is in progress p2pd is told, takes the memory at once instead of at the
 * deadline, and P2PDMA_EVENT_REVOKED comes. Memory regions need not be deregistered before.
 *
 * Blocking: up to @timeout_ms, and until p2pd answers, up to broker_timeout_ms
 * Threads:  any; not in a child of fork()
 * Kernel:   the socket
 * Since:    0.1
 *
 * Return: 0, also when it is revoked already; -EBUSY when posts are still in progress: p2pd was
 * not told, call again; -EINVAL when nobody wants the lease back (p2pdma_buffer_revoke()
 * returns it all the same); -EOPNOTSUPP for a buffer of another backend; those of every call
 * on the broker
 */
P2PDMA_API int p2pdma_lease_ack(struct p2pdma_buffer *buffer, uint32_t timeout_ms);

/* A DMABUF of this program that others can acquire from p2pd by name. */
struct p2pdma_publication;

/* Nobody in particular: policy alone says who may acquire a publication. */
#define P2PDMA_PUBLISH_ANYONE UINT32_MAX

/**
 * struct p2pdma_publish_options - under which name and to whom
 * @size_bytes: sizeof(struct p2pdma_publish_options)
 * @flags:      zero or P2PDMA_BUFFER_READ_ONLY: what holders may do. They get the DMABUF's own
 *              descriptor: only one that was exported for reading holds them to that
 * @mode:       enum p2pdma_lease_mode: SHARED for many holders, EXCLUSIVE for one at a time
 * @uid:        only this user, P2PDMA_PUBLISH_ANYONE: not limited
 * @gid:        or this group, P2PDMA_PUBLISH_ANYONE: not limited
 * @reserved:   zero
 * @name:       letters, digits and ". _ -", up to 63 bytes
 */
struct p2pdma_publish_options {
	uint32_t size_bytes;
	uint32_t flags;
	uint32_t mode;
	uint32_t uid;
	uint32_t gid;
	uint32_t reserved;
	const char *name;
};

#define P2PDMA_PUBLISH_OPTIONS_INIT                                                                \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_publish_options), 0, P2PDMA_LEASE_SHARED,           \
			P2PDMA_PUBLISH_ANYONE, P2PDMA_PUBLISH_ANYONE, 0, 0                         \
	}

/**
 * p2pdma_publish() - let others acquire a DMABUF of this program
 * @context:         borrowed; it must outlive the publication
 * @fd:              borrowed; a DMABUF, of which the library keeps a duplicate
 * @options:         borrowed
 * @ret_publication: owned by the caller; p2pdma_publication_free() withdraws it
 *
 * Others ask for "published:NAME". p2pd hands them this DMABUF and revokes nothing of it by force:
 * taking it back from them is the exporter's business. When this program ends, p2pd revokes
 * what it granted. After a restart of p2pd the library publishes it again.
 *
 * Blocking: until p2pd answers, up to broker_timeout_ms
 * Threads:  any; not in a child of fork()
 * Kernel:   the socket; fstatfs
 * Since:    0.1
 *
 * Return: 0, or -EINVAL when @fd is no DMABUF or the name can't be; -EBADF; -E2BIG for
 * options from the future; -EBUSY when the name is taken; -EACCES when policy says no; -EDQUOT;
 * -ENOMEM, -EMFILE; those of every call on the broker
 */
P2PDMA_API int p2pdma_publish(struct p2pdma_context *context, int fd,
			      const struct p2pdma_publish_options *options,
			      struct p2pdma_publication **ret_publication);

/**
 * p2pdma_publication_free() - withdraw a publication
 * @publication: consumed; NULL is allowed
 *
 * Its holders are asked to stop, and lose it.
 *
 * Blocking: until p2pd answers, up to broker_timeout_ms
 * Threads:  any; not in a child of fork()
 * Kernel:   the socket
 * Since:    0.1
 */
P2PDMA_API void p2pdma_publication_free(struct p2pdma_publication *publication);

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_LEASE_H */
