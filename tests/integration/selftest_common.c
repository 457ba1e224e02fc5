// SPDX-License-Identifier: MIT
/*
 * What the integration programs share: the report (TAP), the machine they run
 * on, RDMA transfers and events. They use the public headers alone. One thread.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selftest.h"

struct selftest selftest;

bool tap_ok(bool is_good, const char *name, long detail)
{
	selftest.nr_cases++;
	selftest.nr_failed += !is_good;
	printf("%sok %d - %s\n", is_good ? "" : "not ", selftest.nr_cases, name);
	if (!is_good)
		printf("# %ld; %s\n", detail, p2pdma_context_error(selftest.context));
	return is_good;
}

void tap_skip(const char *name, const char *why)
{
	printf("ok %d - %s # SKIP %s\n", ++selftest.nr_cases, name, why);
}

int tap_done(void)
{
	printf("1..%d\n", selftest.nr_cases);
	return selftest.nr_failed ? 1 : 0;
}

static void must(const char *what, int r)
{
	if (!r)
		return;
	printf("Bail out! %s: %s: %s\n", what, strerror(-r),
	       p2pdma_context_error(selftest.context));
	exit(1);
}

void selftest_open(const char *provider, const char *device, uint32_t backend)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	selftest.backend = backend;
	must("opening libp2pdma", p2pdma_context_open(NULL, &selftest.context));
	must(provider, p2pdma_provider_find(selftest.context, provider, &selftest.provider));
	must(device, rc_pair_open(&selftest.pair, device, (size_t)2 * SLICE));
}

void selftest_close(void)
{
	rc_pair_close(&selftest.pair);
	p2pdma_provider_unref(selftest.provider);
	p2pdma_context_close(selftest.context);
	selftest.context = NULL;
}

struct p2pdma_buffer *new_buffer(uint64_t offset, uint64_t bytes, uint32_t flags)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_range range = {offset, bytes};
	struct p2pdma_buffer *buffer = NULL;
	int r;

	options.backend = selftest.backend;
	options.flags = flags;
	r = p2pdma_buffer_new(selftest.context, selftest.provider, &range, 1, &options, &buffer);
	if (r)
		tap_ok(false, "a buffer is exported", r);
	return buffer;
}

struct p2pdma_mr *new_mr(struct p2pdma_buffer *buffer)
{
	struct p2pdma_mr *mr = NULL;
	int r;

	r = p2pdma_mr_register(selftest.pair.pd, buffer, 0, p2pdma_buffer_size_bytes(buffer), 0,
			       ACCESS, &mr);
	if (r)
		tap_ok(false, "a buffer is registered", r);
	return mr;
}

void *new_map(struct p2pdma_buffer *buffer)
{
	void *address = NULL;
	int r;

	r = p2pdma_buffer_map(buffer, 0, p2pdma_buffer_size_bytes(buffer),
			      P2PDMA_MAP_READ | P2PDMA_MAP_WRITE, &address);
	if (r)
		tap_ok(false, "a buffer is mapped", r);
	return address;
}

int transfer(enum ibv_wr_opcode opcode, size_t host_offset, uint32_t bytes, uint64_t iova,
	     uint32_t rkey)
{
	struct rc_remote remote = {iova, rkey};
	enum ibv_wc_status status;
	int r;

	r = rc_pair_post(&selftest.pair, opcode, host_offset, bytes, &remote);
	if (!r)
		r = rc_pair_wait(&selftest.pair, 10000, &status);
	if (r)
		return r;
	if (status != IBV_WC_SUCCESS)
		must("reconnecting", rc_pair_reconnect(&selftest.pair));
	return (int)status;
}

bool wait_event(uint32_t type, int timeout_ms, struct p2pdma_event *ret_event)
{
	struct pollfd poll_fd = {p2pdma_context_fd(selftest.context), POLLIN, 0};

	for (;;) {
		struct p2pdma_event event = P2PDMA_EVENT_INIT;
		int r = p2pdma_next_event(selftest.context, &event);

		if (!r && event.type == type) {
			*ret_event = event;
			return true;
		}
		if (r == -EAGAIN && poll(&poll_fd, 1, timeout_ms) <= 0)
			return false;
	}
}

void drain_events(void)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	while (!p2pdma_next_event(selftest.context, &event))
		continue;
}

int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	if (!dir)
		return -1;
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}
