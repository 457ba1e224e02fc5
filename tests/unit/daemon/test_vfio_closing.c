// SPDX-License-Identifier: MIT
/* When a function of VFIO counts as closed, with a sysfs of the test's own. */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/sysfs.h"
#include "common/vfio.h"
#include "core.h"
#include "source/vfio_closing.h"

static struct {
	int error; /* of looking for the function */
	uint64_t generation;
	bool is_bound;
	int enable_error;
	uint64_t nr_enabled;
	unsigned int nr_looks;
	unsigned int closes_after; /* looks; 0: by itself it doesn't */
} sysfs;

struct waiter {
	struct vfio_closing closing;
	unsigned int nr_over, nr_late, nr_on_time;
};

static struct event_base *base;
static struct waiter one, two;
static const struct pci_function function = {.generation = 7};

/* -- sysfs, by the linker -- */

/* NOLINTBEGIN(bugprone-reserved-identifier) */
int __wrap_pci_function_query(int sysfs_fd, const struct pci_address *address,
			      struct pci_function *ret_function);
int __wrap_pci_function_query(int sysfs_fd, const struct pci_address *address,
			      struct pci_function *ret_function)
{
	(void)sysfs_fd;
	(void)address;
	*ret_function = (struct pci_function){.generation = sysfs.generation};
	return sysfs.error;
}

int __wrap_pci_function_open(int sysfs_fd, const struct pci_address *address, int *ret_fd);
int __wrap_pci_function_open(int sysfs_fd, const struct pci_address *address, int *ret_fd)
{
	(void)sysfs_fd;
	(void)address;
	*ret_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return 0;
}

bool __wrap_vfio_is_bound(const struct pci_function *now);
bool __wrap_vfio_is_bound(const struct pci_function *now)
{
	(void)now;
	return sysfs.is_bound;
}

int __wrap_sysfs_read_u64(int dir_fd, const char *path, uint64_t *ret_value);
int __wrap_sysfs_read_u64(int dir_fd, const char *path, uint64_t *ret_value)
{
	assert_true(dir_fd >= 0);
	assert_string_equal(path, "enable");
	if (++sysfs.nr_looks == sysfs.closes_after)
		sysfs.nr_enabled = 0;
	*ret_value = sysfs.nr_enabled;
	return sysfs.enable_error;
}
/* NOLINTEND(bugprone-reserved-identifier) */

/* -- whoever waits -- */

static void on_over(void *data)
{
	struct waiter *waiter = data;

	waiter->nr_over++;
}

static void on_late(void *data, const char *why)
{
	struct waiter *waiter = data;

	if (why)
		waiter->nr_late++;
	else
		waiter->nr_on_time++;
}

static void waiter_init(struct waiter *waiter)
{
	memset(waiter, 0, sizeof(*waiter));
	assert_int_equal(vfio_closing_init(&waiter->closing, base), 0);
	waiter->closing.over = on_over;
	waiter->closing.late = on_late;
	waiter->closing.data = waiter;
}

static int setup(void **state)
{
	(void)state;
	memset(&sysfs, 0, sizeof(sysfs));
	sysfs.generation = function.generation;
	sysfs.is_bound = true;
	sysfs.nr_enabled = 1;
	base = event_base_new();
	waiter_init(&one);
	waiter_init(&two);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	vfio_closing_done(&one.closing);
	vfio_closing_done(&two.closing);
	event_base_free(base);
	return 0;
}

static void is_over_at_once(void)
{
	vfio_closing_await(&one.closing, &function, true);
	assert_int_equal(one.nr_over, 1);
	assert_int_equal(one.nr_late, 0);
	assert_false(vfio_closing_abandon(&one.closing));
}

static void await_closed_is_over(void **state)
{
	(void)state;
	sysfs.nr_enabled = 0;
	is_over_at_once();
}

/* What the kernel has let go of can't be open, and what is in its place is another's. */
static void await_gone_is_over(void **state)
{
	(void)state;
	sysfs.error = -ENODEV;
	is_over_at_once();
	sysfs.error = 0;
	sysfs.generation++;
	one.nr_over = 0;
	is_over_at_once();
}

static void await_another_driver_is_over(void **state)
{
	(void)state;
	sysfs.is_bound = false;
	is_over_at_once();
}

static void await_untold_is_over(void **state)
{
	(void)state;
	sysfs.enable_error = -ENOENT;
	is_over_at_once();
}

static void await_open_looks_again(void **state)
{
	(void)state;
	sysfs.closes_after = 4;
	vfio_closing_await(&one.closing, &function, true);
	assert_int_equal(one.nr_over, 0);
	event_base_dispatch(base);
	assert_int_equal(one.nr_over, 1);
	assert_int_equal(sysfs.nr_looks, 4);
	assert_int_equal(one.nr_late, 0);
}

/* By a group it could be opened again, and so it isn't; by its device the kernel refuses that itself. */
static void await_always_open_ends_only_where_the_kernel_refuses(void **state)
{
	uint64_t end_ns = clock_now_ns() + 20000 * NS_PER_MS;

	(void)state;
	vfio_closing_await(&one.closing, &function, true);
	vfio_closing_await(&two.closing, &function, false);
	while ((!one.nr_late || !two.nr_over) && clock_now_ns() < end_ns)
		event_base_loop(base, EVLOOP_ONCE);
	assert_int_equal(two.nr_over, 1);
	assert_int_equal(two.nr_late, 0);
	assert_int_equal(one.nr_late, 1);
	assert_int_equal(one.nr_over, 0);
	sysfs.nr_enabled = 0;
	event_base_dispatch(base);
	assert_int_equal(one.nr_over, 1);
	assert_int_equal(one.nr_late, 1);
	assert_int_equal(one.nr_on_time, 1);
}

static void abandon_ends_what_waits(void **state)
{
	(void)state;
	assert_false(vfio_closing_abandon(&one.closing));
	vfio_closing_await(&one.closing, &function, true);
	assert_true(vfio_closing_abandon(&one.closing));
	assert_int_equal(one.nr_over, 1);
	/* Nothing is left that would look. */
	event_base_dispatch(base);
	assert_int_equal(one.nr_over, 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(await_closed_is_over),
		CASE(await_gone_is_over),
		CASE(await_another_driver_is_over),
		CASE(await_untold_is_over),
		CASE(await_open_looks_again),
		CASE(await_always_open_ends_only_where_the_kernel_refuses),
		CASE(abandon_ends_what_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
