// SPDX-License-Identifier: MIT
/* Revocation on a real kernel: who can still reach the memory, and who is told. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "selftest.h"

static sigjmp_buf before_touch;

static void on_sigbus(int signal_number)
{
	(void)signal_number;
	siglongjmp(before_touch, 1);
}

static bool raises_sigbus(const volatile uint8_t *memory)
{
	if (sigsetjmp(before_touch, 1))
		return true;
	(void)*memory;
	return false;
}

/* After the revocation nothing reaches the memory, and every call says so. */
static void check_end(struct p2pdma_buffer *buffer, struct p2pdma_mr *mr, const uint8_t *window)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_event event = P2PDMA_EVENT_INIT;
	struct p2pdma_mr *other;
	struct ibv_mr *bare;
	void *address;
	int r;

	tap_ok(wait_event(P2PDMA_EVENT_REVOKED, 1000, &event) && event.buffer == buffer &&
		       event.reason == P2PDMA_REASON_OWNER,
	       "event_says_revoked_by_owner", (long)event.reason);
	tap_ok(p2pdma_mr_enter(mr) == -ESTALE, "enter_after_revoke_estale", 0);
	r = transfer(IBV_WR_RDMA_WRITE, 0, PAGE, 0, p2pdma_mr_rkey(mr));
	tap_ok(r == IBV_WC_REM_ACCESS_ERR, "write_after_revoke_is_refused", r);
	r = transfer(IBV_WR_RDMA_READ, 0, PAGE, 0, p2pdma_mr_rkey(mr));
	tap_ok(r == IBV_WC_REM_ACCESS_ERR, "read_after_revoke_is_refused", r);
	tap_ok(raises_sigbus(window) && raises_sigbus(window + SLICE - 1),
	       "cpu_after_revoke_sigbus", 0);
	r = p2pdma_mr_register(selftest.pair.pd, buffer, 0, PAGE, 0, ACCESS, &other);
	tap_ok(r == -ESTALE, "register_after_revoke_estale", r);
	r = p2pdma_buffer_map(buffer, 0, PAGE, P2PDMA_MAP_READ, &address);
	tap_ok(r == -ESTALE, "map_after_revoke_estale", r);
	/* Past the library as well: the descriptor is worth nothing. */
	bare = ibv_reg_dmabuf_mr(selftest.pair.pd, 0, PAGE, 0, p2pdma_buffer_fd(buffer), ACCESS);
	tap_ok(!bare, "bare_register_after_revoke_fails", 0);
	r = p2pdma_buffer_query(buffer, &status);
	tap_ok(!r && status.state == P2PDMA_BUFFER_REVOKED && status.nr_mappings == 0,
	       "query_after_revoke_says_so", (long)status.state);
	tap_ok(!p2pdma_mr_deregister(mr), "deregister_after_revoke_succeeds", 0);
}

static void revoke_idle(void)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_buffer *buffer = new_buffer(0, SLICE, 0);
	struct p2pdma_mr *mr = buffer ? new_mr(buffer) : NULL;
	uint8_t *window = mr ? new_map(buffer) : NULL;
	int r;

	if (!window)
		return;
	drain_events();
	tap_ok(!raises_sigbus(window), "cpu_before_revoke_reads", 0);
	r = p2pdma_buffer_revoke(buffer, 0, 1000, &result);
	tap_ok(!r && result.nr_buffers == 1 && result.nr_posts == 0, "revoke_succeeds", r);
	if (selftest.backend == P2PDMA_BACKEND_EXPORT)
		tap_ok(result.nr_mappings == 1 && result.nr_remaining == 0,
		       "revoke_counts_the_mapping", result.nr_mappings);
	check_end(buffer, mr, window);
	r = p2pdma_buffer_revoke(buffer, 0, 1000, &result);
	tap_ok(!r && result.nr_buffers == 0, "revoke_twice_is_idempotent", r);
	p2pdma_buffer_free(buffer);
	/* The slice can be exported anew, and holds what it held. */
	buffer = new_buffer(0, SLICE, 0);
	mr = buffer ? new_mr(buffer) : NULL;
	if (!mr)
		return;
	r = transfer(IBV_WR_RDMA_WRITE, 0, SLICE, 0, p2pdma_mr_rkey(mr));
	tap_ok(!r, "export_again_after_revoke_works", r);
	tap_ok(!p2pdma_mr_deregister(mr), "deregister_again", 0);
	p2pdma_buffer_free(buffer);
}

static void revoke_with_post_inside(void)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_buffer *buffer = new_buffer(0, SLICE, 0);
	struct p2pdma_mr *mr = buffer ? new_mr(buffer) : NULL;
	int r;

	if (!mr)
		return;
	tap_ok(!p2pdma_mr_enter(mr), "enter_before_revoke", 0);
	r = p2pdma_buffer_revoke(buffer, 0, 50, &result);
	tap_ok(!r && result.nr_posts == 1 && result.duration_ns >= 50000000,
	       "revoke_waits_and_counts_the_post", (long)result.nr_posts);
	tap_ok(p2pdma_mr_deregister(mr) == -EBUSY, "deregister_inside_ebusy", 0);
	p2pdma_mr_exit(mr);
	tap_ok(!p2pdma_mr_deregister(mr), "deregister_outside_succeeds", 0);
	p2pdma_buffer_free(buffer);
}

static struct {
	struct p2pdma_mr *mr;
	unsigned int done;
	int answer;
	int r;
} traffic;

static void *write_on(void *unused)
{
	while (!(traffic.answer = p2pdma_mr_enter(traffic.mr))) {
		struct rc_remote remote = {0, p2pdma_mr_rkey(traffic.mr)};
		enum ibv_wc_status status = IBV_WC_GENERAL_ERR;

		traffic.r = rc_pair_post(&selftest.pair, IBV_WR_RDMA_WRITE, 0, SLICE, &remote);
		p2pdma_mr_exit(traffic.mr);
		if (!traffic.r)
			traffic.r = rc_pair_wait(&selftest.pair, 10000, &status);
		if (traffic.r || (status && rc_pair_reconnect(&selftest.pair)))
			break;
		__atomic_fetch_add(&traffic.done, 1, __ATOMIC_RELAXED);
	}
	return unused;
}

static void revoke_under_traffic(void)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_buffer *buffer = new_buffer(0, SLICE, 0);
	pthread_t thread;
	int r;

	memset(&traffic, 0, sizeof(traffic));
	traffic.mr = buffer ? new_mr(buffer) : NULL;
	if (!traffic.mr || pthread_create(&thread, NULL, write_on, NULL))
		return;
	while (__atomic_load_n(&traffic.done, __ATOMIC_RELAXED) < 3)
		usleep(1000);
	r = p2pdma_buffer_revoke(buffer, 0, 5000, &result);
	pthread_join(thread, NULL);
	tap_ok(!r && result.nr_posts == 0, "revoke_under_traffic_succeeds", r);
	tap_ok(traffic.answer == -ESTALE && !traffic.r, "traffic_is_told", traffic.r);
	tap_ok(!p2pdma_mr_deregister(traffic.mr), "deregister_after_traffic", 0);
	p2pdma_buffer_free(buffer);
	/* The NIC itself is none the worse. */
	r = transfer(IBV_WR_RDMA_WRITE, 0, PAGE, (uintptr_t)selftest.pair.host + SLICE,
		     selftest.pair.host_mr->rkey);
	tap_ok(!r, "host_to_host_still_works", r);
}

void test_revocation(void)
{
	struct sigaction action = {.sa_handler = on_sigbus}, before;

	sigaction(SIGBUS, &action, &before);
	revoke_idle();
	revoke_with_post_inside();
	revoke_under_traffic();
	sigaction(SIGBUS, &before, NULL);
	drain_events();
}
