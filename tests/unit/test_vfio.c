// SPDX-License-Identifier: MIT
/* The vfio backend by cdev and by group: every way in, every way out. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

#include <infiniband/verbs.h>
#include <p2pdma/p2pdma.h>

#include "fake.h"
#include "fake_vfio.h"
#include "common/vfio_abi.h"

#define FUNCTION "0000:01:00.0"
#define SYS	 "sys/bus/pci/devices/" FUNCTION

static int setup_group(void **state)
{
	fake_setup(state);
	fake_remove_function(FUNCTION);
	fake_add_function(FUNCTION, "vfio-pci");
	fake_link("../../../kernel/iommu_groups/7", SYS "/iommu_group");
	fake_mkdir("dev/vfio/devices");
	fake_write("dev/vfio/vfio", "");
	fake_write("dev/vfio/7", "");
	return 0;
}

static int setup_cdev(void **state)
{
	setup_group(state);
	fake_mkdir(SYS "/vfio-dev/vfio3");
	fake_write("dev/vfio/devices/vfio3", "");
	fake_write("dev/iommu", "");
	return 0;
}

static int try_new(uint32_t flags)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_provider *provider = fake_provider();
	struct p2pdma_buffer *buffer = NULL;
	int r;

	options.backend = P2PDMA_BACKEND_VFIO;
	options.flags = flags;
	r = p2pdma_buffer_new(fake_context(), provider, NULL, 0, &options, &buffer);
	assert_true(!r == !!buffer);
	p2pdma_buffer_free(buffer);
	p2pdma_provider_unref(provider);
	return r;
}

static void new_by_either_way(void **state)
{
	struct p2pdma_buffer *a = fake_buffer(0, MIB, 0);
	struct p2pdma_buffer *b = fake_buffer(MIB, 2 * MIB, P2PDMA_BUFFER_READ_ONLY);
	int opens = fake.nr_opens;

	(void)state;
	assert_int_equal(p2pdma_buffer_backend(a), P2PDMA_BACKEND_VFIO);
	assert_int_equal(p2pdma_buffer_size_bytes(b), 2 * MIB);
	assert_true(fake_vfio_is_decoding());
	p2pdma_buffer_free(a);
	a = fake_buffer(0, MIB, 0);
	assert_int_equal(fake.nr_opens, opens);
	p2pdma_buffer_free(a);
	assert_true(fake_vfio_is_decoding());
	p2pdma_buffer_free(b);
	/* Closed with its last buffer, and off: nobody else's DMABUF comes back to life. */
	assert_false(fake_vfio_is_decoding());
}

/* A second function of the group opens @nr_nodes nodes more; what they share goes with the last. */
static void share(void *context, int nr_nodes)
{
	struct p2pdma_buffer *a = fake_buffer(0, MIB, 0), *b = NULL;
	struct p2pdma_provider *provider = NULL;
	int opens = fake.nr_opens;

	assert_int_equal(p2pdma_provider_find(context, "0000:01:00.1/2", &provider), 0);
	assert_int_equal(p2pdma_buffer_new(context, provider, NULL, 0, NULL, &b), 0);
	assert_int_equal(fake.nr_opens, opens + nr_nodes);
	p2pdma_provider_unref(provider);
	p2pdma_buffer_free(a);
	p2pdma_buffer_free(b);
	a = fake_buffer(0, MIB, 0);
	assert_int_equal(fake.nr_opens, 2 * opens + nr_nodes);
	p2pdma_buffer_free(a);
}

static void two_functions_share_a_group(void **state)
{
	fake_add_function("0000:01:00.1", "vfio-pci");
	fake_link("../../../kernel/iommu_groups/7", "sys/bus/pci/devices/0000:01:00.1/iommu_group");
	share(*state, 0);
}

static void two_functions_share_an_iommufd(void **state)
{
	fake_add_function("0000:01:00.1", "vfio-pci");
	fake_mkdir("sys/bus/pci/devices/0000:01:00.1/vfio-dev/vfio4");
	fake_write("dev/vfio/devices/vfio4", "");
	share(*state, 1);
}

/* What a service manager would do: copies under names, which outlive us. */
static struct {
	char name[32];
	int fd;
} kept[4];

static void keep(const char *name, int fd, void *data)
{
	assert_ptr_equal(data, kept);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (*kept[i].name)
			continue;
		strcpy(kept[i].name, name);
		kept[i].fd = fake_sys.dup(fd);
		return;
	}
	fail_msg("too much to keep");
}

static int take_kept(const char *name, void *data)
{
	assert_ptr_equal(data, kept);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (!strcmp(kept[i].name, name))
			return fake_sys.dup(kept[i].fd);
	return -1;
}

static void forget(const char *name, void *data)
{
	assert_ptr_equal(data, kept);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		if (strcmp(kept[i].name, name) != 0)
			continue;
		fake_sys.close(kept[i].fd);
		*kept[i].name = '\0';
		return;
	}
	fail_msg("%s isn't kept", name);
}

static int count_kept(void)
{
	int count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		count += *kept[i].name != '\0';
	return count;
}

/* A process opens one function of a group and dies; the next one goes on, and opens another. */
static void go_on(const struct p2pdma_context *context, int nr_kept, int nr_nodes)
{
	static const struct vfio_keeper keeper = {
		.keep = keep, .forget = forget, .take = take_kept, .data = kept};
	struct pci_function functions[2] = {
		{.address = {0, 1, 0}, .iommu_group = 7, .vfio_dev = "vfio3"},
		{.address = {0, 1, 1}, .iommu_group = 7, .vfio_dev = "vfio4"},
	};
	struct vfio_open before = VFIO_OPEN_INIT, opens[2] = {VFIO_OPEN_INIT, VFIO_OPEN_INIT};
	struct vfio_nodes nodes;
	struct cause why;
	int fd, nr_opens, nr_fds = count_fds();

	vfio_nodes_init(&nodes, &fake_sys, context->dev_fd);
	nodes.keeper = &keeper;
	assert_int_equal(vfio_open(&nodes, &functions[0], &why, &before), 0);
	assert_int_equal(count_kept(), nr_kept);
	fd = fake_sys.dup(before.fd);
	nodes.keeper = NULL;
	vfio_close(&nodes, &before);

	vfio_nodes_init(&nodes, &fake_sys, context->dev_fd);
	nodes.keeper = &keeper;
	vfio_adopt(&nodes, &functions[0], fd, &opens[0]);
	nr_opens = fake.nr_opens;
	assert_int_equal(vfio_open(&nodes, &functions[1], &why, &opens[1]), 0);
	assert_int_equal(fake.nr_opens, nr_opens + nr_nodes);
	vfio_close(&nodes, &opens[0]);
	assert_int_equal(count_kept(), nr_kept);
	vfio_close(&nodes, &opens[1]);
	assert_int_equal(count_kept(), 0);
	assert_int_equal(count_fds(), nr_fds);
}

static void group_outlives_its_process(void **state)
{
	go_on(*state, 2, 0);
}

static void iommufd_outlives_its_process(void **state)
{
	fake_write("dev/vfio/devices/vfio4", "");
	go_on(*state, 1, 1);
}

static void new_kernel_without_export_eopnotsupp(void **state)
{
	(void)state;
	fake.has_dma_buf = false;
	assert_int_equal(try_new(0), -EOPNOTSUPP);
	assert_cause("can't export DMABUFs");
}

static void new_allow_unrevocable_eopnotsupp(void **state)
{
	(void)state;
	assert_int_equal(try_new(P2PDMA_BUFFER_ALLOW_UNREVOCABLE), -EOPNOTSUPP);
}

static void new_not_bound_eopnotsupp(void **state)
{
	(void)state;
	fake_link("../../nvme", SYS "/driver");
	assert_int_equal(try_new(0), -EOPNOTSUPP);
	assert_cause("bound to nvme");
}

static void new_no_group_eopnotsupp(void **state)
{
	(void)state;
	fake_unlink(SYS "/iommu_group");
	assert_int_equal(try_new(0), -EOPNOTSUPP);
	assert_cause("is the IOMMU on?");
}

static void new_group_not_viable_ebusy(void **state)
{
	(void)state;
	fake.is_viable = false;
	assert_int_equal(try_new(0), -EBUSY);
	assert_cause("every function of the IOMMU group");
}

static void new_group_errors_leave_nothing_open(void **state)
{
	static const unsigned long requests[] = {
		FAKE_OPEN,	     VFIO_GROUP_GET_STATUS,    VFIO_GROUP_SET_CONTAINER,
		VFIO_SET_IOMMU,	     VFIO_GROUP_GET_DEVICE_FD, VFIO_DEVICE_GET_REGION_INFO,
		VFIO_DEVICE_FEATURE,
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		fake_fail(requests[i], -EPERM, 0);
		assert_int_equal(try_new(0),
				 requests[i] == VFIO_DEVICE_FEATURE ? -EOPNOTSUPP : -EPERM);
	}
	fake_fail(FAKE_OPEN, -EBUSY, 0);
	assert_int_equal(try_new(0), -EBUSY);
	assert_cause("somebody else has /dev/vfio/7 open alone");
	fake_fail(VFIO_GET_API_VERSION, -ENOTTY, 0);
	assert_int_equal(try_new(0), -EOPNOTSUPP);
	fake_fail(VFIO_CHECK_EXTENSION, -ENOTTY, 0);
	assert_int_equal(try_new(0), -EOPNOTSUPP);
	fake_fail(VFIO_DEVICE_FEATURE, -ENODEV, 1);
	assert_int_equal(try_new(0), -ENODEV);
	assert_int_equal(try_new(0), 0);
}

static void new_cdev_errors_leave_nothing_open(void **state)
{
	(void)state;
	/* Without a group to fall back on; that there is none isn't why. */
	fake_unlink(SYS "/iommu_group");
	fake_fail(FAKE_OPEN, -EACCES, 0);
	assert_int_equal(try_new(0), -EACCES);
	assert_cause("this user may not open /dev/iommu (");
	fake_fail(FAKE_OPEN, -EACCES, 1);
	assert_int_equal(try_new(0), -EACCES);
	assert_cause("this user may not open /dev/vfio/devices/vfio3 (");
	fake_fail(VFIO_ABI_BIND_IOMMUFD, -EBUSY, 0);
	assert_int_equal(try_new(0), -EBUSY);
	assert_cause("somebody else has it");
	assert_int_equal(try_new(0), 0);
}

static void new_without_interrupts_still_works(void **state)
{
	(void)state;
	fake_fail(VFIO_DEVICE_SET_IRQS, -EINVAL, 0);
	fake_fail(VFIO_DEVICE_SET_IRQS, -EINVAL, 0);
	assert_int_equal(try_new(0), 0);
}

static void revoke_one_of_two_eopnotsupp(void **state)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_buffer *a = fake_buffer(0, MIB, 0), *b = fake_buffer(MIB, MIB, 0);
	struct p2pdma_mr *mr = NULL;

	(void)state;
	assert_int_equal(p2pdma_mr_register(fake_pd(), b, 0, MIB, 0, 0, &mr), 0);
	assert_int_equal(p2pdma_buffer_revoke(a, 0, 0, NULL), -EOPNOTSUPP);
	assert_cause("P2PDMA_REVOKE_FUNCTION");
	assert_int_equal(p2pdma_mr_enter(mr), 0);
	p2pdma_mr_exit(mr);
	assert_true(fake_vfio_is_decoding());
	assert_int_equal(p2pdma_buffer_revoke(a, P2PDMA_REVOKE_FUNCTION, 0, &result), 0);
	assert_int_equal(result.nr_buffers, 2);
	assert_false(fake_vfio_is_decoding());
	assert_int_equal(p2pdma_mr_enter(mr), -ESTALE);
	assert_ptr_equal(fake_next_event().buffer, a);
	assert_ptr_equal(fake_next_event().buffer, b);
	fake_no_event();
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	p2pdma_buffer_free(a);
	p2pdma_buffer_free(b);
}

static void new_after_revoke_opens_again(void **state)
{
	struct p2pdma_buffer *old = fake_buffer(0, MIB, 0), *new;
	int opens = fake.nr_opens;

	(void)state;
	assert_int_equal(p2pdma_buffer_revoke(old, 0, 0, NULL), 0);
	new = fake_buffer(0, MIB, 0);
	assert_int_equal(fake.nr_opens, 2 * opens);
	/* The old one stays dead, and its end doesn't touch the new one. */
	assert_int_equal(p2pdma_buffer_revoke(old, 0, 0, NULL), 0);
	p2pdma_buffer_free(old);
	assert_true(fake_vfio_is_decoding());
	p2pdma_buffer_free(new);
}

static void revoke_decode_stuck_closes_all_the_same(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	int fds = count_fds();

	(void)state;
	fake.is_decode_stuck = true;
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	assert_true(count_fds() < fds);
	p2pdma_buffer_free(buffer);
}

static void request_reaches_every_active_buffer(void **state)
{
	struct p2pdma_buffer *a = fake_buffer(0, MIB, 0), *b = fake_buffer(MIB, MIB, 0);
	struct p2pdma_event event;

	(void)state;
	eventfd_write(fake.req_fd, 1);
	event = fake_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_REVOKE_REQUESTED);
	assert_int_equal(event.reason, P2PDMA_REASON_REMOVE);
	assert_ptr_equal(event.buffer, a);
	assert_ptr_equal(fake_next_event().buffer, b);
	fake_no_event();
	eventfd_write(fake.err_fd, 1);
	event = fake_next_event();
	assert_int_equal(event.type, P2PDMA_EVENT_ERROR);
	assert_int_equal(event.reason, P2PDMA_REASON_ERROR);
	p2pdma_buffer_free(a);
	p2pdma_buffer_free(b);
}

static sigjmp_buf before_touch;

static void on_sigbus(int signal_number)
{
	(void)signal_number;
	siglongjmp(before_touch, 1);
}

static int raises_sigbus(const volatile char *memory)
{
	if (sigsetjmp(before_touch, 1))
		return 1;
	(void)*memory;
	return 0;
}

static void map_pieces_covered_by_revoke(void **state)
{
	struct sigaction action = {.sa_handler = on_sigbus}, before;
	struct p2pdma_range ranges[3] = {{0, 8192}, {MIB, 4096}, {2 * MIB, 8192}};
	struct p2pdma_provider *provider = fake_provider();
	struct p2pdma_buffer *buffer = NULL, *whole = NULL;
	char *pieces, *all;

	assert_int_equal(p2pdma_buffer_new(*state, provider, ranges, 3, NULL, &buffer), 0);
	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, NULL, &whole), 0);
	p2pdma_provider_unref(provider);
	assert_int_equal(p2pdma_buffer_map(whole, 0, 3 * MIB, 3, (void **)&all), 0);
	/* From the middle of the first piece to the middle of the last. */
	assert_int_equal(p2pdma_buffer_map(buffer, 4096, 12288, 3, (void **)&pieces), 0);
	all[4096] = 'a';
	all[MIB] = 'b';
	all[2 * MIB] = 'c';
	assert_int_equal(pieces[0], 'a');
	assert_int_equal(pieces[4096], 'b');
	assert_int_equal(pieces[8192], 'c');

	sigaction(SIGBUS, &action, &before);
	assert_int_equal(raises_sigbus(pieces), 0);
	assert_int_equal(p2pdma_buffer_revoke(buffer, P2PDMA_REVOKE_FUNCTION, 0, NULL), 0);
	assert_int_equal(raises_sigbus(pieces), 1);
	assert_int_equal(raises_sigbus(pieces + 12287), 1);
	assert_int_equal(raises_sigbus(all), 1);
	sigaction(SIGBUS, &before, NULL);
	assert_int_equal(p2pdma_buffer_unmap(buffer, pieces), 0);
	p2pdma_buffer_free(buffer);
	p2pdma_buffer_free(whole);
}

static void map_refused_eopnotsupp(void **state)
{
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);
	void *address;

	(void)state;
	/* The reservation succeeds, the BAR's own mmap doesn't. */
	fake_fail(FAKE_MAP, -EINVAL, 1);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, 1, &address), -EOPNOTSUPP);
	fake_fail(FAKE_MAP, -ENOMEM, 0);
	assert_int_equal(p2pdma_buffer_map(buffer, 0, MIB, 1, &address), -ENOMEM);
	p2pdma_buffer_free(buffer);
}

static void can_export_says_which_way(void **state)
{
	struct p2pdma_provider *provider = fake_provider();
	const char *why = NULL;

	(void)state;
	assert_int_equal(p2pdma_provider_can_export(provider, P2PDMA_BACKEND_VFIO, &why), 1);
	assert_non_null(strstr(why, "vfio3"));
	p2pdma_provider_unref(provider);
	fake_unlink("dev/iommu");
	provider = fake_provider();
	assert_int_equal(p2pdma_provider_can_export(provider, P2PDMA_BACKEND_AUTO, &why), 1);
	assert_non_null(strstr(why, "/dev/vfio/7"));
	p2pdma_provider_unref(provider);
}

#define GROUP(name)                                                                                \
	{                                                                                          \
#name "_group", name, setup_group, fake_teardown, NULL                             \
	}
#define CDEV(name)                                                                                 \
	{                                                                                          \
#name "_cdev", name, setup_cdev, fake_teardown, NULL                               \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		GROUP(new_by_either_way),
		CDEV(new_by_either_way),
		GROUP(two_functions_share_a_group),
		CDEV(two_functions_share_an_iommufd),
		GROUP(group_outlives_its_process),
		CDEV(iommufd_outlives_its_process),
		GROUP(new_kernel_without_export_eopnotsupp),
		CDEV(new_kernel_without_export_eopnotsupp),
		GROUP(new_allow_unrevocable_eopnotsupp),
		GROUP(new_not_bound_eopnotsupp),
		GROUP(new_no_group_eopnotsupp),
		GROUP(new_group_not_viable_ebusy),
		GROUP(new_group_errors_leave_nothing_open),
		CDEV(new_cdev_errors_leave_nothing_open),
		GROUP(new_without_interrupts_still_works),
		GROUP(revoke_one_of_two_eopnotsupp),
		CDEV(revoke_one_of_two_eopnotsupp),
		GROUP(new_after_revoke_opens_again),
		CDEV(new_after_revoke_opens_again),
		GROUP(revoke_decode_stuck_closes_all_the_same),
		GROUP(request_reaches_every_active_buffer),
		CDEV(request_reaches_every_active_buffer),
		GROUP(map_pieces_covered_by_revoke),
		CDEV(map_pieces_covered_by_revoke),
		GROUP(map_refused_eopnotsupp),
		CDEV(can_export_says_which_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
