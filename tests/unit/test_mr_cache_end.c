// SPDX-License-Identifier: MIT
/*
 * What ends cached memory regions: revocations, devices that leave, buffers that are freed,
 * descriptors whose numbers come back.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "mr_cache_fixture.h"

static struct p2pdma_mr_cache *cache;

static int setup(void **state)
{
	fake_setup(state);
	cache = new_cache(*state, fake_pd(), 0, 0, 0);
	return 0;
}

static int teardown(void **state)
{
	p2pdma_mr_cache_free(cache);
	return fake_teardown(state);
}

static struct p2pdma_buffer *adopt(int fd)
{
	struct p2pdma_buffer *adopted = NULL;

	assert_int_equal(p2pdma_buffer_adopt(fake_context(), fd, NULL, &adopted), 0);
	return adopted;
}

static int try_acquire(struct p2pdma_buffer *buffer)
{
	struct p2pdma_mr *mr = NULL;
	int r = acquire_at(cache, buffer, 0, MIB, 0, REMOTE, &mr);

	assert_true(!r == !!mr);
	release(mr);
	return r;
}

static void revoke_empties_cache(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	struct p2pdma_mr *held = acquire(cache, buffer, 0, MIB, REMOTE);

	(void)state;
	/* The smaller first, so that each is registered; local ones are found inside, too. */
	for (uint64_t i = 0; i < 8; i++)
		touch(cache, buffer, i / 2 * 8192, (i % 2 + 1) * 4096, i < 4 ? REMOTE : LOCAL);
	assert_int_equal(fake.nr_mrs, 9);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	assert_int_equal(fake.nr_mrs, 1);
	assert_int_equal(status_of(cache).nr_entries, 0);
	assert_int_equal(status_of(cache).bytes, 0);
	assert_int_equal(status_of(cache).nr_used, 0);
	assert_int_equal(status_of(cache).nr_ended, 1);
	assert_int_equal(status_of(cache).nr_invalidated, 9);
	assert_int_equal(try_acquire(buffer), -ESTALE);
	assert_cause("has been revoked (owner)");
	assert_int_equal(p2pdma_mr_enter(held), -ESTALE);
	release(held);
	assert_int_equal(fake.nr_mrs, 0);
	p2pdma_buffer_free(buffer);
}

static void revoke_deregisters_before_kernel_step(void **state)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);

	(void)state;
	touch(cache, buffer, 0, MIB, REMOTE);
	fake.dereg_us = 30000;
	/* An importer that can't be revoked would hold the memory, for nobody. */
	fake_fail(P2PDMA_EXPORT_REVOKE, -EINTR, 0);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, &result), -EINTR);
	assert_int_equal(fake.nr_mrs, 0);
	/* That took its time, and none of it was the exporter's. */
	assert_true(result.duration_ns - result.kernel_ns >= 30000000);
	assert_int_equal(try_acquire(buffer), -ESTALE);
	p2pdma_buffer_free(buffer);
}

static void revoke_leaves_other_buffers_alone(void **state)
{
	struct p2pdma_buffer *a = fake_buffer(0, MIB, 0), *b = fake_buffer(MIB, MIB, 0);
	const void *kept = touch(cache, b, 0, MIB, REMOTE);

	(void)state;
	touch(cache, a, 0, MIB, REMOTE);
	assert_int_equal(p2pdma_buffer_revoke(a, 0, 0, NULL), 0);
	assert_int_equal(fake.nr_mrs, 1);
	assert_ptr_equal(touch(cache, b, 0, MIB, REMOTE), kept);
	p2pdma_buffer_free(a);
	p2pdma_buffer_free(b);
}

static void revoke_reaches_every_cache(void **state)
{
	struct ibv_pd pd = *fake_pd();
	struct p2pdma_mr_cache *other = new_cache(*state, &pd, 0, 0, 0);
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);

	touch(cache, buffer, 0, MIB, REMOTE);
	touch(other, buffer, 0, MIB, REMOTE);
	assert_int_equal(fake.nr_mrs, 2);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	assert_int_equal(fake.nr_mrs, 0);
	assert_int_equal(status_of(other).nr_entries, 0);
	p2pdma_mr_cache_free(other);
	p2pdma_buffer_free(buffer);
}

static void revoke_by_others_ends_with_the_event(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);

	(void)state;
	touch(cache, buffer, 0, MIB, REMOTE);
	fake.exports[0].state = P2PDMA_EXPORT_STATE_REVOKED;
	fake_event(P2PDMA_EXPORT_EVENT_REVOKED, 1, P2PDMA_EXPORT_REASON_RESET);
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(fake.nr_mrs, 0);
	assert_int_equal(try_acquire(buffer), -ESTALE);
	p2pdma_buffer_free(buffer);
}

static void revoke_by_others_ends_with_a_query(void **state)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);

	(void)state;
	touch(cache, buffer, 0, MIB, REMOTE);
	fake.exports[0].state = P2PDMA_EXPORT_STATE_REVOKED;
	assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
	assert_int_equal(fake.nr_mrs, 0);
	assert_int_equal(try_acquire(buffer), -ESTALE);
	p2pdma_buffer_free(buffer);
}

static void device_left_empties_cache(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	struct p2pdma_mr *held = acquire(cache, buffer, 0, MIB, REMOTE);

	(void)state;
	touch(cache, buffer, 0, 4096, REMOTE);
	fake_leave();
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_REVOKED);
	assert_int_equal(fake.nr_mrs, 1);
	assert_int_equal(try_acquire(buffer), -ENODEV);
	assert_cause("the device of 0000:01:00.0/2");
	assert_int_equal(p2pdma_mr_enter(held), -ENODEV);
	release(held);
	assert_int_equal(fake.nr_mrs, 0);
	p2pdma_buffer_free(buffer);
}

/* The slot has another device: its memory has the same name and is something else. */
static void device_replaced_is_another_generation(void **state)
{
	struct p2pdma_buffer *before = fake_buffer(0, MIB, 0), *after;
	struct p2pdma_mr *held = acquire(cache, before, 0, MIB, REMOTE), *mr;

	(void)state;
	fake_leave();
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_REVOKED);
	fake_replace_function("0000:01:00.0", "p2pdma_export");
	fake.is_gone = false;
	after = fake_buffer(0, MIB, 0);
	mr = acquire(cache, after, 0, MIB, REMOTE);
	assert_ptr_not_equal(mr, held);
	assert_ptr_equal(p2pdma_mr_buffer(mr), after);
	assert_int_equal(p2pdma_mr_enter(mr), 0);
	p2pdma_mr_exit(mr);
	assert_int_equal(try_acquire(before), -ENODEV);
	release(mr);
	release(held);
	p2pdma_buffer_free(before);
	p2pdma_buffer_free(after);
}

static void free_after_context_close(void **state)
{
	struct p2pdma_context *other = fake_open_context(P2PDMA_CONTEXT_NO_HOTPLUG);
	struct p2pdma_mr_cache *short_lived = new_cache(other, fake_pd(), 0, 0, 0);
	struct p2pdma_buffer *adopted = NULL;
	int fd = fake_make_dmabuf(MIB);

	(void)state;
	assert_int_equal(p2pdma_buffer_adopt(other, fd, NULL, &adopted), 0);
	fake_sys.close(fd);
	touch(short_lived, adopted, 0, MIB, REMOTE);
	p2pdma_context_close(other);
	p2pdma_mr_cache_free(short_lived);
	assert_int_equal(fake.nr_mrs, 0);
	p2pdma_buffer_free(adopted);
}

static void free_takes_memory_back_at_once(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);

	(void)state;
	touch(cache, buffer, 0, MIB, REMOTE);
	p2pdma_buffer_free(buffer);
	assert_int_equal(fake.nr_mrs, 0);
	assert_int_equal(fake.exports[0].state, P2PDMA_EXPORT_STATE_REVOKED);
	assert_int_equal(status_of(cache).nr_invalidated, 1);
}

static void free_while_held_waits_for_release(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	struct p2pdma_mr *held = acquire(cache, buffer, 0, MIB, REMOTE);

	(void)state;
	p2pdma_buffer_free(buffer);
	assert_int_equal(fake.exports[0].state, P2PDMA_EXPORT_STATE_ACTIVE);
	assert_int_equal(p2pdma_mr_enter(held), 0);
	p2pdma_mr_exit(held);
	assert_int_equal(status_of(cache).nr_entries, 0);
	release(held);
	assert_int_equal(fake.nr_mrs, 0);
	assert_int_equal(fake.exports[0].state, P2PDMA_EXPORT_STATE_REVOKED);
}

static void adopt_duplicate_is_the_same(void **state)
{
	int fd = fake_make_dmabuf(MIB), copy = fake_sys.dup(fd);
	struct p2pdma_buffer *a = adopt(fd), *b = adopt(copy);
	const void *mr = touch(cache, a, 0, MIB, REMOTE);

	(void)state;
	assert_int_not_equal(p2pdma_buffer_fd(a), p2pdma_buffer_fd(b));
	assert_ptr_equal(touch(cache, b, 0, MIB, REMOTE), mr);
	assert_int_equal(status_of(cache).nr_misses, 1);
	/* One of its users has closed it, the other hasn't. */
	p2pdma_buffer_free(a);
	assert_int_equal(fake.nr_mrs, 1);
	assert_ptr_equal(touch(cache, b, 0, MIB, REMOTE), mr);
	/* The last one. */
	p2pdma_buffer_free(b);
	assert_int_equal(fake.nr_mrs, 0);
	fake_sys.close(fd);
	fake_sys.close(copy);
}

static void adopt_reused_number_is_another(void **state)
{
	int fd = fake_make_dmabuf(MIB), again;
	struct p2pdma_buffer *a = adopt(fd), *b;
	struct p2pdma_mr *held = acquire(cache, a, 0, MIB, REMOTE), *mr;

	(void)state;
	fake_sys.close(fd);
	again = fake_make_dmabuf(MIB);
	assert_int_equal(again, fd);
	b = adopt(again);
	mr = acquire(cache, b, 0, MIB, REMOTE);
	assert_ptr_not_equal(mr, held);
	assert_ptr_equal(p2pdma_mr_buffer(mr), b);
	release(mr);
	release(held);
	assert_int_equal(status_of(cache).nr_entries, 2);

	/* So is the number of the library's own duplicate, once the buffer has gone. */
	p2pdma_buffer_free(b);
	p2pdma_buffer_free(a);
	a = adopt(again);
	assert_int_equal(try_acquire(a), 0);
	assert_int_equal(status_of(cache).nr_misses, 3);
	assert_int_equal(status_of(cache).nr_entries, 1);
	p2pdma_buffer_free(a);
	fake_sys.close(again);
}

static void adopt_read_only_may_not_write_by_the_others_region(void **state)
{
	int fd = fake_make_dmabuf(MIB), read_only;
	struct p2pdma_buffer *a = adopt(fd), *b;
	char path[32];

	(void)state;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(read_only >= 0);
	b = adopt(read_only);
	assert_int_equal(p2pdma_buffer_inode(a), p2pdma_buffer_inode(b));
	touch(cache, a, 0, MIB, REMOTE);
	touch(cache, a, 0, MIB, IBV_ACCESS_REMOTE_READ);
	touch(cache, b, 0, MIB, IBV_ACCESS_REMOTE_READ);
	assert_int_equal(status_of(cache).nr_misses, 2);
	assert_int_equal(try_acquire(b), -EACCES);
	assert_cause("read-only");
	p2pdma_buffer_free(a);
	p2pdma_buffer_free(b);
	close(read_only);
	fake_sys.close(fd);
}

/* Our own export, adopted again: what is revoked is the memory, not the object. */
static void revoke_reaches_adopted_sibling(void **state)
{
	struct p2pdma_buffer *own = fake_buffer(0, MIB, 0), *sibling = adopt(p2pdma_buffer_fd(own));
	struct p2pdma_mr *held = acquire(cache, sibling, 0, MIB, REMOTE);

	(void)state;
	touch(cache, sibling, 0, 4096, REMOTE);
	assert_ptr_equal(touch(cache, own, 0, MIB, REMOTE), held);
	assert_int_equal(p2pdma_buffer_revoke(own, 0, 0, NULL), 0);
	assert_int_equal(fake.nr_mrs, 1);
	assert_int_equal(p2pdma_mr_enter(held), -ESTALE);
	assert_int_equal(try_acquire(own), -ESTALE);
	/* Nobody told the sibling; the kernel does, each time. */
	fake.verbs_error = -ENODEV;
	assert_int_equal(try_acquire(sibling), -ENODEV);
	/* Even where the kernel takes it, it isn't for who was told. */
	fake.verbs_error = 0;
	assert_int_equal(try_acquire(sibling), 0);
	assert_int_equal(try_acquire(own), -ESTALE);
	assert_int_equal(p2pdma_mr_cache_drop(cache, NULL), 0);
	release(held);
	assert_int_equal(fake.nr_mrs, 0);
	p2pdma_buffer_free(sibling);
	p2pdma_buffer_free(own);
}

static void free_of_the_owner_ends_its_adopted_sibling(void **state)
{
	struct p2pdma_buffer *own = fake_buffer(0, MIB, 0), *sibling = adopt(p2pdma_buffer_fd(own));
	struct p2pdma_mr *held;

	(void)state;
	touch(cache, own, 0, 4096, REMOTE);
	held = acquire(cache, sibling, 0, MIB, REMOTE);
	p2pdma_buffer_free(own);
	assert_int_equal(fake.exports[0].state, P2PDMA_EXPORT_STATE_REVOKED);
	assert_int_equal(fake.nr_mrs, 1);
	assert_int_equal(p2pdma_mr_enter(held), -ESTALE);
	assert_int_equal(status_of(cache).nr_entries, 0);
	release(held);
	p2pdma_buffer_free(sibling);
}

static void revoke_now(void *data)
{
	fake.on_register = NULL;
	assert_int_equal(p2pdma_buffer_revoke(data, 0, 0, NULL), 0);
}

static void revoke_while_registering(void **state)
{
	struct p2pdma_buffer *own = fake_buffer(0, MIB, 0), *sibling = adopt(p2pdma_buffer_fd(own));

	(void)state;
	touch(cache, own, 0, 4096, REMOTE);
	fake.on_register = revoke_now;
	fake.on_register_data = own;
	assert_int_equal(try_acquire(own), -ESTALE);
	assert_int_equal(fake.nr_mrs, 0);
	assert_int_equal(status_of(cache).nr_entries, 0);
	assert_int_equal(status_of(cache).nr_ended, 0);
	p2pdma_buffer_free(sibling);
	p2pdma_buffer_free(own);
}

static void revoke_while_registering_a_sibling(void **state)
{
	struct p2pdma_buffer *own = fake_buffer(0, MIB, 0), *sibling = adopt(p2pdma_buffer_fd(own));

	(void)state;
	touch(cache, own, 0, 4096, REMOTE);
	fake.on_register = revoke_now;
	fake.on_register_data = own;
	assert_int_equal(try_acquire(sibling), -ESTALE);
	assert_cause("was revoked meanwhile");
	assert_int_equal(fake.nr_mrs, 0);
	assert_int_equal(status_of(cache).nr_entries, 0);
	p2pdma_buffer_free(sibling);
	p2pdma_buffer_free(own);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(revoke_empties_cache),
		CASE(revoke_deregisters_before_kernel_step),
		CASE(revoke_leaves_other_buffers_alone),
		CASE(revoke_reaches_every_cache),
		CASE(revoke_by_others_ends_with_the_event),
		CASE(revoke_by_others_ends_with_a_query),
		CASE(device_left_empties_cache),
		CASE(device_replaced_is_another_generation),
		CASE(free_after_context_close),
		CASE(free_takes_memory_back_at_once),
		CASE(free_while_held_waits_for_release),
		CASE(adopt_duplicate_is_the_same),
		CASE(adopt_reused_number_is_another),
		CASE(adopt_read_only_may_not_write_by_the_others_region),
		CASE(revoke_reaches_adopted_sibling),
		CASE(free_of_the_owner_ends_its_adopted_sibling),
		CASE(revoke_while_registering),
		CASE(revoke_while_registering_a_sibling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
