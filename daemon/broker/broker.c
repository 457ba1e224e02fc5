// SPDX-License-Identifier: MIT
/*
 * The broker: what ties leases, slices, accounts, policy and the journal together.
 *
 * The order of things is what makes it safe to be killed at any moment:
 *
 *  - A grant: policy, account, slice, the kernel's export, the journal, and only then the
 *    answer. A death before the journal loses the DMABUF's only descriptor, and with it
 *    the export. A death after it leaves a lease that nobody comes back for; its time to be
 *    taken up again passes, and it is ended.
 *  - A revocation: each lease is marked, then the journal, then their holders are told. A death in
 *    between leaves them marked; holders hear of it when they come back.
 *  - An end: the kernel's revocation, the journal, the slice, and then the answer. A death
 *    in between revokes once more, which does nothing.
 *
 * So a slice is never free in the journal while the kernel may still map it.
 *
 * One thread; nothing here waits. Each change of a lease goes through broker_step(),
 * which sets its deadline, writes it down and does what the lease's state machine asked for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "broker.h"

/* Importers that can't be revoked are asked about this often. */
#define RETRY_NS 1000000000ULL

int broker_init(struct broker *broker, const struct broker_ops *ops, void *data,
		uint64_t (*now_ns)(void), struct policy *policy)
{
	memset(broker, 0, sizeof(*broker));
	broker->ops = ops;
	broker->data = data;
	broker->now_ns = now_ns;
	broker->policy = policy;
	broker->policy_generation = 1;
	broker->next_serial = 1;
	broker->next_lease_id = 1;
	list_init(&broker->providers);
	for (size_t i = 0; i < BROKER_NONCES; i++)
		list_init(&broker->by_nonce[i]);
	/* Whoever knows where nonces go could have them all go there. Without it: so be it. */
	if (getrandom(&broker->nonce_key, sizeof(broker->nonce_key), GRND_NONBLOCK) < 0)
		broker->nonce_key[0] = broker->nonce_key[1] = (uintptr_t)broker;
	deadlines_init(&broker->deadlines);
	return accounts_init(&broker->accounts, &policy_settings(policy)->limits);
}

void broker_forget_all(struct broker *broker)
{
	struct lease *lease;

	/* By id: from the beginning each time would be a walk over all that is gone. */
	for (uint64_t id = 0; (lease = lease_table_after(&broker->leases, id));) {
		id = lease->id;
		lease_forget(broker, lease);
	}
	list_for_each_entry_safe(provider, &broker->providers, struct provider, link)
		provider_free(broker, provider);
}

void broker_done(struct broker *broker)
{
	broker_forget_all(broker);
	lease_table_done(&broker->leases);
	deadlines_done(&broker->deadlines);
	accounts_done(&broker->accounts);
	journal_free(broker->journal);
	policy_free(broker->policy);
}

void broker_wake(struct broker *broker)
{
	const struct deadline *first = deadlines_first(&broker->deadlines);

	broker->ops->wake_at(broker->data, first ? first->time_ns : 0);
}

void broker_happened(struct broker *broker, uint32_t type, const struct lease *lease,
		     const struct policy_decision *decision)
{
	struct wire_event_monitor event = {
		.type = type,
		.reason = lease->reason,
		.lease_id = lease->id,
		.size_bytes = lease->size_bytes,
		.uid = lease->uid,
		.pid = lease->pid,
		.time_ns = broker->now_ns(),
	};

	wire_text_set(event.provider, sizeof(event.provider), lease->provider->identity.name);
	wire_text_set(event.label, sizeof(event.label), lease->label);
	broker->ops->happened(broker->data, &event, decision);
}

static struct journal_lease_state state_of(const struct lease *lease)
{
	return (struct journal_lease_state){
		.id = lease->id,
		.state = lease->state,
		.reason = lease->reason,
		.pid = lease->pid,
		.expires_ns = lease->expires_ns,
		.deadline_ns = lease->deadline_ns,
		.detached_until_ns = lease->detached_until_ns,
	};
}

int broker_journal_lease(struct broker *broker, struct lease *lease, size_t nr_live)
{
	struct {
		struct journal_lease lease;
		struct wire_range ranges[WIRE_RANGES_MAX];
	} record = {
		.lease =
			{
				.size_bytes = sizeof(record.lease),
				.nr_ranges = lease->nr_ranges,
				.id = lease->id,
				.backend = lease->provider->identity.backend,
				.mode = lease->mode,
				.access = lease->access,
				.flags = lease->flags,
				.force = lease->force,
				.priority = lease->priority,
				.state = lease->state,
				.reason = lease->reason,
				.uid = lease->uid,
				.gid = lease->gid,
				.pid = lease->pid,
				.export_id = lease->export_id,
				.size_of_lease_bytes = lease->size_bytes,
				.provider_bytes = lease->provider->slices.size_bytes,
				.granted_ns = lease->granted_ns,
				.expires_ns = lease->expires_ns,
				.deadline_ns = lease->deadline_ns,
				.publisher_uid = lease->provider->publisher_uid,
				.detached_until_ns = lease->detached_until_ns,
				.nonce = lease->nonce,
				.publisher_until_ns = lease->provider->publisher_until_ns,
			},
	};
	size_t ranges_bytes = lease->nr_ranges * sizeof(lease->ranges[0]);
	int r;

	memcpy(record.lease.token, lease->token, sizeof(lease->token));
	wire_text_set(record.lease.provider, sizeof(record.lease.provider),
		      lease->provider->identity.name);
	wire_text_set(record.lease.label, sizeof(record.lease.label), lease->label);
	memcpy(record.ranges, lease->ranges, ranges_bytes);
	r = journal_append(broker->journal, JOURNAL_LEASE, &record,
			   sizeof(record.lease) + ranges_bytes, nr_live);
	if (!r)
		lease->written = state_of(lease);
	return r;
}

static int hold_state(struct broker *broker, struct lease *lease, size_t nr_live)
{
	struct journal_lease_state record = state_of(lease);
	int r;

	if (!memcmp(&record, &lease->written, sizeof(record)))
		return 0;
	r = journal_hold(broker->journal, JOURNAL_LEASE_STATE, &record, sizeof(record), nr_live);
	if (!r)
		lease->written = record;
	return r;
}

int broker_journal_state(struct broker *broker, struct lease *lease, size_t nr_live)
{
	int r = hold_state(broker, lease, nr_live);

	return r ? r : journal_flush(broker->journal);
}

static void set_under_way(struct lease *lease, bool is_under_way)
{
	lease->account->nr_under_way += (uint32_t)is_under_way - (uint32_t)lease->is_under_way;
	lease->is_under_way = is_under_way;
}

void lease_forget(struct broker *broker, struct lease *lease)
{
	struct provider *provider = lease->provider;
	struct holder *holder = lease->holder;

	set_under_way(lease, false);
	deadlines_clear(&broker->deadlines, &lease->deadline);
	lease_table_remove(&broker->leases, lease);
	lease_table_remove(&lease->account->leases, lease);
	for (uint32_t i = 0; i < lease->nr_ranges; i++)
		slices_give(&provider->slices, lease->ranges[i].offset_bytes,
			    lease->ranges[i].length_bytes, lease->mode == WIRE_MODE_SHARED);
	list_remove(&lease->link_of_provider);
	provider->nr_leases--;
	account_discharge(lease->account, ACCOUNT_LEASES, 1);
	account_discharge(lease->account, ACCOUNT_BYTES, lease->size_bytes);
	account_put(&broker->accounts, lease->account);
	broker->leased_bytes -= lease->size_bytes;
	list_remove(&lease->link_of_holder);
	list_remove(&lease->link_of_nonce);
	list_remove(&lease->link_of_marked);
	free(lease);
	if (holder && --holder->nr_leases == 0 && !holder->client)
		broker->ops->holder_idle(broker->data, holder);
	if (provider->is_gone && !provider->nr_leases)
		provider_free(broker, provider);
}

static void count_end(struct broker *broker, uint32_t reason)
{
	if (reason == WIRE_REASON_HOLDER)
		broker->counters.released++;
	else if (reason == WIRE_REASON_EXPIRED)
		broker->counters.expired++;
	else
		broker->counters.revoked++;
}

/* The kernel's step. What remains to be done after it. */
static enum lease_step take_back(struct broker *broker, struct lease *lease,
				 struct source_result *ret_result)
{
	struct device *device = lease->provider->device;
	uint64_t begin_ns = broker->now_ns();
	uint32_t reason = 0;
	int r = 0;

	/* Without a device there is nothing that could still be mapped through it. */
	if (device && !lease->is_kernel_done)
		r = device->ops->revoke(device, lease, ret_result);
	broker->counters.kernel_revoke_ns += broker->now_ns() - begin_ns;
	set_under_way(lease, r == -EINPROGRESS);
	if (r == -EBUSY || r == -EAGAIN || r == -EINPROGRESS)
		return LEASE_NOTHING;
	if (r == -ENODEV)
		reason = WIRE_REASON_GONE;
	return lease_kernel_done(lease, broker->now_ns(), reason);
}

static void end(struct broker *broker, struct lease *lease, const struct source_result *result)
{
	uint64_t id = lease->id;

	/* Room was kept for it; a journal that is gone altogether only costs a second revocation. */
	journal_append(broker->journal, JOURNAL_LEASE_GONE, &id, sizeof(id), 0);
	count_end(broker, lease->reason);
	broker_happened(broker, WIRE_MONITOR_LEASE_ENDED, lease, NULL);
	if (lease->reason != WIRE_REASON_HOLDER)
		broker->ops->tell_ended(broker->data, lease, result);
	lease_forget(broker, lease);
}

static void set_deadline(struct broker *broker, struct lease *lease, uint64_t not_before_ns)
{
	uint64_t next_ns = lease_next_ns(lease);

	if (!next_ns)
		deadlines_clear(&broker->deadlines, &lease->deadline);
	else
		deadlines_set(&broker->deadlines, &lease->deadline,
			      next_ns < not_before_ns ? not_before_ns : next_ns);
}

void broker_mark(struct broker *broker, struct lease *lease, struct list *marked)
{
	hold_state(broker, lease, 0);
	set_deadline(broker, lease, 0);
	list_remove(&lease->link_of_marked);
	list_append(marked, &lease->link_of_marked);
}

void broker_tell(struct broker *broker, struct list *marked)
{
	/* Room was kept for it; where there is none, what was granted before only ends later. */
	journal_flush(broker->journal);
	list_for_each_entry(lease, marked, struct lease, link_of_marked) {
		lease->is_told = true;
		broker->ops->tell_requested(broker->data, lease);
	}
	list_for_each_entry_safe(lease, marked, struct lease, link_of_marked) {
		list_remove(&lease->link_of_marked);
		broker_happened(broker, WIRE_MONITOR_LEASE_REVOKING, lease, NULL);
	}
	broker_wake(broker);
}

static void tell_one(struct broker *broker, struct lease *lease)
{
	struct list marked;

	list_init(&marked);
	broker_mark(broker, lease, &marked);
	broker_tell(broker, &marked);
}

void broker_step(struct broker *broker, struct lease *lease, enum lease_step step)
{
	struct source_result result = {0};
	uint64_t not_before_ns = 0;

	if (step == LEASE_TELL) {
		tell_one(broker, lease);
		return;
	}
	if (step == LEASE_REVOKE) {
		step = take_back(broker, lease, &result);
		not_before_ns = broker->now_ns() + RETRY_NS;
		/*
		 * Somebody who can't be revoked: it goes on for a while, perhaps beyond us. Where
		 * it was to go at once, its holder hears only now that it has to help. With what is
		 * under way nobody can help.
		 */
		if (step == LEASE_NOTHING && lease->state == WIRE_LEASE_REVOKING &&
		    !lease->is_told && !lease->is_under_way)
			tell_one(broker, lease);
		else if (step == LEASE_NOTHING)
			broker_journal_state(broker, lease, 0);
	}
	if (step == LEASE_FREE)
		end(broker, lease, &result);
	else
		set_deadline(broker, lease, not_before_ns);
	broker_wake(broker);
}

void broker_tick(struct broker *broker)
{
	const struct policy_settings *settings = policy_settings(broker->policy);
	/* The same for all: what is marked here isn't due before its holder was told. */
	uint64_t now_ns = broker->now_ns();
	struct deadline *first;
	struct list marked;

	list_init(&marked);
	while ((first = deadlines_first(&broker->deadlines)) && first->time_ns <= now_ns) {
		struct lease *lease = list_entry(first, struct lease, deadline);
		enum lease_step step = lease_tick(lease, now_ns, settings->revoke_deadline_ms);

		if (step == LEASE_TELL)
			broker_mark(broker, lease, &marked);
		else
			broker_step(broker, lease, step);
	}
	broker_tell(broker, &marked);
}

void broker_device_settled(struct broker *broker, struct device *device)
{
	list_for_each_entry(provider, &device->providers, struct provider, link_of_device)
		list_for_each_entry_safe(lease, &provider->leases, struct lease, link_of_provider)
			if (lease->is_under_way)
				broker_step(broker, lease, LEASE_REVOKE);
}

void broker_kernel_revoked(struct broker *broker, struct lease *lease, uint32_t reason)
{
	broker_step(broker, lease, lease_kernel_done(lease, broker->now_ns(), reason));
}
