// SPDX-License-Identifier: MIT
/*
 * Granting a lease: from a provider that was chosen (choose.c) to a DMABUF in its holder's
 * hands.
 *
 * Account, slices and both tables are taken first, and given back in reverse where a later
 * step fails; the kernel's export and the journal come last, because only they leave traces
 * that outlive this process. Nobody hears of a lease before it is written down.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "choose.h"
#include "common/sys.h"

/* Takes the ranges of the lease; all or none. */
static int take_slices(struct lease *lease, struct cause *cause)
{
	struct slices *slices = &lease->provider->slices;
	bool is_shared = lease->mode == WIRE_MODE_SHARED;

	for (uint32_t i = 0; i < lease->nr_ranges; i++) {
		const struct wire_range *range = &lease->ranges[i];
		int r = slices_take(slices, range->offset_bytes, range->length_bytes, is_shared);

		if (!r)
			continue;
		if (r == -EBUSY && lease->provider->device->is_settling)
			r = -EINPROGRESS;
		while (i-- > 0)
			slices_give(slices, lease->ranges[i].offset_bytes,
				    lease->ranges[i].length_bytes, is_shared);
		return cause_fail(cause, r, "%s, %#" PRIx64 " bytes at %#" PRIx64 ": %s",
				  lease->provider->identity.name, range->length_bytes,
				  range->offset_bytes,
				  r == -EBUSY  ? "held by somebody else" :
				  r == -EINVAL ? "not in the BAR, or given twice" :
						 "no memory to note it");
	}
	return 0;
}

/* What can be forced of it, which it has to say before it is granted. */
static uint32_t force_of(const struct wire_acquire *wire, const struct device *device)
{
	/* Nobody can be waited for who may come back at any time with what was given out. */
	if (device->ops->backend == WIRE_BACKEND_P2PMEM)
		return device->ops->force;
	return wire->flags & WIRE_ACQUIRE_ALLOW_UNREVOCABLE ? (uint32_t)WIRE_FORCE_WAITS :
							      device->ops->force;
}

static struct lease *lease_new(const struct acquire_request *request,
			       const struct candidate *candidate)
{
	const struct wire_acquire *wire = request->wire;
	const struct provider *provider = candidate->provider;
	bool is_pool = provider->identity.backend == WIRE_BACKEND_P2PMEM;
	uint32_t nr_ranges = wire->nr_ranges ? wire->nr_ranges : 1;
	struct lease *lease;

	lease = calloc(1, sizeof(*lease) + nr_ranges * sizeof(lease->ranges[0]));
	if (!lease)
		return NULL;
	list_init(&lease->link_of_holder);
	list_init(&lease->link_of_provider);
	list_init(&lease->link_of_nonce);
	list_init(&lease->link_of_marked);
	lease->provider = candidate->provider;
	lease->mode = wire->mode;
	lease->access = wire->access;
	lease->flags = wire->flags;
	lease->nonce = wire->nonce;
	lease->force = force_of(wire, provider->device);
	lease->priority = candidate->decision.priority;
	lease->uid = request->subject.uid;
	lease->gid = request->subject.gid;
	lease->pid = request->holder->pid;
	lease->size_bytes = broker_leased_bytes(request, provider);
	lease->nr_ranges = nr_ranges;
	wire_text_set(lease->label, sizeof(lease->label), wire->label);
	if (wire->nr_ranges && !is_pool) {
		memcpy(lease->ranges, request->ranges, nr_ranges * sizeof(lease->ranges[0]));
	} else {
		lease->ranges[0].offset_bytes = candidate->offset_bytes;
		lease->ranges[0].length_bytes = lease->size_bytes;
	}
	return lease;
}

static int charge(struct broker *broker, struct account *account, uint64_t size_bytes,
		  struct cause *cause)
{
	enum account_kind kind = ACCOUNT_LEASES;
	int r;

	r = account_charge(&broker->accounts, account, kind, 1);
	if (!r) {
		kind = ACCOUNT_BYTES;
		r = account_charge(&broker->accounts, account, kind, size_bytes);
		if (r)
			account_discharge(account, ACCOUNT_LEASES, 1);
	}
	/* What it has given back counts until that is over. */
	if (r == -EDQUOT && account->nr_under_way)
		return -EINPROGRESS;
	if (r)
		return cause_fail(cause, r, "user %" PRIu32 " has as many %s as one user may have",
				  (uint32_t)account->uid, account_kind_name(kind));
	return 0;
}

/* Several from one call; what was given out isn't kept here. */
static int make_token(struct broker *broker, uint8_t *ret_token, struct cause *cause)
{
	struct tokens *tokens = &broker->tokens;
	uint8_t *next;

	if (!tokens->count) {
		if (getrandom(tokens->bytes, sizeof(tokens->bytes), GRND_NONBLOCK) !=
		    sizeof(tokens->bytes))
			return cause_fail(cause, -EAGAIN, "the kernel has no random numbers yet");
		tokens->count = BROKER_TOKENS;
	}
	next = tokens->bytes[--tokens->count];
	memcpy(ret_token, next, WIRE_TOKEN_SIZE);
	explicit_bzero(next, WIRE_TOKEN_SIZE);
	return 0;
}

static int not_exported(const struct lease *lease, int error, const struct cause *why,
			struct cause *cause)
{
	const char *name = lease->provider->identity.name;
	const char *said = *why->text ? why->text : error_name(error);

	if (error == -EPERM && lease->flags & WIRE_ACQUIRE_ALLOW_UNREVOCABLE)
		return cause_fail(
			cause, -EOPNOTSUPP,
			"the kernel doesn't let p2pd allow importers that can't be revoked of "
			"%s: see p2pd(8) on allow_unrevocable",
			name);
	/* Files' rights, or DeviceAllow=. Not policy's answer, which the peer would take it for. */
	if (error == -EACCES || error == -EPERM)
		return cause_fail(cause, -EOPNOTSUPP,
				  "p2pd may not open the device node of %s (%.120s): see p2pd(8)",
				  name, said);
	/* Nor one about the request. */
	if (error == -EINVAL || error == -ENOENT)
		error = -EOPNOTSUPP;
	return cause_fail(cause, error, "the kernel doesn't export the slice of %s: %.160s", name,
			  said);
}

/* The kernel's export, then the journal: from then on it is a lease. */
static int grant(struct broker *broker, struct lease *lease, uint64_t ttl_ms, int *ret_fd,
		 struct cause *cause)
{
	struct device *device = lease->provider->device;
	struct source_grant grant = {.fd = -1};
	struct source_result result;
	int r;

	if (device->is_settling)
		return -EINPROGRESS;
	r = device->ops->export(device, lease, &grant);
	if (r == -EINPROGRESS)
		return r;
	if (r)
		return not_exported(lease, r, &grant.why, cause);
	lease->export_id = grant.export_id;
	lease_granted(lease, broker->now_ns(), ttl_ms);
	r = broker_journal_lease(broker, lease, broker->leases.count + 1);
	if (r) {
		device->ops->revoke(device, lease, &result);
		close(grant.fd);
		return cause_fail(cause, r, "no room to write down the lease");
	}
	*ret_fd = grant.fd;
	return 0;
}

static void enter(struct broker *broker, struct lease *lease, struct holder *holder)
{
	lease->account = account_ref(holder->account);
	lease->holder = holder;
	list_append(&holder->leases, &lease->link_of_holder);
	holder->nr_leases++;
	list_append(&lease->provider->leases, &lease->link_of_provider);
	lease->provider->nr_leases++;
	broker->leased_bytes += lease->size_bytes;
	broker_nonce_set(broker, lease, lease->nonce);
	broker->counters.granted++;
}

/* In both tables or in none. */
static int note(struct broker *broker, struct account *account, struct lease *lease,
		struct cause *cause)
{
	int r = lease_table_add(&broker->leases, lease);

	if (r)
		return cause_fail(cause, r, "no memory for a lease");
	r = lease_table_add(&account->leases, lease);
	if (!r)
		return 0;
	lease_table_remove(&broker->leases, lease);
	return cause_fail(cause, r, "no memory for a lease");
}

static int acquire(struct broker *broker, const struct acquire_request *request,
		   struct candidate *candidate, struct lease **ret_lease, int *ret_fd,
		   struct cause *cause)
{
	struct account *account = request->holder->account;
	struct lease *lease;
	int r;

	r = broker_choose(broker, request, candidate, cause);
	if (r)
		return r;
	lease = lease_new(request, candidate);
	if (!lease || deadlines_reserve(&broker->deadlines, broker->leases.count + 1)) {
		free(lease);
		return cause_fail(cause, -ENOMEM, "no memory for a lease");
	}
	r = make_token(broker, lease->token, cause);
	if (r)
		goto err_free;
	r = charge(broker, account, lease->size_bytes, cause);
	if (r)
		goto err_free;
	r = take_slices(lease, cause);
	if (r)
		goto err_discharge;
	lease->id = broker->next_lease_id;
	r = note(broker, account, lease, cause);
	if (r)
		goto err_give;
	r = grant(broker, lease, candidate->decision.ttl_ms, ret_fd, cause);
	if (r)
		goto err_remove;
	broker->next_lease_id++;
	enter(broker, lease, request->holder);
	*ret_lease = lease;
	return 0;

err_remove:
	lease_table_remove(&account->leases, lease);
	lease_table_remove(&broker->leases, lease);
err_give:
	for (uint32_t i = 0; i < lease->nr_ranges; i++)
		slices_give(&lease->provider->slices, lease->ranges[i].offset_bytes,
			    lease->ranges[i].length_bytes, lease->mode == WIRE_MODE_SHARED);
err_discharge:
	account_discharge(account, ACCOUNT_LEASES, 1);
	account_discharge(account, ACCOUNT_BYTES, lease->size_bytes);
err_free:
	free(lease);
	return r;
}

static void tell_denied(struct broker *broker, const struct acquire_request *request, int error,
			const struct policy_decision *decision)
{
	struct wire_event_monitor event = {
		.type = WIRE_MONITOR_LEASE_DENIED,
		.size_bytes = broker_wanted_bytes(request),
		.uid = request->subject.uid,
		.pid = request->holder->pid,
		.error = error,
		.time_ns = broker->now_ns(),
	};

	broker->counters.denied++;
	wire_text_set(event.provider, sizeof(event.provider), request->wire->selector);
	wire_text_set(event.label, sizeof(event.label), request->wire->label);
	broker->ops->happened(broker->data, &event, decision);
}

int broker_acquire(struct broker *broker, const struct acquire_request *request,
		   struct lease **ret_lease, int *ret_fd, struct cause *cause)
{
	struct candidate candidate = {0};
	struct lease *before = broker_nonce_find(broker, request);
	int r;

	if (before) {
		r = broker_grant_again(broker, before, request, ret_fd, cause);
		if (!r)
			*ret_lease = before;
		return r;
	}
	r = acquire(broker, request, &candidate, ret_lease, ret_fd, cause);
	if (r == -EINPROGRESS)
		return r;
	if (r) {
		tell_denied(broker, request, r, candidate.provider ? &candidate.decision : NULL);
		return r;
	}
	broker_happened(broker, WIRE_MONITOR_LEASE_GRANTED, *ret_lease, &candidate.decision);
	broker_step(broker, *ret_lease, LEASE_NOTHING);
	return 0;
}
