// SPDX-License-Identifier: MIT
/* Making, adopting and freeing buffers, and what each refusal says. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <p2pdma/p2pdma.h>

#include "fake.h"
#include "fake_vfio.h"

static int new_buffer(const struct p2pdma_range *ranges, size_t nr_ranges, uint32_t backend,
		      uint32_t flags)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_provider *provider = fake_provider();
	struct p2pdma_buffer *buffer = NULL;
	int r;

	options.backend = backend;
	options.flags = flags;
	r = p2pdma_buffer_new(fake_context(), provider, ranges, nr_ranges, &options, &buffer);
	assert_true(!r == !!buffer);
	p2pdma_buffer_free(buffer);
	p2pdma_provider_unref(provider);
	return r;
}

static int new_range(uint64_t offset, uint64_t length)
{
	struct p2pdma_range range = {offset, length};

	return new_buffer(&range, 1, P2PDMA_BACKEND_AUTO, 0);
}

static void new_whole_bar(void **state)
{
	struct p2pdma_provider *provider = fake_provider();
	struct p2pdma_buffer *buffer = NULL;

	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, NULL, &buffer), 0);
	assert_int_equal(p2pdma_buffer_size_bytes(buffer), 64 * MIB);
	assert_int_equal(p2pdma_buffer_backend(buffer), P2PDMA_BACKEND_EXPORT);
	assert_string_equal(p2pdma_buffer_name(buffer), p2pdma_provider_unique_name(provider));
	assert_int_not_equal(p2pdma_buffer_inode(buffer), 0);
	assert_null(p2pdma_buffer_user_data(buffer));
	assert_true(fcntl(p2pdma_buffer_fd(buffer), F_GETFD) & FD_CLOEXEC);
	p2pdma_buffer_free(buffer);
	p2pdma_provider_unref(provider);
}

static void new_ranges_follow_each_other(void **state)
{
	struct p2pdma_range ranges[3] = {{MIB, MIB}, {0, 4096}, {8 * MIB, 2 * MIB}};
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_provider *provider = fake_provider();
	struct p2pdma_buffer *buffer = NULL;

	options.user_data = &options;
	assert_int_equal(p2pdma_buffer_new(*state, provider, ranges, 3, &options, &buffer), 0);
	assert_int_equal(p2pdma_buffer_size_bytes(buffer), 3 * MIB + 4096);
	assert_ptr_equal(p2pdma_buffer_user_data(buffer), &options);
	assert_int_equal(fake.exports[0].nr_ranges, 3);
	p2pdma_buffer_free(buffer);
	p2pdma_provider_unref(provider);
}

static void new_bad_range_einval(void **state)
{
	(void)state;
	assert_int_equal(new_range(0, 0), -EINVAL);
	assert_cause("range 0 is empty");
	assert_int_equal(new_range(1, 4096), -EINVAL);
	assert_cause("page size");
	assert_int_equal(new_range(0, 4097), -EINVAL);
	assert_int_equal(new_range(64 * MIB, 4096), -EINVAL);
	assert_cause("passes the end");
	assert_int_equal(new_range(0, 64 * MIB + 4096), -EINVAL);
	assert_int_equal(new_range(UINT64_MAX - 4095, 8192), -EINVAL);
	assert_int_equal(new_range(4096, UINT64_MAX - 4095), -EINVAL);
	assert_int_equal(new_range(63 * MIB, MIB), 0);
	assert_int_equal(fake.nr_exports, 1);
}

static void new_overlap_einval(void **state)
{
	struct p2pdma_range ranges[3] = {{0, 8192}, {MIB, 8192}, {4096, 4096}};

	(void)state;
	assert_int_equal(new_buffer(ranges, 3, P2PDMA_BACKEND_AUTO, 0), -EINVAL);
	assert_cause("ranges 0 and 2 overlap");
	ranges[2].offset_bytes = 8192;
	assert_int_equal(new_buffer(ranges, 3, P2PDMA_BACKEND_AUTO, 0), 0);
}

static void new_range_count_limits_einval(void **state)
{
	static struct p2pdma_range ranges[P2PDMA_BUFFER_MAX_RANGES + 1];

	(void)state;
	for (size_t i = 0; i <= P2PDMA_BUFFER_MAX_RANGES; i++)
		ranges[i] = (struct p2pdma_range){i * 8192, 4096};
	assert_int_equal(new_buffer(ranges, P2PDMA_BUFFER_MAX_RANGES, 0, 0), 0);
	assert_int_equal(new_buffer(ranges, P2PDMA_BUFFER_MAX_RANGES + 1, 0, 0), -EINVAL);
	assert_int_equal(new_buffer(ranges, 0, 0, 0), -EINVAL);
}

static void new_bad_options_einval(void **state)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_provider *provider = fake_provider();
	struct p2pdma_buffer *buffer = NULL;

	assert_int_equal(new_buffer(NULL, 0, 99, 0), -EINVAL);
	assert_int_equal(new_buffer(NULL, 0, P2PDMA_BACKEND_ADOPT, 0), -EINVAL);
	assert_cause("p2pdma_buffer_adopt");
	assert_int_equal(new_buffer(NULL, 0, 0, 1U << 31), -EINVAL);
	options.size_bytes = 4;
	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, &options, &buffer), -EINVAL);
	options.size_bytes = sizeof(options);
	options.reserved = 1;
	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, &options, &buffer), -EINVAL);
	assert_int_equal(p2pdma_buffer_new(NULL, provider, NULL, 0, NULL, &buffer), -EINVAL);
	assert_int_equal(p2pdma_buffer_new(*state, NULL, NULL, 0, NULL, &buffer), -EINVAL);
	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 1, NULL, &buffer), -EINVAL);
	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, NULL, NULL), -EINVAL);
	assert_null(buffer);
	p2pdma_provider_unref(provider);
}

static void new_future_options_e2big(void **state)
{
	struct {
		struct p2pdma_buffer_options options;
		uint64_t future;
	} big = {P2PDMA_BUFFER_OPTIONS_INIT, 1};
	struct p2pdma_provider *provider = fake_provider();
	struct p2pdma_buffer *buffer = NULL;

	big.options.size_bytes = sizeof(big);
	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, &big.options, &buffer),
			 -E2BIG);
	p2pdma_provider_unref(provider);
}

static void new_flags_reach_kernel(void **state)
{
	struct p2pdma_buffer *buffer =
		fake_buffer(0, MIB, P2PDMA_BUFFER_MMAP_WC | P2PDMA_BUFFER_ALLOW_UNREVOCABLE);

	(void)state;
	assert_int_equal(fake.exports[0].flags,
			 P2PDMA_EXPORT_F_MMAP_WC | P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE);
	p2pdma_buffer_free(buffer);
	/* Write-combining is a wish: a kernel without it isn't asked. */
	fake.features = 0;
	buffer = fake_buffer(0, MIB, P2PDMA_BUFFER_MMAP_WC);
	p2pdma_buffer_free(buffer);
}

static void new_no_backend_eopnotsupp(void **state)
{
	(void)state;
	fake_unlink("dev/p2pdma/0000:01:00.0");
	assert_int_equal(new_range(0, MIB), -EOPNOTSUPP);
	assert_cause("driver_override");
	assert_int_equal(new_buffer(NULL, 0, P2PDMA_BACKEND_EXPORT, 0), -EOPNOTSUPP);
	assert_int_equal(new_buffer(NULL, 0, P2PDMA_BACKEND_VFIO, 0), -EOPNOTSUPP);
}

static void new_forbidden_node_eacces(void **state)
{
	(void)state;
	fake_fail(FAKE_OPEN, -EACCES, 0);
	fake.access_errors = -EACCES;
	assert_int_equal(new_buffer(NULL, 0, P2PDMA_BACKEND_EXPORT, 0), -EACCES);
	assert_cause("EACCES");
	/* Without being told which backend, too: what is missing is a right. */
	fake_fail(FAKE_OPEN, -EACCES, 0);
	assert_int_equal(new_range(0, MIB), -EACCES);
	assert_cause("may not open /dev/p2pdma/0000:01:00.0");
}

static void new_function_left_enodev(void **state)
{
	struct p2pdma_provider *provider = fake_provider();
	struct p2pdma_buffer *buffer = NULL;

	fake_remove_function("0000:01:00.0");
	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, NULL, &buffer), -ENODEV);
	p2pdma_provider_unref(provider);
}

static void new_node_without_device_enodev(void **state)
{
	(void)state;
	fake.is_gone = true;
	assert_int_equal(new_range(0, MIB), -ENODEV);
}

static void new_function_exchanged_estale(void **state)
{
	struct p2pdma_provider *provider = fake_provider();
	struct p2pdma_buffer *buffer = NULL;

	fake_replace_function("0000:01:00.0", "p2pdma_export");
	assert_int_equal(p2pdma_buffer_new(*state, provider, NULL, 0, NULL, &buffer), -ESTALE);
	assert_cause("another arrival");
	p2pdma_provider_unref(provider);
}

static void new_foreign_node_estale(void **state)
{
	(void)state;
	fake.info_bus = 9;
	assert_int_equal(new_range(0, MIB), -ESTALE);
	assert_cause("another function");
}

static void new_kernel_errors_explained(void **state)
{
	(void)state;
	fake_fail(P2PDMA_EXPORT_EXPORT, -EPERM, 0);
	assert_int_equal(new_range(0, MIB), -EPERM);
	assert_cause("CAP_SYS_ADMIN");
	fake_fail(P2PDMA_EXPORT_EXPORT, -EBUSY, 0);
	assert_int_equal(new_range(0, MIB), -EBUSY);
	assert_cause("reset or suspended");
	fake_fail(P2PDMA_EXPORT_EXPORT, -ENODEV, 0);
	assert_int_equal(new_range(0, MIB), -ENODEV);
	fake_fail(P2PDMA_EXPORT_EXPORT, -EINVAL, 0);
	assert_int_equal(new_range(0, MIB), -EOPNOTSUPP);
	fake_fail(P2PDMA_EXPORT_EXPORT, -EMFILE, 0);
	assert_int_equal(new_range(0, MIB), -EMFILE);
	fake_fail(P2PDMA_EXPORT_EXPORT, -ENOMEM, 0);
	assert_int_equal(new_range(0, MIB), -ENOMEM);
	fake_fail(P2PDMA_EXPORT_INFO, -ENOTTY, 0);
	assert_int_equal(new_range(0, MIB), -EOPNOTSUPP);
	assert_cause("isn't one of p2pdma_export");
	fake_fail(FAKE_OPEN, -EMFILE, 0);
	assert_int_equal(new_range(0, MIB), -EMFILE);
	fake_fail(FAKE_STAT, -EIO, 0);
	assert_int_equal(new_range(0, MIB), -EIO);
}

static void new_device_shared_and_closed_with_last(void **state)
{
	struct p2pdma_buffer *a = fake_buffer(0, MIB, 0);
	struct p2pdma_buffer *b = fake_buffer(MIB, MIB, 0);

	(void)state;
	assert_int_equal(fake.nr_opens, 1);
	p2pdma_buffer_free(a);
	a = fake_buffer(0, MIB, 0);
	assert_int_equal(fake.nr_opens, 1);
	p2pdma_buffer_free(a);
	p2pdma_buffer_free(b);
	p2pdma_buffer_free(fake_buffer(0, MIB, 0));
	assert_int_equal(fake.nr_opens, 2);
}

static void free_takes_memory_back(void **state)
{
	(void)state;
	p2pdma_buffer_free(fake_buffer(0, MIB, 0));
	assert_int_equal(fake.exports[0].state, P2PDMA_EXPORT_STATE_REVOKED);
	assert_int_equal(fake.last_timeout_ms, 0);
	p2pdma_buffer_free(NULL);
}

static void status_tells_kernel_counts(void **state)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);

	(void)state;
	fake.exports[0].nr_mappings = 3;
	assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
	assert_int_equal(status.flags, P2PDMA_STATUS_COUNTED);
	assert_int_equal(status.nr_mappings, 3);
	assert_int_equal(status.mapped_bytes, 3 * MIB);
	assert_int_equal(status.state, P2PDMA_BUFFER_ACTIVE);
	assert_int_equal(p2pdma_buffer_query(NULL, &status), -EINVAL);
	assert_int_equal(p2pdma_buffer_query(buffer, NULL), -EINVAL);
	status.size_bytes = 4;
	assert_int_equal(p2pdma_buffer_query(buffer, &status), -EINVAL);
	p2pdma_buffer_free(buffer);
}

static void status_learns_of_revocation(void **state)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_buffer *buffer = fake_buffer(0, MIB, 0);

	(void)state;
	fake.exports[0].state = P2PDMA_EXPORT_STATE_REVOKED;
	fake.exports[0].reason = P2PDMA_EXPORT_REASON_RESET;
	assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
	assert_int_equal(status.state, P2PDMA_BUFFER_REVOKED);
	assert_int_equal(status.reason, P2PDMA_REASON_RESET);
	assert_int_equal(fake_next_event().type, P2PDMA_EVENT_REVOKED);
	p2pdma_buffer_free(buffer);
}

static void adopt_dmabuf(void **state)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_buffer *buffer = NULL;
	int fd = fake_make_dmabuf(3 * MIB);

	assert_int_equal(p2pdma_buffer_adopt(*state, fd, &fd, &buffer), 0);
	fake_sys.close(fd);
	assert_int_equal(p2pdma_buffer_size_bytes(buffer), 3 * MIB);
	assert_int_equal(p2pdma_buffer_backend(buffer), P2PDMA_BACKEND_ADOPT);
	assert_ptr_equal(p2pdma_buffer_user_data(buffer), &fd);
	assert_int_equal(strncmp(p2pdma_buffer_name(buffer), "dmabuf:", 7), 0);
	assert_int_equal(p2pdma_buffer_query(buffer, &status), 0);
	assert_int_equal(status.flags, 0);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), -EOPNOTSUPP);
	assert_cause("adopted");
	p2pdma_buffer_free(buffer);
}

static void exporter_by_fdinfo(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	int fd = fake_make_dmabuf(MIB);

	assert_int_equal(p2pdma_buffer_adopt(*state, fd, NULL, &buffer), 0);
	assert_string_equal(p2pdma_buffer_exporter(buffer), "");
	fake.exporter = "system";
	assert_string_equal(p2pdma_buffer_exporter(buffer), "system");
	/* It stays what it was, whatever becomes of procfs. */
	fake.exporter = NULL;
	assert_string_equal(p2pdma_buffer_exporter(buffer), "system");
	p2pdma_buffer_free(buffer);
	fake_fail(FAKE_OPEN_PROC, -EMFILE, 0);
	fake.exporter = "udmabuf";
	assert_int_equal(p2pdma_buffer_adopt(*state, fd, NULL, &buffer), 0);
	assert_string_equal(p2pdma_buffer_exporter(buffer), "");
	assert_string_equal(p2pdma_buffer_exporter(buffer), "udmabuf");
	p2pdma_buffer_free(buffer);
	fake.exporter = "a name that is longer than any that the kernel has";
	assert_int_equal(p2pdma_buffer_adopt(*state, fd, NULL, &buffer), 0);
	assert_string_equal(p2pdma_buffer_exporter(buffer), "a name that is longer than any ");
	p2pdma_buffer_free(buffer);
	fake_sys.close(fd);
}

static void adopt_other_file_einval(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	int fd = eventfd(0, EFD_CLOEXEC);

	assert_int_equal(p2pdma_buffer_adopt(*state, fd, NULL, &buffer), -EINVAL);
	assert_cause("is no DMABUF");
	assert_int_equal(p2pdma_buffer_adopt(NULL, fd, NULL, &buffer), -EINVAL);
	assert_int_equal(p2pdma_buffer_adopt(*state, fd, NULL, NULL), -EINVAL);
	close(fd);
	assert_int_equal(p2pdma_buffer_adopt(*state, fd, NULL, &buffer), -EBADF);
	assert_int_equal(p2pdma_buffer_adopt(*state, -1, NULL, &buffer), -EBADF);
	assert_null(buffer);
}

static void adopt_no_room_emfile(void **state)
{
	struct p2pdma_buffer *buffer = NULL;
	int fd = fake_make_dmabuf(MIB);

	fake_fail(FAKE_DUP, -EMFILE, 0);
	assert_int_equal(p2pdma_buffer_adopt(*state, fd, NULL, &buffer), -EMFILE);
	fake_fail(FAKE_SIZE, -ESPIPE, 0);
	assert_int_equal(p2pdma_buffer_adopt(*state, fd, NULL, &buffer), -ESPIPE);
	fake_fail(FAKE_STAT, -ENOMEM, 0);
	assert_int_equal(p2pdma_buffer_adopt(*state, fd, NULL, &buffer), -ENOMEM);
	fake_sys.close(fd);
}

static void getters_null_harmless(void **state)
{
	(void)state;
	assert_int_equal(p2pdma_buffer_fd(NULL), -EINVAL);
	assert_int_equal(p2pdma_buffer_size_bytes(NULL), 0);
	assert_int_equal(p2pdma_buffer_inode(NULL), 0);
	assert_int_equal(p2pdma_buffer_backend(NULL), P2PDMA_BACKEND_AUTO);
	assert_string_equal(p2pdma_buffer_name(NULL), "");
	assert_null(p2pdma_buffer_user_data(NULL));
	assert_string_equal(p2pdma_buffer_exporter(NULL), "");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(new_whole_bar),
		CASE(new_ranges_follow_each_other),
		CASE(new_bad_range_einval),
		CASE(new_overlap_einval),
		CASE(new_range_count_limits_einval),
		CASE(new_bad_options_einval),
		CASE(new_future_options_e2big),
		CASE(new_flags_reach_kernel),
		CASE(new_no_backend_eopnotsupp),
		CASE(new_forbidden_node_eacces),
		CASE(new_function_left_enodev),
		CASE(new_node_without_device_enodev),
		CASE(new_function_exchanged_estale),
		CASE(new_foreign_node_estale),
		CASE(new_kernel_errors_explained),
		CASE(new_device_shared_and_closed_with_last),
		CASE(free_takes_memory_back),
		CASE(status_tells_kernel_counts),
		CASE(status_learns_of_revocation),
		CASE(adopt_dmabuf),
		CASE(exporter_by_fdinfo),
		CASE(adopt_other_file_einval),
		CASE(adopt_no_room_emfile),
		CASE(getters_null_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
