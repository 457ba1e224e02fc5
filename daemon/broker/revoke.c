// SPDX-License-Identifier: MIT
/*
 * Taking back on somebody's word: an administrator's, or a new policy's.
 *
 * Each revocation marks all, tells all and comes back; deadlines do the rest. Who waits longest to
 * be told waits for a packet to each of the others, and for nothing else. What is to go at once goes
 * one by one: the kernel's step may take its time, and who is through with it needn't wait. A walk
 * over all leases goes by id, so that it bears what ends on the way.
 */
#include <string.h>

#include "broker.h"

static bool is_in_scope(const struct revoke_scope *scope, const struct lease *lease)
{
	switch (scope->scope) {
	case WIRE_SCOPE_LEASE:
		return lease->id == scope->lease_id;
	case WIRE_SCOPE_PROVIDER:
		return selector_matches(&scope->selector, &lease->provider->identity);
	case WIRE_SCOPE_UID:
		return lease->uid == scope->uid;
	default:
		return scope->scope == WIRE_SCOPE_ALL;
	}
}

/* Whom the kernel can only force with all leases of its function; NULL: by itself. */
static struct device *function_of(const struct lease *lease)
{
	return lease->force == WIRE_FORCE_FUNCTION ? lease->provider->device : NULL;
}

/* Notes of which functions a lease is in scope; all others of theirs must go as well. */
static void draw_in(struct broker *broker, const struct revoke_scope *scope)
{
	struct lease *lease;

	list_for_each_entry(provider, &broker->providers, struct provider, link)
		if (provider->device)
			provider->device->is_drawn_in = false;
	for (uint64_t id = 0; (lease = lease_table_after(&broker->leases, id)); id = lease->id)
		if (function_of(lease) && is_in_scope(scope, lease))
			function_of(lease)->is_drawn_in = true;
}

static bool must_go(const struct revoke_scope *scope, const struct lease *lease)
{
	const struct device *device = scope->is_function ? function_of(lease) : NULL;

	return is_in_scope(scope, lease) || (device && device->is_drawn_in);
}

/* One revocation on its way. */
struct revocation {
	struct broker *broker;
	uint32_t reason;
	uint64_t deadline_ms;
	uint64_t now_ns;
	struct list marked;
};

static void begin(struct revocation *revocation, struct broker *broker, uint32_t reason,
		  uint64_t deadline_ms)
{
	*revocation = (struct revocation){
		.broker = broker,
		.reason = reason,
		.deadline_ms = deadline_ms,
		.now_ns = broker->now_ns(),
	};
	list_init(&revocation->marked);
}

/* False: its time is over, and it stays: somebody can't be revoked. */
static bool take(struct revocation *revocation, struct lease *lease)
{
	struct broker *broker = revocation->broker;
	uint64_t id = lease->id;
	enum lease_step step;

	step = lease_revoke(lease, revocation->now_ns, revocation->reason, revocation->deadline_ms);
	if (step == LEASE_TELL) {
		broker_mark(broker, lease, &revocation->marked);
		return true;
	}
	broker_step(broker, lease, step);
	lease = lease_table_find(&broker->leases, id);
	return !lease || lease->is_under_way || lease->deadline_ns > broker->now_ns();
}

/*
 * At once: where leases of one function can only go together they are all due before the first of them is
 * taken, which then takes the others along.
 */
static void mark_functions(struct revocation *revocation, const struct revoke_scope *scope,
			   struct wire_revoke_reply *reply)
{
	list_for_each_entry(provider, &revocation->broker->providers, struct provider, link) {
		if (!provider->device || provider->device->ops->force != WIRE_FORCE_FUNCTION)
			continue;
		list_for_each_entry(lease, &provider->leases, struct lease, link_of_provider) {
			if (!must_go(scope, lease))
				continue;
			reply->nr_leases += lease->state == WIRE_LEASE_ACTIVE;
			lease_revoke(lease, revocation->now_ns, revocation->reason, 0);
		}
	}
}

void broker_revoke(struct broker *broker, const struct revoke_scope *scope, uint32_t reason,
		   uint64_t deadline_ms, struct wire_revoke_reply *ret_reply)
{
	/* One by its id needn't be looked for. */
	bool is_one = scope->scope == WIRE_SCOPE_LEASE && !scope->is_function;
	uint64_t last = is_one ? scope->lease_id : UINT64_MAX;
	uint64_t id = is_one ? scope->lease_id - 1 : 0;
	struct revocation revocation;
	struct lease *lease;

	memset(ret_reply, 0, sizeof(*ret_reply));
	begin(&revocation, broker, reason, deadline_ms);
	if (scope->is_function)
		draw_in(broker, scope);
	if (!deadline_ms)
		mark_functions(&revocation, scope, ret_reply);
	while ((lease = lease_table_after(&broker->leases, id)) && lease->id <= last) {
		id = lease->id;
		if (!must_go(scope, lease))
			continue;
		ret_reply->nr_leases += lease->state == WIRE_LEASE_ACTIVE;
		ret_reply->nr_busy += !take(&revocation, lease);
	}
	broker_tell(broker, &revocation.marked);
}

void broker_end_unkept(struct broker *broker, bool is_journal_kept)
{
	struct lease *lease;

	for (uint64_t id = 0; (lease = lease_table_after(&broker->leases, id));) {
		const struct device *device = lease->provider->device;

		id = lease->id;
		if (!is_journal_kept || (device && !device->is_kept))
			broker_step(broker, lease,
				    lease_revoke(lease, broker->now_ns(), WIRE_REASON_SHUTDOWN, 0));
	}
}

static void journal_drain(struct broker *broker, const struct provider *provider)
{
	struct journal_drain record = {.is_on = provider->is_draining};

	wire_text_set(record.provider, sizeof(record.provider), provider->identity.name);
	journal_append(broker->journal, JOURNAL_DRAIN, &record, sizeof(record), 0);
}

void broker_drain(struct broker *broker, const struct selector *selector, bool is_on,
		  uint64_t deadline_ms, struct wire_revoke_reply *ret_reply)
{
	struct revoke_scope scope = {.scope = WIRE_SCOPE_PROVIDER, .selector = *selector};

	list_for_each_entry(provider, &broker->providers, struct provider, link) {
		if (!selector_matches(selector, &provider->identity) ||
		    provider->is_draining == is_on)
			continue;
		provider->is_draining = is_on;
		journal_drain(broker, provider);
		broker_provider_tell(broker, provider, WIRE_MONITOR_PROVIDER_CHANGED);
	}
	if (is_on)
		broker_revoke(broker, &scope, WIRE_REASON_DRAIN, deadline_ms, ret_reply);
	else
		memset(ret_reply, 0, sizeof(*ret_reply));
}

bool broker_is_allowed(struct broker *broker, const struct lease *lease)
{
	const struct device *device = lease->provider->device;
	struct policy_subject subject = {.uid = lease->uid, .gid = lease->gid};
	struct policy_request request = broker_request_of(lease);
	struct policy_decision decision;

	if (lease->holder)
		subject = lease->holder->subject;
	/* A publication's own terms, which may have changed with its publisher's return. */
	if (device && device->ops->is_for &&
	    !device->ops->is_for(device, &subject, lease->mode, lease->access))
		return false;
	policy_decide(broker->policy, &subject, &request, &decision);
	return decision.error == 0;
}

void broker_policy_refused(struct broker *broker, int error)
{
	struct wire_event_monitor event = {
		.type = WIRE_MONITOR_POLICY_REFUSED,
		.error = error,
		.time_ns = broker->now_ns(),
	};

	broker->policy_refused++;
	broker->counters.policies_refused++;
	broker->ops->happened(broker->data, &event, NULL);
}

void broker_policy_replace(struct broker *broker, struct policy *policy)
{
	struct revocation revocation;
	struct wire_event_monitor event = {.type = WIRE_MONITOR_POLICY_LOADED};
	struct lease *lease;

	policy_free(broker->policy);
	broker->policy = policy;
	broker->policy_generation++;
	broker->policy_refused = 0;
	broker->accounts.limits = policy_settings(policy)->limits;
	event.time_ns = broker->now_ns();
	broker->ops->happened(broker->data, &event, NULL);
	begin(&revocation, broker, WIRE_REASON_POLICY, policy_settings(policy)->revoke_deadline_ms);
	for (uint64_t id = 0; (lease = lease_table_after(&broker->leases, id));) {
		id = lease->id;
		if (lease->state == WIRE_LEASE_ACTIVE && lease->holder &&
		    !broker_is_allowed(broker, lease))
			take(&revocation, lease);
	}
	broker_tell(broker, &revocation.marked);
}
