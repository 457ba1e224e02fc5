/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_EVENT_H
#define P2PDMA_EVENT_H

#include <stdint.h>

#include <p2pdma/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct p2pdma_buffer;
struct p2pdma_context;

/* What happened. Unknown types may come; skip them. */
enum p2pdma_event_type {
	P2PDMA_EVENT_NONE = 0,
	/* Somebody wants the buffer back: stop posting, then p2pdma_buffer_revoke(). A lease of
	   p2pd may also be acknowledged: p2pdma_lease_ack(). */
	P2PDMA_EVENT_REVOKE_REQUESTED = 1,
	/* The buffer was revoked; once for each buffer, whoever did it. */
	P2PDMA_EVENT_REVOKED = 2,
	/* The device of buffers has gone; after the REVOKED events of its buffers. */
	P2PDMA_EVENT_DEVICE_GONE = 3,
	/* The device of a buffer reported an error. */
	P2PDMA_EVENT_ERROR = 4,
	/* An importer attached to the buffer or detached from it. */
	P2PDMA_EVENT_ATTACHED = 5,
	P2PDMA_EVENT_DETACHED = 6,
	/* A PCI function came, or went; no buffer. */
	P2PDMA_EVENT_FUNCTION_ADDED = 7,
	P2PDMA_EVENT_FUNCTION_GONE = 8,
};

/* Why a buffer was revoked or is wanted back. Those from EXPIRED on come from p2pd. */
enum p2pdma_reason {
	P2PDMA_REASON_NONE = 0,
	P2PDMA_REASON_OWNER = 1,       /* p2pdma_buffer_revoke() */
	P2PDMA_REASON_CLOSE = 2,       /* its exporter closed the device file */
	P2PDMA_REASON_REMOVE = 3,      /* unbind, hot unplug, sysfs remove */
	P2PDMA_REASON_RESET = 4,       /* the function was reset */
	P2PDMA_REASON_SUSPEND = 5,     /* the function or the machine was suspended */
	P2PDMA_REASON_ERROR = 6,       /* PCI error recovery */
	P2PDMA_REASON_SHUTDOWN = 7,    /* the machine goes down */
	P2PDMA_REASON_EXPIRED = 8,     /* the lease's time was over */
	P2PDMA_REASON_ADMIN = 9,       /* an administrator took it */
	P2PDMA_REASON_DRAIN = 10,      /* its provider is drained */
	P2PDMA_REASON_POLICY = 11,     /* a new policy forbids it */
	P2PDMA_REASON_KERNEL = 12,     /* reset, suspend or error of the function */
	P2PDMA_REASON_PUBLISHER = 13,  /* its publisher withdrew it or died */
	P2PDMA_REASON_DEATH = 14,      /* its holder died or did not come back */
	P2PDMA_REASON_MISBEHAVED = 15, /* its holder didn't read or broke the protocol */
	P2PDMA_REASON_BROKER = 16,     /* p2pd stopped, or doesn't know the lease any more */
};

/**
 * struct p2pdma_event - one event
 * @size_bytes:  in: sizeof(struct p2pdma_event)
 * @type:        enum p2pdma_event_type
 * @reason:      enum p2pdma_reason
 * @lost:        events dropped before this one, by the kernel or because nobody took them
 * @buffer:      borrowed, NULL for a function as a whole; valid until it is freed
 * @deadline_ns: CLOCK_MONOTONIC; REVOKE_REQUESTED: the memory is taken then in
 *               any case. 0: whoever asked waits as long as it takes
 * @time_ns:     CLOCK_MONOTONIC, when it happened
 * @function:    address of the device's PCI function, "" where unknown
 * @importer:    ATTACHED, DETACHED: address of the importer's function, "" where
 *               it has none
 */
struct p2pdma_event {
	uint32_t size_bytes;
	uint32_t type;
	uint32_t reason;
	uint32_t lost;
	struct p2pdma_buffer *buffer;
	uint64_t deadline_ns;
	uint64_t time_ns;
	char function[24];
	char importer[24];
};

#define P2PDMA_EVENT_INIT                                                                          \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_event), 0, 0, 0, 0, 0, 0, {0},                      \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}

/**
 * p2pdma_next_event() - take the next event
 * @context:   borrowed
 * @ret_event: size_bytes set by the caller
 *
 * Looks at the devices of the context that have something to say, at 16 of them where they
 * are more; the descriptor stays readable for the others. What it learns takes effect before
 * it returns, for all buffers, not only the one of the event returned: after REVOKED,
 * p2pdma_mr_enter() fails. Events of a buffer that is freed are dropped.
 *
 * Blocking: no, but for deregistering what caches (<p2pdma/mr_cache.h>) kept of what has
 *           ended; poll p2pdma_context_fd()
 * Threads:  any; each event goes to one of them
 * Kernel:   read of the export device, VFIO eventfds, netlink uevents
 * Since:    0.1
 *
 * Return: 0, or -EAGAIN when there is none; -EINVAL
 */
P2PDMA_API int p2pdma_next_event(struct p2pdma_context *context, struct p2pdma_event *ret_event);

/**
 * p2pdma_event_name() - the name of an event type, to print
 * @type: enum p2pdma_event_type
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: a word such as "revoke-requested", "unknown" for an unknown one
 */
P2PDMA_API const char *p2pdma_event_name(uint32_t type);

/**
 * p2pdma_reason_name() - the name of a reason, to print
 * @reason: enum p2pdma_reason
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: a word such as "remove", "unknown" for an unknown one
 */
P2PDMA_API const char *p2pdma_reason_name(uint32_t reason);

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_EVENT_H */
