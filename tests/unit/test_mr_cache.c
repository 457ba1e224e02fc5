// SPDX-License-Identifier: MIT
/* The cache of memory regions: what is found, and what isn't. */
#include <errno.h>

#include "mr_cache_case.h"

static void acquire_again_same_region(void **state)
{
	struct p2pdma_mr *mr = acquire(cache, buffer, 4096, 8192, REMOTE);
	struct p2pdma_mr_cache_status status;

	(void)state;
	assert_int_equal(p2pdma_mr_rkey(mr), 0x22);
	assert_int_equal(p2pdma_mr_iova(mr), 4096);
	assert_int_equal(p2pdma_mr_length_bytes(mr), 8192);
	assert_int_equal(fake.last_access, REMOTE);
	release(mr);
	assert_int_equal(fake.nr_mrs, 1);
	assert_ptr_equal(touch(cache, buffer, 4096, 8192, REMOTE), mr);
	status = status_of(cache);
	assert_int_equal(status.nr_misses, 1);
	assert_int_equal(status.nr_hits, 1);
	assert_int_equal(status.nr_hits_inside, 0);
	assert_int_equal(status.nr_entries, 1);
	assert_int_equal(status.nr_used, 0);
	assert_int_equal(status.bytes, 8192);
}

static void acquire_held_is_shared(void **state)
{
	struct p2pdma_mr *a = acquire(cache, buffer, 0, MIB, REMOTE);
	struct p2pdma_mr *b = acquire(cache, buffer, 0, MIB, REMOTE);

	(void)state;
	assert_ptr_equal(a, b);
	assert_int_equal(status_of(cache).nr_used, 1);
	release(a);
	assert_int_equal(status_of(cache).nr_used, 1);
	release(b);
	assert_int_equal(status_of(cache).nr_used, 0);
	assert_int_equal(fake.nr_mrs, 1);
}

static void acquire_other_key_registers(void **state)
{
	struct p2pdma_mr *mrs[6] = {NULL};

	(void)state;
	mrs[0] = acquire(cache, buffer, 0, 8192, REMOTE);
	mrs[1] = acquire(cache, buffer, 4096, 4096, REMOTE);
	mrs[2] = acquire(cache, buffer, 0, 4096, REMOTE);
	mrs[3] = acquire(cache, buffer, 0, 8192, LOCAL);
	assert_int_equal(acquire_at(cache, buffer, 0, 8192, 4096, REMOTE, &mrs[4]), 0);
	mrs[5] = acquire(cache, buffer, 0, 8192, REMOTE | IBV_ACCESS_RELAXED_ORDERING);
	for (int i = 0; i < 6; i++) {
		for (int j = 0; j < i; j++)
			assert_ptr_not_equal(mrs[i], mrs[j]);
	}
	assert_int_equal(fake.nr_mrs, 6);
	for (int i = 0; i < 6; i++)
		release(mrs[i]);
}

static void acquire_optional_access_is_the_same(void **state)
{
	const void *mr = touch(cache, buffer, 0, MIB, REMOTE);

	(void)state;
	assert_ptr_equal(touch(cache, buffer, 0, MIB, REMOTE | 1U << 25), mr);
}

static void acquire_inside_larger_local(void **state)
{
	struct p2pdma_mr *large = acquire(cache, buffer, 4096, 65536, LOCAL), *mr = NULL;

	(void)state;
	assert_ptr_equal(touch(cache, buffer, 4096, 4096, LOCAL), large);
	assert_ptr_equal(touch(cache, buffer, 65536, 4096, LOCAL), large);
	/* Down to the byte: the address stays the one that was asked for. */
	assert_ptr_equal(touch(cache, buffer, 8192 + 0x234, 77, LOCAL), large);
	assert_int_equal(status_of(cache).nr_hits_inside, 3);
	assert_int_equal(status_of(cache).nr_misses, 1);
	/* Another iova is another region, though the memory is the same. */
	assert_int_equal(acquire_at(cache, buffer, 8192, 4096, 0x10000, LOCAL, &mr), 0);
	assert_ptr_not_equal(mr, large);
	assert_int_equal(p2pdma_mr_iova(mr), 0x12000);
	release(mr);
	/* Less access is another one, too: its key must not do more than was asked for. */
	assert_ptr_not_equal(touch(cache, buffer, 8192, 4096, 0), large);
	release(large);
}

static void acquire_inside_larger_same_iova(void **state)
{
	struct p2pdma_mr *large = NULL, *mr = NULL;

	(void)state;
	/* A negative base, as where a buffer is mapped below its offset. */
	assert_int_equal(acquire_at(cache, buffer, 8192, 65536, (uint64_t)-4096, LOCAL, &large), 0);
	assert_int_equal(p2pdma_mr_iova(large), 4096);
	assert_int_equal(acquire_at(cache, buffer, 12288, 4096, (uint64_t)-4096, LOCAL, &mr), 0);
	assert_ptr_equal(mr, large);
	release(mr);
	release(large);
}

static void acquire_inside_larger_remote_only_if_told(void **state)
{
	const void *large = touch(cache, buffer, 0, MIB, REMOTE);

	(void)state;
	/* A peer that gets the key of a page shouldn't have that of the whole buffer. */
	assert_ptr_not_equal(touch(cache, buffer, 0, 4096, REMOTE), large);
	assert_ptr_not_equal(touch(cache, buffer, 0, 4096, LOCAL | IBV_ACCESS_REMOTE_READ), large);
	assert_int_equal(status_of(cache).nr_hits_inside, 0);
	remake_cache(P2PDMA_MR_CACHE_SHARE_REMOTE, 0, 0);
	large = touch(cache, buffer, 0, MIB, REMOTE);
	assert_ptr_equal(touch(cache, buffer, 4096, 4096, REMOTE), large);
	assert_int_equal(status_of(cache).nr_hits_inside, 1);
}

static void acquire_partial_overlap_registers(void **state)
{
	struct p2pdma_mr *a = acquire(cache, buffer, 0, 8192, LOCAL);
	struct p2pdma_mr *b = acquire(cache, buffer, 4096, 8192, LOCAL);
	struct p2pdma_mr *around = acquire(cache, buffer, 0, 12288, LOCAL);

	(void)state;
	assert_ptr_not_equal(a, b);
	assert_ptr_not_equal(around, a);
	assert_int_equal(status_of(cache).nr_misses, 3);
	/* Only both together have it; one that has it all is found. */
	assert_ptr_equal(touch(cache, buffer, 2048, 8192, LOCAL), around);
	assert_ptr_equal(touch(cache, buffer, 8192, 4096, LOCAL), around);
	/* What was registered exactly comes before what is around it. */
	assert_ptr_equal(touch(cache, buffer, 4096, 8192, LOCAL), b);
	assert_int_equal(status_of(cache).nr_misses, 3);
	release(a);
	release(b);
	release(around);
}

static void acquire_bad_range_einval(void **state)
{
	struct p2pdma_mr *mr = NULL;

	(void)state;
	/* All of them would be "inside" this one by careless arithmetic. */
	touch(cache, buffer, 0, MIB, LOCAL);
	assert_int_equal(acquire_at(cache, buffer, 0, 0, 0, LOCAL, &mr), -EINVAL);
	assert_cause("empty");
	assert_int_equal(acquire_at(cache, buffer, 4096, MIB, 0, LOCAL, &mr), -EINVAL);
	assert_cause("pass the end of the buffer");
	assert_int_equal(acquire_at(cache, buffer, 4096, UINT64_MAX - 4095, 0, LOCAL, &mr),
			 -EINVAL);
	assert_int_equal(acquire_at(cache, buffer, UINT64_MAX - 4095, 8192, 0, LOCAL, &mr),
			 -EINVAL);
	assert_int_equal(acquire_at(cache, buffer, 0, 4096, 0x234, LOCAL, &mr), -EINVAL);
	assert_cause("differ below the page size");
	assert_int_equal(acquire_at(cache, buffer, 0, 4096, 0, IBV_ACCESS_REMOTE_WRITE, &mr),
			 -EINVAL);
	assert_int_equal(acquire_at(cache, buffer, 0, 4096, 0, LOCAL | IBV_ACCESS_MW_BIND, &mr),
			 -EINVAL);
	assert_null(mr);
	assert_int_equal(fake.nr_mrs, 1);
}

static void acquire_bad_arguments_einval(void **state)
{
	struct {
		struct p2pdma_mr_attr attr;
		uint64_t future;
	} big = {{.size_bytes = sizeof(big), .length_bytes = MIB}, 1};
	struct p2pdma_context *other = fake_open_context(P2PDMA_CONTEXT_NO_HOTPLUG);
	struct p2pdma_buffer *foreign = NULL;
	struct p2pdma_mr *mr = NULL;
	int fd = fake_make_dmabuf(MIB);

	(void)state;
	assert_int_equal(p2pdma_mr_cache_acquire(NULL, buffer, &big.attr, &mr), -EINVAL);
	assert_int_equal(p2pdma_mr_cache_acquire(cache, NULL, &big.attr, &mr), -EINVAL);
	assert_int_equal(p2pdma_mr_cache_acquire(cache, buffer, NULL, &mr), -EINVAL);
	assert_int_equal(p2pdma_mr_cache_acquire(cache, buffer, &big.attr, NULL), -EINVAL);
	assert_int_equal(p2pdma_mr_cache_acquire(cache, buffer, &big.attr, &mr), -E2BIG);
	big.future = 0;
	big.attr.dmah = (struct ibv_dmah *)(void *)&big;
	assert_int_equal(p2pdma_mr_cache_acquire(cache, buffer, &big.attr, &mr), -EINVAL);
	assert_cause("DMA handle");
	big.attr.dmah = NULL;
	big.attr.size_bytes = 8;
	assert_int_equal(p2pdma_mr_cache_acquire(cache, buffer, &big.attr, &mr), -EINVAL);
	big.attr.size_bytes = sizeof(big);
	assert_int_equal(p2pdma_buffer_adopt(other, fd, NULL, &foreign), 0);
	assert_int_equal(p2pdma_mr_cache_acquire(cache, foreign, &big.attr, &mr), -EINVAL);
	assert_cause("another context");
	assert_int_equal(p2pdma_mr_cache_drop(cache, foreign), -EINVAL);
	assert_int_equal(p2pdma_mr_cache_drop(NULL, buffer), -EINVAL);
	assert_null(mr);
	p2pdma_buffer_free(foreign);
	p2pdma_context_close(other);
	fake_sys.close(fd);
	assert_int_equal(p2pdma_mr_cache_acquire(cache, buffer, &big.attr, &mr), 0);
	release(mr);
}

static void new_bad_options(void **state)
{
	struct {
		struct p2pdma_mr_cache_options options;
		uint64_t future;
	} big = {P2PDMA_MR_CACHE_OPTIONS_INIT, 1};
	struct p2pdma_mr_cache_status small = {.size_bytes = 8};
	struct p2pdma_mr_cache *made = NULL;

	assert_int_equal(p2pdma_mr_cache_new(NULL, fake_pd(), NULL, &made), -EINVAL);
	assert_int_equal(p2pdma_mr_cache_new(*state, NULL, NULL, &made), -EINVAL);
	assert_int_equal(p2pdma_mr_cache_new(*state, fake_pd(), NULL, NULL), -EINVAL);
	big.options.flags = 2;
	assert_int_equal(p2pdma_mr_cache_new(*state, fake_pd(), &big.options, &made), -EINVAL);
	big.options.flags = 0;
	big.options.reserved = 1;
	assert_int_equal(p2pdma_mr_cache_new(*state, fake_pd(), &big.options, &made), -EINVAL);
	big.options.reserved = 0;
	big.options.max_entries = P2PDMA_MR_CACHE_MAX_ENTRIES + 1;
	assert_int_equal(p2pdma_mr_cache_new(*state, fake_pd(), &big.options, &made), -EINVAL);
	assert_cause("at most 65536");
	big.options.max_entries = 0;
	big.options.size_bytes = sizeof(big);
	assert_int_equal(p2pdma_mr_cache_new(*state, fake_pd(), &big.options, &made), -E2BIG);
	big.options.size_bytes = 4;
	assert_int_equal(p2pdma_mr_cache_new(*state, fake_pd(), &big.options, &made), -EINVAL);
	assert_null(made);
	assert_int_equal(p2pdma_mr_cache_query(NULL, &small), -EINVAL);
	assert_int_equal(p2pdma_mr_cache_query(cache, &small), -EINVAL);
	assert_int_equal(p2pdma_mr_cache_query(cache, NULL), -EINVAL);
	p2pdma_mr_cache_free(NULL);
	assert_int_equal(p2pdma_mr_cache_new(*state, fake_pd(), NULL, &made), 0);
	p2pdma_mr_cache_free(made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(acquire_again_same_region),
		CASE(acquire_held_is_shared),
		CASE(acquire_other_key_registers),
		CASE(acquire_optional_access_is_the_same),
		CASE(acquire_inside_larger_local),
		CASE(acquire_inside_larger_same_iova),
		CASE(acquire_inside_larger_remote_only_if_told),
		CASE(acquire_partial_overlap_registers),
		CASE(acquire_bad_range_einval),
		CASE(acquire_bad_arguments_einval),
		CASE(new_bad_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
