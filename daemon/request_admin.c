// SPDX-License-Identifier: MIT
/*
 * Requests of administrators: REVOKE, DRAIN, and what policy would say.
 */
#include <errno.h>
#include <inttypes.h>

#include "log.h"
#include "policy_test.h"
#include "request.h"

/* Where nothing matches, there is nobody to tell: a name that was mistyped must not look like success. */
static bool nothing_matches(struct request *request, const struct selector *selector)
{
	list_for_each_entry(provider, &request->server->broker.providers, struct provider, link)
		if (selector_matches(selector, &provider->identity))
			return false;
	request_refuse(request, -ENODEV, "no provider matches");
	return true;
}

void request_revoke(struct request *request)
{
	const struct wire_revoke *revoke = &request->body.revoke;
	struct broker *broker = &request->server->broker;
	struct revoke_scope scope = {
		.scope = revoke->scope,
		.lease_id = revoke->lease_id,
		.uid = revoke->uid,
		.is_function = revoke->flags & WIRE_REVOKE_FUNCTION,
	};
	struct wire_revoke_reply reply;

	if (!request_selector(request, revoke->selector, &scope.selector))
		return;
	if (revoke->scope < WIRE_SCOPE_LEASE || revoke->scope > WIRE_SCOPE_ALL ||
	    revoke->flags & ~WIRE_REVOKE_FUNCTION || revoke->reserved) {
		request_refuse(request, -EINVAL, "the scope, a flag or a reserved field");
		return;
	}
	if (scope.scope == WIRE_SCOPE_LEASE && !lease_table_find(&broker->leases, scope.lease_id)) {
		request_failed(request,
			       broker_lease_missing(broker, scope.lease_id, &request->cause));
		return;
	}
	if (scope.scope == WIRE_SCOPE_PROVIDER && nothing_matches(request, &scope.selector))
		return;
	broker_revoke(broker, &scope, WIRE_REASON_ADMIN, revoke->deadline_ms, &reply);
	log_client(request->client, P2PD_LOG_INFO,
		   "revokes (scope %" PRIu32 ", lease %" PRIu64 ", uid %" PRIu32
		   ", \"%s\") within %" PRIu64 " ms: %" PRIu32 " leases",
		   revoke->scope, revoke->lease_id, revoke->uid, revoke->selector,
		   revoke->deadline_ms, reply.nr_leases);
	request_done(request, &reply);
}

void request_drain(struct request *request)
{
	const struct wire_drain *drain = &request->body.drain;
	struct wire_revoke_reply reply;
	struct selector selector;

	if (request_waits_for_journal(request) ||
	    !request_selector(request, drain->selector, &selector))
		return;
	if (drain->is_on > 1 || drain->reserved) {
		request_refuse(request, -EINVAL, "DRAIN is switched with 0 or 1");
		return;
	}
	if (nothing_matches(request, &selector))
		return;
	log_client(request->client, P2PD_LOG_INFO, "drains \"%s\": %s", drain->selector,
		   drain->is_on ? "on" : "off");
	broker_drain(&request->server->broker, &selector, drain->is_on, drain->deadline_ms, &reply);
	request_done(request, &reply);
}

/* The first that matches stands for all. */
static const struct provider *provider_for(const struct request *request,
					   const struct selector *selector)
{
	list_for_each_entry(provider, &request->server->broker.providers, struct provider, link)
		if (selector_matches(selector, &provider->identity))
			return provider;
	return NULL;
}

void request_policy_test(struct request *request)
{
	const struct wire_policy_test *test = &request->body.policy_test;
	const struct policy_subject *self = &request->client->holder->subject;
	const struct policy *policy = request->server->broker.policy;
	struct policy_subject subject = {.uid = test->uid, .gid = test->gid};
	struct wire_policy_test_reply reply;
	const struct provider *provider;
	struct selector selector;

	if (!request_selector(request, test->selector, &selector) ||
	    !request_text_is_sound(request, test->unit, sizeof(test->unit)))
		return;
	if (!policy_is_admin(policy, self) && test->uid != self->uid) {
		request_refuse(request, -EPERM, "for others only administrators may ask");
		return;
	}
	provider = provider_for(request, &selector);
	if (!provider) {
		request_refuse(request, -ENODEV, "no provider matches \"%s\"", test->selector);
		return;
	}
	if (test->uid == self->uid) {
		/* What ACQUIRE would know of it; where it isn't to be known, policy has a rule. */
		if (holder_watch(request->server, request->client->holder, request->client->fd) ==
		    0)
			holder_learn_cgroup(request->client->holder, policy);
		subject = *self;
	}
	policy_test(policy, &subject, &provider->identity, test, &reply);
	request_done(request, &reply);
}
