// SPDX-License-Identifier: MIT
/*
 * Publications that end though their publisher lives, or isn't there: by another policy, or by time.
 *
 * What policy doesn't allow any more gets no new leases at once, has its leases asked back, and ends
 * when their time is over; one that allows it again meanwhile finds it as it was. After a restart of p2pd
 * names that leases wait for have their time, too.
 */
#include <inttypes.h>

#include "report/log.h"
#include "publication_state.h"

static void forbid(struct broker *broker, struct publication *publication)
{
	uint64_t deadline_ms = policy_settings(broker->policy)->revoke_deadline_ms;
	struct provider *provider = publication->provider;

	publication->ends_ns = broker->now_ns() + deadline_ms * 1000000 + 1;
	log_event(P2PD_LOG_INFO,
		  "user %" PRIu32 " may not publish \"%s\" any more: it ends within %" PRIu64 " ms",
		  (uint32_t)provider->publisher_uid, provider->identity.name, deadline_ms);
	broker_provider_tell(broker, provider, WIRE_MONITOR_PROVIDER_CHANGED);
	list_for_each_entry_safe(lease, &provider->leases, struct lease, link_of_provider)
		if (lease->state == WIRE_LEASE_ACTIVE)
			broker_step(broker, lease,
				    lease_revoke(lease, broker->now_ns(), WIRE_REASON_POLICY,
						 deadline_ms));
}

void publications_judge(struct server *server)
{
	struct broker *broker = &server->broker;

	list_for_each_entry_safe(provider, &broker->providers, struct provider, link) {
		struct publication *publication;
		struct policy_decision decision;

		if (!provider->identity.is_published || !provider->device)
			continue;
		publication = publication_of(provider->device);
		/* The first policy that goes by them judges publishers whose control group isn't known yet. */
		holder_learn_cgroup(publication->publisher, broker->policy);
		policy_decide_publish(broker->policy, &publication->publisher->subject,
				      provider->identity.name, &decision);
		if (decision.error && !publication->ends_ns) {
			forbid(broker, publication);
		} else if (!decision.error && publication->ends_ns) {
			publication->ends_ns = 0;
			broker_provider_tell(broker, provider, WIRE_MONITOR_PROVIDER_CHANGED);
		}
	}
	server_await_publishers(server);
}

/* Its publisher may have lost its connection, and have nothing else. */
static void end_forbidden(struct server *server, struct publication *publication)
{
	struct holder *publisher = publication->publisher;

	publisher->nr_leases++;
	publication_end_one(publication, WIRE_REASON_POLICY);
	if (--publisher->nr_leases == 0 && !publisher->client)
		server->broker.ops->holder_idle(server, publisher);
}

uint64_t publications_due(struct server *server, uint64_t now_ns)
{
	uint64_t next_ns = 0;

	list_for_each_entry_safe(provider, &server->broker.providers, struct provider, link) {
		uint64_t until_ns = provider->publisher_until_ns;
		struct publication *publication = NULL;

		if (!provider->identity.is_published || provider->is_gone)
			continue;
		if (provider->device) {
			publication = publication_of(provider->device);
			until_ns = publication->ends_ns;
			if (!until_ns)
				continue;
		}
		if (until_ns > now_ns && (!publication || provider->nr_leases)) {
			if (!next_ns || until_ns < next_ns)
				next_ns = until_ns;
		} else if (publication) {
			end_forbidden(server, publication);
		} else {
			broker_provider_remove(&server->broker, provider, WIRE_REASON_PUBLISHER);
		}
	}
	return next_ns;
}
