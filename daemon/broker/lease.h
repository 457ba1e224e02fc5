/* SPDX-License-Identifier: MIT */
#ifndef LEASE_H
#define LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/list.h"
#include "common/wire.h"
#include "deadlines.h"
#include "state/journal.h"

struct account;
struct holder;
struct provider;

/*
 * One lease and its states. It does no I/O: what a transition means for the world is what
 * the lease_step that it returns says, and the broker does it.
 *
 *	PENDING -> ACTIVE -> REVOKING -> REVOKED -> (freed)
 *	    \         \   \               ^
 *	     \         \   \-> RELEASED ---+----> (freed)
 *	      \         \-------------------/ the kernel did it by itself
 *	       \-> (freed)
 */
struct lease {
	/* First what one revocation of many looks at. */
	uint64_t id;
	struct list link_of_marked; /* wanted back, and its holder isn't told yet */
	struct holder *holder;	    /* NULL: not come back since a restart */
	pid_t pid;
	uint8_t state;	/* enum wire_lease_state */
	uint8_t reason; /* enum wire_reason */
	bool is_acked;
	bool is_kernel_done;
	bool is_told;	   /* that it is wanted back, on this p2pd's watch */
	bool is_under_way; /* the kernel's step; its device says when it has settled */
	uid_t uid;
	uint64_t expires_ns;	    /* 0: never */
	uint64_t deadline_ns;	    /* of the revocation */
	uint64_t detached_until_ns; /* without a connection: until then it waits; 0: connected */
	struct deadline deadline;   /* the first of the three that matters now */
	struct journal_lease_state written; /* what the journal says of it */

	struct list link_of_holder;
	struct list link_of_provider;
	struct list link_of_nonce;
	struct provider *provider;
	struct account *account;
	uint8_t token[WIRE_TOKEN_SIZE];
	char label[WIRE_NAME_SIZE];
	uint32_t mode;
	uint32_t access;
	uint32_t flags;
	uint32_t force; /* enum wire_force */
	uint32_t priority;
	gid_t gid;
	uint32_t export_id;
	uint64_t nonce; /* its ACQUIRE's, 0: none */
	uint64_t size_bytes;
	uint64_t granted_ns;
	uint32_t nr_ranges;
	struct wire_range ranges[];
};

/* What must be done now. */
enum lease_step {
	LEASE_NOTHING,
	LEASE_TELL,   /* tell the holder that it is wanted back, and until when */
	LEASE_REVOKE, /* the kernel's step: take the memory back */
	LEASE_FREE,   /* over: give slice, account and object back */
};

/* Every function takes the time; the lease's deadline is up to date afterwards (lease_next_ns()). */

void lease_granted(struct lease *lease, uint64_t now_ns, uint64_t ttl_ms);
/*
 * @deadline_ms 0: at once, also the kernel's step once more. A second revocation only ever
 * brings the deadline nearer. A detached lease waits for its deadline, too, but not beyond the
 * time its holder had to come back.
 */
enum lease_step lease_revoke(struct lease *lease, uint64_t now_ns, uint32_t reason,
			     uint64_t deadline_ms);
enum lease_step lease_ack(struct lease *lease, uint64_t now_ns);
/* Its holder gives it back. */
enum lease_step lease_release(struct lease *lease, uint64_t now_ns);
/* -ESTALE once revoking, or expired. */
int lease_renew(struct lease *lease, uint64_t now_ns, uint64_t ttl_ms);
/* The connection is lost but its holder may live: it has until then to come back. */
enum lease_step lease_detach(struct lease *lease, uint64_t now_ns, uint64_t reattach_ms);
void lease_attach(struct lease *lease);
/* Time has passed. @graceful_ms: how long an expired holder still gets. */
enum lease_step lease_tick(struct lease *lease, uint64_t now_ns, uint64_t graceful_ms);
/* The kernel's step is over, or the kernel did it by itself (then with its reason). */
enum lease_step lease_kernel_done(struct lease *lease, uint64_t now_ns, uint32_t reason);

/* When lease_tick() must be called next; 0: never. */
uint64_t lease_next_ns(const struct lease *lease);

const char *lease_state_name(uint32_t state);
const char *lease_reason_name(uint32_t reason);

#endif /* LEASE_H */
