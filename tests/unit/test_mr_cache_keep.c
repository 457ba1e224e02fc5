// SPDX-License-Identifier: MIT
/* The cache of memory regions: how much is kept, and how it is given back. */
#include <errno.h>

#include <rdma/rdma_user_ioctl_cmds.h>

#include "mr_cache_case.h"

static void acquire_full_evicts_longest_unused(void **state)
{
	const void *a, *b;

	(void)state;
	remake_cache(0, 2, 0);
	a = touch(cache, buffer, 0, 4096, REMOTE);
	b = touch(cache, buffer, 4096, 4096, REMOTE);
	assert_ptr_equal(touch(cache, buffer, 0, 4096, REMOTE), a);
	touch(cache, buffer, 8192, 4096, REMOTE);
	assert_int_equal(fake.nr_mrs, 2);
	assert_int_equal(status_of(cache).nr_evicted, 1);
	assert_ptr_equal(touch(cache, buffer, 0, 4096, REMOTE), a);
	assert_int_equal(status_of(cache).nr_misses, 3);
	assert_non_null(b);
	touch(cache, buffer, 4096, 4096, REMOTE);
	assert_int_equal(status_of(cache).nr_misses, 4);
}

static void acquire_full_of_bytes_evicts(void **state)
{
	struct p2pdma_mr *held;

	(void)state;
	remake_cache(0, 0, 65536);
	touch(cache, buffer, 0, 32768, REMOTE);
	touch(cache, buffer, 65536, 32768, REMOTE);
	assert_int_equal(fake.nr_mrs, 2);
	touch(cache, buffer, 131072, 4096, REMOTE);
	assert_int_equal(fake.nr_mrs, 2);
	assert_int_equal(status_of(cache).bytes, 36864);
	/* One that is too large for it is neither kept nor a reason to let others go. */
	held = acquire(cache, buffer, 0, MIB, REMOTE);
	assert_int_equal(fake.nr_mrs, 3);
	assert_int_equal(status_of(cache).nr_ended, 1);
	release(held);
	assert_int_equal(fake.nr_mrs, 2);
	assert_int_equal(status_of(cache).nr_ended, 0);
	assert_int_equal(status_of(cache).bytes, 36864);
}

static void acquire_full_of_held_goes_at_release(void **state)
{
	struct p2pdma_mr *mrs[4];

	(void)state;
	remake_cache(0, 2, 0);
	for (uint64_t i = 0; i < 4; i++)
		mrs[i] = acquire(cache, buffer, i * 4096, 4096, REMOTE);
	assert_int_equal(status_of(cache).nr_entries, 4);
	for (int i = 0; i < 4; i++)
		release(mrs[i]);
	assert_int_equal(fake.nr_mrs, 2);
	assert_int_equal(status_of(cache).nr_entries, 2);
	assert_ptr_equal(touch(cache, buffer, 3 * 4096, 4096, REMOTE), mrs[3]);
}

static void acquire_evicted_range_inside_registers(void **state)
{
	const void *large;

	(void)state;
	remake_cache(0, 2, 0);
	large = touch(cache, buffer, 0, 65536, LOCAL);
	touch(cache, buffer, 131072, 4096, LOCAL);
	touch(cache, buffer, 262144, 4096, LOCAL);
	assert_non_null(large);
	/* The large one has gone from where ranges inside are looked for, too. */
	touch(cache, buffer, 4096, 4096, LOCAL);
	assert_int_equal(status_of(cache).nr_hits_inside, 0);
	assert_int_equal(status_of(cache).nr_misses, 4);
}

static void acquire_no_room_in_nic_makes_some(void **state)
{
	struct p2pdma_mr *held, *mr = NULL;

	(void)state;
	fake.verbs_error = -EOPNOTSUPP;
	held = acquire(cache, buffer, 0, 4096, REMOTE);
	touch(cache, buffer, 4096, 4096, REMOTE);
	fake_fail(RDMA_VERBS_IOCTL, -ENOMEM, 0);
	release(acquire(cache, buffer, 8192, 4096, REMOTE));
	assert_int_equal(status_of(cache).nr_evicted, 1);
	assert_int_equal(fake.nr_mrs, 2);
	/* Nothing to let go of: then that's the answer, and nothing is left behind. */
	assert_int_equal(p2pdma_mr_cache_drop(cache, NULL), 0);
	fake_fail(RDMA_VERBS_IOCTL, -ENOMEM, 0);
	assert_int_equal(acquire_at(cache, buffer, 4096, 4096, 0, REMOTE, &mr), -ENOMEM);
	assert_int_equal(status_of(cache).nr_entries, 0);
	assert_int_equal(status_of(cache).bytes, 0);
	assert_int_equal(status_of(cache).nr_ended, 1);
	release(held);
	assert_int_equal(fake.nr_mrs, 0);
}

static void acquire_no_room_in_nic_lets_some_go(void **state)
{
	(void)state;
	fake.verbs_error = -EOPNOTSUPP;
	for (uint64_t i = 0; i < 100; i++)
		touch(cache, buffer, i * 4096, 4096, LOCAL);
	fake_fail(RDMA_VERBS_IOCTL, -ENOMEM, 0);
	touch(cache, buffer, 200 * 4096, 4096, LOCAL);
	/* Neither all of them nor the youngest. */
	assert_int_equal(status_of(cache).nr_evicted, 64);
	touch(cache, buffer, 64 * 4096, 4096, LOCAL);
	assert_int_equal(status_of(cache).nr_misses, 101);
	assert_int_equal(fake.nr_mrs, 37);
}

static void acquire_registration_fails_tries_anew(void **state)
{
	struct p2pdma_mr *mr = NULL;

	(void)state;
	fake.verbs_error = -EPERM;
	assert_int_equal(acquire_at(cache, buffer, 0, MIB, 0, REMOTE, &mr), -EPERM);
	assert_int_equal(status_of(cache).nr_entries, 0);
	fake.verbs_error = 0;
	touch(cache, buffer, 0, MIB, REMOTE);
}

static void drop_unused_and_held(void **state)
{
	struct p2pdma_buffer *other = fake_buffer(MIB, MIB, 0);
	struct p2pdma_mr *held = acquire(cache, buffer, 0, 4096, REMOTE);
	const void *kept = touch(cache, other, 0, 4096, REMOTE);

	(void)state;
	touch(cache, buffer, 4096, 4096, REMOTE);
	assert_int_equal(p2pdma_mr_cache_drop(cache, buffer), 0);
	assert_int_equal(fake.nr_mrs, 2);
	assert_int_equal(status_of(cache).nr_invalidated, 2);
	assert_ptr_equal(touch(cache, other, 0, 4096, REMOTE), kept);
	/* It is still a good region, but not handed out again. */
	assert_int_equal(p2pdma_mr_enter(held), 0);
	p2pdma_mr_exit(held);
	assert_ptr_not_equal(touch(cache, buffer, 0, 4096, REMOTE), held);
	release(held);
	assert_int_equal(fake.nr_mrs, 2);
	assert_int_equal(p2pdma_mr_cache_drop(cache, NULL), 0);
	assert_int_equal(fake.nr_mrs, 0);
	p2pdma_buffer_free(other);
}

static void drop_unknown_buffer_does_nothing(void **state)
{
	struct p2pdma_buffer *other = fake_buffer(MIB, MIB, 0);

	(void)state;
	touch(cache, buffer, 0, 4096, REMOTE);
	assert_int_equal(p2pdma_mr_cache_drop(cache, other), 0);
	assert_int_equal(fake.nr_mrs, 1);
	p2pdma_buffer_free(other);
}

static void release_of_no_cache_einval(void **state)
{
	struct p2pdma_mr *mr = NULL;

	(void)state;
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, REMOTE, &mr), 0);
	assert_int_equal(p2pdma_mr_cache_release(mr), -EINVAL);
	assert_cause("p2pdma_mr_deregister");
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	mr = acquire(cache, buffer, 0, MIB, REMOTE);
	assert_int_equal(p2pdma_mr_deregister(mr), -EINVAL);
	assert_cause("p2pdma_mr_cache_release");
	release(mr);
	release(NULL);
}

static void release_in_guard_tried_again_later(void **state)
{
	struct p2pdma_mr *mr = acquire(cache, buffer, 0, MIB, REMOTE);

	(void)state;
	assert_int_equal(p2pdma_mr_enter(mr), 0);
	assert_int_equal(p2pdma_mr_cache_drop(cache, NULL), 0);
	release(mr);
	assert_int_equal(fake.nr_mrs, 1);
	assert_int_equal(status_of(cache).nr_ended, 1);
	p2pdma_mr_exit(mr);
	assert_int_equal(p2pdma_mr_cache_drop(cache, NULL), 0);
	assert_int_equal(fake.nr_mrs, 0);
	assert_int_equal(status_of(cache).nr_ended, 0);
}

static void free_while_held_stays_valid(void **state)
{
	struct p2pdma_mr *mr = acquire(cache, buffer, 0, MIB, REMOTE);

	(void)state;
	touch(cache, buffer, 0, 4096, REMOTE);
	p2pdma_mr_cache_free(cache);
	cache = NULL;
	assert_int_equal(fake.nr_mrs, 1);
	assert_int_equal(p2pdma_mr_enter(mr), 0);
	p2pdma_mr_exit(mr);
	release(mr);
	assert_int_equal(fake.nr_mrs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(acquire_full_evicts_longest_unused),
		CASE(acquire_full_of_bytes_evicts),
		CASE(acquire_full_of_held_goes_at_release),
		CASE(acquire_evicted_range_inside_registers),
		CASE(acquire_no_room_in_nic_makes_some),
		CASE(acquire_no_room_in_nic_lets_some_go),
		CASE(acquire_registration_fails_tries_anew),
		CASE(drop_unused_and_held),
		CASE(drop_unknown_buffer_does_nothing),
		CASE(release_of_no_cache_einval),
		CASE(release_in_guard_tried_again_later),
		CASE(free_while_held_stays_valid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
