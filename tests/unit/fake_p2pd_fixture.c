// SPDX-License-Identifier: MIT
/* What tests with the fake p2pd begin and end with. */
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <p2pdma/p2pdma.h>

#include "fake_p2pd_state.h"

static struct p2pdma_context *context;

int p2pd_setup(void **state)
{
	struct p2pdma_context_options options = P2PDMA_CONTEXT_OPTIONS_INIT;
	struct context_roots roots = {.sys = &fake_sys, .verbs = &fake_verbs};
	char sysfs[80], dev[80], socket[80];

	fake_setup(state);
	memset(&p2pd, 0, sizeof(p2pd));
	p2pd_start();
	snprintf(sysfs, sizeof(sysfs), "%s/sys", fake.root);
	snprintf(dev, sizeof(dev), "%s/dev", fake.root);
	snprintf(socket, sizeof(socket), "%s/p2pd.sock", fake.root);
	roots.sysfs = sysfs;
	roots.dev = dev;
	roots.socket = socket;
	options.flags = P2PDMA_CONTEXT_NO_HOTPLUG;
	options.broker_timeout_ms = 1000;
	assert_int_equal(context_open(&options, &roots, &context), 0);
	*state = context;
	return 0;
}

int p2pd_teardown(void **state)
{
	p2pdma_context_close(context);
	p2pd_stop();
	return fake_teardown(state);
}

struct p2pdma_context *p2pd_context(void)
{
	return context;
}

/* Waits on the descriptor, as a program does. */
struct p2pdma_event p2pd_next_event(void)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	for (int i = 0; i < 50; i++) {
		struct pollfd fd = {.fd = p2pdma_context_fd(context), .events = POLLIN};

		if (!p2pdma_next_event(context, &event))
			return event;
		poll(&fd, 1, 1000);
	}
	fail_msg("no event came");
	return event;
}

void assert_p2pd_cause(const char *text)
{
	const char *cause = p2pdma_context_error(context);

	if (!strstr(cause, text))
		fail_msg("the cause \"%s\" doesn't say \"%s\"", cause, text);
}

struct p2pdma_buffer *p2pd_acquire(void)
{
	struct p2pdma_lease_request request = P2PDMA_LEASE_REQUEST_INIT;
	struct p2pdma_buffer *buffer = NULL;

	request.selector = "0000:01:00.0/2@77";
	request.length_bytes = MIB;
	request.label = "a test";
	assert_int_equal(p2pdma_lease_acquire(context, &request, &buffer), 0);
	return buffer;
}

struct p2pdma_lease_info p2pd_lease_info(struct p2pdma_buffer *buffer)
{
	struct p2pdma_lease_info info = P2PDMA_LEASE_INFO_INIT;

	assert_int_equal(p2pdma_lease_query(buffer, &info), 0);
	return info;
}
