// SPDX-License-Identifier: MIT
/*
 * Requests of administrators: REVOKE, DRAIN, and what policy would say.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "report/log.h"
#include "policy/test.h"
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

/*
 * The groups behind the body, which may be longer than we know it; nothing may follow them. As
 * load_ranges() in lease.c.
 */
static int load_groups(struct request *request, gid_t *ret_groups)
{
	const struct wire_policy_test *test = &request->body.policy_test;
	const uint8_t *body = request->message->bytes + sizeof(struct wire_header);
	size_t body_bytes = request->message->size_bytes - sizeof(struct wire_header);
	size_t at = test->groups_at, bytes = test->nr_groups * sizeof(gid_t);

	if (test->nr_groups > WIRE_POLICY_TEST_GROUPS_MAX)
		return cause_fail(&request->cause, -EINVAL, "more than %zu groups",
				  WIRE_POLICY_TEST_GROUPS_MAX);
	if (!test->nr_groups && !at)
		at = body_bytes;
	else if (!test->nr_groups || at < sizeof(*test) || at % 8 || body_bytes != at + bytes)
		return cause_fail(&request->cause, -EINVAL,
				  "the request doesn't hold %" PRIu32 " groups at %" PRIu32,
				  test->nr_groups, test->groups_at);
	for (size_t i = sizeof(*test); i < at; i++)
		if (body[i])
			return cause_fail(&request->cause, -E2BIG,
					  "the request uses a field that this p2pd doesn't know");
	memcpy(ret_groups, body + at, bytes);
	policy_sort_groups(ret_groups, test->nr_groups);
	return 0;
}

static int check_test(struct request *request)
{
	const struct wire_policy_test *test = &request->body.policy_test;
	const struct policy_subject *self = &request->client->holder->subject;

	if (test->reserved ||
	    test->flags & ~(WIRE_ACQUIRE_MMAP_WC | WIRE_ACQUIRE_ALLOW_UNREVOCABLE |
			    WIRE_POLICY_TEST_PUBLISH))
		return cause_fail(&request->cause, -EINVAL, "a flag or a reserved field");
	if (!policy_is_admin(request->server->broker.policy, self) && test->uid != self->uid)
		return cause_fail(&request->cause, -EPERM,
				  "for others only administrators may ask");
	return 0;
}

/* What is asked about; it needn't be published to be asked whether it may. */
static int find_identity(struct request *request, const struct selector *selector,
			 struct identity *ret_identity)
{
	const struct wire_policy_test *test = &request->body.policy_test;
	const struct provider *provider;

	if (test->flags & WIRE_POLICY_TEST_PUBLISH) {
		if (selector->kind != SELECTOR_PUBLISHED || selector->is_prefix)
			return cause_fail(&request->cause, -EINVAL,
					  "\"%s\" is no name to publish: published:NAME",
					  test->selector);
		*ret_identity = (struct identity){.is_published = true};
		wire_text_set(ret_identity->name, sizeof(ret_identity->name), selector->published);
		return 0;
	}
	provider = provider_for(request, selector);
	if (!provider)
		return cause_fail(&request->cause, -ENODEV, "no provider matches \"%s\"",
				  test->selector);
	*ret_identity = provider->identity;
	return 0;
}

void request_policy_test(struct request *request)
{
	const struct wire_policy_test *test = &request->body.policy_test;
	const struct policy_subject *self = &request->client->holder->subject;
	const struct policy *policy = request->server->broker.policy;
	gid_t groups[WIRE_POLICY_TEST_GROUPS_MAX];
	struct policy_subject subject = {
		.uid = test->uid, .gid = test->gid, .groups = groups, .nr_groups = test->nr_groups};
	struct wire_policy_test_reply reply;
	struct identity identity;
	struct selector selector;
	int r;

	if (!request_selector(request, test->selector, &selector) ||
	    !request_text_is_sound(request, test->unit, sizeof(test->unit)))
		return;
	r = check_test(request);
	if (!r)
		r = load_groups(request, groups);
	if (!r)
		r = find_identity(request, &selector, &identity);
	if (r) {
		request_failed(request, r);
		return;
	}
	/* Whoever has groups told is another process of theirs; that is for administrators. */
	if (test->uid == self->uid && (!test->nr_groups || !policy_is_admin(policy, self))) {
		/* What ACQUIRE would know of it; where it isn't to be known, policy has a rule. */
		if (holder_watch(request->server, request->client->holder, request->client->fd,
				 request->server->room.holder) == 0)
			holder_learn_cgroup(request->client->holder, policy);
		subject = *self;
	}
	policy_test(policy, &subject, &identity, test, &reply);
	request_done(request, &reply);
}
