/* SPDX-License-Identifier: MIT */
#ifndef FAKE_BROKER_H
#define FAKE_BROKER_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "broker/broker.h"

/*
 * A broker with one emulated device and a clock that stands still, for unit tests and fuzzers: what
 * the kernel answers is set, what the broker tells is counted.
 */
struct fake {
	struct broker broker;
	struct device device;
	struct provider *provider;
	struct account *account;
	struct holder holder;
	struct holder other; /* another connection of the same user */
	int export_error, revoke_error, distance_error;
	const char *export_why; /* NULL: the errno is all there is */
	int32_t distance;
	uint32_t next_export;
	unsigned int nr_exported, nr_revoked, nr_requested, nr_ended, nr_idle;
	unsigned int happened[16];
	const struct holder *broken; /* its connection is */
	uint32_t last_reason;
	uint64_t wake_ns;
};

static uint64_t fake_now_ns = 1000000000;

static inline uint64_t fake_clock(void)
{
	return fake_now_ns;
}

static inline struct fake *fake_of(struct device *device)
{
	return list_entry(device, struct fake, device);
}

static inline int fake_export(struct device *device, const struct lease *lease,
			      struct source_grant *ret)
{
	struct fake *fake = fake_of(device);

	(void)lease;
	if (fake->export_error && fake->export_why)
		cause_fail(&ret->why, fake->export_error, "%s", fake->export_why);
	if (fake->export_error)
		return fake->export_error;
	ret->fd = dup(device->fd);
	ret->export_id = ++fake->next_export;
	fake->nr_exported++;
	return 0;
}

static inline int fake_revoke(struct device *device, const struct lease *lease,
			      struct source_result *ret_result)
{
	struct fake *fake = fake_of(device);

	(void)lease;
	fake->nr_revoked++;
	ret_result->nr_remaining = fake->revoke_error == -16; /* EBUSY */
	return fake->revoke_error;
}

static inline int fake_revoke_all(struct device *device)
{
	(void)device;
	return 0;
}

static inline int fake_distance(struct device *device, const struct pci_address *importer,
				int32_t *ret_distance)
{
	struct fake *fake = fake_of(device);

	(void)importer;
	*ret_distance = fake->distance;
	return fake->distance_error;
}

static inline void fake_close(struct device *device)
{
	(void)device;
}

static const struct source_ops fake_source_ops = {
	.backend = WIRE_BACKEND_EXPORT,
	.force = WIRE_FORCE_LEASE,
	.export = fake_export,
	.revoke = fake_revoke,
	.revoke_all = fake_revoke_all,
	.distance = fake_distance,
	.close = fake_close,
};

static inline void fake_requested(void *data, const struct lease *lease)
{
	struct fake *fake = data;

	fake->nr_requested++;
	fake->last_reason = lease->reason;
}

static inline void fake_ended(void *data, const struct lease *lease,
			      const struct source_result *result)
{
	struct fake *fake = data;

	(void)result;
	fake->nr_ended++;
	fake->last_reason = lease->reason;
}

static inline bool fake_is_broken(void *data, const struct holder *holder)
{
	const struct fake *fake = data;

	return fake->broken == holder;
}

static inline void fake_idle(void *data, struct holder *holder)
{
	struct fake *fake = data;

	(void)holder;
	fake->nr_idle++;
}

static inline void fake_happened(void *data, const struct wire_event_monitor *event,
				 const struct policy_decision *decision)
{
	struct fake *fake = data;

	(void)decision;
	fake->happened[event->type & 15U]++;
}

static inline void fake_wake(void *data, uint64_t time_ns)
{
	struct fake *fake = data;

	fake->wake_ns = time_ns;
}

static const struct broker_ops fake_broker_ops = {
	.tell_requested = fake_requested,
	.tell_ended = fake_ended,
	.is_broken = fake_is_broken,
	.holder_idle = fake_idle,
	.happened = fake_happened,
	.wake_at = fake_wake,
};

#define FAKE_NAME  "0000:01:00.0/2@7"
#define FAKE_BYTES 0x100000ULL

/* The function comes: as discovery says it. */
static inline void fake_arrive(struct fake *fake, bool is_kept)
{
	struct identity identity = {.name = FAKE_NAME,
				    .backend = WIRE_BACKEND_EXPORT,
				    .address = {.bus = 1},
				    .bar = 2,
				    .generation = 7,
				    .vendor_id = 0x10ee,
				    .device_id = 0x903f};

	if (broker_provider_add(&fake->broker, &identity, FAKE_BYTES, &fake->provider))
		abort();
	fake->provider->device = &fake->device;
	list_append(&fake->device.providers, &fake->provider->link_of_device);
	broker_provider_ready(&fake->broker, fake->provider, is_kept);
}

static inline void fake_holder(struct fake *fake, struct holder *holder)
{
	list_init(&holder->leases);
	list_init(&holder->publications);
	holder->client = (struct client *)(void *)fake; /* only looked at for being there */
	holder->account = fake->account;
	holder->pidfd = -1;
	holder->pid = 42;
	holder->subject.uid = fake->account->uid;
}

/* @journal_fd as in broker_restore(), whose result it is. The policy is taken over. */
static inline int fake_begin(struct fake *fake, struct policy *policy, uid_t uid, int journal_fd,
			     struct cause *cause)
{
	int r;

	memset(fake, 0, sizeof(*fake));
	fake->device.ops = &fake_source_ops;
	fake->device.fd = STDERR_FILENO;
	list_init(&fake->device.link);
	list_init(&fake->device.providers);
	if (broker_init(&fake->broker, &fake_broker_ops, fake, fake_clock, policy) ||
	    account_get(&fake->broker.accounts, uid, &fake->account))
		abort();
	r = broker_restore(&fake->broker, journal_fd, cause);
	fake_holder(fake, &fake->holder);
	fake_holder(fake, &fake->other);
	return r;
}

/* As at the end of the process: the journal lives on in whoever has its descriptor. */
static inline void fake_end(struct fake *fake)
{
	broker_done(&fake->broker);
}

#endif /* FAKE_BROKER_H */
