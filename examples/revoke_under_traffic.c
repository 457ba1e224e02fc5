// SPDX-License-Identifier: MIT
/*
 * revoke_under_traffic PROVIDER RDMADEV [MS]: take memory back while it is used.
 *
 *	revoke_under_traffic 0000:01:00.0/2 rxe0
 *
 * A thread writes to a slice of the BAR by RDMA as fast as it can, each post
 * in the guard of p2pdma_mr_enter(). After MS milliseconds the slice is revoked.
 * The thread learns it at its next post, an event says it, a work request that
 * ignores all that is stopped, and the slice next to it holds what it held.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/rc_pair.h"
#include "common/story.h"

#define SLICE  (256U << 10)
#define ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE)

static struct p2pdma_context *context;
static struct p2pdma_provider *provider;
static struct p2pdma_buffer *buffers[2];
static struct p2pdma_mr *mrs[2];
static struct rc_pair pair;

static struct {
	unsigned long done, failed;
	int told;
} traffic;

static struct rc_remote remote_of(int i)
{
	return (struct rc_remote){p2pdma_mr_iova(mrs[i]), p2pdma_mr_rkey(mrs[i])};
}

static void *write_on(void *unused)
{
	struct rc_remote remote = remote_of(0);
	enum ibv_wc_status status;
	int r;

	while (!(traffic.told = p2pdma_mr_enter(mrs[0]))) {
		r = rc_pair_post(&pair, IBV_WR_RDMA_WRITE, 0, 65536, &remote);
		/* The guard covers the post; its completion may come after a revocation. */
		p2pdma_mr_exit(mrs[0]);
		if (!r && !rc_pair_wait(&pair, 10000, &status) && status == IBV_WC_SUCCESS)
			__atomic_fetch_add(&traffic.done, 1, __ATOMIC_RELAXED);
		else if (traffic.failed++, rc_pair_reconnect(&pair))
			break;
	}
	return unused;
}

static int prepare(const char *name, const char *device)
{
	struct rc_remote kept;
	int r;

	if (story_open(name, &context, &provider))
		return 1;
	r = rc_pair_open(&pair, device, 2 * SLICE);
	if (r)
		return story_fail(NULL, device, r);
	for (unsigned int i = 0; i < 2; i++) {
		struct p2pdma_range range = {(uint64_t)i * SLICE, SLICE};

		r = p2pdma_buffer_new(context, provider, &range, 1, NULL, &buffers[i]);
		if (!r)
			r = p2pdma_mr_register(pair.pd, buffers[i], 0, SLICE, 0, ACCESS, &mrs[i]);
		if (r)
			return story_fail(context, "exporting and registering a slice", r);
	}
	story_tell("two slices of %s are registered with %s", story_size(SLICE), device);
	story_fill(pair.host + SLICE, SLICE, 9);
	kept = remote_of(1);
	return rc_pair_transfer(&pair, IBV_WR_RDMA_WRITE, SLICE, SLICE, &kept);
}

static int revoke_while_writing(long ms)
{
	struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_event event = P2PDMA_EVENT_INIT;
	pthread_t thread;
	int r, pauses = 0;

	if (pthread_create(&thread, NULL, write_on, NULL))
		return story_fail(NULL, "starting a thread", -EAGAIN);
	/* Under traffic means that there is some; an emulated machine may need a while. */
	do {
		nanosleep(&pause, NULL);
	} while (!__atomic_load_n(&traffic.done, __ATOMIC_RELAXED) && pauses++ < 100);
	r = p2pdma_buffer_revoke(buffers[0], 0, 5000, &result);
	pthread_join(thread, NULL);
	if (r)
		return story_fail(context, "revoking", r);
	story_tell(
		"revoked under traffic in %.0f us, %.0f of them the kernel's: %u mapping(s) gone",
		(double)result.duration_ns / 1e3, (double)result.kernel_ns / 1e3,
		result.nr_mappings);
	story_tell("the writer had %lu writes done, %lu in flight cut off, then was told \"%s\"",
		   traffic.done, traffic.failed, strerror(-traffic.told));
	while (!(r = p2pdma_next_event(context, &event)) && event.type != P2PDMA_EVENT_REVOKED)
		continue;
	story_tell("event: %s by the %s", p2pdma_event_name(event.type),
		   p2pdma_reason_name(event.reason));
	return r || traffic.told != -ESTALE || !traffic.done;
}

static int check_after(void)
{
	struct rc_remote taken = remote_of(0), kept = remote_of(1);

	if (rc_pair_reconnect(&pair) ||
	    rc_pair_transfer(&pair, IBV_WR_RDMA_WRITE, 0, 4096, &taken) != -EIO)
		return story_fail(NULL, "a write with the old key was not refused", -EPERM);
	story_tell("a write that ignores all that completes with an error, as it must");
	memset(pair.host + SLICE, 0, SLICE);
	if (rc_pair_reconnect(&pair) ||
	    rc_pair_transfer(&pair, IBV_WR_RDMA_READ, SLICE, SLICE, &kept))
		return story_fail(NULL, "reading the neighbour slice", -EIO);
	if (story_check(pair.host + SLICE, SLICE, 9) >= 0)
		return story_fail(NULL, "the neighbour slice has changed", -EIO);
	story_tell("the slice next to it is still registered and holds every byte it held");
	return 0;
}

int main(int argc, char **argv)
{
	int rc;

	if (argc < 3)
		return story_tell("usage: revoke_under_traffic PROVIDER RDMADEV [MS]"), 2;
	rc = prepare(argv[1], argv[2]) || revoke_while_writing(argc > 3 ? atol(argv[3]) : 100) ||
	     check_after();
	for (int i = 0; i < 2; i++) {
		rc |= !!p2pdma_mr_deregister(mrs[i]);
		p2pdma_buffer_free(buffers[i]);
	}
	rc_pair_close(&pair);
	p2pdma_provider_unref(provider);
	p2pdma_context_close(context);
	if (!rc)
		story_tell("done: taken back at once, nothing corrupted, everyone told");
	return rc;
}
