// SPDX-License-Identifier: MIT
/* Slices of a BAR: case by case, and against a map with one number a byte. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "broker/slices.h"

static void take_exclusive_overlap_ebusy(void **state)
{
	static const uint64_t overlaps[][2] = {{100, 100}, {99, 2}, {199, 1}, {0, 1000}, {150, 10}};
	struct slices slices;

	(void)state;
	slices_init(&slices, 1000);
	assert_int_equal(slices_take(&slices, 100, 100, false), 0);
	for (size_t i = 0; i < ARRAY_SIZE(overlaps); i++) {
		assert_int_equal(slices_take(&slices, overlaps[i][0], overlaps[i][1], false),
				 -EBUSY);
		assert_int_equal(slices_take(&slices, overlaps[i][0], overlaps[i][1], true),
				 -EBUSY);
	}
	assert_int_equal(slices_take(&slices, 0, 100, false), 0);
	assert_int_equal(slices_take(&slices, 200, 800, true), 0);
	assert_int_equal(slices_take(&slices, 300, 1, false), -EBUSY);
	slices_done(&slices);
}

static void take_outside_einval(void **state)
{
	static const uint64_t bad[][2] = {{0, 0},	   {0, 1001},	   {1000, 1},
					  {1001, 0},	   {999, 2},	   {1, UINT64_MAX},
					  {UINT64_MAX, 1}, {UINT64_MAX, 0}};
	struct slices slices;

	(void)state;
	slices_init(&slices, 1000);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(slices_take(&slices, bad[i][0], bad[i][1], false), -EINVAL);
		assert_int_equal(slices_take(&slices, bad[i][0], bad[i][1], true), -EINVAL);
	}
	assert_int_equal(slices.count, 0);
	slices_done(&slices);
}

static void take_the_largest_bar_whole(void **state)
{
	struct slices_summary summary;
	struct slices slices;
	uint64_t offset;

	(void)state;
	slices_init(&slices, UINT64_MAX - 1);
	assert_int_equal(slices_find(&slices, UINT64_MAX - 1, 1ULL << 63, &offset), 0);
	assert_int_equal(offset, 0);
	assert_int_equal(slices_take(&slices, 0, UINT64_MAX - 1, true), 0);
	slices_summarize(&slices, &summary);
	assert_int_equal(summary.free_bytes, 0);
	assert_int_equal(summary.nr_free_extents, 0);
	assert_int_equal(slices_find(&slices, 1, 1, &offset), -ENOSPC);
	slices_give(&slices, 0, UINT64_MAX - 1, true);
	assert_int_equal(slices.count, 0);
	slices_done(&slices);
}

static void take_without_memory_takes_nothing(void **state)
{
	struct slices slices;

	(void)state;
	slices_init(&slices, 1000);
	slices.nr_taken = SIZE_MAX / 2;
	assert_int_equal(slices_take(&slices, 0, 10, false), -ENOMEM);
	slices.nr_taken = SIZE_MAX;
	assert_int_equal(slices_take(&slices, 0, 10, true), -ENOMEM);
	assert_int_equal(slices.count, 0);
	slices_done(&slices);
}

static void neighbours_alike_are_one_segment(void **state)
{
	struct slices slices;

	(void)state;
	slices_init(&slices, 1000);
	assert_int_equal(slices_take(&slices, 0, 100, false), 0);
	assert_int_equal(slices_take(&slices, 200, 100, false), 0);
	assert_int_equal(slices_take(&slices, 100, 100, false), 0);
	assert_int_equal(slices.count, 1);
	slices_give(&slices, 100, 100, false);
	assert_int_equal(slices.count, 2);
	assert_int_equal(slices_take(&slices, 100, 100, true), 0);
	assert_int_equal(slices.count, 3);
	assert_int_equal(slices_take(&slices, 100, 50, true), 0);
	assert_int_equal(slices.count, 4);
	slices_give(&slices, 100, 50, true);
	assert_int_equal(slices.count, 3);
	slices_done(&slices);
}

static void find_takes_the_smallest_that_fits(void **state)
{
	struct slices slices;
	uint64_t offset;

	(void)state;
	slices_init(&slices, 1000);
	/* Free: [10, 110), [200, 250), [300, 360), [400, 1000) */
	assert_int_equal(slices_take(&slices, 0, 10, false), 0);
	assert_int_equal(slices_take(&slices, 110, 90, false), 0);
	assert_int_equal(slices_take(&slices, 250, 50, false), 0);
	assert_int_equal(slices_take(&slices, 360, 40, false), 0);
	assert_int_equal(slices_find(&slices, 50, 1, &offset), 0);
	assert_int_equal(offset, 200);
	assert_int_equal(slices_find(&slices, 51, 1, &offset), 0);
	assert_int_equal(offset, 300);
	/* 64 is aligned and inside the first only; the smaller ones lose it to padding. */
	assert_int_equal(slices_find(&slices, 40, 64, &offset), 0);
	assert_int_equal(offset, 320);
	assert_int_equal(slices_find(&slices, 41, 64, &offset), 0);
	assert_int_equal(offset, 64);
	assert_int_equal(slices_find(&slices, 600, 1, &offset), 0);
	assert_int_equal(offset, 400);
	offset = 7;
	assert_int_equal(slices_find(&slices, 601, 1, &offset), -ENOSPC);
	assert_int_equal(slices_find(&slices, 600, 64, &offset), -ENOSPC);
	assert_int_equal(slices_find(&slices, UINT64_MAX, 1, &offset), -ENOSPC);
	assert_int_equal(offset, 7);
	slices_done(&slices);
}

static void find_bad_arguments_einval(void **state)
{
	struct slices slices;
	uint64_t offset = 7;

	(void)state;
	slices_init(&slices, 1000);
	assert_int_equal(slices_find(&slices, 0, 1, &offset), -EINVAL);
	assert_int_equal(slices_find(&slices, 1, 0, &offset), -EINVAL);
	assert_int_equal(slices_find(&slices, 1, 3, &offset), -EINVAL);
	assert_int_equal(slices_find(&slices, 1, UINT64_MAX, &offset), -EINVAL);
	assert_int_equal(offset, 7);
	slices_done(&slices);
}

/* One number a byte: 0 free, -1 exclusive, otherwise how many share it. */
#define MODEL_BYTES  96
#define MODEL_RANGES 64

struct model {
	int held[MODEL_BYTES];
	struct {
		uint64_t offset, length;
		bool is_shared;
	} ranges[MODEL_RANGES];
	size_t nr_ranges;
};

static int model_take(struct model *model, uint64_t offset, uint64_t length, bool is_shared)
{
	if (!length || offset > MODEL_BYTES || length > MODEL_BYTES - offset)
		return -EINVAL;
	for (uint64_t i = offset; i < offset + length; i++)
		if (is_shared ? model->held[i] < 0 : model->held[i] != 0)
			return -EBUSY;
	for (uint64_t i = offset; i < offset + length; i++)
		model->held[i] = is_shared ? model->held[i] + 1 : -1;
	model->ranges[model->nr_ranges].offset = offset;
	model->ranges[model->nr_ranges].length = length;
	model->ranges[model->nr_ranges++].is_shared = is_shared;
	return 0;
}

static void model_give(struct model *model, size_t i)
{
	for (uint64_t k = 0; k < model->ranges[i].length; k++)
		model->held[model->ranges[i].offset + k] -= model->ranges[i].is_shared ? 1 : -1;
	model->ranges[i] = model->ranges[--model->nr_ranges];
}

/* The place that slices_find() promises, found the slow way; -1: none. */
static int model_find(const struct model *model, uint64_t length, uint64_t align)
{
	uint64_t best = UINT64_MAX;
	int place = -1;

	for (uint64_t from = 0, to; from < MODEL_BYTES; from = to) {
		uint64_t at;

		for (to = from; to < MODEL_BYTES && !model->held[to]; to++)
			;
		at = (from + align - 1) / align * align;
		if (at + length <= to && to - from < best) {
			best = to - from;
			place = (int)at;
		}
		if (to == from)
			to++;
	}
	return place;
}

static void compare(const struct slices *slices, const struct model *model)
{
	struct slices_summary summary, wanted = {0};
	size_t at = 0;

	for (size_t i = 0; i < slices->count; i++) {
		const struct segment *s = &slices->segments[i];
		int held = s->nr_sharers ? (int)s->nr_sharers : -1;

		assert_true(s->length_bytes > 0 && s->offset_bytes >= at);
		for (; at < s->offset_bytes; at++)
			assert_int_equal(model->held[at], 0);
		for (; at < s->offset_bytes + s->length_bytes; at++)
			assert_int_equal(model->held[at], held);
		/* The fewest segments. */
		if (at < MODEL_BYTES)
			assert_int_not_equal(model->held[at], held);
	}
	for (; at < MODEL_BYTES; at++)
		assert_int_equal(model->held[at], 0);
	assert_int_equal(slices->nr_taken, model->nr_ranges);

	for (size_t i = 0, run = 0; i < MODEL_BYTES; i++) {
		run = model->held[i] ? 0 : run + 1;
		wanted.free_bytes += run > 0;
		wanted.nr_free_extents += run == 1;
		if (run > wanted.largest_free_bytes)
			wanted.largest_free_bytes = run;
	}
	slices_summarize(slices, &summary);
	assert_int_equal(summary.free_bytes, wanted.free_bytes);
	assert_int_equal(summary.nr_free_extents, wanted.nr_free_extents);
	assert_int_equal(summary.largest_free_bytes, wanted.largest_free_bytes);
}

static void one_random_step(struct slices *slices, struct model *model, uint64_t *random)
{
	uint64_t number = next_random(random);
	uint64_t offset = number % (MODEL_BYTES + 2);
	uint64_t length = (number >> 8) % ((number >> 16) % 4 ? 9 : MODEL_BYTES + 2);
	bool is_shared = number >> 32 & 3;

	if (model->nr_ranges && (model->nr_ranges == MODEL_RANGES || number >> 40 & 1)) {
		size_t i = (number >> 48) % model->nr_ranges;
		struct segment *before = slices->segments;
		size_t room = slices->room;

		slices_give(slices, model->ranges[i].offset, model->ranges[i].length,
			    model->ranges[i].is_shared);
		model_give(model, i);
		/* It can't fail because it never asks for memory. */
		assert_ptr_equal(slices->segments, before);
		assert_int_equal(slices->room, room);
		return;
	}
	assert_int_equal(slices_take(slices, offset, length, is_shared),
			 model_take(model, offset, length, is_shared));
}

static void random_steps_agree_with_a_map(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 40; seed++) {
		struct model model = {.nr_ranges = 0};
		uint64_t random = seed * 0x9e3779b97f4a7c15ULL;
		struct slices slices;

		print_message("seed %u\n", (unsigned int)seed);
		slices_init(&slices, MODEL_BYTES);
		for (int step = 0; step < 1500; step++) {
			uint64_t number = next_random(&random);
			uint64_t length = 1 + number % 20, align = 1ULL << (number >> 8) % 6;
			uint64_t offset = 0;
			int wanted = model_find(&model, length, align);

			assert_int_equal(slices_find(&slices, length, align, &offset),
					 wanted < 0 ? -ENOSPC : 0);
			if (wanted >= 0)
				assert_int_equal(offset, wanted);
			one_random_step(&slices, &model, &random);
			compare(&slices, &model);
		}
		slices_done(&slices);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(take_exclusive_overlap_ebusy),
		cmocka_unit_test(take_outside_einval),
		cmocka_unit_test(take_the_largest_bar_whole),
		cmocka_unit_test(take_without_memory_takes_nothing),
		cmocka_unit_test(neighbours_alike_are_one_segment),
		cmocka_unit_test(find_takes_the_smallest_that_fits),
		cmocka_unit_test(find_bad_arguments_einval),
		cmocka_unit_test(random_steps_agree_with_a_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
