// SPDX-License-Identifier: MIT
/*
 * rxe_resend RDMADEV BUFFER...: atomic operations and atomic writes on a DMABUF that are
 * sent again.
 *
 * Each must be done once and its asker told the truth, whichever got lost: the request, to
 * a peer that isn't ready yet; the answer, to an asker that was reset and begins anew; the
 * answer for good, from a peer that remembers the last four only. rxe's counters say that
 * what is tested here has happened.
 */
#include "rxe_buffer.h"

#define IOVA	     0x7000000000ULL
#define FIRST	     (2 * PAGE)
#define TIMEOUT	     16 /* for an answer, 0.27 s */
#define TIMEOUT_VAIN 12 /* 17 ms, where none comes */

static struct rig rig;
static struct buffer buf;
static uint8_t scratch[BUFFER_SIZE];

static const struct {
	enum ibv_wr_opcode opcode;
	const char *name;
} kinds[] = {
	{IBV_WR_ATOMIC_CMP_AND_SWP, "compare_and_swap"},
	{IBV_WR_ATOMIC_FETCH_AND_ADD, "fetch_and_add"},
	{IBV_WR_ATOMIC_WRITE, "atomic_write"},
};

#define NR_KINDS (sizeof(kinds) / sizeof(*kinds))

/* One of rxe's counters; the kernel answers from a cache for 10 ms. */
static uint64_t counted(const char *name)
{
	const char *device = ibv_get_device_name(rig.pair.context->device);
	char path[128], text[32] = "";
	int fd;

	usleep(20000);
	snprintf(path, sizeof(path), "/sys/class/infiniband/%s/ports/1/hw_counters/%s", device,
		 name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		die(-errno, "%s", path);
	close(fd);
	return strtoull(text, NULL, 10);
}

/* All bytes anew. */
static void fresh(uint32_t seed)
{
	pattern_fill(scratch, seed, buf.size);
	buffer_write(&buf, 0, scratch, buf.size);
}

/* Each kind has a word of its own. */
static struct place word_of(const struct dmabuf_mr *mr, size_t kind)
{
	return mr_at(mr, IOVA + FIRST + 8 * kind);
}

/* The operation on it, and what it makes of it. */
static struct atomic_op op_of(size_t kind, uint64_t *ret_after)
{
	struct atomic_op op = {.opcode = kinds[kind].opcode, .operand = 0x1234567 + kind};

	memcpy(&op.compare, scratch + FIRST + 8 * kind, sizeof(op.compare));
	*ret_after = op.operand;
	if (op.opcode == IBV_WR_ATOMIC_FETCH_AND_ADD)
		*ret_after += op.compare;
	return op;
}

/* Requests of every kind reach a peer that isn't ready, and are dropped. */
static void test_request_lost(const struct dmabuf_mr *mr)
{
	uint64_t again = counted("completer_retry_err"), sent, after[NR_KINDS];
	char title[80];

	fresh(1);
	rig.pair.timeout = TIMEOUT;
	must(pair_renew(&rig.pair), "new queue pairs");
	must(pair_ready(&rig.pair, 0), "connecting the asker");
	sent = counted("sent_pkts");
	for (size_t i = 0; i < NR_KINDS; i++) {
		struct atomic_op op = op_of(i, &after[i]);

		rig_post_atomic(&rig, &op, host_at(&rig, 8 * i), word_of(mr, i));
	}
	for (int tries = 0; counted("sent_pkts") < sent + NR_KINDS; tries++)
		if (tries == 500)
			die(0, "the requests aren't sent");
	must(pair_ready(&rig.pair, 1), "connecting the peer");

	for (size_t i = 0; i < NR_KINDS; i++) {
		snprintf(title, sizeof(title), "%s_whose_request_was_lost", kinds[i].name);
		tap_is(rig_wait(&rig), 0, title);
	}
	memcpy(scratch + FIRST, after, sizeof(after));
	tap_is(buffer_differs(&buf, 0, scratch, buf.size), -1, "lost_requests_are_done_once");
	tap_ok(counted("completer_retry_err") > again, "lost_requests_are_sent_again", 0);
}

/* The asker begins anew, with what the peer has already answered. */
static void test_answer_lost(const struct dmabuf_mr *mr)
{
	uint64_t before[NR_KINDS], again, after, duplicates;
	struct atomic_op ops[NR_KINDS];
	char title[80];

	fresh(2);
	rig.pair.timeout = TIMEOUT;
	rig_connect(&rig);
	for (size_t i = 0; i < NR_KINDS; i++) {
		ops[i] = op_of(i, &after);
		must(-rig_atomic(&rig, &ops[i], word_of(mr, i), &before[i]), "the first time");
	}
	fresh(3);
	duplicates = counted("duplicate_request");
	must(pair_reset(&rig.pair, 0), "resetting the asker");
	must(pair_ready(&rig.pair, 0), "connecting the asker");

	for (size_t i = 0; i < NR_KINDS; i++) {
		snprintf(title, sizeof(title), "%s_whose_answer_was_lost", kinds[i].name);
		tap_is(rig_atomic(&rig, &ops[i], word_of(mr, i), &again), 0, title);
		snprintf(title, sizeof(title), "%s_is_answered_as_before", kinds[i].name);
		if (ops[i].opcode != IBV_WR_ATOMIC_WRITE)
			tap_is((long long)again, (long long)before[i], title);
	}
	tap_is(buffer_differs(&buf, 0, scratch, buf.size), -1, "repeated_requests_are_done_once");
	tap_is(counted("duplicate_request") - duplicates, NR_KINDS, "repeated_requests_are_known");
}

/*
 * The peer has forgotten its answer and won't do it again, but acknowledges the write that
 * follows. That mustn't pass for the answer.
 */
static void test_answer_forgotten(const struct dmabuf_mr *mr)
{
	struct transfer write = {.opcode = IBV_WR_RDMA_WRITE,
				 .local = (uintptr_t)rig.host,
				 .lkey = rig.host_mr->lkey,
				 .remote = IOVA,
				 .rkey = mr->rkey,
				 .length = 8};
	struct atomic_op add = {.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD};
	uint64_t before, after;
	char title[80];

	rig.pair.timeout = TIMEOUT_VAIN;
	for (size_t i = 0; i < NR_KINDS; i++) {
		struct atomic_op op = op_of(i, &after);

		rig_connect(&rig);
		must(-rig_atomic(&rig, &op, word_of(mr, i), &before), "the first time");
		for (int later = 0; later < 4; later++)
			must(-rig_atomic(&rig, &add, word_of(mr, 0), &before), "one of the next");
		must(pair_reset(&rig.pair, 0), "resetting the asker");
		must(pair_ready(&rig.pair, 0), "connecting the asker");

		rig_post_atomic(&rig, &op, host_at(&rig, 0), word_of(mr, i));
		must(pair_post(&rig.pair, &write), "the write that follows");
		snprintf(title, sizeof(title), "%s_whose_answer_is_forgotten", kinds[i].name);
		tap_is(rig_wait(&rig), IBV_WC_RETRY_EXC_ERR, title);
	}
}

int main(int argc, char **argv)
{
	struct mr_request range;
	struct dmabuf_mr mr;

	if (argc < 3)
		die(0, "usage: rxe_resend RDMADEV BUFFER...");
	rig_init(&rig, argv[1]);
	buffer_init(&buf, argc - 2, argv + 2);
	range = buffer_request(&buf, IOVA, MR_ATOMIC_ACCESS);
	mr = rig_register(&rig, &range);

	test_request_lost(&mr);
	test_answer_lost(&mr);
	test_answer_forgotten(&mr);

	rig_deregister(&rig, &mr);
	rig_done(&rig);
	return tap_done();
}
