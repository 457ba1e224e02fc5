// SPDX-License-Identifier: MIT
/*
 * The states of a lease.
 *
 * PENDING: the kernel's export isn't there yet. ACTIVE: the holder's. REVOKING: wanted
 * back; the holder has until the deadline. RELEASED: given back by the holder, but the
 * kernel's step isn't over. REVOKED: taken back.
 *
 * In REVOKING and RELEASED the deadline is when the kernel's step is due, and each tick after
 * it asks for that step again until lease_kernel_done() says that it is over:
 * importers that can't be revoked make it take long. An acknowledgement or a
 * release is a deadline that has come.
 *
 * Who is waited for after its connection broke learns of a revocation when it takes
 * the lease up again, so a detached lease is revoked as gracefully as any other, but
 * waits no longer for that than for its holder.
 *
 * The first reason stays: what comes on top only makes it faster. But a holder
 * that gives the lease back in time was not revoked.
 */
#include <errno.h>

#include "common/clock.h"
#include "lease.h"

/* Far enough is for ever. */
static uint64_t after_ms(uint64_t now_ns, uint64_t ms)
{
	uint64_t ns, sum_ns;

	if (__builtin_mul_overflow(ms, NS_PER_MS, &ns) ||
	    __builtin_add_overflow(now_ns, ns, &sum_ns))
		return UINT64_MAX;
	return sum_ns;
}

/* A time that has come; 0 would mean none. */
static uint64_t at_once(uint64_t now_ns)
{
	return now_ns ? now_ns : 1;
}

static bool has_come(uint64_t time_ns, uint64_t now_ns)
{
	return time_ns && time_ns <= now_ns;
}

static void bring_nearer(struct lease *lease, uint64_t deadline_ns)
{
	if (!lease->deadline_ns || deadline_ns < lease->deadline_ns)
		lease->deadline_ns = deadline_ns;
}

void lease_granted(struct lease *lease, uint64_t now_ns, uint64_t ttl_ms)
{
	lease->state = WIRE_LEASE_ACTIVE;
	lease->reason = WIRE_REASON_NONE;
	lease->is_acked = false;
	lease->is_kernel_done = false;
	lease->granted_ns = now_ns;
	lease->expires_ns = ttl_ms ? after_ms(now_ns, ttl_ms) : 0;
	lease->deadline_ns = 0;
	lease->detached_until_ns = 0;
}

enum lease_step lease_revoke(struct lease *lease, uint64_t now_ns, uint32_t reason,
			     uint64_t deadline_ms)
{
	uint64_t before_ns = lease->deadline_ns;

	switch (lease->state) {
	case WIRE_LEASE_PENDING:
		/* Nobody has it, nothing maps it. */
		lease->state = WIRE_LEASE_REVOKED;
		lease->reason = (uint8_t)reason;
		return LEASE_FREE;
	case WIRE_LEASE_ACTIVE:
		lease->state = WIRE_LEASE_REVOKING;
		lease->reason = (uint8_t)reason;
		break;
	case WIRE_LEASE_REVOKING:
	case WIRE_LEASE_RELEASED:
		break;
	default:
		return LEASE_NOTHING;
	}
	bring_nearer(lease, deadline_ms ? after_ms(now_ns, deadline_ms) : at_once(now_ns));
	/* At once also where it was: whoever says so wants the kernel's step tried again. */
	if (!deadline_ms)
		return LEASE_REVOKE;
	return lease->deadline_ns == before_ns ? LEASE_NOTHING : LEASE_TELL;
}

enum lease_step lease_ack(struct lease *lease, uint64_t now_ns)
{
	if (lease->state != WIRE_LEASE_REVOKING || lease->is_acked)
		return LEASE_NOTHING;
	lease->is_acked = true;
	bring_nearer(lease, at_once(now_ns));
	return LEASE_REVOKE;
}

enum lease_step lease_release(struct lease *lease, uint64_t now_ns)
{
	switch (lease->state) {
	case WIRE_LEASE_PENDING:
		lease->state = WIRE_LEASE_RELEASED;
		lease->reason = WIRE_REASON_HOLDER;
		return LEASE_FREE;
	case WIRE_LEASE_ACTIVE:
	case WIRE_LEASE_REVOKING:
		lease->state = WIRE_LEASE_RELEASED;
		lease->reason = WIRE_REASON_HOLDER;
		bring_nearer(lease, at_once(now_ns));
		return LEASE_REVOKE;
	default:
		return LEASE_NOTHING;
	}
}

int lease_renew(struct lease *lease, uint64_t now_ns, uint64_t ttl_ms)
{
	/* Over is over, also where the tick that ends it is still to come. */
	if (lease->state != WIRE_LEASE_ACTIVE || has_come(lease->expires_ns, now_ns))
		return -ESTALE;
	lease->expires_ns = ttl_ms ? after_ms(now_ns, ttl_ms) : 0;
	return 0;
}

enum lease_step lease_detach(struct lease *lease, uint64_t now_ns, uint64_t reattach_ms)
{
	if (lease->state == WIRE_LEASE_PENDING)
		return lease_revoke(lease, now_ns, WIRE_REASON_DEATH, 0);
	if (lease->state != WIRE_LEASE_ACTIVE && lease->state != WIRE_LEASE_REVOKING)
		return LEASE_NOTHING;
	if (!reattach_ms)
		return lease_revoke(lease, now_ns, WIRE_REASON_DEATH, 0);
	lease->detached_until_ns = after_ms(now_ns, reattach_ms);
	return LEASE_NOTHING;
}

void lease_attach(struct lease *lease)
{
	lease->detached_until_ns = 0;
}

enum lease_step lease_tick(struct lease *lease, uint64_t now_ns, uint64_t graceful_ms)
{
	switch (lease->state) {
	case WIRE_LEASE_ACTIVE:
	case WIRE_LEASE_REVOKING:
		if (has_come(lease->detached_until_ns, now_ns))
			return lease_revoke(lease, now_ns, WIRE_REASON_DEATH, 0);
		if (lease->state == WIRE_LEASE_ACTIVE)
			return has_come(lease->expires_ns, now_ns) ?
				       lease_revoke(lease, now_ns, WIRE_REASON_EXPIRED,
						    graceful_ms) :
				       LEASE_NOTHING;
		return has_come(lease->deadline_ns, now_ns) ? LEASE_REVOKE : LEASE_NOTHING;
	case WIRE_LEASE_RELEASED:
		return lease->is_kernel_done ? LEASE_FREE : LEASE_REVOKE;
	case WIRE_LEASE_REVOKED:
		return LEASE_FREE;
	default:
		return LEASE_NOTHING;
	}
}

enum lease_step lease_kernel_done(struct lease *lease, uint64_t now_ns, uint32_t reason)
{
	if (lease->is_kernel_done)
		return LEASE_NOTHING;
	lease->is_kernel_done = true;
	if (!lease->reason)
		lease->reason = (uint8_t)(reason ? reason : WIRE_REASON_KERNEL);
	if (lease->state != WIRE_LEASE_RELEASED)
		lease->state = WIRE_LEASE_REVOKED;
	bring_nearer(lease, at_once(now_ns));
	return LEASE_FREE;
}

static uint64_t earlier(uint64_t a_ns, uint64_t b_ns)
{
	if (!a_ns || !b_ns)
		return a_ns ? a_ns : b_ns;
	return a_ns < b_ns ? a_ns : b_ns;
}

uint64_t lease_next_ns(const struct lease *lease)
{
	switch (lease->state) {
	case WIRE_LEASE_PENDING:
		return 0;
	case WIRE_LEASE_ACTIVE:
		return earlier(lease->expires_ns, lease->detached_until_ns);
	case WIRE_LEASE_REVOKING:
		return earlier(lease->deadline_ns, lease->detached_until_ns);
	default:
		return at_once(lease->deadline_ns);
	}
}

const char *lease_state_name(uint32_t state)
{
	static const char *const names[] = {
		[WIRE_LEASE_PENDING] = "pending",   [WIRE_LEASE_ACTIVE] = "active",
		[WIRE_LEASE_REVOKING] = "revoking", [WIRE_LEASE_REVOKED] = "revoked",
		[WIRE_LEASE_RELEASED] = "released",
	};

	return state < sizeof(names) / sizeof(names[0]) ? names[state] : "unknown";
}

const char *lease_reason_name(uint32_t reason)
{
	static const char *const names[] = {
		[WIRE_REASON_NONE] = "none",
		[WIRE_REASON_HOLDER] = "holder",
		[WIRE_REASON_DEATH] = "death",
		[WIRE_REASON_EXPIRED] = "expired",
		[WIRE_REASON_ADMIN] = "admin",
		[WIRE_REASON_DRAIN] = "drain",
		[WIRE_REASON_POLICY] = "policy",
		[WIRE_REASON_REMOVAL] = "removal",
		[WIRE_REASON_GONE] = "gone",
		[WIRE_REASON_KERNEL] = "kernel",
		[WIRE_REASON_SHUTDOWN] = "shutdown",
		[WIRE_REASON_PUBLISHER] = "publisher",
		[WIRE_REASON_MISBEHAVED] = "misbehaved",
	};

	return reason < sizeof(names) / sizeof(names[0]) ? names[reason] : "unknown";
}
