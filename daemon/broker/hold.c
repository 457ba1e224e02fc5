// SPDX-License-Identifier: MIT
/*
 * What holders do with the leases they have: give back, say yes, prolong, take up
 * again; and what happens to leases when their holder loses its connection or dies.
 *
 * A lease belongs to the process that connected. Its connection may break without its
 * fault (the daemon was restarted): the lease then waits for the holder to come back
 * with the token, as the same user. Its death ends the lease at once.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "broker.h"

int broker_lease_missing(const struct broker *broker, uint64_t id, struct cause *cause)
{
	if (id && id < broker->next_lease_id)
		return cause_fail(cause, -ESTALE, "lease %" PRIu64 " is over", id);
	return cause_fail(cause, -ENOENT, "there is no lease %" PRIu64, id);
}

int broker_lease_of(struct broker *broker, const struct holder *holder, uint64_t id,
		    struct lease **ret_lease, struct cause *cause)
{
	struct lease *lease = lease_table_find(&broker->leases, id);

	if (!lease || lease->holder != holder)
		return broker_lease_missing(broker, id, cause);
	*ret_lease = lease;
	return 0;
}

void broker_release(struct broker *broker, struct lease *lease)
{
	broker_step(broker, lease, lease_release(lease, broker->now_ns()));
}

void broker_ack(struct broker *broker, struct lease *lease)
{
	broker_step(broker, lease, lease_ack(lease, broker->now_ns()));
}

int broker_renew(struct broker *broker, struct lease *lease, const struct policy_subject *subject,
		 uint64_t ttl_ms, struct cause *cause)
{
	struct policy_request request = broker_request_of(lease);
	uint64_t before_ns = lease->expires_ns;
	struct policy_decision decision;
	int r;

	if (lease->state != WIRE_LEASE_ACTIVE)
		return cause_fail(cause, -ESTALE, "lease %" PRIu64 " is being taken back (%s)",
				  lease->id, lease_reason_name(lease->reason));
	request.ttl_ms = ttl_ms;
	/* Without itself: it is there already. */
	request.held_leases = lease->account->used[ACCOUNT_LEASES] - 1;
	request.held_bytes = lease->account->used[ACCOUNT_BYTES] - lease->size_bytes;
	policy_decide(broker->policy, subject, &request, &decision);
	if (decision.error)
		return cause_fail(cause, decision.error, "%s", decision.because);
	r = lease_renew(lease, broker->now_ns(), decision.ttl_ms);
	if (r)
		return cause_fail(cause, r, "lease %" PRIu64 " can't be renewed", lease->id);
	r = broker_journal_state(broker, lease, broker->leases.count);
	if (r) {
		lease->expires_ns = before_ns;
		return cause_fail(cause, r, "no room to write down the renewal");
	}
	broker->counters.renewed++;
	broker_step(broker, lease, LEASE_NOTHING);
	return 0;
}

/* In constant time: how much of a guess was right must not show. */
static bool token_is_same(const uint8_t *a, const uint8_t *b)
{
	uint8_t difference = 0;

	for (size_t i = 0; i < WIRE_TOKEN_SIZE; i++)
		difference |= a[i] ^ b[i];
	return difference == 0;
}

/* The policy of this p2pd doesn't allow what an earlier one granted; the caller tells the holder. */
static void forbid(struct broker *broker, struct lease *lease)
{
	uint64_t deadline_ms = policy_settings(broker->policy)->revoke_deadline_ms;

	/* Never at once: whoever takes it up holds on to it until the answer. */
	lease_revoke(lease, broker->now_ns(), WIRE_REASON_POLICY, deadline_ms ? deadline_ms : 1);
	broker_journal_state(broker, lease, 0);
	broker_happened(broker, WIRE_MONITOR_LEASE_REVOKING, lease, NULL);
}

void broker_lease_move(struct broker *broker, struct lease *lease, struct holder *holder)
{
	struct holder *before = lease->holder;

	list_remove(&lease->link_of_holder);
	list_append(&holder->leases, &lease->link_of_holder);
	holder->nr_leases++;
	lease->holder = holder;
	lease->pid = holder->pid;
	lease_attach(lease);
	broker->counters.attached++;
	if (before && --before->nr_leases == 0 && !before->client)
		broker->ops->holder_idle(broker->data, before);
}

int broker_attach_check(struct broker *broker, const struct holder *holder,
			const struct wire_attach *attach, struct lease **ret_lease,
			struct cause *cause)
{
	struct lease *lease = lease_table_find(&broker->leases, attach->lease_id);

	if (!lease || !token_is_same(lease->token, attach->token) ||
	    lease->uid != holder->account->uid)
		return broker_lease_missing(broker, attach->lease_id, cause);
	*ret_lease = lease;
	return 0;
}

int broker_attach(struct broker *broker, struct holder *holder, const struct wire_attach *attach,
		  struct lease **ret_lease, struct cause *cause)
{
	struct lease *lease;
	struct holder *before;
	int r;

	r = broker_attach_check(broker, holder, attach, &lease, cause);
	if (r)
		return r;
	before = lease->holder;
	if (before == holder) {
		*ret_lease = lease;
		return 0;
	}
	if (broker_holder_is_there(broker, before))
		return cause_fail(cause, -EBUSY,
				  "lease %" PRIu64 " is held by a connection of process %d",
				  lease->id, (int)before->pid);
	broker_lease_move(broker, lease, holder);
	if (!before && lease->state == WIRE_LEASE_ACTIVE && !broker_is_allowed(broker, lease))
		forbid(broker, lease);
	else
		/* It waits for nobody any more, also in the eyes of the next p2pd. */
		broker_journal_state(broker, lease, 0);
	broker_step(broker, lease, LEASE_NOTHING);
	*ret_lease = lease;
	return 0;
}

bool broker_holder_is_there(const struct broker *broker, const struct holder *holder)
{
	/* Who lost it may be back on another connection before the loop comes to the old one. */
	return holder && holder->client && !broker->ops->is_broken(broker->data, holder);
}

void broker_holder_lost(struct broker *broker, struct holder *holder)
{
	uint64_t reattach_ms = policy_settings(broker->policy)->reattach_ms;

	holder->client = NULL;
	/* The last lease may take the holder along. */
	if (!holder->nr_leases) {
		broker->ops->holder_idle(broker->data, holder);
		return;
	}
	holder->nr_leases++;
	list_for_each_entry_safe(lease, &holder->leases, struct lease, link_of_holder)
		broker_step(broker, lease, lease_detach(lease, broker->now_ns(), reattach_ms));
	if (--holder->nr_leases == 0)
		broker->ops->holder_idle(broker->data, holder);
}

void broker_holder_died(struct broker *broker, struct holder *holder)
{
	broker->counters.deaths++;
	holder->nr_leases++;
	list_for_each_entry_safe(lease, &holder->leases, struct lease, link_of_holder)
		broker_step(broker, lease,
			    lease_revoke(lease, broker->now_ns(), WIRE_REASON_DEATH, 0));
	if (--holder->nr_leases == 0 && !holder->client)
		broker->ops->holder_idle(broker->data, holder);
}
