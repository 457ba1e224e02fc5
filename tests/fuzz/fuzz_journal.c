// SPDX-License-Identifier: MIT
/*
 * A journal that anybody may have written, and a broker that goes on from it: time passes, the
 * device comes or doesn't, holders come back, and it writes a snapshot that is sound. The first
 * byte says whether the rest is the file itself, or records that get their frame here.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "fake_broker.h"
#include "fuzz.h"

/* Records: type, length in eight bytes, body. */
static int framed(const uint8_t *data, size_t size)
{
	struct journal *journal;
	size_t at = 0;
	int fd;

	fuzz_require(!journal_new(1, &journal));
	while (size - at >= 2) {
		size_t length = data[at + 1] * 8U;

		if (length > size - at - 2)
			length = size - at - 2;
		journal_append(journal, data[at] % 7, data + at + 2, length, 0);
		at += 2 + length;
	}
	fd = fcntl(journal_fd(journal), F_DUPFD_CLOEXEC, 0);
	journal_free(journal);
	return fd;
}

static int raw(const uint8_t *data, size_t size)
{
	int fd = memfd_create("journal", MFD_CLOEXEC);

	fuzz_require(pwrite(fd, data, size, 0) == (ssize_t)size);
	return fd;
}

static struct policy *generous(void)
{
	struct policy *policy;

	fuzz_require(!policy_new(&policy));
	return policy;
}

/* Each lease's holder comes back, and does one thing or another. */
static void work(struct fake *fake, unsigned int seed)
{
	struct broker *broker = &fake->broker;
	struct lease *lease, *found;
	struct cause cause;

	for (uint64_t id = 0; (lease = lease_table_after(&broker->leases, id)); seed++) {
		struct wire_attach attach = {.lease_id = lease->id};

		id = lease->id;
		memcpy(attach.token, lease->token, sizeof(attach.token));
		if (broker_attach(broker, &fake->holder, &attach, &found, &cause))
			continue;
		if (seed % 4 == 0)
			broker_release(broker, lease);
		else if (seed % 4 == 1)
			broker_ack(broker, lease);
		else if (seed % 4 == 2)
			broker_renew(broker, lease, &fake->holder.subject, 1000, &cause);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wire_revoke_reply reply;
	struct revoke_scope all = {.scope = WIRE_SCOPE_ALL};
	struct cause cause;
	struct fake fake;
	size_t count;
	int fd;

	if (size < 2)
		return 0;
	fake_now_ns = 1000000000000;
	fake_begin(&fake, generous(), 0,
		   data[0] & 1 ? raw(data + 2, size - 2) : framed(data + 2, size - 2), &cause);
	fuzz_require(fake.broker.journal != NULL);
	if (data[0] & 2)
		fake_arrive(&fake, (data[0] & 4) != 0);
	broker_restored(&fake.broker);
	work(&fake, data[1]);
	fake_now_ns += 1000000000;
	broker_tick(&fake.broker);
	/* What it writes the next one reads. */
	fd = fcntl(journal_fd(fake.broker.journal), F_DUPFD_CLOEXEC, 0);
	count = fake.broker.leases.count;
	fake_end(&fake);
	fuzz_require(!fake_begin(&fake, generous(), 0, fd, &cause));
	fuzz_require(fake.broker.leases.count == count);
	broker_revoke(&fake.broker, &all, WIRE_REASON_ADMIN, 0, &reply);
	fuzz_require(!fake.broker.leases.count && !fake.broker.leased_bytes);
	fake_end(&fake);
	return 0;
}
