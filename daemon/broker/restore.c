// SPDX-License-Identifier: MIT
/*
 * Across restarts: from the journal to leases, and back into a smaller journal.
 *
 * A lease that comes out of the journal has neither provider nor holder yet. Its provider is a
 * place-holder of that name until discovery finds the function and its kept descriptor
 * (broker_provider_ready()); its holder has the policy's time to come back with the token, from
 * the first restart that it wasn't back after: a p2pd that keeps crashing keeps nothing for ever.
 *
 * What the journal says is checked like what a peer says: the file is in the hands of
 * the service manager, but another version may have written it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "broker.h"
#include "common/sys.h"

/* Ids are counted from 1; one up here was never given out, and counting on from it would end. */
#define MAX_ID (UINT64_MAX / 2)

/* May a lease that is in the journal be in that state? */
static bool is_state(uint32_t state, uint32_t reason)
{
	return state != WIRE_LEASE_PENDING && state <= WIRE_LEASE_RELEASED &&
	       reason <= WIRE_REASON_MISBEHAVED;
}

static int load_lease(const void *body, size_t size_bytes, struct journal_lease *ret_record,
		      const struct wire_range **ret_ranges)
{
	const struct journal_lease *record = body;
	size_t both;

	if (size_bytes < sizeof(uint32_t) * 2 || record->size_bytes > size_bytes ||
	    record->size_bytes < offsetof(struct journal_lease, deadline_ns) ||
	    record->size_bytes % 8 || record->nr_ranges == 0 ||
	    record->nr_ranges > WIRE_RANGES_MAX ||
	    size_bytes - record->size_bytes != record->nr_ranges * sizeof(struct wire_range))
		return -EBADMSG;
	both = record->size_bytes < sizeof(*record) ? record->size_bytes : sizeof(*record);
	memset(ret_record, 0, sizeof(*ret_record));
	memcpy(ret_record, record, both);
	*ret_ranges = (const void *)((const char *)body + record->size_bytes);
	if (!wire_text_is_sound(ret_record->provider, sizeof(ret_record->provider)) ||
	    !wire_text_is_sound(ret_record->label, sizeof(ret_record->label)) || !ret_record->id ||
	    ret_record->id > MAX_ID || !is_state(ret_record->state, ret_record->reason) ||
	    (ret_record->mode != WIRE_MODE_EXCLUSIVE && ret_record->mode != WIRE_MODE_SHARED))
		return -EBADMSG;
	return 0;
}

/* What never changes in a lease, and what its slices, its account and its provider hang on. */
static bool is_same_lease(const struct lease *lease, const struct journal_lease *record,
			  const struct wire_range *ranges)
{
	return lease->mode == record->mode && lease->uid == record->uid &&
	       lease->nr_ranges == record->nr_ranges &&
	       !memcmp(lease->ranges, ranges, record->nr_ranges * sizeof(*ranges)) &&
	       !strcmp(lease->provider->identity.name, record->provider);
}

static void fill_state(struct lease *lease, const struct journal_lease_state *record)
{
	lease->state = (uint8_t)record->state;
	lease->reason = (uint8_t)record->reason;
	lease->pid = record->pid;
	lease->expires_ns = record->expires_ns;
	lease->deadline_ns = record->deadline_ns;
	lease->detached_until_ns = record->detached_until_ns;
	lease->written = *record;
	/* Only its end was still to be written. What was taken back can be taken back again. */
	if (lease->state == WIRE_LEASE_REVOKED) {
		lease->state = WIRE_LEASE_REVOKING;
		lease->deadline_ns = 1;
	}
}

static void fill_lease(struct lease *lease, const struct journal_lease *record)
{
	struct journal_lease_state state = {
		.id = record->id,
		.state = record->state,
		.reason = record->reason,
		.pid = record->pid,
		.expires_ns = record->expires_ns,
		.deadline_ns = record->deadline_ns,
		.detached_until_ns = record->detached_until_ns,
	};

	fill_state(lease, &state);
	memcpy(lease->token, record->token, sizeof(lease->token));
	memcpy(lease->label, record->label, sizeof(lease->label));
	lease->mode = record->mode;
	lease->access = record->access;
	lease->flags = record->flags;
	lease->force = record->force;
	lease->priority = record->priority;
	lease->uid = record->uid;
	lease->gid = record->gid;
	lease->export_id = record->export_id;
	lease->granted_ns = record->granted_ns;
	lease->provider->publisher_until_ns = record->publisher_until_ns;
}

static int place_lease(struct broker *broker, const struct journal_lease *record,
		       struct lease **ret_lease)
{
	struct identity identity = {.backend = record->backend};
	struct provider *provider;
	struct lease *lease;
	int r;

	wire_text_set(identity.name, sizeof(identity.name), record->provider);
	identity.is_published = record->backend == WIRE_BACKEND_PUBLISHED;
	r = broker_provider_add(broker, &identity, record->provider_bytes, &provider);
	if (r)
		return r;
	lease = calloc(1, sizeof(*lease) + record->nr_ranges * sizeof(lease->ranges[0]));
	if (!lease || account_get(&broker->accounts, record->uid, &lease->account)) {
		free(lease);
		return -ENOMEM;
	}
	lease->id = record->id;
	r = lease_table_add(&broker->leases, lease);
	if (!r && lease_table_add(&lease->account->leases, lease)) {
		lease_table_remove(&broker->leases, lease);
		r = -ENOMEM;
	}
	if (r) {
		account_put(&broker->accounts, lease->account);
		free(lease);
		return r;
	}
	provider->publisher_uid = record->publisher_uid;
	lease->provider = provider;
	list_init(&lease->link_of_holder);
	list_init(&lease->link_of_nonce);
	list_init(&lease->link_of_marked);
	list_append(&provider->leases, &lease->link_of_provider);
	provider->nr_leases++;
	/* Limits may have been lowered since; what is granted is granted. */
	lease->account->used[ACCOUNT_LEASES]++;
	*ret_lease = lease;
	return 0;
}

static int read_lease(struct broker *broker, const void *body, size_t size_bytes)
{
	const struct wire_range *ranges;
	struct journal_lease record;
	struct lease *lease;
	int r;

	r = load_lease(body, size_bytes, &record, &ranges);
	if (r)
		return r;
	lease = lease_table_find(&broker->leases, record.id);
	if (lease) {
		if (!is_same_lease(lease, &record, ranges))
			return -EBADMSG;
		fill_lease(lease, &record);
		broker_nonce_set(broker, lease, record.nonce);
		return 0;
	}
	r = place_lease(broker, &record, &lease);
	if (r)
		return r;
	fill_lease(lease, &record);
	broker_nonce_set(broker, lease, record.nonce);
	for (uint32_t i = 0; i < record.nr_ranges; i++) {
		/* Two leases on one slice: then the journal is wrong as a whole. */
		if (slices_take(&lease->provider->slices, ranges[i].offset_bytes,
				ranges[i].length_bytes, lease->mode == WIRE_MODE_SHARED))
			return -EBADMSG;
		/* Each at once: a lease may be forgotten half-read. */
		lease->ranges[lease->nr_ranges++] = ranges[i];
		lease->size_bytes += ranges[i].length_bytes;
		lease->account->used[ACCOUNT_BYTES] += ranges[i].length_bytes;
		broker->leased_bytes += ranges[i].length_bytes;
	}
	if (record.id >= broker->next_lease_id)
		broker->next_lease_id = record.id + 1;
	return 0;
}

static int read_state(struct broker *broker, const void *body, size_t size_bytes)
{
	struct journal_lease_state record;
	struct lease *lease;

	if (size_bytes < sizeof(record))
		return -EBADMSG;
	memcpy(&record, body, sizeof(record));
	record.reserved = 0;
	lease = lease_table_find(&broker->leases, record.id);
	if (!lease || !is_state(record.state, record.reason))
		return -EBADMSG;
	fill_state(lease, &record);
	return 0;
}

/* The caller has it from the journal, or writes it there. */
static void wait_for_holders(struct broker *broker, uint64_t until_ns)
{
	list_for_each_entry(provider, &broker->providers, struct provider, link)
		if (provider->identity.is_published && !provider->publisher_until_ns)
			provider->publisher_until_ns = until_ns;
	for (struct lease *lease = lease_table_after(&broker->leases, 0); lease;
	     lease = lease_table_after(&broker->leases, lease->id))
		if (!lease->detached_until_ns)
			lease->detached_until_ns = lease->written.detached_until_ns = until_ns;
}

static int read_u64(const void *body, size_t size_bytes, uint64_t *ret_value)
{
	if (size_bytes != sizeof(*ret_value))
		return -EBADMSG;
	memcpy(ret_value, body, sizeof(*ret_value));
	return 0;
}

static int read_drain(struct broker *broker, const void *body, size_t size_bytes)
{
	struct identity identity = {0};
	struct journal_drain record;
	struct provider *provider;

	if (size_bytes < sizeof(record))
		return -EBADMSG;
	memcpy(&record, body, sizeof(record));
	if (!wire_text_is_sound(record.provider, sizeof(record.provider)))
		return -EBADMSG;
	wire_text_set(identity.name, sizeof(identity.name), record.provider);
	provider = broker_provider_find(broker, identity.name);
	if (!provider && record.is_on && broker_provider_add(broker, &identity, 0, &provider))
		return -ENOMEM;
	if (provider)
		provider->is_draining = record.is_on;
	return 0;
}

static int read_record(void *data, uint16_t type, const void *body, size_t size_bytes)
{
	struct broker *broker = data;
	struct lease *lease;
	uint64_t value;

	switch (type) {
	case JOURNAL_LEASE:
		return read_lease(broker, body, size_bytes);
	case JOURNAL_LEASE_STATE:
		return read_state(broker, body, size_bytes);
	case JOURNAL_LEASE_GONE:
		if (read_u64(body, size_bytes, &value))
			return -EBADMSG;
		lease = lease_table_find(&broker->leases, value);
		if (lease)
			lease_forget(broker, lease);
		return 0;
	case JOURNAL_NEXT_ID:
		if (read_u64(body, size_bytes, &value) || value > MAX_ID)
			return -EBADMSG;
		if (value > broker->next_lease_id)
			broker->next_lease_id = value;
		return 0;
	case JOURNAL_RESTARTED:
		if (read_u64(body, size_bytes, &value) || !value)
			return -EBADMSG;
		wait_for_holders(broker, value);
		return 0;
	case JOURNAL_DRAIN:
		return read_drain(broker, body, size_bytes);
	default:
		return -EBADMSG;
	}
}

static int begin(struct broker *broker, struct cause *cause)
{
	uint64_t instance;
	int r;

	if (getrandom(&instance, sizeof(instance), 0) != sizeof(instance))
		return cause_fail(cause, -EIO, "the kernel has no random numbers");
	r = journal_new(instance, &broker->journal);
	return r ? cause_fail(cause, r, "no journal: %s", error_name(r)) : 0;
}

int broker_restore(struct broker *broker, int journal_fd, struct cause *cause)
{
	uint64_t until_ns;
	struct cause why;
	int r;

	if (journal_fd < 0)
		return begin(broker, cause);
	r = journal_open(journal_fd, read_record, broker, &broker->journal);
	if (r) {
		broker_forget_all(broker);
		cause_fail(cause, r, "the journal %s",
			   r == -EPROTONOSUPPORT ? "was written by a newer version" :
			   r == -EBADMSG	 ? "is damaged" :
						   "can't be read");
		if (begin(broker, &why))
			*cause = why;
		return r;
	}
	until_ns = broker->now_ns() + policy_settings(broker->policy)->reattach_ms * 1000000;
	r = deadlines_reserve(&broker->deadlines, broker->leases.count);
	if (r)
		return cause_fail(cause, r, "no memory for %zu leases", broker->leases.count);
	wait_for_holders(broker, until_ns);
	/* Policy's time may have become shorter, and what is written there anything. */
	list_for_each_entry(provider, &broker->providers, struct provider, link)
		if (provider->publisher_until_ns > until_ns)
			provider->publisher_until_ns = until_ns;
	for (struct lease *lease = lease_table_after(&broker->leases, 0); lease;
	     lease = lease_table_after(&broker->leases, lease->id)) {
		if (lease->detached_until_ns > until_ns)
			lease->detached_until_ns = until_ns;
		broker_step(broker, lease, LEASE_NOTHING);
	}
	/* One record for all: the next start mustn't give them the whole time again. */
	if (broker->leases.count)
		journal_append(broker->journal, JOURNAL_RESTARTED, &until_ns, sizeof(until_ns), 0);
	return 0;
}

void broker_restored(struct broker *broker)
{
	list_for_each_entry_safe(provider, &broker->providers, struct provider, link)
		if (!provider->device && !provider->identity.is_published && !*provider->cause)
			broker_provider_remove(broker, provider, WIRE_REASON_GONE);
}

static int write_snapshot(struct broker *broker)
{
	struct lease *lease = NULL;
	int r;

	r = journal_append(broker->journal, JOURNAL_NEXT_ID, &broker->next_lease_id,
			   sizeof(broker->next_lease_id), broker->leases.count);
	list_for_each_entry(provider, &broker->providers, struct provider, link) {
		struct journal_drain record = {.is_on = 1};

		if (r || !provider->is_draining)
			continue;
		wire_text_set(record.provider, sizeof(record.provider), provider->identity.name);
		r = journal_append(broker->journal, JOURNAL_DRAIN, &record, sizeof(record),
				   broker->leases.count);
	}
	for (uint64_t id = 0; !r && (lease = lease_table_after(&broker->leases, id));) {
		id = lease->id;
		r = broker_journal_lease(broker, lease, broker->leases.count);
	}
	return r;
}

void broker_journal_compact(struct broker *broker)
{
	if (!journal_is_large(broker->journal, broker->leases.count))
		return;
	journal_compact_begin(broker->journal);
	journal_compact_end(broker->journal, !write_snapshot(broker));
}
