/* SPDX-License-Identifier: MIT */
#ifndef RESTORE_CASE_H
#define RESTORE_CASE_H

#include "core.h"

#include <errno.h>
#include <fcntl.h>

#include "fake_broker.h"

/* A journal that a p2pd left, and the p2pd that reads it. */

static struct fake fake;
static struct cause cause;

/* What a p2pd wrote; then it was killed. */
struct written {
	struct journal_lease lease;
	struct wire_range ranges[3];
};

static inline struct written a_lease(uint64_t id, uint64_t offset_bytes)
{
	struct written written = {
		.lease = {.size_bytes = sizeof(written.lease),
			  .nr_ranges = 1,
			  .id = id,
			  .token = {1, 2, 3},
			  .provider = FAKE_NAME,
			  .label = "mine",
			  .backend = WIRE_BACKEND_EXPORT,
			  .mode = WIRE_MODE_EXCLUSIVE,
			  .access = WIRE_ACCESS_READ,
			  .force = WIRE_FORCE_LEASE,
			  .state = WIRE_LEASE_ACTIVE,
			  .uid = 1000,
			  .gid = 1000,
			  .pid = 42,
			  .export_id = 9,
			  .size_of_lease_bytes = 4096,
			  .provider_bytes = FAKE_BYTES},
		.ranges = {{offset_bytes, 4096}, {offset_bytes + 8192, 4096}, {offset_bytes, 4096}},
	};

	return written;
}

static inline struct journal *begin(void)
{
	struct journal *journal;

	assert_int_equal(journal_new(7, &journal), 0);
	return journal;
}

static inline void put(struct journal *journal, const struct written *written)
{
	struct written whole = *written;
	size_t head = written->lease.size_bytes, ranges = written->lease.nr_ranges * 16U;
	uint8_t body[1024];

	memcpy(body, &whole.lease, head < sizeof(whole.lease) ? head : sizeof(whole.lease));
	if (head > sizeof(whole.lease))
		memset(body + sizeof(whole.lease), 0x55, head - sizeof(whole.lease));
	memcpy(body + head, whole.ranges, ranges);
	assert_int_equal(journal_append(journal, JOURNAL_LEASE, body, head + ranges, 0), 0);
}

static inline int restore_now(struct journal *journal)
{
	int fd = fcntl(journal_fd(journal), F_DUPFD_CLOEXEC, 0);
	struct policy *policy;

	assert_int_equal(policy_new(&policy), 0);
	return fake_begin(&fake, policy, 1000, fd, &cause);
}

static inline int restore(struct journal *journal)
{
	fake_now_ns = 1000 * SECOND;
	return restore_now(journal);
}

/* It isn't believed; the next p2pd begins with nothing, and works. */
static inline void assert_damaged(struct journal *journal)
{
	assert_int_equal(restore(journal), -EBADMSG);
	assert_non_null(strstr(cause.text, "damaged"));
	assert_non_null(fake.broker.journal);
	assert_int_equal(fake.broker.leases.count, 0);
	assert_int_equal(fake.broker.nr_providers, 0);
	assert_int_equal(fake.broker.leased_bytes, 0);
	assert_int_not_equal(journal_instance(fake.broker.journal), 7);
	fake_arrive(&fake, true);
	fake_end(&fake);
	journal_free(journal);
}

static inline struct lease *lease_of(uint64_t id)
{
	return lease_table_find(&fake.broker.leases, id);
}

#endif
