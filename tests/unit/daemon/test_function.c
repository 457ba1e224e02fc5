// SPDX-License-Identifier: MIT
/* What a function offers: from a tree of files that looks like sysfs. */
#include "core.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "provider/function.h"

#define FUNCTION "bus/pci/devices/0000:43:00.0/"

static char root[64];
static int sysfs_fd;
static struct pci_function function;
static struct offer offers[FUNCTION_OFFERS];
static size_t count;

static void add_folder(const char *path)
{
	char name[128];

	for (const char *slash = path; (slash = strchr(slash, '/')); slash++) {
		snprintf(name, sizeof(name), "%.*s", (int)(slash - path), path);
		if (mkdirat(sysfs_fd, name, 0700) < 0)
			assert_int_equal(errno, EEXIST);
	}
}

static void add_file(const char *path, const char *text)
{
	int fd;

	add_folder(path);
	fd = openat(sysfs_fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int setup(void **state)
{
	(void)state;
	strcpy(root, "/tmp/p2pd-function-XXXXXX");
	assert_non_null(mkdtemp(root));
	sysfs_fd = open(root, O_RDONLY | O_DIRECTORY);
	assert_true(sysfs_fd >= 0);
	add_file(FUNCTION "class", "0x030200\n");
	function = (struct pci_function){.address = {.bus = 0x43},
					 .generation = 9,
					 .vendor_id = 0x1002,
					 .device_id = 0x740c,
					 .driver = "amdgpu"};
	function.bars[0] = (struct pci_bar){.size_bytes = MIB, .is_memory = true};
	function.bars[1] = (struct pci_bar){.size_bytes = 256, .is_memory = true};
	function.bars[2] = (struct pci_bar){.size_bytes = 4096};
	function.bars[4] = (struct pci_bar){.size_bytes = 64 * MIB, .is_memory = true};
	count = 99;
	return 0;
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *ftw)
{
	(void)status;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	close(sysfs_fd);
	return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int look(void)
{
	return function_offers(sysfs_fd, &function, offers, &count);
}

static void backend_by_driver(void **state)
{
	(void)state;
	assert_int_equal(function_backend(&function), 0);
	strcpy(function.driver, "p2pdma_export");
	assert_int_equal(function_backend(&function), WIRE_BACKEND_EXPORT);
	strcpy(function.driver, "vfio-pci");
	assert_int_equal(function_backend(&function), WIRE_BACKEND_VFIO);
	/* A variant driver of a vendor. */
	strcpy(function.driver, "mlx5_vfio_pci");
	assert_int_equal(function_backend(&function), 0);
	strcpy(function.vfio_dev, "vfio3");
	assert_int_equal(function_backend(&function), WIRE_BACKEND_VFIO);
	*function.driver = '\0';
	*function.vfio_dev = '\0';
	assert_int_equal(function_backend(&function), 0);
}

static void offer_bars_memory_of_whole_pages(void **state)
{
	(void)state;
	strcpy(function.driver, "p2pdma_export");
	assert_int_equal(look(), 0);
	assert_int_equal(count, 2);
	assert_string_equal(offers[0].identity.name, "0000:43:00.0/0@9");
	assert_string_equal(offers[1].identity.name, "0000:43:00.0/4@9");
	assert_int_equal(offers[1].size_bytes, 64 * MIB);
	assert_int_equal(offers[1].identity.bar, 4);
	assert_int_equal(offers[1].identity.backend, WIRE_BACKEND_EXPORT);
	assert_int_equal(offers[1].identity.pci_class, 0x030200);
	assert_int_equal(offers[1].identity.vendor_id, 0x1002);
	assert_int_equal(offers[1].identity.generation, 9);
	assert_string_equal(offers[1].cause, "");
}

static void offer_without_memory_of_its_driver_nothing(void **state)
{
	(void)state;
	assert_int_equal(look(), 0);
	assert_int_equal(count, 0);
	/* A display only: nothing that a process could render into. */
	add_file(FUNCTION "drm/card0/dev", "226:0\n");
	assert_int_equal(look(), 0);
	assert_int_equal(count, 0);
}

static void offer_vram_with_its_size(void **state)
{
	(void)state;
	add_file(FUNCTION "drm/card0/dev", "226:0\n");
	add_file(FUNCTION "drm/renderD128/dev", "226:128\n");
	add_file(FUNCTION "mem_info_vram_total", "68702699520\n");
	assert_int_equal(look(), 0);
	assert_int_equal(count, 1);
	assert_string_equal(offers[0].identity.name, "0000:43:00.0/vram@9");
	assert_int_equal(offers[0].identity.backend, WIRE_BACKEND_DRM);
	assert_int_equal(offers[0].identity.bar, PCI_MEMORY_VRAM);
	assert_int_equal(offers[0].identity.pci_class, 0x030200);
	assert_int_equal(offers[0].size_bytes, 68702699520);
	assert_non_null(strstr(offers[0].cause, "publish"));
}

static void offer_vram_of_unknown_size_0(void **state)
{
	(void)state;
	add_file(FUNCTION "drm/renderD128/dev", "226:128\n");
	assert_int_equal(look(), 0);
	assert_int_equal(count, 1);
	assert_int_equal(offers[0].size_bytes, 0);
}

static void offer_p2pmem(void **state)
{
	(void)state;
	strcpy(function.driver, "nvme");
	add_file(FUNCTION "p2pmem/size", "67108864\n");
	assert_int_equal(look(), 0);
	assert_int_equal(count, 1);
	assert_string_equal(offers[0].identity.name, "0000:43:00.0/p2pmem@9");
	assert_int_equal(offers[0].identity.backend, WIRE_BACKEND_P2PMEM);
	assert_int_equal(offers[0].identity.bar, PCI_MEMORY_P2PMEM);
	assert_int_equal(offers[0].size_bytes, 64 * MIB);
	assert_non_null(strstr(offers[0].cause, "p2pmem/allocate"));
}

static void offer_both_of_one_function(void **state)
{
	(void)state;
	add_file(FUNCTION "drm/renderD128/dev", "226:128\n");
	add_file(FUNCTION "p2pmem/size", "4096\n");
	assert_int_equal(look(), 0);
	assert_int_equal(count, 2);
	assert_int_equal(offers[0].identity.backend, WIRE_BACKEND_DRM);
	assert_int_equal(offers[1].identity.backend, WIRE_BACKEND_P2PMEM);
}

static void offer_of_ours_bars_only(void **state)
{
	(void)state;
	strcpy(function.driver, "vfio-pci");
	add_file(FUNCTION "drm/renderD128/dev", "226:128\n");
	add_file(FUNCTION "p2pmem/size", "4096\n");
	assert_int_equal(look(), 0);
	assert_int_equal(count, 2);
	assert_int_equal(offers[0].identity.backend, WIRE_BACKEND_VFIO);
	assert_int_equal(offers[1].identity.backend, WIRE_BACKEND_VFIO);
}

static void offer_nonsense_eio(void **state)
{
	(void)state;
	add_file(FUNCTION "p2pmem/size", "all of it\n");
	assert_int_equal(look(), -EIO);
	add_file(FUNCTION "p2pmem/size", "4096\n");
	add_file(FUNCTION "class", "-1\n");
	assert_int_equal(look(), -EIO);
	add_file(FUNCTION "class", "0x030200\n");
	add_file(FUNCTION "drm/renderD128/dev", "226:128\n");
	add_file(FUNCTION "mem_info_vram_total", "\n");
	assert_int_equal(look(), -EIO);
	assert_int_equal(count, 99);
}

static void offer_of_one_that_has_gone_enodev(void **state)
{
	(void)state;
	function.address.bus = 0x44;
	assert_int_equal(look(), -ENODEV);
	assert_int_equal(count, 99);
}

/* Nothing is said of a function that can't be looked at: at each of the descriptors that it takes. */
static void offer_without_descriptors_emfile(void **state)
{
	struct rlimit before, few;
	int r = -EMFILE, lowest;

	(void)state;
	add_file(FUNCTION "drm/renderD128/dev", "226:128\n");
	add_file(FUNCTION "p2pmem/size", "4096\n");
	lowest = dup(sysfs_fd);
	close(lowest);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	for (rlim_t more = 0; more < 2; more++) {
		few.rlim_cur = (rlim_t)lowest + more;
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
		r = look();
		assert_int_equal(r, -EMFILE);
		assert_int_equal(count, 99);
	}
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(look(), 0);
	assert_int_equal(count, 2);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(backend_by_driver),
		CASE(offer_bars_memory_of_whole_pages),
		CASE(offer_without_memory_of_its_driver_nothing),
		CASE(offer_vram_with_its_size),
		CASE(offer_vram_of_unknown_size_0),
		CASE(offer_p2pmem),
		CASE(offer_both_of_one_function),
		CASE(offer_of_ours_bars_only),
		CASE(offer_nonsense_eio),
		CASE(offer_of_one_that_has_gone_enodev),
		CASE(offer_without_descriptors_emfile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
