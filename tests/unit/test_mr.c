// SPDX-License-Identifier: MIT
/* Memory regions: rules, methods, ends. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <infiniband/verbs.h>
#include <p2pdma/p2pdma.h>
#include <rdma/rdma_user_ioctl_cmds.h>

#include "fake.h"
#include "fake_vfio.h"

#define ACCESS                                                                                     \
	(IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ |               \
	 IBV_ACCESS_REMOTE_ATOMIC | IBV_ACCESS_RELAXED_ORDERING)

static struct p2pdma_buffer *buffer;

static int setup(void **state)
{
	fake_setup(state);
	buffer = fake_buffer(0, MIB, 0);
	return 0;
}

static int teardown(void **state)
{
	p2pdma_buffer_free(buffer);
	buffer = NULL;
	return fake_teardown(state);
}

static int try_register(uint64_t offset, uint64_t length, uint64_t iova, unsigned int access)
{
	struct p2pdma_mr *mr = NULL;
	int r = p2pdma_mr_register(fake_pd(), buffer, offset, length, iova, access, &mr);

	assert_true(!r == !!mr);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	return r;
}

static void register_by_verbs(void **state)
{
	struct p2pdma_mr *mr = NULL;

	(void)state;
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 4096, 8192, 0x7000, ACCESS, &mr), 0);
	assert_int_equal(p2pdma_mr_method(mr), P2PDMA_MR_METHOD_VERBS);
	assert_non_null(p2pdma_mr_ibv_mr(mr));
	assert_int_equal(p2pdma_mr_lkey(mr), 0x11);
	assert_int_equal(p2pdma_mr_rkey(mr), 0x22);
	assert_int_equal(p2pdma_mr_iova(mr), 0x7000);
	assert_int_equal(p2pdma_mr_length_bytes(mr), 8192);
	assert_ptr_equal(p2pdma_mr_buffer(mr), buffer);
	assert_int_equal(fake.last_access, ACCESS);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
}

static void register_by_uverbs_where_library_lacks_it(void **state)
{
	struct p2pdma_mr *mr = NULL;

	(void)state;
	fake.verbs_error = -EOPNOTSUPP;
	for (uint32_t driver = 13; driver < 16; driver++) {
		/* The descriptor's number may be another device's the next time. */
		fake.driver_id = driver;
		assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, ACCESS, &mr), 0);
		assert_int_equal(p2pdma_mr_method(mr), P2PDMA_MR_METHOD_UVERBS);
		assert_null(p2pdma_mr_ibv_mr(mr));
		assert_int_equal(p2pdma_mr_lkey(mr), 0x111);
		assert_int_equal(p2pdma_mr_rkey(mr), 0x222);
		assert_int_equal(fake.last_access, ACCESS);
		assert_int_equal(p2pdma_mr_deregister(mr), 0);
	}
}

static void register_kernel_without_method_eprotonosupport(void **state)
{
	(void)state;
	fake.verbs_error = -EOPNOTSUPP;
	/* No driver number is right: nobody ever says EPROTONOSUPPORT. */
	fake.driver_id = 1000;
	assert_int_equal(try_register(0, MIB, 0, 0), -EPROTONOSUPPORT);
	assert_cause("no method");
	fake_fail(RDMA_VERBS_IOCTL, -ENOTTY, 0);
	assert_int_equal(try_register(0, MIB, 0, 0), -EPROTONOSUPPORT);
	fake_fail(RDMA_VERBS_IOCTL, -EIO, 0);
	assert_int_equal(try_register(0, MIB, 0, 0), -EIO);
}

static void register_refused_by_driver_explained(void **state)
{
	(void)state;
	fake.verbs_error = -EOPNOTSUPP;
	assert_int_equal(try_register(0, MIB, 0, 0), 0);
	fake.uverbs_error = -EOPNOTSUPP;
	assert_int_equal(try_register(0, MIB, 0, 0), -EOPNOTSUPP);
	assert_cause("fake0");
	assert_cause("can't be revoked and the exporter insists");
	fake.verbs_error = -ENOMEM;
	assert_int_equal(try_register(0, MIB, 0, 0), -ENOMEM);
	assert_cause("no limit of this process is reached");
	fake.verbs_error = -EINVAL;
	assert_int_equal(try_register(0, MIB, 0, 0), -EINVAL);
	fake.verbs_error = -EPERM;
	assert_int_equal(try_register(0, MIB, 0, 0), -EPERM);
	fake.verbs_error = -EADDRINUSE;
	assert_int_equal(try_register(0, MIB, 0, 0), -EADDRINUSE);
	assert_cause("more than one range");
	fake.verbs_error = -EFAULT;
	assert_int_equal(try_register(0, MIB, 0, 0), -EFAULT);
}

static void register_bad_range_einval(void **state)
{
	(void)state;
	assert_int_equal(try_register(0, 0, 0, 0), -EINVAL);
	assert_cause("empty");
	assert_int_equal(try_register(MIB, 1, 0, 0), -EINVAL);
	assert_cause("pass the end of the buffer");
	assert_int_equal(try_register(4096, MIB, 0, 0), -EINVAL);
	assert_int_equal(try_register(UINT64_MAX, 2, UINT64_MAX, 0), -EINVAL);
	assert_int_equal(try_register(4096, UINT64_MAX, 0, 0), -EINVAL);
	assert_int_equal(try_register(0, 8192, UINT64_MAX - 4095, 0), -EINVAL);
	assert_cause("end of the address space");
	assert_int_equal(try_register(0, 4096, UINT64_MAX - 4095, 0), 0);
}

static void register_iova_disagrees_einval(void **state)
{
	(void)state;
	assert_int_equal(try_register(0, 4096, 0x1234, 0), -EINVAL);
	assert_cause("differ below the page size 4096");
	assert_int_equal(try_register(0x234, 4096, 0x10000, 0), -EINVAL);
	assert_int_equal(try_register(0x234, 4096, 0x77777234, 0), 0);
}

static void register_bad_access_einval(void **state)
{
	static const struct {
		unsigned int access;
		const char *says;
	} cases[] = {
		{IBV_ACCESS_REMOTE_WRITE, "remote write access needs"},
		{IBV_ACCESS_REMOTE_ATOMIC, "remote atomic access needs"},
		{IBV_ACCESS_MW_BIND, "IBV_ACCESS_MW_BIND"},
		{IBV_ACCESS_ZERO_BASED, "IBV_ACCESS_ZERO_BASED"},
		{IBV_ACCESS_ON_DEMAND, "IBV_ACCESS_ON_DEMAND"},
		{IBV_ACCESS_HUGETLB, "IBV_ACCESS_HUGETLB"},
		{0x100, "IBV_ACCESS_FLUSH_GLOBAL"},
		{0x200, "IBV_ACCESS_FLUSH_PERSISTENT"},
		{0x400, "unknown access flag 0x400"},
		{0x80000000U, "unknown access flag 0x80000000"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(try_register(0, MIB, 0, cases[i].access), -EINVAL);
		assert_cause(cases[i].says);
	}
	assert_int_equal(fake.nr_mrs, 0);
}

static void register_optional_access_dropped(void **state)
{
	(void)state;
	assert_int_equal(try_register(0, MIB, 0, IBV_ACCESS_RELAXED_ORDERING | 1U << 25), 0);
	assert_int_equal(fake.last_access, IBV_ACCESS_RELAXED_ORDERING);
}

static void register_read_only_eacces(void **state)
{
	struct p2pdma_buffer *other = fake_buffer(0, MIB, P2PDMA_BUFFER_READ_ONLY);
	struct p2pdma_mr *mr = NULL;

	(void)state;
	assert_int_equal(p2pdma_mr_register(fake_pd(), other, 0, MIB, 0, IBV_ACCESS_LOCAL_WRITE,
					    &mr),
			 -EACCES);
	assert_cause("read-only");
	assert_int_equal(
		p2pdma_mr_register(fake_pd(), other, 0, MIB, 0, IBV_ACCESS_REMOTE_READ, &mr), 0);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	p2pdma_buffer_free(other);
}

static void register_bad_arguments_einval(void **state)
{
	struct p2pdma_mr_attr attr = {.size_bytes = 8};
	struct p2pdma_mr *mr = NULL;

	(void)state;
	assert_int_equal(p2pdma_mr_register(NULL, buffer, 0, MIB, 0, 0, &mr), -EINVAL);
	assert_int_equal(p2pdma_mr_register(fake_pd(), NULL, 0, MIB, 0, 0, &mr), -EINVAL);
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, 0, NULL), -EINVAL);
	assert_int_equal(p2pdma_mr_register_attr(fake_pd(), buffer, NULL, &mr), -EINVAL);
	assert_int_equal(p2pdma_mr_register_attr(fake_pd(), buffer, &attr, &mr), -EINVAL);
	assert_null(mr);
}

static void register_future_attr_e2big(void **state)
{
	struct {
		struct p2pdma_mr_attr attr;
		uint64_t future;
	} big = {{.size_bytes = sizeof(big), .length_bytes = MIB}, 1};
	struct p2pdma_mr *mr = NULL;

	(void)state;
	assert_int_equal(p2pdma_mr_register_attr(fake_pd(), buffer, &big.attr, &mr), -E2BIG);
	big.future = 0;
	assert_int_equal(p2pdma_mr_register_attr(fake_pd(), buffer, &big.attr, &mr), 0);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
}

static void register_dma_handle_without_reg_mr_ex_eopnotsupp(void **state)
{
	struct p2pdma_mr_attr attr = {.size_bytes = sizeof(attr), .length_bytes = MIB};
	struct p2pdma_mr *mr = NULL;

	(void)state;
#ifdef HAVE_REG_MR_EX
	skip();
#endif
	attr.dmah = (struct ibv_dmah *)(void *)&attr;
	assert_int_equal(p2pdma_mr_register_attr(fake_pd(), buffer, &attr, &mr), -EOPNOTSUPP);
	assert_cause("ibv_reg_mr_ex");
}

static void register_after_revoke_estale(void **state)
{
	(void)state;
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	assert_int_equal(try_register(0, MIB, 0, 0), -ESTALE);
}

static void register_after_device_left_enodev(void **state)
{
	(void)state;
	/* Before any event was looked at: the kernel refuses, and the library asks why. */
	fake_leave();
	fake.verbs_error = -ENODEV;
	assert_int_equal(try_register(0, MIB, 0, 0), -ENODEV);
	assert_cause("the device of 0000:01:00.0/2");
}

static void revoke_now(void *data)
{
	fake.on_register = NULL;
	assert_int_equal(p2pdma_buffer_revoke(data, 0, 0, NULL), 0);
}

static void register_revoked_meanwhile_undone(void **state)
{
	(void)state;
	fake.on_register = revoke_now;
	fake.on_register_data = buffer;
	assert_int_equal(try_register(0, MIB, 0, 0), -ESTALE);
	assert_int_equal(fake.nr_mrs, 0);
}

static void deregister_keeps_buffer_until_then(void **state)
{
	struct p2pdma_buffer *other = fake_buffer(MIB, MIB, 0);
	struct p2pdma_mr *mr = NULL;

	(void)state;
	assert_int_equal(p2pdma_mr_register(fake_pd(), other, 0, MIB, 0, 0, &mr), 0);
	p2pdma_buffer_free(other);
	assert_int_equal(fake.exports[1].state, P2PDMA_EXPORT_STATE_ACTIVE);
	assert_int_equal(p2pdma_buffer_size_bytes(p2pdma_mr_buffer(mr)), MIB);
	/* The caller gave it back: no event may show its address. */
	fake_event(P2PDMA_EXPORT_EVENT_REVOKED, 2, P2PDMA_EXPORT_REASON_RESET);
	fake_no_event();
	assert_int_equal(p2pdma_mr_enter(mr), -ESTALE);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
}

static void deregister_after_nic_left_succeeds(void **state)
{
	struct p2pdma_mr *mr = NULL;

	(void)state;
	fake.verbs_error = -EOPNOTSUPP;
	fake.dereg_error = -EIO;
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, 0, &mr), 0);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
	fake.nr_mrs = 0;
	fake.verbs_error = 0;
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, 0, &mr), 0);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
}

static void deregister_bound_windows_ebusy(void **state)
{
	struct p2pdma_mr *mr = NULL;

	(void)state;
	assert_int_equal(p2pdma_mr_register(fake_pd(), buffer, 0, MIB, 0, 0, &mr), 0);
	fake.dereg_error = -EBUSY;
	assert_int_equal(p2pdma_mr_deregister(mr), -EBUSY);
	/* Nothing has happened: it still works and can be tried again. */
	assert_int_equal(p2pdma_mr_enter(mr), 0);
	assert_int_equal(p2pdma_mr_deregister(mr), -EBUSY);
	assert_cause("1 posts");
	p2pdma_mr_exit(mr);
	fake.dereg_error = 0;
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
}

static void getters_null_harmless(void **state)
{
	(void)state;
	assert_int_equal(p2pdma_mr_deregister(NULL), 0);
	assert_int_equal(p2pdma_mr_lkey(NULL), 0);
	assert_int_equal(p2pdma_mr_rkey(NULL), 0);
	assert_int_equal(p2pdma_mr_iova(NULL), 0);
	assert_int_equal(p2pdma_mr_length_bytes(NULL), 0);
	assert_null(p2pdma_mr_buffer(NULL));
	assert_null(p2pdma_mr_ibv_mr(NULL));
	assert_int_equal(p2pdma_mr_method(NULL), P2PDMA_MR_METHOD_NONE);
}

static void register_adopted(void **state)
{
	struct p2pdma_buffer *adopted = NULL;
	struct p2pdma_mr *mr = NULL;
	int fd = fake_make_dmabuf(MIB);

	assert_int_equal(p2pdma_buffer_adopt(*state, fd, NULL, &adopted), 0);
	fake_sys.close(fd);
	assert_int_equal(p2pdma_mr_register(fake_pd(), adopted, 0, MIB, 0, ACCESS, &mr), 0);
	p2pdma_buffer_free(adopted);
	assert_int_equal(p2pdma_mr_deregister(mr), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(register_by_verbs),
		CASE(register_by_uverbs_where_library_lacks_it),
		CASE(register_kernel_without_method_eprotonosupport),
		CASE(register_refused_by_driver_explained),
		CASE(register_bad_range_einval),
		CASE(register_iova_disagrees_einval),
		CASE(register_bad_access_einval),
		CASE(register_optional_access_dropped),
		CASE(register_read_only_eacces),
		CASE(register_bad_arguments_einval),
		CASE(register_future_attr_e2big),
		CASE(register_dma_handle_without_reg_mr_ex_eopnotsupp),
		CASE(register_after_revoke_estale),
		CASE(register_after_device_left_enodev),
		CASE(register_revoked_meanwhile_undone),
		CASE(deregister_keeps_buffer_until_then),
		CASE(deregister_after_nic_left_succeeds),
		CASE(deregister_bound_windows_ebusy),
		CASE(getters_null_harmless),
		CASE(register_adopted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
