// SPDX-License-Identifier: MIT
/* What administrators ask: every question, every answer, lists page by page, the monitor. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <p2pdma/p2pdma.h>

#include "fake_p2pd.h"

static void list_providers_page_by_page(void **state)
{
	struct p2pdma_broker_list *list = NULL;
	struct wire_list wire;

	p2pd_set_records(25, 4);
	assert_int_equal(p2pdma_broker_list_providers(*state, "class:03", &list), 0);
	assert_int_equal(p2pdma_broker_list_count(list), 25);
	assert_int_equal(p2pd_count(WIRE_PROVIDERS), 7);
	p2pd_last(WIRE_PROVIDERS, &wire, sizeof(wire));
	assert_string_equal(wire.selector, "class:03");
	assert_int_equal(wire.cursor, 24);
	assert_string_equal(p2pdma_broker_list_provider(list, 24)->name, "0000:01:00.0/24@1");
	assert_int_equal(p2pdma_broker_list_provider(list, 0)->backend, P2PDMA_BACKEND_VFIO);
	assert_int_equal(p2pdma_broker_list_provider(list, 0)->numa_node, -1);
	assert_null(p2pdma_broker_list_provider(list, 25));
	assert_null(p2pdma_broker_list_lease(list, 0));
	p2pdma_broker_list_free(list);
}

static void list_leases_grows(void **state)
{
	struct p2pdma_broker_list *list = NULL;
	struct wire_list wire;

	p2pd_set_records(200, 10);
	assert_int_equal(p2pdma_broker_list_leases(*state, NULL, 1000, &list), 0);
	assert_int_equal(p2pdma_broker_list_count(list), 200);
	p2pd_last(WIRE_LEASES, &wire, sizeof(wire));
	assert_int_equal(wire.uid, 1000);
	assert_string_equal(wire.selector, "");
	assert_int_equal(p2pdma_broker_list_lease(list, 199)->id, 200);
	assert_null(p2pdma_broker_list_provider(list, 0));
	p2pdma_broker_list_free(list);
	p2pd_set_records(0, 10);
	assert_int_equal(p2pdma_broker_list_leases(*state, NULL, 1000, &list), 0);
	assert_int_equal(p2pdma_broker_list_count(list), 0);
	p2pdma_broker_list_free(list);
	p2pdma_broker_list_free(NULL);
	assert_int_equal(p2pdma_broker_list_count(NULL), 0);
}

static void list_broken_reply_eproto(void **state)
{
	static const enum fake_twist twists[] = {TWIST_SHORT, TWIST_BODY, TWIST_FD, TWIST_OPCODE,
						 TWIST_TRUNCATED};
	struct p2pdma_broker_list *list = NULL;

	p2pd_set_records(8, 3);
	for (size_t i = 0; i < ARRAY_SIZE(twists); i++) {
		/* On the second page. */
		p2pd_twist(WIRE_LEASES, TWIST_NONE, 0, 1);
		p2pd_twist(WIRE_LEASES, twists[i], 0, 1);
		assert_int_equal(p2pdma_broker_list_leases(*state, NULL, 0, &list), -EPROTO);
		assert_null(list);
	}
	/* A page without an end. */
	p2pd_set_records(8, 0);
	assert_int_equal(p2pdma_broker_list_leases(*state, NULL, 0, &list), -EPROTO);
	p2pd_twist(WIRE_LEASES, TWIST_ERROR, -EINVAL, 1);
	assert_int_equal(p2pdma_broker_list_leases(*state, NULL, 0, &list), -EINVAL);
	assert_int_equal(p2pdma_broker_list_leases(*state, NULL, 0, NULL), -EINVAL);
	assert_int_equal(p2pdma_broker_list_leases(NULL, NULL, 0, &list), -EINVAL);
}

static void revoke_says_what(void **state)
{
	struct p2pdma_broker_revocation what = {
		.size_bytes = sizeof(what),
		.scope = P2PDMA_BROKER_SCOPE_PROVIDER,
		.flags = P2PDMA_REVOKE_FUNCTION,
		.lease_id = 3,
		.uid = 5,
		.deadline_ms = 250,
		.selector = "0000:01:00.0",
	};
	struct p2pdma_broker_count count = {.size_bytes = sizeof(count)};
	struct wire_revoke wire;

	assert_int_equal(p2pdma_broker_revoke(*state, &what, &count), 0);
	assert_int_equal(count.nr_leases, 2);
	assert_int_equal(count.nr_busy, 1);
	p2pd_last(WIRE_REVOKE, &wire, sizeof(wire));
	assert_int_equal(wire.scope, WIRE_SCOPE_PROVIDER);
	assert_int_equal(wire.flags, WIRE_REVOKE_FUNCTION);
	assert_int_equal(wire.deadline_ms, 250);
	assert_string_equal(wire.selector, "0000:01:00.0");
	/* What the scope doesn't use isn't sent. */
	assert_int_equal(wire.lease_id, 0);
	assert_int_equal(wire.uid, 0);
	p2pd_twist(WIRE_REVOKE, TWIST_ERROR, -EACCES, 1);
	assert_int_equal(p2pdma_broker_revoke(*state, &what, NULL), -EACCES);
	what.selector = NULL;
	assert_int_equal(p2pdma_broker_revoke(*state, &what, NULL), -EINVAL);
	what.scope = 9;
	assert_int_equal(p2pdma_broker_revoke(*state, &what, NULL), -EINVAL);
	what.scope = P2PDMA_BROKER_SCOPE_ALL;
	what.flags = 1U << 9;
	assert_int_equal(p2pdma_broker_revoke(*state, &what, NULL), -EINVAL);
	what.flags = 0;
	count.size_bytes = 4;
	assert_int_equal(p2pdma_broker_revoke(*state, &what, &count), -EINVAL);
	assert_int_equal(p2pdma_broker_revoke(*state, &what, NULL), 0);
}

static void drain_says_what(void **state)
{
	struct wire_drain wire;

	assert_int_equal(p2pdma_broker_drain(*state, "*", 5, 100, NULL), 0);
	p2pd_last(WIRE_DRAIN, &wire, sizeof(wire));
	assert_int_equal(wire.is_on, 1);
	assert_int_equal(wire.deadline_ms, 100);
	assert_int_equal(p2pdma_broker_drain(*state, NULL, 1, 0, NULL), -EINVAL);
	p2pd_twist(WIRE_DRAIN, TWIST_ERROR, -ENODEV, 1);
	assert_int_equal(p2pdma_broker_drain(*state, "*", 0, 0, NULL), -ENODEV);
}

static void text_comes_in_a_file(void **state)
{
	char *text = NULL;

	assert_int_equal(p2pdma_broker_text(*state, P2PDMA_BROKER_METRICS, &text), 0);
	assert_string_equal(text, "p2pd_leases 3\n");
	free(text);
	text = NULL;
	p2pd_twist(WIRE_STATS, TWIST_NO_FD, 0, 1);
	assert_int_equal(p2pdma_broker_text(*state, P2PDMA_BROKER_METRICS, &text), -EPROTO);
	p2pd_twist(WIRE_STATS, TWIST_FD, 0, 1);
	assert_int_equal(p2pdma_broker_text(*state, P2PDMA_BROKER_METRICS, &text), -EPROTO);
	p2pd_twist(WIRE_STATS, TWIST_BODY, 0, 1);
	assert_int_equal(p2pdma_broker_text(*state, P2PDMA_BROKER_METRICS, &text), -EPROTO);
	p2pd_twist(WIRE_STATS, TWIST_ERROR, -EACCES, 1);
	assert_int_equal(p2pdma_broker_text(*state, P2PDMA_BROKER_DUMP, &text), -EACCES);
	assert_int_equal(p2pdma_broker_text(*state, 7, &text), -EINVAL);
	assert_null(text);
}

static void policy_test_tells_the_rule(void **state)
{
	struct p2pdma_policy_question question = {
		.size_bytes = sizeof(question),
		.mode = P2PDMA_LEASE_EXCLUSIVE,
		.flags = P2PDMA_BUFFER_READ_ONLY,
		.uid = 1000,
		.selector = "0000:01:00.0/2",
		.unit = "job.slice",
		.length_bytes = MIB,
	};
	struct p2pdma_policy_answer answer = {.size_bytes = sizeof(answer)};
	struct wire_policy_test wire;

	assert_int_equal(p2pdma_policy_test(*state, &question, &answer), 0);
	assert_int_equal(answer.error, -EACCES);
	assert_string_equal(answer.rule, "nobody");
	assert_string_equal(answer.source, "p2pd.conf:3");
	p2pd_last(WIRE_POLICY_TEST, &wire, sizeof(wire));
	assert_string_equal(wire.unit, "job.slice");
	assert_int_equal(wire.access, WIRE_ACCESS_READ);
	assert_int_equal(wire.uid, 1000);
	p2pd_twist(WIRE_POLICY_TEST, TWIST_BODY, 0, 1);
	assert_int_equal(p2pdma_policy_test(*state, &question, &answer), -EPROTO);
	question.selector = NULL;
	assert_int_equal(p2pdma_policy_test(*state, &question, &answer), -EINVAL);
	assert_int_equal(p2pdma_policy_test(*state, &question, NULL), -EINVAL);
}

/* Behind the structure, and without any it is as long as it always was. */
static void policy_test_tells_groups_and_names(void **state)
{
	static uint32_t groups[WIRE_POLICY_TEST_GROUPS_MAX + 1] = {5, 4, 3};
	struct p2pdma_policy_question question = {
		.size_bytes = sizeof(question),
		.publish = "gpu-0",
		.groups = groups,
	};
	struct p2pdma_policy_answer answer = {.size_bytes = sizeof(answer)};
	struct {
		struct wire_policy_test wire;
		uint32_t groups[3];
	} sent;

	assert_int_equal(p2pdma_policy_test(*state, &question, &answer), 0);
	p2pd_last(WIRE_POLICY_TEST, &sent, WIRE_POLICY_TEST_FIRST_BYTES);
	assert_string_equal(sent.wire.selector, "published:gpu-0");
	assert_int_equal(sent.wire.flags, WIRE_POLICY_TEST_PUBLISH);
	question.nr_groups = 3;
	assert_int_equal(p2pdma_policy_test(*state, &question, &answer), 0);
	p2pd_last(WIRE_POLICY_TEST, &sent, sizeof(sent.wire) + sizeof(sent.groups));
	assert_int_equal(sent.wire.nr_groups, 3);
	assert_int_equal(sent.wire.groups_at, sizeof(sent.wire));
	assert_memory_equal(sent.groups, groups, sizeof(sent.groups));
	question.nr_groups = WIRE_POLICY_TEST_GROUPS_MAX;
	assert_int_equal(p2pdma_policy_test(*state, &question, &answer), 0);
	question.nr_groups++;
	assert_int_equal(p2pdma_policy_test(*state, &question, &answer), -E2BIG);
	question.nr_groups = 1;
	question.groups = NULL;
	assert_int_equal(p2pdma_policy_test(*state, &question, &answer), -EINVAL);
	question.nr_groups = 0;
	question.selector = "*";
	assert_int_equal(p2pdma_policy_test(*state, &question, &answer), -EINVAL);
}

static void send_monitor_event(uint32_t type, uint64_t lease_id)
{
	struct wire_event_monitor event = {
		.type = type,
		.lease_id = lease_id,
		.reason = WIRE_REASON_ADMIN,
		.provider = "0000:01:00.0/2@1",
	};

	p2pd_send_event(WIRE_EVENT_MONITOR, &event, sizeof(event));
}

static struct p2pdma_monitor_event next(struct p2pdma_monitor *monitor)
{
	struct p2pdma_monitor_event event = {.size_bytes = sizeof(event)};

	for (int i = 0; i < 50; i++) {
		struct pollfd fd = {.fd = p2pdma_monitor_fd(monitor), .events = POLLIN};

		assert_in_range(poll(&fd, 1, 5000), 0, 1);
		if (!p2pdma_monitor_next(monitor, &event))
			return event;
	}
	fail_msg("no event came");
	return event;
}

static void monitor_follows(void **state)
{
	struct p2pdma_monitor_event event = {.size_bytes = sizeof(event)};
	struct p2pdma_monitor *monitor = NULL;

	assert_int_equal(p2pdma_monitor_new(*state, &monitor), 0);
	assert_int_equal(p2pdma_monitor_next(monitor, &event), -EAGAIN);
	for (uint64_t i = 1; i <= 40; i++)
		send_monitor_event(WIRE_MONITOR_LEASE_ENDED, i);
	for (uint64_t i = 1; i <= 40; i++) {
		event = next(monitor);
		assert_int_equal(event.type, P2PDMA_MONITOR_LEASE_ENDED);
		assert_int_equal(event.lease_id, i);
		assert_int_equal(event.reason, P2PDMA_REASON_ADMIN);
		assert_string_equal(event.provider, "0000:01:00.0/2@1");
	}
	assert_int_equal(p2pdma_monitor_next(monitor, &event), -EAGAIN);
	assert_int_equal(p2pdma_monitor_next(NULL, &event), -EINVAL);
	assert_int_equal(p2pdma_monitor_next(monitor, NULL), -EINVAL);
	assert_int_equal(p2pdma_monitor_fd(NULL), -EINVAL);
	p2pdma_monitor_free(monitor);
	p2pdma_monitor_free(NULL);
}

static void monitor_says_what_it_missed(void **state)
{
	struct p2pdma_monitor *monitor = NULL;

	assert_int_equal(p2pdma_monitor_new(*state, &monitor), 0);
	p2pd_stop();
	p2pd_start();
	assert_int_equal(next(monitor).type, P2PDMA_MONITOR_LOST);
	send_monitor_event(WIRE_MONITOR_POLICY_LOADED, 0);
	assert_int_equal(next(monitor).type, P2PDMA_MONITOR_POLICY_LOADED);
	/* A broken event ends the connection, which is made again. */
	p2pd_send_event(WIRE_EVENT_MONITOR, "x", 1);
	assert_int_equal(next(monitor).type, P2PDMA_MONITOR_LOST);
	p2pdma_monitor_free(monitor);
}

static void monitor_refused(void **state)
{
	struct p2pdma_monitor *monitor = NULL;

	p2pd_twist(WIRE_MONITOR, TWIST_ERROR, -EACCES, 1);
	assert_int_equal(p2pdma_monitor_new(*state, &monitor), -EACCES);
	p2pd_twist(WIRE_MONITOR, TWIST_SERIAL, 0, 1);
	assert_int_equal(p2pdma_monitor_new(*state, &monitor), -EPROTO);
	p2pd_stop();
	assert_int_equal(p2pdma_monitor_new(*state, &monitor), -ECONNREFUSED);
	assert_null(monitor);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, p2pd_setup, p2pd_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(list_providers_page_by_page),
		CASE(list_leases_grows),
		CASE(list_broken_reply_eproto),
		CASE(revoke_says_what),
		CASE(drain_says_what),
		CASE(text_comes_in_a_file),
		CASE(policy_test_tells_the_rule),
		CASE(policy_test_tells_groups_and_names),
		CASE(monitor_follows),
		CASE(monitor_says_what_it_missed),
		CASE(monitor_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
