/* SPDX-License-Identifier: MIT */
/*
 * broker_hold [OPTIONS] RDMADEV SELECTOR END: has a slice from p2pd and uses it until END.
 *
 *	-l BYTES  -t TTL_MS  -r REASON (that it must end with)  -s (shared)
 *	-u (importers that can't be revoked)
 *
 * Registers the slice, and writes and reads it back by RDMA over and over. "READY" is printed
 * after the first round, with the lease's number and place. END is
 *
 *	term	SIGTERM comes; until then nobody may have noticed anything
 *	ack	it is wanted back: stop, say so, and it is taken before the deadline
 *	ignore	it is wanted back: go on, and it is taken at the deadline
 *	lost	it is taken without a question
 *	pinned	it is wanted back, but the importer can't be revoked: let go of it
 *
 * A loss ends the transfers of this slice and nothing else.
 */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <p2pdma/p2pdma.h>

#include "common/labtest.h"
#include "common/pair.h"

#define CHUNK	  16384
#define PAUSE_US  20000 /* an emulated machine has more to do */
#define LONG_NS	  (60 * 1000000000LL)
#define PINNED_NS (7 * 1000000000LL) /* longer than revoke-deadline in the scenarios */
#define DEV_NODES "{/dev/p2pdma/*,/dev/vfio/[0-9]*}"

static struct {
	struct p2pdma_context *context;
	struct p2pdma_buffer *buffer;
	struct p2pdma_mr *mr;
	struct pair pair;
	struct ibv_mr *host_mr;
	uint8_t host[2 * CHUNK];
	unsigned int nr_rounds, nr_corrupted;
	int failure; /* the first failed completion, or -errno */
	bool is_requested, is_revoked;
	struct p2pdma_event requested, revoked;
} me;

static volatile sig_atomic_t is_over;

static void on_term(int number)
{
	(void)number;
	is_over = 1;
}

/* Ordinary users don't get to the devices. */
static int opened_nodes(void)
{
	glob_t found;
	int n = 0;

	if (glob(DEV_NODES, GLOB_BRACE, NULL, &found))
		return -ENOENT;
	for (size_t i = 0; i < found.gl_pathc; i++) {
		int fd = open(found.gl_pathv[i], O_RDONLY | O_CLOEXEC);

		n += fd >= 0 || errno != EACCES;
		if (fd >= 0)
			close(fd);
	}
	globfree(&found);
	return n;
}

static int move(enum ibv_wr_opcode opcode)
{
	struct transfer transfer = {
		.opcode = opcode,
		.local = (uintptr_t)me.host,
		.lkey = me.host_mr->lkey,
		.remote = p2pdma_mr_iova(me.mr),
		.rkey = p2pdma_mr_rkey(me.mr),
		.length = CHUNK,
	};

	return pair_transfer(&me.pair, &transfer);
}

/* Does memory of the host still move on this device? */
static int move_host(void)
{
	struct transfer transfer = {
		.opcode = IBV_WR_RDMA_WRITE,
		.local = (uintptr_t)me.host,
		.lkey = me.host_mr->lkey,
		.remote = (uintptr_t)me.host + CHUNK,
		.rkey = me.host_mr->rkey,
		.length = CHUNK,
	};

	return pair_transfer(&me.pair, &transfer);
}

static void round_trip(void)
{
	unsigned int seed = me.nr_rounds + 1;

	pattern_fill(me.host, seed, CHUNK);
	me.failure = move(IBV_WR_RDMA_WRITE);
	memset(me.host, 0, CHUNK);
	if (!me.failure)
		me.failure = move(IBV_WR_RDMA_READ);
	if (me.failure)
		return;
	me.nr_corrupted += pattern_check(me.host, seed, CHUNK) >= 0;
	me.nr_rounds++;
}

static void hear(void)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	while (!p2pdma_next_event(me.context, &event)) {
		printf("# event %s, %s\n", p2pdma_event_name(event.type),
		       p2pdma_reason_name(event.reason));
		if (event.type == P2PDMA_EVENT_REVOKE_REQUESTED) {
			me.requested = event;
			me.is_requested = true;
		} else if (event.type == P2PDMA_EVENT_REVOKED) {
			me.revoked = event;
			me.is_revoked = true;
		}
	}
	fflush(stdout);
}

static void wait_revoked(void)
{
	int64_t end = now_ns() + LONG_NS;

	while (!me.is_revoked && now_ns() < end) {
		hear();
		usleep(PAUSE_US);
	}
}

static void begin(const char *device, const struct p2pdma_lease_request *request)
{
	struct p2pdma_lease_info info = P2PDMA_LEASE_INFO_INIT;
	int r;

	tap_ok(opened_nodes() == 0, "no_device_node_can_be_opened", opened_nodes());
	must(p2pdma_context_open(NULL, &me.context), "opening the library");
	r = p2pdma_lease_acquire(me.context, request, &me.buffer);
	if (r)
		die(r, "acquiring: %s", p2pdma_context_error(me.context));
	must(p2pdma_lease_query(me.buffer, &info), "asking about the lease");
	must(pair_open(device, &me.pair), device);
	me.host_mr = ibv_reg_mr(me.pair.pd, me.host, sizeof(me.host), MR_ALL_ACCESS);
	if (!me.host_mr)
		die(-errno, "registering host memory");
	r = p2pdma_mr_register(me.pair.pd, me.buffer, 0, request->length_bytes, 0, MR_ALL_ACCESS,
			       &me.mr);
	if (r)
		die(r, "registering: %s", p2pdma_context_error(me.context));
	round_trip();
	tap_ok(!me.failure && !me.nr_corrupted, "the_slice_is_written_and_read_back", me.failure);
	printf("# lease %" PRIu64 " of %s at %" PRIu64 "\n# READY\n", info.id, info.provider,
	       info.offset_bytes);
	fflush(stdout);
}

/* Moves data until something happens. */
static void work(bool is_stopping_when_asked)
{
	while (!me.failure && !me.is_revoked && !is_over) {
		round_trip();
		hear();
		if (me.is_requested && is_stopping_when_asked)
			return;
		usleep(PAUSE_US);
	}
}

static void end_term(void)
{
	struct p2pdma_lease_info info = P2PDMA_LEASE_INFO_INIT;

	work(false);
	tap_ok(is_over && !me.failure, "every_transfer_succeeds", me.failure);
	tap_ok(!me.is_requested && !me.is_revoked, "nobody_wants_it_back", me.requested.reason);
	must(p2pdma_lease_query(me.buffer, &info), "asking about the lease");
	tap_ok(info.state == P2PDMA_LEASE_ACTIVE, "the_lease_is_active", info.state);
}

static void end_ack(void)
{
	unsigned int before;
	int r;

	work(true);
	before = me.nr_rounds;
	tap_ok(me.is_requested && !me.failure, "it_is_asked_first", me.failure);
	r = p2pdma_lease_ack(me.buffer, 1000);
	tap_ok(!r, "it_says_that_it_has_stopped", r);
	wait_revoked();
	tap_ok(me.is_revoked && me.revoked.time_ns < me.requested.deadline_ns,
	       "it_is_taken_before_the_deadline",
	       (long long)(me.revoked.time_ns - me.requested.deadline_ns));
	tap_ok(before == me.nr_rounds && !me.failure, "no_transfer_has_failed", me.failure);
}

static void end_ignore(void)
{
	work(false);
	wait_revoked();
	tap_ok(me.is_requested, "it_is_asked_first", 0);
	tap_ok(me.is_revoked && me.revoked.time_ns >= me.requested.deadline_ns,
	       "it_is_taken_at_the_deadline",
	       (long long)(me.revoked.time_ns - me.requested.deadline_ns));
}

static void end_lost(void)
{
	work(false);
	wait_revoked();
	tap_ok(me.is_revoked, "it_is_told", 0);
}

static void end_pinned(void)
{
	int64_t end;
	int r;

	work(true);
	tap_ok(me.is_requested && !me.is_revoked, "it_is_asked_to_let_go", me.failure);
	/* Also when its time is over nobody says that it was taken: it wasn't. */
	for (end = now_ns() + PINNED_NS; now_ns() < end; usleep(PAUSE_US))
		hear();
	tap_ok(!me.is_revoked, "it_is_its_own_as_long_as_it_is_mapped", me.revoked.reason);
	round_trip();
	tap_ok(!me.failure, "nothing_was_pulled_from_under_it", me.failure);
	r = p2pdma_mr_deregister(me.mr);
	tap_ok(!r, "it_lets_go", r);
	me.mr = NULL;
	wait_revoked();
	tap_ok(me.is_revoked, "then_it_is_taken", 0);
}

static void after_loss(uint64_t length_bytes)
{
	struct p2pdma_mr *mr;
	int r;

	must(pair_reconnect(&me.pair), "connecting again");
	r = move(IBV_WR_RDMA_WRITE);
	tap_ok(r > 0, "transfers_fail", r);
	r = p2pdma_mr_register(me.pair.pd, me.buffer, 0, length_bytes, 0, MR_ALL_ACCESS, &mr);
	tap_ok(r == -ESTALE || r == -ENODEV, "it_can_not_be_registered_again", r);
	must(pair_reconnect(&me.pair), "connecting again");
	r = move_host();
	tap_ok(!r, "memory_of_the_host_still_moves", r);
}

static int usage(void)
{
	fprintf(stderr, "usage: broker_hold [-l BYTES] [-t TTL_MS] [-su] [-r REASON] "
			"RDMADEV SELECTOR term|ack|ignore|lost|pinned\n");
	return 2;
}

static int finish(const char *reason)
{
	int r;

	if (reason)
		tap_ok(me.is_revoked && !strcmp(p2pdma_reason_name(me.revoked.reason), reason),
		       "the_reason_is_told", me.revoked.reason);
	tap_ok(!me.nr_corrupted, "every_byte_is_what_was_written", me.nr_corrupted);
	r = p2pdma_mr_deregister(me.mr);
	tap_ok(!r, "the_region_is_deregistered", r);
	p2pdma_buffer_free(me.buffer);
	ibv_dereg_mr(me.host_mr);
	must(pair_close(&me.pair), "closing the RDMA device");
	p2pdma_context_close(me.context);
	printf("# %u rounds\n", me.nr_rounds);
	return tap_done();
}

int main(int argc, char **argv)
{
	struct p2pdma_lease_request request = P2PDMA_LEASE_REQUEST_INIT;
	struct sigaction action = {.sa_handler = on_term};
	const char *reason = NULL, *end;
	int option;

	request.length_bytes = 1 << 20;
	request.label = "broker_hold";
	while ((option = getopt(argc, argv, "l:t:usr:")) != -1) {
		if (option == 'l')
			request.length_bytes = strtoull(optarg, NULL, 0);
		else if (option == 't')
			request.ttl_ms = strtoull(optarg, NULL, 0);
		else if (option == 'u')
			request.flags |= P2PDMA_BUFFER_ALLOW_UNREVOCABLE;
		else if (option == 's')
			request.mode = P2PDMA_LEASE_SHARED;
		else if (option == 'r')
			reason = optarg;
		else
			return usage();
	}
	if (argc - optind != 3)
		return usage();
	sigaction(SIGTERM, &action, NULL);
	request.selector = argv[optind + 1];
	end = argv[optind + 2];
	begin(argv[optind], &request);
	if (!strcmp(end, "term"))
		end_term();
	else if (!strcmp(end, "ack"))
		end_ack();
	else if (!strcmp(end, "ignore"))
		end_ignore();
	else if (!strcmp(end, "lost"))
		end_lost();
	else
		end_pinned();
	if (me.is_revoked && me.mr)
		after_loss(request.length_bytes);
	return finish(reason);
}
