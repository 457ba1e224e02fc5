// SPDX-License-Identifier: MIT
/* Buffers in I/O address spaces: each rule, each answer of the kernel, nothing left over. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <p2pdma/p2pdma.h>

#include "fake_machine.h"
#include "fake_vfio.h"

#define HOST	 "0000:11:00.0"
#define IMPORTER "0000:12:00.0"
#define SYS	 "sys/bus/pci/devices/" HOST
#define PAGE	 4096U

static struct p2pdma_buffer *buffer;
static struct p2pdma_iommufd_attr attr;

static struct p2pdma_buffer *new_buffer(const struct p2pdma_range *ranges, size_t nr_ranges,
					uint32_t flags)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_provider *provider;
	struct p2pdma_buffer *new;

	options.flags = flags;
	assert_int_equal(p2pdma_provider_find(fake_context(), HOST "/2", &provider), 0);
	assert_int_equal(
		p2pdma_buffer_new(fake_context(), provider, ranges, nr_ranges, &options, &new), 0);
	p2pdma_provider_unref(provider);
	return new;
}

static int setup(void **state)
{
	const struct p2pdma_range range = {0, MIB};
	int r = fake_setup(state);

	fake_host_add("pci0000:00", 0x8086, 0x29c0);
	fake_pci_add(&(struct fake_pci){
		.address = "0000:00:01.0", .above = "pci0000:00", .type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(&(struct fake_pci){
		.address = "0000:00:02.0", .above = "pci0000:00", .type = PCI_CONFIG_ROOT_PORT});
	fake_pci_add(
		&(struct fake_pci){.address = HOST, .above = "0000:00:01.0", .driver = "vfio-pci"});
	fake_pci_add(&(struct fake_pci){
		.address = IMPORTER, .above = "0000:00:02.0", .driver = "vfio-pci"});
	fake_mkdir(SYS "/vfio-dev/vfio3");
	fake_mkdir("dev/vfio/devices");
	fake_write("dev/vfio/devices/vfio3", "");
	fake_write("dev/iommu", "");
	fake.exporter = "vfio_pci_core";
	buffer = new_buffer(&range, 1, 0);
	attr = (struct p2pdma_iommufd_attr){
		.size_bytes = sizeof(attr),
		.flags = P2PDMA_IOMMUFD_READ | P2PDMA_IOMMUFD_WRITE,
		.iommufd = fake_add_fd(open("/dev/null", O_RDWR | O_CLOEXEC), FAKE_IOMMUFD),
		.ioas_id = FAKE_IOAS,
		.offset_bytes = PAGE,
		.length_bytes = 4 * PAGE,
	};
	return r;
}

static int teardown(void **state)
{
	p2pdma_buffer_free(buffer);
	fake_sys.close(attr.iommufd);
	assert_int_equal(fake.nr_iommu_mappings, 0);
	return fake_teardown(state);
}

/* Maps, and undoes what should not have worked. */
static int try_map(void)
{
	struct p2pdma_iommufd_mapping *mapping = NULL;
	int r = p2pdma_iommufd_map(buffer, &attr, &mapping);

	assert_true(!r == !!mapping);
	assert_int_equal(p2pdma_iommufd_unmap(mapping), 0);
	return r;
}

static void map_where_the_kernel_likes(void **state)
{
	struct p2pdma_iommufd_mapping *mapping;

	(void)state;
	attr.iova = 1; /* without FIXED_IOVA it says nothing */
	assert_int_equal(p2pdma_iommufd_map(buffer, &attr, &mapping), 0);
	assert_int_equal(p2pdma_iommufd_iova(mapping), FAKE_IOVA);
	assert_int_equal(fake.last_map.flags, IOMMUFD_ABI_MAP_READABLE | IOMMUFD_ABI_MAP_WRITEABLE);
	assert_int_equal(fake.last_map.start, PAGE);
	assert_int_equal(fake.last_map.length, 4 * PAGE);
	assert_int_equal(fake.last_map.fd, p2pdma_buffer_fd(buffer));
	assert_int_equal(p2pdma_iommufd_unmap(mapping), 0);
	assert_int_equal(fake.nr_iommu_mappings, 0);
	assert_int_equal(p2pdma_iommufd_iova(NULL), 0);
	assert_int_equal(p2pdma_iommufd_unmap(NULL), 0);
}

static void map_fixed_outlives_descriptor_and_buffer(void **state)
{
	struct p2pdma_iommufd_mapping *mapping;

	(void)state;
	attr.flags = P2PDMA_IOMMUFD_READ | P2PDMA_IOMMUFD_FIXED_IOVA;
	attr.iova = 0x40000000;
	assert_int_equal(p2pdma_iommufd_map(buffer, &attr, &mapping), 0);
	assert_int_equal(p2pdma_iommufd_iova(mapping), 0x40000000);
	assert_int_equal(fake.last_map.flags,
			 IOMMUFD_ABI_MAP_READABLE | IOMMUFD_ABI_MAP_FIXED_IOVA);
	fake_sys.close(attr.iommufd);
	p2pdma_buffer_free(buffer);
	buffer = NULL;
	assert_true(fake_vfio_is_decoding());
	assert_int_equal(p2pdma_iommufd_unmap(mapping), 0);
	assert_int_equal(fake.nr_iommu_mappings, 0);
	/* The mapping had the last reference. */
	assert_false(fake_vfio_is_decoding());
	attr.iommufd = fake_add_fd(open("/dev/null", O_RDWR | O_CLOEXEC), FAKE_IOMMUFD);
}

static void map_bad_arguments_einval(void **state)
{
	struct p2pdma_iommufd_mapping *mapping;

	(void)state;
	assert_int_equal(p2pdma_iommufd_map(NULL, &attr, &mapping), -EINVAL);
	assert_int_equal(p2pdma_iommufd_map(buffer, NULL, &mapping), -EINVAL);
	assert_int_equal(p2pdma_iommufd_map(buffer, &attr, NULL), -EINVAL);
	attr.size_bytes = 8;
	assert_int_equal(try_map(), -EINVAL);
	attr.size_bytes = sizeof(attr);
	attr.flags = P2PDMA_IOMMUFD_FIXED_IOVA;
	assert_int_equal(try_map(), -EINVAL);
	assert_cause("for reading, for writing");
	attr.flags = P2PDMA_IOMMUFD_READ | 0x80;
	assert_int_equal(try_map(), -EINVAL);
	assert_cause("0x80");
}

static void map_attr_from_the_future_e2big(void **state)
{
	struct {
		struct p2pdma_iommufd_attr attr;
		uint64_t unknown;
	} future = {attr, 1};
	struct p2pdma_iommufd_mapping *mapping;

	(void)state;
	future.attr.size_bytes = sizeof(future);
	assert_int_equal(p2pdma_iommufd_map(buffer, &future.attr, &mapping), -E2BIG);
}

static void map_bad_range_einval(void **state)
{
	(void)state;
	attr.length_bytes = 0;
	assert_int_equal(try_map(), -EINVAL);
	attr.length_bytes = MIB;
	assert_int_equal(try_map(), -EINVAL);
	assert_cause("0x100000 bytes at 0x1000 pass the end of " HOST "/2@");
	attr.offset_bytes = UINT64_MAX - PAGE + 1;
	assert_int_equal(try_map(), -EINVAL);
	attr.offset_bytes = 512;
	attr.length_bytes = PAGE;
	assert_int_equal(try_map(), -EINVAL);
	assert_cause("whole pages");
	attr.offset_bytes = 0;
	attr.length_bytes = 100;
	assert_int_equal(try_map(), -EINVAL);
	attr.length_bytes = PAGE;
	attr.flags |= P2PDMA_IOMMUFD_FIXED_IOVA;
	attr.iova = 0x40000100;
	assert_int_equal(try_map(), -EINVAL);
	assert_cause("0x40000100");
	attr.iova = 0x40000000;
	assert_int_equal(try_map(), 0);
}

static void map_read_only_for_writing_eacces(void **state)
{
	const struct p2pdma_range range = {0, MIB};

	(void)state;
	p2pdma_buffer_free(buffer);
	buffer = new_buffer(&range, 1, P2PDMA_BUFFER_READ_ONLY);
	assert_int_equal(try_map(), -EACCES);
	assert_cause("read-only");
	attr.flags = P2PDMA_IOMMUFD_READ;
	assert_int_equal(try_map(), 0);
}

static void map_what_the_kernel_does_not_take_eopnotsupp(void **state)
{
	const struct p2pdma_range two[] = {{0, MIB}, {2 * MIB, MIB}};

	(void)state;
	p2pdma_buffer_free(buffer);
	buffer = new_buffer(two, 2, 0);
	assert_int_equal(try_map(), -EOPNOTSUPP);
	assert_cause("has 2 (EOPNOTSUPP); export each range");
	p2pdma_buffer_free(buffer);
	fake.exporter = "p2pdma_export";
	buffer = new_buffer(two, 1, 0);
	assert_int_equal(try_map(), -EOPNOTSUPP);
	assert_cause("made by p2pdma_export (EOPNOTSUPP); bind the function to vfio-pci");
	p2pdma_buffer_free(buffer);
	/* Where nobody says who made it, the kernel decides. */
	fake.exporter = NULL;
	buffer = new_buffer(two, 1, 0);
	assert_int_equal(try_map(), 0);
}

static void map_adopted_ignores_the_path(void **state)
{
	struct p2pdma_buffer *own = buffer;

	(void)state;
	assert_int_equal(p2pdma_buffer_adopt(fake_context(), p2pdma_buffer_fd(own), NULL, &buffer),
			 0);
	attr.importer = IMPORTER;
	assert_int_equal(try_map(), 0);
	p2pdma_buffer_free(own);
}

static void map_path_is_checked_for_the_importer(void **state)
{
	(void)state;
	attr.importer = IMPORTER;
	fake_cpu_set("GenuineIntel", 6);
	assert_int_equal(try_map(), -EOPNOTSUPP);
	assert_cause("8086:29c0");
	attr.importer = "0000:13:00.0";
	assert_int_equal(try_map(), -ENODEV);
	attr.importer = "nobody/at all";
	assert_int_equal(try_map(), -EINVAL);
	attr.importer = NULL;
	assert_int_equal(try_map(), 0);
}

static void map_path_that_is_there(void **state)
{
	(void)state;
	fake_cpu_set("AuthenticAMD", 25);
	attr.importer = IMPORTER;
	assert_int_equal(try_map(), 0);
}

static void map_each_refusal_of_the_kernel(void **state)
{
	static const struct {
		int says, becomes;
		const char *cause;
	} cases[] = {
		{-ENOTTY, -EOPNOTSUPP, "maps no DMABUFs"},
		{-EOPNOTSUPP, -EOPNOTSUPP, "maps no DMABUFs"},
		{-ENOENT, -ENOENT, "no address space 7"},
		{-EADDRINUSE, -EADDRINUSE, "space 7 has no 0x4000 I/O addresses in a row left"},
		{-EEXIST, -EADDRINUSE, "space 7 has no 0x4000 I/O addresses in a row left"},
		{-EOVERFLOW, -EINVAL, "takes memfds only"},
		{-ENOSPC, -ENOSPC, "I/O addresses in a row left"},
		{-EINVAL, -EINVAL, "takes memfds only"},
		{-ENOMEM, -ENOMEM, "the kernel has no memory"},
		{-ENODEV, -ENODEV, "VFIO has revoked its DMABUFs"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fake_fail(IOMMUFD_ABI_IOAS_MAP_FILE, cases[i].says, 0);
		assert_int_equal(try_map(), cases[i].becomes);
		assert_cause(cases[i].cause);
	}
	attr.ioas_id++;
	assert_int_equal(try_map(), -ENOENT);
	attr.ioas_id--;
	fake_fail(FAKE_DUP, -EMFILE, 0);
	assert_int_equal(try_map(), -EMFILE);
	assert_int_equal(try_map(), 0);
}

static void map_no_descriptor_ebadf(void **state)
{
	int fd = attr.iommufd;

	(void)state;
	attr.iommufd = 250;
	assert_int_equal(try_map(), -EBADF);
	attr.iommufd = p2pdma_buffer_fd(buffer);
	assert_int_equal(try_map(), -EOPNOTSUPP);
	assert_cause("is no iommufd");
	attr.iommufd = fd;
}

static void map_after_revoke_estale(void **state)
{
	struct p2pdma_iommufd_mapping *mapping;

	(void)state;
	assert_int_equal(p2pdma_iommufd_map(buffer, &attr, &mapping), 0);
	assert_int_equal(p2pdma_buffer_revoke(buffer, 0, 0, NULL), 0);
	assert_int_equal(try_map(), -ESTALE);
	assert_int_equal(p2pdma_iommufd_unmap(mapping), 0);
}

static void unmap_refused_keeps_the_mapping(void **state)
{
	struct p2pdma_iommufd_mapping *mapping;

	(void)state;
	assert_int_equal(p2pdma_iommufd_map(buffer, &attr, &mapping), 0);
	fake_fail(IOMMUFD_ABI_IOAS_UNMAP, -EBUSY, 0);
	assert_int_equal(p2pdma_iommufd_unmap(mapping), -EBUSY);
	assert_int_equal(p2pdma_iommufd_unmap(mapping), 0);
}

static void unmap_what_is_gone_already(void **state)
{
	struct p2pdma_iommufd_mapping *mapping;

	(void)state;
	assert_int_equal(p2pdma_iommufd_map(buffer, &attr, &mapping), 0);
	fake.nr_iommu_mappings = 0; /* the program has destroyed the address space */
	assert_int_equal(p2pdma_iommufd_unmap(mapping), 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(map_where_the_kernel_likes),
		CASE(map_fixed_outlives_descriptor_and_buffer),
		CASE(map_bad_arguments_einval),
		CASE(map_attr_from_the_future_e2big),
		CASE(map_bad_range_einval),
		CASE(map_read_only_for_writing_eacces),
		CASE(map_what_the_kernel_does_not_take_eopnotsupp),
		CASE(map_adopted_ignores_the_path),
		CASE(map_path_is_checked_for_the_importer),
		CASE(map_path_that_is_there),
		CASE(map_each_refusal_of_the_kernel),
		CASE(map_no_descriptor_ebadf),
		CASE(map_after_revoke_estale),
		CASE(unmap_refused_keeps_the_mapping),
		CASE(unmap_what_is_gone_already),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
