/* SPDX-License-Identifier: MIT */
#ifndef GRANT_CASE_H
#define GRANT_CASE_H

#include "core.h"

#include <errno.h>
#include <fcntl.h>

#include "fake_broker.h"

/* A broker that a test asks for leases. */

static struct fake fake;
static struct cause cause;
static struct wire_acquire wire;
static struct wire_range ranges[WIRE_RANGES_MAX];

static inline int begin_as(uid_t uid)
{
	struct policy *policy;

	fake_now_ns = 1000 * SECOND;
	assert_int_equal(policy_new(&policy), 0);
	assert_int_equal(fake_begin(&fake, policy, uid, -1, &cause), 0);
	fake_arrive(&fake, true);
	memset(&wire, 0, sizeof(wire));
	strcpy(wire.selector, "*");
	wire.mode = WIRE_MODE_EXCLUSIVE;
	wire.access = WIRE_ACCESS_READ | WIRE_ACCESS_WRITE;
	wire.length_bytes = 8192;
	wire.align_bytes = 4096;
	return 0;
}

static inline int setup(void **state)
{
	(void)state;
	return begin_as(0);
}

static inline int teardown(void **state)
{
	(void)state;
	fake_end(&fake);
	return 0;
}

static const struct pci_address *importer;

static inline int acquire(struct lease **ret_lease)
{
	struct acquire_request request = {
		.wire = &wire,
		.ranges = ranges,
		.subject = fake.holder.subject,
		.holder = &fake.holder,
		.importer = importer,
	};
	int fd = -1, r;

	r = broker_acquire(&fake.broker, &request, ret_lease, &fd, &cause);
	if (!r) {
		assert_true(fd >= 0);
		close(fd);
	} else {
		assert_int_equal(fd, -1);
		assert_true(cause.text[0]);
	}
	return r;
}

static inline struct lease *granted(void)
{
	struct lease *lease;

	assert_int_equal(acquire(&lease), 0);
	return lease;
}

/* Nothing is held by anybody. */
static inline void assert_nothing_held(void)
{
	struct slices_summary summary;

	assert_int_equal(fake.broker.leases.count, 0);
	assert_int_equal(fake.broker.leased_bytes, 0);
	assert_int_equal(fake.holder.nr_leases, 0);
	assert_true(list_is_empty(&fake.holder.leases));
	for (size_t i = 0; i < ACCOUNT_NR_KINDS; i++)
		assert_int_equal(fake.account->used[i], 0);
	assert_int_equal(fake.account->leases.count, 0);
	if (fake.provider) {
		slices_summarize(&fake.provider->slices, &summary);
		assert_int_equal(summary.free_bytes, FAKE_BYTES);
		assert_int_equal(fake.provider->nr_leases, 0);
	}
}

static inline void refused(int error)
{
	unsigned int denied = fake.happened[WIRE_MONITOR_LEASE_DENIED];
	struct lease *lease;

	assert_int_equal(acquire(&lease), error);
	assert_int_equal(fake.happened[WIRE_MONITOR_LEASE_DENIED], denied + 1);
}

#endif
