/* SPDX-License-Identifier: MIT */
#ifndef POLICY_TEST_H
#define POLICY_TEST_H

#include "common/wire.h"
#include "policy.h"

/*
 * What policy would say to a request that isn't made, and by which rule: for POLICY_TEST and for
 * `p2pd --check`. @test: who asks for what; its selector isn't looked at, and its uid, gid and groups
 * only stand in @subject, with all that is known beside them. With WIRE_POLICY_TEST_PUBLISH @provider is what
 * would be published. What the user holds already doesn't count.
 */
void policy_test(const struct policy *policy, const struct policy_subject *subject,
		 const struct identity *provider, const struct wire_policy_test *test,
		 struct wire_policy_test_reply *ret_reply);

#endif /* POLICY_TEST_H */
