// SPDX-License-Identifier: MIT
/* Leases: every state with every input, and whole lives. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "core.h"
#include "broker/lease.h"

#define NOW   (1000 * SECOND)
#define NEVER INT_MIN
#define ANY   (INT_MIN + 1) /* it is freed */

enum start {
	PENDING,
	ACTIVE,
	ACTIVE_TTL,	   /* expires in 10 s */
	ACTIVE_DETACHED,   /* its holder has 5 s to come back */
	REVOKING,	   /* an administrator gave it 3 s */
	REVOKING_ACKED,	   /* a second ago, and the kernel is busy */
	REVOKING_DETACHED, /* 3 s, and 2 s to come back */
	RELEASED,	   /* a second ago, and the kernel is busy */
	REVOKED,
	NR_STARTS,
};

enum input {
	REVOKE_SOON,
	REVOKE_LATER,
	REVOKE_NOW,
	ACK,
	RELEASE,
	RENEW,
	DETACH,
	DETACH_AT_ONCE,
	ATTACH,
	TICK_EARLY,
	TICK_LATE,
	KERNEL_DONE,
	KERNEL_GONE,
	NR_INPUTS,
};

#define CELL(step, state, reason, next_ms)                                                         \
	{                                                                                          \
		LEASE_##step, WIRE_LEASE_##state, WIRE_REASON_##reason, next_ms                    \
	}
#define FREED(state, reason) CELL(FREE, state, reason, ANY)
#define STALE(state, reason, next_ms)                                                              \
	{                                                                                          \
		-ESTALE, WIRE_LEASE_##state, WIRE_REASON_##reason, next_ms                         \
	}

/* Whatever time it has left. */
#define WHILE_ACTIVE                                                                               \
	[REVOKE_SOON] = CELL(TELL, REVOKING, DRAIN, 1000),                                         \
	[REVOKE_NOW] = CELL(REVOKE, REVOKING, DRAIN, 0),                                           \
	[RELEASE] = CELL(REVOKE, RELEASED, HOLDER, 0),                                             \
	[RENEW] = CELL(NOTHING, ACTIVE, NONE, 2000), [DETACH] = CELL(NOTHING, ACTIVE, NONE, 4000), \
	[DETACH_AT_ONCE] = CELL(REVOKE, REVOKING, DEATH, 0),                                       \
	[KERNEL_DONE] = FREED(REVOKED, KERNEL), [KERNEL_GONE] = FREED(REVOKED, GONE)
#define WHILE_REVOKING                                                                             \
	[REVOKE_SOON] = CELL(TELL, REVOKING, ADMIN, 1000),                                         \
	[REVOKE_NOW] = CELL(REVOKE, REVOKING, ADMIN, 0), [ACK] = CELL(REVOKE, REVOKING, ADMIN, 0), \
	[RELEASE] = CELL(REVOKE, RELEASED, HOLDER, 0),                                             \
	[DETACH] = CELL(NOTHING, REVOKING, ADMIN, 3000),                                           \
	[DETACH_AT_ONCE] = CELL(REVOKE, REVOKING, ADMIN, 0),                                       \
	[ATTACH] = CELL(NOTHING, REVOKING, ADMIN, 3000), [KERNEL_DONE] = FREED(REVOKED, ADMIN),    \
	[KERNEL_GONE] = FREED(REVOKED, ADMIN)

static const struct expectation {
	int result; /* enum lease_step, or -errno */
	enum wire_lease_state state;
	enum wire_reason reason;
	int next_ms; /* from NOW */
} table[NR_STARTS][NR_INPUTS] =
	{
		[PENDING] =
			{
				[REVOKE_SOON] = FREED(REVOKED, DRAIN),
				[REVOKE_LATER] = FREED(REVOKED, DRAIN),
				[REVOKE_NOW] = FREED(REVOKED, DRAIN),
				[ACK] = CELL(NOTHING, PENDING, NONE, NEVER),
				[RELEASE] = FREED(RELEASED, HOLDER),
				[RENEW] = STALE(PENDING, NONE, NEVER),
				[DETACH] = FREED(REVOKED, DEATH),
				[DETACH_AT_ONCE] = FREED(REVOKED, DEATH),
				[ATTACH] = CELL(NOTHING, PENDING, NONE, NEVER),
				[TICK_EARLY] = CELL(NOTHING, PENDING, NONE, NEVER),
				[TICK_LATE] = CELL(NOTHING, PENDING, NONE, NEVER),
				[KERNEL_DONE] = FREED(REVOKED, KERNEL),
				[KERNEL_GONE] = FREED(REVOKED, GONE),
			},
		[ACTIVE] =
			{
				WHILE_ACTIVE,
				[REVOKE_LATER] = CELL(TELL, REVOKING, DRAIN, 8000),
				[ACK] = CELL(NOTHING, ACTIVE, NONE, NEVER),
				[ATTACH] = CELL(NOTHING, ACTIVE, NONE, NEVER),
				[TICK_EARLY] = CELL(NOTHING, ACTIVE, NONE, NEVER),
				[TICK_LATE] = CELL(NOTHING, ACTIVE, NONE, NEVER),
			},
		[ACTIVE_TTL] =
			{
				WHILE_ACTIVE,
				[REVOKE_LATER] = CELL(TELL, REVOKING, DRAIN, 8000),
				[ACK] = CELL(NOTHING, ACTIVE, NONE, 10000),
				[ATTACH] = CELL(NOTHING, ACTIVE, NONE, 10000),
				[TICK_EARLY] = CELL(NOTHING, ACTIVE, NONE, 10000),
				[TICK_LATE] = CELL(TELL, REVOKING, EXPIRED, 27000),
			},
		[ACTIVE_DETACHED] =
			{
				WHILE_ACTIVE,
				[REVOKE_LATER] = CELL(TELL, REVOKING, DRAIN, 5000),
				[ACK] = CELL(NOTHING, ACTIVE, NONE, 5000),
				[ATTACH] = CELL(NOTHING, ACTIVE, NONE, NEVER),
				[TICK_EARLY] = CELL(NOTHING, ACTIVE, NONE, 5000),
				[TICK_LATE] = CELL(REVOKE, REVOKING, DEATH, 5000),
			},
		[REVOKING] =
			{
				WHILE_REVOKING,
				[REVOKE_LATER] = CELL(NOTHING, REVOKING, ADMIN, 3000),
				[RENEW] = STALE(REVOKING, ADMIN, 3000),
				[TICK_EARLY] = CELL(NOTHING, REVOKING, ADMIN, 3000),
				[TICK_LATE] = CELL(REVOKE, REVOKING, ADMIN, 3000),
			},
		[REVOKING_ACKED] =
			{
				[REVOKE_SOON] = CELL(NOTHING, REVOKING, ADMIN, -1000),
				[REVOKE_LATER] = CELL(NOTHING, REVOKING, ADMIN, -1000),
				[REVOKE_NOW] = CELL(REVOKE, REVOKING, ADMIN, -1000),
				[ACK] = CELL(NOTHING, REVOKING, ADMIN, -1000),
				[RELEASE] = CELL(REVOKE, RELEASED, HOLDER, -1000),
				[RENEW] = STALE(REVOKING, ADMIN, -1000),
				[DETACH] = CELL(NOTHING, REVOKING, ADMIN, -1000),
				[DETACH_AT_ONCE] = CELL(REVOKE, REVOKING, ADMIN, -1000),
				[ATTACH] = CELL(NOTHING, REVOKING, ADMIN, -1000),
				[TICK_EARLY] = CELL(REVOKE, REVOKING, ADMIN, -1000),
				[TICK_LATE] = CELL(REVOKE, REVOKING, ADMIN, -1000),
				[KERNEL_DONE] = FREED(REVOKED, ADMIN),
				[KERNEL_GONE] = FREED(REVOKED, ADMIN),
			},
		[REVOKING_DETACHED] =
			{
				WHILE_REVOKING,
				[REVOKE_LATER] = CELL(NOTHING, REVOKING, ADMIN, 2000),
				[RENEW] = STALE(REVOKING, ADMIN, 2000),
				[TICK_EARLY] = CELL(NOTHING, REVOKING, ADMIN, 2000),
				[TICK_LATE] = CELL(REVOKE, REVOKING, ADMIN, 2000),
			},
		[RELEASED] =
			{
				[REVOKE_SOON] = CELL(NOTHING, RELEASED, HOLDER, -1000),
				[REVOKE_LATER] = CELL(NOTHING, RELEASED, HOLDER, -1000),
				[REVOKE_NOW] = CELL(REVOKE, RELEASED, HOLDER, -1000),
				[ACK] = CELL(NOTHING, RELEASED, HOLDER, -1000),
				[RELEASE] = CELL(NOTHING, RELEASED, HOLDER, -1000),
				[RENEW] = STALE(RELEASED, HOLDER, -1000),
				[DETACH] = CELL(NOTHING, RELEASED, HOLDER, -1000),
				[DETACH_AT_ONCE] = CELL(NOTHING, RELEASED, HOLDER, -1000),
				[ATTACH] = CELL(NOTHING, RELEASED, HOLDER, -1000),
				[TICK_EARLY] = CELL(REVOKE, RELEASED, HOLDER, -1000),
				[TICK_LATE] = CELL(REVOKE, RELEASED, HOLDER, -1000),
				[KERNEL_DONE] = CELL(FREE, RELEASED, HOLDER, -1000),
				[KERNEL_GONE] = CELL(FREE, RELEASED, HOLDER, -1000),
			},
		[REVOKED] =
			{
				[REVOKE_SOON] = CELL(NOTHING, REVOKED, ADMIN, -1000),
				[REVOKE_LATER] = CELL(NOTHING, REVOKED, ADMIN, -1000),
				[REVOKE_NOW] = CELL(NOTHING, REVOKED, ADMIN, -1000),
				[ACK] = CELL(NOTHING, REVOKED, ADMIN, -1000),
				[RELEASE] = CELL(NOTHING, REVOKED, ADMIN, -1000),
				[RENEW] = STALE(REVOKED, ADMIN, -1000),
				[DETACH] = CELL(NOTHING, REVOKED, ADMIN, -1000),
				[DETACH_AT_ONCE] = CELL(NOTHING, REVOKED, ADMIN, -1000),
				[ATTACH] = CELL(NOTHING, REVOKED, ADMIN, -1000),
				[TICK_EARLY] = CELL(FREE, REVOKED, ADMIN, -1000),
				[TICK_LATE] = CELL(FREE, REVOKED, ADMIN, -1000),
				[KERNEL_DONE] = CELL(NOTHING, REVOKED, ADMIN, -1000),
				[KERNEL_GONE] = CELL(NOTHING, REVOKED, ADMIN, -1000),
			},
};

static struct lease start_of(enum start start)
{
	struct lease lease = {.id = 1};

	if (start == PENDING)
		return lease;
	lease_granted(&lease, NOW - 60 * SECOND, start == ACTIVE_TTL ? 70000 : 0);
	if (start >= REVOKING && start != RELEASED)
		assert_int_equal(lease_revoke(&lease, NOW - 2 * SECOND, WIRE_REASON_ADMIN, 5000),
				 LEASE_TELL);
	switch (start) {
	case ACTIVE_DETACHED:
	case REVOKING_DETACHED:
		assert_int_equal(lease_detach(&lease, NOW - SECOND,
					      start == ACTIVE_DETACHED ? 6000 : 3000),
				 LEASE_NOTHING);
		break;
	case REVOKING_ACKED:
		assert_int_equal(lease_ack(&lease, NOW - SECOND), LEASE_REVOKE);
		break;
	case RELEASED:
		assert_int_equal(lease_release(&lease, NOW - SECOND), LEASE_REVOKE);
		break;
	case REVOKED:
		assert_int_equal(lease_kernel_done(&lease, NOW - SECOND, 0), LEASE_FREE);
		break;
	default:
		break;
	}
	return lease;
}

static int apply(struct lease *lease, enum input input)
{
	switch (input) {
	case REVOKE_SOON:
		return (int)lease_revoke(lease, NOW, WIRE_REASON_DRAIN, 1000);
	case REVOKE_LATER:
		return (int)lease_revoke(lease, NOW, WIRE_REASON_DRAIN, 8000);
	case REVOKE_NOW:
		return (int)lease_revoke(lease, NOW, WIRE_REASON_DRAIN, 0);
	case ACK:
		return (int)lease_ack(lease, NOW);
	case RELEASE:
		return (int)lease_release(lease, NOW);
	case RENEW:
		return lease_renew(lease, NOW, 2000);
	case DETACH:
		return (int)lease_detach(lease, NOW, 4000);
	case DETACH_AT_ONCE:
		return (int)lease_detach(lease, NOW, 0);
	case ATTACH:
		lease_attach(lease);
		return 0;
	case TICK_EARLY:
		return (int)lease_tick(lease, NOW, 7000);
	case TICK_LATE:
		return (int)lease_tick(lease, NOW + 20 * SECOND, 7000);
	case KERNEL_DONE:
		return (int)lease_kernel_done(lease, NOW, 0);
	case KERNEL_GONE:
		return (int)lease_kernel_done(lease, NOW, WIRE_REASON_GONE);
	default:
		fail();
		return 0;
	}
}

static void every_state_with_every_input(void **state)
{
	(void)state;
	for (enum start start = 0; start < NR_STARTS; start++) {
		for (enum input input = 0; input < NR_INPUTS; input++) {
			const struct expectation *wanted = &table[start][input];
			struct lease lease = start_of(start);
			uint64_t next_ns;
			int result = apply(&lease, input);

			if (result != wanted->result || lease.state != wanted->state ||
			    lease.reason != wanted->reason)
				fail_msg("start %d, input %d: result %d, %s, %s", (int)start,
					 (int)input, result, lease_state_name(lease.state),
					 lease_reason_name(lease.reason));
			next_ns = lease_next_ns(&lease);
			if (wanted->next_ms == NEVER)
				assert_int_equal(next_ns, 0);
			else if (wanted->next_ms != ANY)
				assert_int_equal(next_ns,
						 NOW + (uint64_t)(wanted->next_ms * (int64_t)MS));
		}
	}
}

static void granted_is_active_without_a_past(void **state)
{
	struct lease lease;

	(void)state;
	memset(&lease, 0xff, sizeof(lease));
	lease_granted(&lease, NOW, 1500);
	assert_int_equal(lease.state, WIRE_LEASE_ACTIVE);
	assert_int_equal(lease.reason, WIRE_REASON_NONE);
	assert_false(lease.is_acked);
	assert_false(lease.is_kernel_done);
	assert_int_equal(lease.granted_ns, NOW);
	assert_int_equal(lease.expires_ns, NOW + 1500 * MS);
	assert_int_equal(lease.deadline_ns, 0);
	assert_int_equal(lease.detached_until_ns, 0);
}

static void times_saturate(void **state)
{
	struct lease lease = {.id = 1};

	(void)state;
	lease_granted(&lease, NOW, UINT64_MAX);
	assert_int_equal(lease.expires_ns, UINT64_MAX);
	assert_int_equal(lease_tick(&lease, UINT64_MAX - 1, 0), LEASE_NOTHING);
	assert_int_equal(lease_renew(&lease, UINT64_MAX - 1, 1), 0);
	assert_int_equal(lease.expires_ns, UINT64_MAX);
	assert_int_equal(lease_detach(&lease, NOW, UINT64_MAX / 1000000 + 1), LEASE_NOTHING);
	assert_int_equal(lease.detached_until_ns, UINT64_MAX);
	assert_int_equal(lease_revoke(&lease, NOW, WIRE_REASON_ADMIN, UINT64_MAX), LEASE_TELL);
	assert_int_equal(lease.deadline_ns, UINT64_MAX);
	assert_int_equal(lease_revoke(&lease, NOW, WIRE_REASON_ADMIN, 1), LEASE_TELL);
	assert_int_equal(lease_next_ns(&lease), NOW + MS);
}

static void time_zero_is_not_never(void **state)
{
	struct lease lease = {.id = 1};

	(void)state;
	lease_granted(&lease, 0, 0);
	assert_int_equal(lease_revoke(&lease, 0, WIRE_REASON_ADMIN, 0), LEASE_REVOKE);
	assert_int_not_equal(lease_next_ns(&lease), 0);
	assert_int_equal(lease_tick(&lease, 1, 0), LEASE_REVOKE);
}

static void renew_after_expiry_estale(void **state)
{
	struct lease lease = start_of(ACTIVE_TTL);

	(void)state;
	assert_int_equal(lease_renew(&lease, NOW + 10 * SECOND, 1000), -ESTALE);
	assert_int_equal(lease.expires_ns, NOW + 10 * SECOND);
	assert_int_equal(lease_renew(&lease, NOW + 10 * SECOND - 1, 0), 0);
	assert_int_equal(lease.expires_ns, 0);
	assert_int_equal(lease_tick(&lease, UINT64_MAX, 0), LEASE_NOTHING);
}

static void tick_exactly_at_each_deadline(void **state)
{
	static const enum start starts[] = {ACTIVE_TTL, ACTIVE_DETACHED, REVOKING,
					    REVOKING_DETACHED};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		struct lease lease = start_of(starts[i]);
		uint64_t next_ns = lease_next_ns(&lease);

		assert_int_equal(lease_tick(&lease, next_ns - 1, 7000), LEASE_NOTHING);
		assert_int_not_equal(lease_tick(&lease, next_ns, 7000), LEASE_NOTHING);
	}
}

static void expiry_without_grace_is_immediate(void **state)
{
	struct lease lease = start_of(ACTIVE_TTL);

	(void)state;
	assert_int_equal(lease_tick(&lease, NOW + 10 * SECOND, 0), LEASE_REVOKE);
	assert_int_equal(lease.reason, WIRE_REASON_EXPIRED);
}

static void busy_kernel_is_asked_until_it_is_done(void **state)
{
	static const enum start starts[] = {REVOKING, REVOKING_ACKED, REVOKING_DETACHED, RELEASED};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(starts); i++) {
		struct lease lease = start_of(starts[i]);

		for (uint64_t t = 5; t < 50; t++) {
			assert_true(lease_next_ns(&lease) <= NOW + t * SECOND);
			assert_int_equal(lease_tick(&lease, NOW + t * SECOND, 7000), LEASE_REVOKE);
		}
		assert_int_equal(lease_kernel_done(&lease, NOW + 50 * SECOND, 0), LEASE_FREE);
		assert_true(lease.is_kernel_done);
		assert_int_equal(lease_kernel_done(&lease, NOW + 51 * SECOND, 0), LEASE_NOTHING);
	}
}

static void attach_while_revoking_keeps_the_deadline(void **state)
{
	struct lease lease = start_of(REVOKING_DETACHED);

	(void)state;
	lease_attach(&lease);
	assert_int_equal(lease_tick(&lease, NOW + 2 * SECOND, 0), LEASE_NOTHING);
	assert_int_equal(lease_tick(&lease, NOW + 3 * SECOND, 0), LEASE_REVOKE);
	assert_int_equal(lease.reason, WIRE_REASON_ADMIN);
}

static void names_all_known_and_different(void **state)
{
	(void)state;
	for (uint32_t a = 0; a <= WIRE_LEASE_RELEASED; a++)
		for (uint32_t b = 0; b < a; b++)
			assert_string_not_equal(lease_state_name(a), lease_state_name(b));
	for (uint32_t a = 0; a <= WIRE_REASON_MISBEHAVED; a++) {
		assert_string_not_equal(lease_reason_name(a), "unknown");
		for (uint32_t b = 0; b < a; b++)
			assert_string_not_equal(lease_reason_name(a), lease_reason_name(b));
	}
	assert_string_equal(lease_state_name(WIRE_LEASE_REVOKING), "revoking");
	assert_string_equal(lease_state_name(WIRE_LEASE_RELEASED + 1), "unknown");
	assert_string_equal(lease_reason_name(WIRE_REASON_MISBEHAVED + 1), "unknown");
	assert_string_equal(lease_reason_name(UINT32_MAX), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_state_with_every_input),
		cmocka_unit_test(granted_is_active_without_a_past),
		cmocka_unit_test(times_saturate),
		cmocka_unit_test(time_zero_is_not_never),
		cmocka_unit_test(renew_after_expiry_estale),
		cmocka_unit_test(tick_exactly_at_each_deadline),
		cmocka_unit_test(expiry_without_grace_is_immediate),
		cmocka_unit_test(busy_kernel_is_asked_until_it_is_done),
		cmocka_unit_test(attach_while_revoking_keeps_the_deadline),
		cmocka_unit_test(names_all_known_and_different),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
