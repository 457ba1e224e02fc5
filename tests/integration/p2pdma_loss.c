// SPDX-License-Identifier: MIT
/*
 * p2pdma_loss PROVIDER RDMADEV memory|nic: what a program sees when a device is
 * taken from under it. Registers a buffer, prints READY, waits until somebody
 * removes the memory's function, or the NIC, and then checks that it is told
 * and that everything can be put away (TAP).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "selftest.h"

#define PATIENCE_MS 60000

static void lose_memory(struct p2pdma_buffer *buffer, struct p2pdma_mr *mr)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_event event = P2PDMA_EVENT_INIT;
	struct p2pdma_mr *other;
	void *address;
	int r;

	tap_ok(wait_event(P2PDMA_EVENT_REVOKED, PATIENCE_MS, &event) && event.buffer == buffer &&
		       event.reason == P2PDMA_REASON_REMOVE,
	       "event_revoked_by_removal", (long)event.reason);
	tap_ok(wait_event(P2PDMA_EVENT_DEVICE_GONE, 5000, &event), "event_device_gone", 0);
	tap_ok(p2pdma_mr_enter(mr) == -ENODEV, "enter_after_removal_enodev", 0);
	r = transfer(IBV_WR_RDMA_WRITE, 0, PAGE, 0, p2pdma_mr_rkey(mr));
	tap_ok(r == IBV_WC_REM_ACCESS_ERR, "write_after_removal_is_refused", r);
	r = p2pdma_mr_register(selftest.pair.pd, buffer, 0, PAGE, 0, ACCESS, &other);
	tap_ok(r == -ENODEV, "register_after_removal_enodev", r);
	r = p2pdma_buffer_map(buffer, 0, PAGE, P2PDMA_MAP_READ, &address);
	tap_ok(r == -ENODEV, "map_after_removal_enodev", r);
	r = p2pdma_buffer_query(buffer, &status);
	tap_ok(!r && status.state == P2PDMA_BUFFER_GONE, "query_after_removal", (long)status.state);
	r = p2pdma_buffer_revoke(buffer, 0, 1000, NULL);
	tap_ok(!r, "revoke_after_removal_succeeds", r);
	r = transfer(IBV_WR_RDMA_WRITE, 0, PAGE, (uintptr_t)selftest.pair.host + SLICE,
		     selftest.pair.host_mr->rkey);
	tap_ok(!r, "host_to_host_still_works", r);
}

static void lose_nic(struct p2pdma_buffer *buffer)
{
	struct pollfd poll_fd = {selftest.pair.port.verbs->async_fd, POLLIN, 0};
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct ibv_async_event event = {.event_type = IBV_EVENT_COMM_EST};
	struct p2pdma_mr *mr;
	int r;

	while (event.event_type != IBV_EVENT_DEVICE_FATAL && poll(&poll_fd, 1, PATIENCE_MS) == 1 &&
	       !ibv_get_async_event(selftest.pair.port.verbs, &event))
		ibv_ack_async_event(&event);
	tap_ok(event.event_type == IBV_EVENT_DEVICE_FATAL, "nic_says_that_it_is_gone",
	       event.event_type);
	r = p2pdma_buffer_query(buffer, &status);
	tap_ok(!r && status.state == P2PDMA_BUFFER_ACTIVE, "buffer_outlives_the_nic",
	       (long)status.state);
	if (status.flags & P2PDMA_STATUS_COUNTED)
		tap_ok(status.nr_mappings == 0, "nothing_is_mapped_any_more", status.nr_mappings);
	r = p2pdma_mr_register(selftest.pair.pd, buffer, 0, PAGE, 0, ACCESS, &mr);
	tap_ok(r < 0, "register_with_a_lost_nic_fails", r);
}

int main(int argc, char **argv)
{
	struct p2pdma_buffer *buffer;
	struct p2pdma_mr *mr;
	int r;

	if (argc != 4) {
		story_tell("usage: p2pdma_loss PROVIDER RDMADEV memory|nic");
		return 2;
	}
	selftest_open(argv[1], argv[2], P2PDMA_BACKEND_AUTO);
	buffer = new_buffer(0, SLICE, 0);
	mr = buffer ? new_mr(buffer) : NULL;
	if (!mr)
		return 1;
	r = transfer(IBV_WR_RDMA_WRITE, 0, SLICE, 0, p2pdma_mr_rkey(mr));
	tap_ok(!r, "write_before_the_loss", r);
	drain_events();
	printf("# READY\n");
	if (!strcmp(argv[3], "memory"))
		lose_memory(buffer, mr);
	else
		lose_nic(buffer);
	tap_ok(!p2pdma_mr_deregister(mr), "deregister_after_the_loss_succeeds", 0);
	p2pdma_buffer_free(buffer);
	selftest_close();
	return tap_done();
}
