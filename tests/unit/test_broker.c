// SPDX-License-Identifier: MIT
/* The connection to p2pd: finding it, greeting it, and what becomes of a broken one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <p2pdma/p2pdma.h>

#include "fake_p2pd.h"

static int ask(void)
{
	struct p2pdma_broker_status status = {.size_bytes = sizeof(status)};

	return p2pdma_broker_query(p2pd_context(), &status);
}

static void query_tells(void **state)
{
	struct p2pdma_broker_status status = {.size_bytes = sizeof(status)};
	struct wire_hello hello;

	assert_int_equal(p2pdma_broker_query(*state, &status), 0);
	assert_string_equal(status.version, "0.1.0");
	assert_int_equal(status.pid, 7);
	assert_int_equal(status.policy_refused, 2);
	assert_int_equal(status.flags, P2PDMA_BROKER_IS_ADMIN);
	p2pd_last(WIRE_HELLO, &hello, sizeof(hello));
	assert_int_equal(hello.version_min, WIRE_VERSION_MIN);
	assert_int_equal(hello.version_max, WIRE_VERSION_MAX);
	assert_string_equal(hello.program, "test_broker");
	/* One connection for all of them. */
	assert_int_equal(ask(), 0);
	assert_int_equal(p2pd_count(WIRE_HELLO), 1);
	assert_int_equal(p2pdma_broker_query(NULL, &status), -EINVAL);
	assert_int_equal(p2pdma_broker_query(*state, NULL), -EINVAL);
}

static void query_nobody_there_econnrefused(void **state)
{
	(void)state;
	p2pd_stop();
	assert_int_equal(ask(), -ECONNREFUSED);
	assert_p2pd_cause("p2pd isn't there");
	p2pd_remove_socket();
	assert_int_equal(ask(), -ECONNREFUSED);
	/* At once when it is there. */
	p2pd_start();
	assert_int_equal(ask(), 0);
}

static void query_forbidden_socket_eacces(void **state)
{
	char path[80];

	(void)state;
	if (!geteuid() && setegid(65534) == 0 && seteuid(65534))
		fail();
	snprintf(path, sizeof(path), "%s/p2pd.sock", fake.root);
	if (!getuid()) {
		assert_int_equal(ask(), -EACCES);
		assert_int_equal(seteuid(0), 0);
		assert_int_equal(setegid(0), 0);
	} else {
		assert_int_equal(chmod(path, 0), 0);
		assert_int_equal(ask(), -EACCES);
	}
	assert_p2pd_cause("may not be opened");
}

static void query_direct_eopnotsupp(void **state)
{
	struct p2pdma_broker_status status = {.size_bytes = sizeof(status)};
	struct p2pdma_context *direct =
		fake_open_context(P2PDMA_CONTEXT_NO_HOTPLUG | P2PDMA_CONTEXT_DIRECT);

	(void)state;
	assert_int_equal(p2pdma_broker_query(direct, &status), -EOPNOTSUPP);
	assert_non_null(strstr(p2pdma_context_error(direct), "P2PDMA_CONTEXT_DIRECT"));
	p2pdma_context_close(direct);
	assert_int_equal(p2pd_count(WIRE_HELLO), 0);
}

static void open_environment_names_socket(void **state)
{
	struct p2pdma_broker_status status = {.size_bytes = sizeof(status)};
	struct p2pdma_context_options options = P2PDMA_CONTEXT_OPTIONS_INIT;
	struct p2pdma_context *context = NULL;
	char path[200];

	(void)state;
	options.flags = P2PDMA_CONTEXT_NO_HOTPLUG;
	snprintf(path, sizeof(path), "%s/p2pd.sock", fake.root);
	setenv("P2PDMA_SOCKET", path, 1);
	assert_int_equal(p2pdma_context_open(&options, &context), 0);
	assert_int_equal(p2pdma_broker_query(context, &status), 0);
	p2pdma_context_close(context);
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	setenv("P2PDMA_SOCKET", path, 1);
	assert_int_equal(p2pdma_context_open(&options, &context), -EINVAL);
	unsetenv("P2PDMA_SOCKET");
}

static void hello_other_version_eproto(void **state)
{
	(void)state;
	p2pd_twist(WIRE_HELLO, TWIST_BODY, 0, 1);
	assert_int_equal(ask(), -EPROTO);
	p2pd_twist(WIRE_HELLO, TWIST_ERROR, -EPROTONOSUPPORT, 1);
	assert_int_equal(ask(), -EPROTONOSUPPORT);
	assert_p2pd_cause("p2pd's own sentence");
	p2pd_twist(WIRE_HELLO, TWIST_ERROR, -EACCES, 1);
	assert_int_equal(ask(), -EACCES);
	p2pd_twist(WIRE_HELLO, TWIST_SHORT, 0, 1);
	assert_int_equal(ask(), -EPROTO);
	/* A longer greeting is one of a later version. */
	p2pd_twist(WIRE_HELLO, TWIST_LONG, 0, 1);
	assert_int_equal(ask(), 0);
}

static void hello_silent_etimedout(void **state)
{
	(void)state;
	p2pd_twist(WIRE_HELLO, TWIST_SILENT, 0, 1);
	assert_int_equal(ask(), -ETIMEDOUT);
	assert_p2pd_cause("1000 ms");
	assert_int_equal(ask(), 0);
}

static void call_silent_etimedout_then_goes_on(void **state)
{
	(void)state;
	assert_int_equal(ask(), 0);
	p2pd_twist(WIRE_STATUS, TWIST_LATE, 1200, 1);
	assert_int_equal(ask(), -ETIMEDOUT);
	/* The late reply is nobody's, and the connection is still good. */
	assert_int_equal(ask(), 0);
	assert_int_equal(p2pd_count(WIRE_HELLO), 1);
}

static void call_broken_reply_eproto(void **state)
{
	static const enum fake_twist twists[] = {TWIST_SHORT,  TWIST_TRUNCATED, TWIST_SIZE,
						 TWIST_SERIAL, TWIST_OPCODE,	TWIST_FD,
						 TWIST_BODY,   TWIST_TWO_FDS};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(twists); i++) {
		assert_int_equal(ask(), 0);
		p2pd_twist(WIRE_STATUS, twists[i], 0, 1);
		assert_int_equal(ask(), -EPROTO);
	}
	assert_int_equal(ask(), 0);
	p2pd_twist(WIRE_STATUS, TWIST_LONG, 0, 1);
	assert_int_equal(ask(), 0);
}

static void call_error_has_the_sentence(void **state)
{
	(void)state;
	p2pd_twist(WIRE_STATUS, TWIST_ERROR, -EDQUOT, 1);
	assert_int_equal(ask(), -EDQUOT);
	assert_string_equal(p2pdma_context_error(p2pd_context()), "p2pd's own sentence");
	/* No error of ours is positive. */
	p2pd_twist(WIRE_STATUS, TWIST_ERROR, 5, 1);
	assert_int_equal(ask(), -EPROTO);
	p2pd_twist(WIRE_STATUS, TWIST_ERROR, -2000000000, 1);
	assert_int_equal(ask(), -EPROTO);
}

static void call_dropped_is_asked_again(void **state)
{
	(void)state;
	assert_int_equal(ask(), 0);
	p2pd_twist(WIRE_STATUS, TWIST_DROP, 0, 2);
	assert_int_equal(ask(), 0);
	assert_int_equal(p2pd_count(WIRE_STATUS), 4);
	assert_int_equal(p2pd_count(WIRE_HELLO), 3);
	/* But not forever. */
	p2pd_twist(WIRE_STATUS, TWIST_DROP, 0, 100);
	assert_int_equal(ask(), -ECONNRESET);
	assert_true(p2pd_count(WIRE_STATUS) < 12);
}

static void event_unknown_is_skipped(void **state)
{
	uint8_t body[40] = {1, 2, 3};

	(void)state;
	assert_int_equal(ask(), 0);
	p2pd_send_event(99, body, sizeof(body));
	p2pd_send_lease_event(WIRE_EVENT_REVOKED, 12345, WIRE_REASON_ADMIN, 0);
	assert_int_equal(ask(), 0);
	assert_int_equal(p2pd_count(WIRE_HELLO), 1);
}

static void event_broken_ends_the_connection(void **state)
{
	struct wire_header header = {.size_bytes = sizeof(header), .opcode = WIRE_EVENT_REVOKED};
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	assert_int_equal(ask(), 0);
	p2pd_send_raw(&header, sizeof(header));
	assert_int_equal(p2pdma_next_event(*state, &event), -EAGAIN);
	header.opcode |= WIRE_REPLY;
	assert_int_equal(ask(), 0);
	assert_int_equal(p2pd_count(WIRE_HELLO), 2);
	p2pd_send_raw(&header, sizeof(header));
	assert_int_equal(p2pdma_next_event(*state, &event), -EAGAIN);
	assert_int_equal(ask(), 0);
	assert_int_equal(p2pd_count(WIRE_HELLO), 3);
	p2pd_send_raw("x", 1);
	assert_int_equal(p2pdma_next_event(*state, &event), -EAGAIN);
	assert_int_equal(ask(), 0);
	assert_int_equal(p2pd_count(WIRE_HELLO), 4);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, p2pd_setup, p2pd_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(query_tells),
		CASE(query_nobody_there_econnrefused),
		CASE(query_forbidden_socket_eacces),
		CASE(query_direct_eopnotsupp),
		CASE(open_environment_names_socket),
		CASE(hello_other_version_eproto),
		CASE(hello_silent_etimedout),
		CASE(call_silent_etimedout_then_goes_on),
		CASE(call_broken_reply_eproto),
		CASE(call_error_has_the_sentence),
		CASE(call_dropped_is_asked_again),
		CASE(event_unknown_is_skipped),
		CASE(event_broken_ends_the_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
