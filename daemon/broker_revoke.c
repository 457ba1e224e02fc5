// SPDX-License-Identifier: MIT
/*
 * Taking back on somebody's word: an administrator's, or a new policy's.
 *
 * Each revocation marks and tells, and comes back; deadlines do the rest. A walk over all
 * leases goes by id, so that it bears what ends on the way.
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

/* Must it go because another lease of the same function must? */
static bool is_drawn_in(const struct revoke_scope *scope, const struct lease *lease)
{
	const struct device *device = lease->provider->device;

	if (!scope->is_function || lease->force != WIRE_FORCE_FUNCTION || !device)
		return false;
	list_for_each_entry(provider, &device->providers, struct provider, link_of_device)
		list_for_each_entry(other, &provider->leases, struct lease, link_of_provider)
			if (is_in_scope(scope, other))
				return true;
	return false;
}

void broker_revoke(struct broker *broker, const struct revoke_scope *scope, uint32_t reason,
		   uint64_t deadline_ms, struct wire_revoke_reply *ret_reply)
{
	struct lease *lease;

	memset(ret_reply, 0, sizeof(*ret_reply));
	for (uint64_t id = 0; (lease = lease_table_after(&broker->leases, id));) {
		id = lease->id;
		if (!is_in_scope(scope, lease) && !is_drawn_in(scope, lease))
			continue;
		if (lease->state == WIRE_LEASE_ACTIVE)
			ret_reply->nr_leases++;
		broker_step(broker, lease,
			    lease_revoke(lease, broker->now_ns(), reason, deadline_ms));
		/* Its time is over, and it is still there: somebody can't be revoked. */
		lease = lease_table_find(&broker->leases, id);
		if (lease && lease->deadline_ns <= broker->now_ns())
			ret_reply->nr_busy++;
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
	struct policy_request request = {
		.provider = &lease->provider->identity,
		.mode = lease->mode,
		.access = lease->access,
		.flags = lease->flags,
		.size_bytes = lease->size_bytes,
	};
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

void broker_policy_replace(struct broker *broker, struct policy *policy)
{
	uint64_t deadline_ms = policy_settings(policy)->revoke_deadline_ms;
	struct wire_event_monitor event = {.type = WIRE_MONITOR_POLICY_LOADED};
	struct lease *lease;

	policy_free(broker->policy);
	broker->policy = policy;
	broker->policy_generation++;
	broker->accounts.limits = policy_settings(policy)->limits;
	event.time_ns = broker->now_ns();
	broker->ops->happened(broker->data, &event, NULL);
	for (uint64_t id = 0; (lease = lease_table_after(&broker->leases, id));) {
		id = lease->id;
		if (lease->state == WIRE_LEASE_ACTIVE && lease->holder &&
		    !broker_is_allowed(broker, lease))
			broker_step(broker, lease,
				    lease_revoke(lease, broker->now_ns(), WIRE_REASON_POLICY,
						 deadline_ms));
	}
}
