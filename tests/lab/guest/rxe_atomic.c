// SPDX-License-Identifier: MIT
/*
 * rxe_atomic RDMADEV BUFFER...: atomic operations on a DMABUF.
 *
 * The CPU's own view of the memory says what came of each; two connections on one word,
 * each with a memory region of its own, must not get between each other's reading and writing.
 */
#include "rxe_buffer.h"

#define IOVA   0x7000000000ULL
#define ROUNDS 150

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

static uint64_t word_at(const uint8_t *bytes, uint64_t offset)
{
	uint64_t value;

	memcpy(&value, bytes + offset, sizeof(value));
	return value;
}

/* All bytes anew, and what is at @offset. */
static uint64_t fresh(uint32_t seed, uint64_t offset)
{
	pattern_fill(scratch, seed, buf.size);
	buffer_write(&buf, 0, scratch, buf.size);
	return word_at(scratch, offset);
}

/* Is @value at @offset, and everything else as it was? */
static bool only_changed(uint64_t offset, uint64_t value)
{
	memcpy(scratch + offset, &value, sizeof(value));
	return buffer_differs(&buf, 0, scratch, buf.size) < 0;
}

static void does(const struct dmabuf_mr *mr, struct atomic_op op, uint64_t want, const char *name)
{
	const uint64_t offset = 3 * PAGE + 24;
	uint64_t old = word_at(scratch, offset), before;
	char title[80];

	tap_is(rig_atomic(&rig, &op, mr_at(mr, IOVA + offset), &before), 0, name);
	snprintf(title, sizeof(title), "%s_changes_what_it_should", name);
	tap_ok(only_changed(offset, want), title, 0);
	snprintf(title, sizeof(title), "%s_tells_what_was_there", name);
	if (op.opcode != IBV_WR_ATOMIC_WRITE)
		tap_is((long long)before, (long long)old, title);
}

static void test_each(const struct dmabuf_mr *mr)
{
	uint64_t old = fresh(1, 3 * PAGE + 24);

	does(mr, (struct atomic_op){IBV_WR_ATOMIC_CMP_AND_SWP, old, 0x0123456789abcdefULL},
	     0x0123456789abcdefULL, "compare_and_swap");
	does(mr, (struct atomic_op){IBV_WR_ATOMIC_CMP_AND_SWP, old, 1}, 0x0123456789abcdefULL,
	     "compare_and_swap_of_another");
	does(mr, (struct atomic_op){IBV_WR_ATOMIC_FETCH_AND_ADD, 0, 0x1111111111111111ULL},
	     0x123456789abcdf00ULL, "fetch_and_add");
	does(mr, (struct atomic_op){IBV_WR_ATOMIC_WRITE, 0, UINT64_MAX - 1}, UINT64_MAX - 1,
	     "atomic_write");
	does(mr, (struct atomic_op){IBV_WR_ATOMIC_FETCH_AND_ADD, 0, 3}, 1,
	     "fetch_and_add_that_wraps");
}

/* The first and the last word of each page: the pages aren't neighbours. */
static void test_everywhere(const struct dmabuf_mr *mr)
{
	int wrong = 0;

	fresh(2, 0);
	for (uint64_t offset = 0; offset < buf.size; offset += offset % PAGE ? 8 : PAGE - 8) {
		struct atomic_op add = {IBV_WR_ATOMIC_FETCH_AND_ADD, 0, offset + 1};
		uint64_t old = word_at(scratch, offset), sum = old + offset + 1, before;

		wrong += !!rig_atomic(&rig, &add, mr_at(mr, IOVA + offset), &before);
		wrong += before != old;
		memcpy(scratch + offset, &sum, sizeof(sum));
	}
	tap_is(wrong, 0, "fetch_and_add_at_the_edges_of_each_page");
	tap_is(buffer_differs(&buf, 0, scratch, buf.size), -1,
	       "fetch_and_add_at_the_edges_of_each_page_arrives");
}

/* A memory region that begins and ends within a page. */
static void test_piece(void)
{
	struct mr_request range = {.fd = buf.fd,
				   .offset = PAGE + 0xff4,
				   .length = 28,
				   .iova = IOVA + 0xff4,
				   .access = MR_ATOMIC_ACCESS};
	struct dmabuf_mr mr = rig_register(&rig, &range);
	struct atomic_op add = {IBV_WR_ATOMIC_FETCH_AND_ADD, 0, 5};
	uint64_t old = fresh(3, 2 * PAGE), before;

	tap_is(rig_atomic(&rig, &add, mr_at(&mr, IOVA + PAGE), &before), 0, "add_within_a_piece");
	tap_ok(before == old && only_changed(2 * PAGE, old + 5), "add_within_a_piece_arrives", 0);
	rig_deregister(&rig, &mr);
}

/* What was there before goes into a DMABUF, too. */
static void test_result(const struct dmabuf_mr *mr)
{
	struct atomic_op add = {IBV_WR_ATOMIC_FETCH_AND_ADD, 0, 7};
	uint64_t value = 0x1234567812345678ULL;

	fresh(4, 0);
	memcpy(rig.host, &value, sizeof(value));
	tap_is(rig_atomic_to(&rig, &add, (struct place){IOVA + PAGE - 4, mr->lkey},
			     host_at(&rig, 0)),
	       0, "add_elsewhere");
	tap_ok(only_changed(PAGE - 4, value), "add_elsewhere_tells_the_buffer", 0);
	tap_is((long long)word_at(rig.host, 0), (long long)value + 7, "add_elsewhere_adds");
}

/* What is refused may not change a byte. */
static void refused(const struct dmabuf_mr *mr, uint64_t iova, int want, const char *where)
{
	uint64_t before;
	char title[96];

	for (size_t i = 0; i < NR_KINDS; i++) {
		struct atomic_op op = {kinds[i].opcode, 0, 1};

		if (op.opcode == IBV_WR_ATOMIC_CMP_AND_SWP)
			memcpy(&op.compare, scratch + (iova - IOVA) % (buf.size - 8), 8);
		snprintf(title, sizeof(title), "%s_%s", kinds[i].name, where);
		tap_is(rig_atomic(&rig, &op, mr_at(mr, iova), &before), want, title);
		rig_connect(&rig);
	}
	snprintf(title, sizeof(title), "atomics_%s_leave_bytes", where);
	tap_is(buffer_differs(&buf, 0, scratch, buf.size), -1, title);
}

static void test_refused(void)
{
	struct mr_request range = buffer_request(&buf, IOVA, MR_ATOMIC_ACCESS);
	struct dmabuf_mr mr, other;

	fresh(5, 0);
	range.length -= PAGE;
	mr = rig_register(&rig, &range);
	refused(&mr, IOVA + 1, IBV_WC_REM_INV_REQ_ERR, "at_an_odd_address");
	refused(&mr, IOVA + 4, IBV_WC_REM_INV_REQ_ERR, "at_four");
	refused(&mr, IOVA + PAGE - 4, IBV_WC_REM_INV_REQ_ERR, "across_pages");
	refused(&mr, IOVA + range.length - 4, IBV_WC_REM_ACCESS_ERR, "over_the_end");
	refused(&mr, IOVA + range.length, IBV_WC_REM_ACCESS_ERR, "past_the_end");
	refused(&mr, IOVA - 8, IBV_WC_REM_ACCESS_ERR, "before_the_start");
	refused(&mr, UINT64_MAX - 7, IBV_WC_REM_ACCESS_ERR, "at_the_end_of_the_address_space");
	rig_deregister(&rig, &mr);
	refused(&mr, IOVA, IBV_WC_REM_ACCESS_ERR, "after_dereg");

	range.access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ;
	other = rig_register(&rig, &range);
	refused(&other, IOVA, IBV_WC_REM_ACCESS_ERR, "without_the_right");
	rig_deregister(&rig, &other);
	range.access = IBV_ACCESS_REMOTE_READ;
	other = rig_register(&rig, &range);
	refused(&other, IOVA, IBV_WC_REM_ACCESS_ERR, "to_read_only");
	rig_deregister(&rig, &other);
}

/* One of two connections that count in the same word. */
struct counter {
	struct rig rig;
	struct place word;
	bool is_swapping; /* by reading, adding and comparing, not by adding */
	int status;
};

static void *count(void *arg)
{
	struct counter *counter = arg;
	uint64_t seen = 0, before;

	for (int i = 0; i < ROUNDS && !counter->status;) {
		struct atomic_op op = {IBV_WR_ATOMIC_FETCH_AND_ADD, seen, 1};

		if (counter->is_swapping)
			op = (struct atomic_op){IBV_WR_ATOMIC_CMP_AND_SWP, seen, seen + 1};
		counter->status = rig_atomic(&counter->rig, &op, counter->word, &before);
		i += !counter->is_swapping || before == seen;
		seen = before == seen ? seen + 1 : before;
	}
	return NULL;
}

static struct counter counters[2];

static void run_counters(const char *name)
{
	pthread_t threads[2];
	uint64_t value = 0;

	buffer_write(&buf, PAGE, (uint8_t *)&value, sizeof(value));
	for (int i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, count, &counters[i]))
			die(0, "pthread_create");
	for (int i = 0; i < 2; i++) {
		pthread_join(threads[i], NULL);
		must(-counters[i].status, "counting");
	}
	buffer_read(&buf, PAGE, (uint8_t *)&value, sizeof(value));
	tap_is((long long)value, 2 * ROUNDS, name);
}

static void test_together(struct dmabuf_mr *mr)
{
	for (int i = 0; i < 2; i++)
		counters[i].word = mr_at(&mr[i], IOVA + PAGE);
	run_counters("add_by_two");
	counters[1].is_swapping = true;
	run_counters("add_and_swap_by_two");
	counters[0].is_swapping = true;
	run_counters("swap_by_two");
}

/* One region on the DMABUF, one on its pages: the same lock for both. */
static void test_two_kinds(struct dmabuf_mr *mr)
{
	void *page = (void *)(uintptr_t)(buf.cpu + PAGE);
	struct ibv_mr *pages = ibv_reg_mr(counters[1].rig.pair.pd, page, PAGE, MR_ATOMIC_ACCESS);

	if (!pages)
		die(-errno, "registering the pages");
	counters[0].word = mr_at(mr, IOVA + PAGE);
	counters[1].word = (struct place){(uintptr_t)page, pages->rkey};
	counters[0].is_swapping = counters[1].is_swapping = false;
	run_counters("add_by_two_kinds_of_regions");
	ibv_dereg_mr(pages);
}

static void test_counters(const char *device, bool has_pages)
{
	struct mr_request range = buffer_request(&buf, IOVA, MR_ATOMIC_ACCESS);
	struct dmabuf_mr mr[2];

	for (int i = 0; i < 2; i++) {
		rig_init(&counters[i].rig, device);
		mr[i] = rig_register(&counters[i].rig, &range);
	}
	test_together(mr);
	if (has_pages)
		test_two_kinds(mr);
	for (int i = 0; i < 2; i++) {
		rig_deregister(&counters[i].rig, &mr[i]);
		rig_done(&counters[i].rig);
	}
}

int main(int argc, char **argv)
{
	struct mr_request range;
	struct dmabuf_mr mr;

	if (argc < 3)
		die(0, "usage: rxe_atomic RDMADEV BUFFER...");
	rig_init(&rig, argv[1]);
	buffer_init(&buf, argc - 2, argv + 2);

	range = buffer_request(&buf, IOVA, MR_ATOMIC_ACCESS);
	mr = rig_register(&rig, &range);
	test_each(&mr);
	test_everywhere(&mr);
	test_result(&mr);
	rig_deregister(&rig, &mr);
	test_piece();
	test_refused();
	test_counters(argv[1], !strcmp(argv[2], "udmabuf"));

	rig_done(&rig);
	return tap_done();
}
