// SPDX-License-Identifier: MIT
/*
 * Policy asked without a request.
 *
 * One answer for whoever asks, the administrator's client or `p2pd --check`: the same decision as
 * ACQUIRE or PUBLISH gets, made by the same function. No state, no I/O.
 */
#include "common/message.h"
#include "test.h"

void policy_test(const struct policy *policy, const struct policy_subject *subject,
		 const struct identity *provider, const struct wire_policy_test *test,
		 struct wire_policy_test_reply *ret_reply)
{
	struct policy_subject who = *subject;
	struct policy_request asked = {
		.provider = provider,
		.mode = test->mode,
		.access = test->access,
		.flags = test->flags & ~WIRE_POLICY_TEST_PUBLISH,
		.size_bytes = test->length_bytes,
		.ttl_ms = test->ttl_ms,
	};
	struct policy_decision decision;

	if (*test->unit)
		who.cgroup = test->unit;
	if (test->flags & WIRE_POLICY_TEST_PUBLISH)
		policy_decide_publish(policy, &who, provider->name, &decision);
	else
		policy_decide(policy, &who, &asked, &decision);
	*ret_reply = (struct wire_policy_test_reply){.error = decision.error};
	wire_text_set(ret_reply->rule, sizeof(ret_reply->rule), decision.rule);
	wire_text_set(ret_reply->source, sizeof(ret_reply->source), decision.source);
	wire_text_set(ret_reply->because, sizeof(ret_reply->because), decision.because);
}
