// SPDX-License-Identifier: MIT
/* Discovery: what is listed, what is said about it, and what isn't there. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fake.h"

static void list_memory_bars_only(void **state)
{
	struct p2pdma_provider_list *list = NULL;

	fake_add_function("0000:00:1f.2", NULL);
	assert_int_equal(p2pdma_provider_list_query(*state, &list), 0);
	/* BAR 0 and BAR 2 of each; BAR 4 is for I/O. */
	assert_int_equal(p2pdma_provider_list_count(list), 4);
	assert_string_equal(p2pdma_provider_name(p2pdma_provider_list_at(list, 0)),
			    "0000:00:1f.2/0");
	assert_string_equal(p2pdma_provider_name(p2pdma_provider_list_at(list, 3)),
			    "0000:01:00.0/2");
	assert_null(p2pdma_provider_list_at(list, 4));
	p2pdma_provider_list_free(list);
}

static void list_null_einval(void **state)
{
	struct p2pdma_provider_list *list = NULL;

	assert_int_equal(p2pdma_provider_list_query(NULL, &list), -EINVAL);
	assert_int_equal(p2pdma_provider_list_query(*state, NULL), -EINVAL);
	assert_int_equal(p2pdma_provider_list_count(NULL), 0);
	assert_null(p2pdma_provider_list_at(NULL, 0));
	p2pdma_provider_list_free(NULL);
}

static void list_without_pci_enoent(void **state)
{
	struct p2pdma_provider_list *list = NULL;
	char from[128], to[128];

	snprintf(from, sizeof(from), "%s/sys/bus/pci", fake.root);
	snprintf(to, sizeof(to), "%s/sys/bus/pcj", fake.root);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(p2pdma_provider_list_query(*state, &list), -ENOENT);
	assert_cause("bus/pci/devices");
}

static void list_leaves_out_what_makes_no_sense(void **state)
{
	struct p2pdma_provider_list *list = NULL;

	fake_add_function("0000:02:00.0", NULL);
	fake_write("sys/bus/pci/devices/0000:02:00.0/resource", "what?\n");
	fake_add_function("0000:03:00.0", NULL);
	fake_unlink("sys/bus/pci/devices/0000:03:00.0/vendor");
	fake_mkdir("sys/bus/pci/devices/not-a-function");
	assert_int_equal(p2pdma_provider_list_query(*state, &list), 0);
	assert_int_equal(p2pdma_provider_list_count(list), 2);
	p2pdma_provider_list_free(list);
}

static void find_tells_everything(void **state)
{
	struct p2pdma_provider *provider = fake_provider();
	char unique[64];

	(void)state;
	assert_string_equal(p2pdma_provider_name(provider), "0000:01:00.0/2");
	assert_string_equal(p2pdma_provider_function(provider), "0000:01:00.0");
	assert_string_equal(p2pdma_provider_driver(provider), "p2pdma_export");
	assert_int_equal(p2pdma_provider_bar(provider), 2);
	assert_int_equal(p2pdma_provider_size_bytes(provider), 64 * MIB);
	assert_int_equal(p2pdma_provider_numa_node(provider), -1);
	assert_int_equal(p2pdma_provider_vendor_id(provider), 0x1af4);
	assert_int_equal(p2pdma_provider_device_id(provider), 0x1110);
	assert_int_equal(p2pdma_provider_is_64bit(provider), 1);
	assert_int_equal(p2pdma_provider_is_prefetchable(provider), 1);
	snprintf(unique, sizeof(unique), "0000:01:00.0/2@%" PRIu64,
		 p2pdma_provider_generation(provider));
	assert_string_equal(p2pdma_provider_unique_name(provider), unique);
	p2pdma_provider_unref(provider);
}

static int find(struct p2pdma_context *context, const char *name)
{
	struct p2pdma_provider *provider = NULL;
	int r = p2pdma_provider_find(context, name, &provider);

	p2pdma_provider_unref(provider);
	return r;
}

static void find_bad_name_einval(void **state)
{
	struct p2pdma_provider *provider;

	assert_int_equal(find(*state, "0000:01:00.0"), -EINVAL);
	assert_cause("looks like");
	assert_int_equal(find(NULL, "0000:01:00.0/2"), -EINVAL);
	assert_int_equal(p2pdma_provider_find(*state, NULL, &provider), -EINVAL);
	assert_int_equal(p2pdma_provider_find(*state, "0000:01:00.0/2", NULL), -EINVAL);
}

static void find_no_function_enodev(void **state)
{
	assert_int_equal(find(*state, "0000:09:00.0/2"), -ENODEV);
	assert_cause("there is no PCI function 0000:09:00.0");
}

static void find_no_memory_bar_enoent(void **state)
{
	assert_int_equal(find(*state, "0000:01:00.0/1"), -ENOENT);
	assert_int_equal(find(*state, "0000:01:00.0/4"), -ENOENT);
	assert_cause("no memory BAR 4");
}

static void find_no_memory_of_a_driver_enoent(void **state)
{
	assert_int_equal(find(*state, "0000:01:00.0/vram"), -ENOENT);
	assert_cause("0000:01:00.0 has no vram: no DRM render node; its driver is p2pdma_export");
	assert_int_equal(find(*state, "0000:01:00.0/p2pmem"), -ENOENT);
	assert_cause("nobody published memory of it");
	assert_int_equal(find(*state, "0000:01:00.0/vram@1"), -ESTALE);
	assert_int_equal(find(*state, "0000:09:00.0/vram"), -ENODEV);
	fake_mkdir("sys/bus/pci/devices/0000:01:00.0/p2pmem");
	fake_write("sys/bus/pci/devices/0000:01:00.0/p2pmem/size", "lots\n");
	assert_int_equal(find(*state, "0000:01:00.0/p2pmem"), -EIO);
}

static void find_memory_of_a_driver_tells_kind_and_size(void **state)
{
	struct p2pdma_provider *provider = NULL;
	const char *why;

	fake_add_function("0000:43:00.0", "amdgpu");
	fake_mkdir("sys/bus/pci/devices/0000:43:00.0/drm");
	fake_mkdir("sys/bus/pci/devices/0000:43:00.0/drm/renderD128");
	fake_mkdir("sys/bus/pci/devices/0000:43:00.0/p2pmem");
	fake_write("sys/bus/pci/devices/0000:43:00.0/p2pmem/size", "1048576\n");
	assert_int_equal(p2pdma_provider_find(*state, "0000:43:00.0/vram", &provider), 0);
	assert_int_equal(p2pdma_provider_kind(provider), P2PDMA_PROVIDER_KIND_VRAM);
	assert_string_equal(p2pdma_provider_name(provider), "0000:43:00.0/vram");
	/* Its driver doesn't tell. */
	assert_int_equal(p2pdma_provider_size_bytes(provider), 0);
	assert_int_equal(p2pdma_provider_bar(provider), P2PDMA_PROVIDER_NO_BAR);
	assert_int_equal(p2pdma_provider_is_64bit(provider), 0);
	assert_int_equal(p2pdma_provider_is_prefetchable(provider), 0);
	assert_int_equal(p2pdma_provider_can_export(provider, P2PDMA_BACKEND_EXPORT, &why), 0);
	assert_string_equal(why, "the export backend is for BARs, not for vram");
	p2pdma_provider_unref(provider);
	fake_write("sys/bus/pci/devices/0000:43:00.0/mem_info_vram_total", "68702699520\n");
	assert_int_equal(p2pdma_provider_find(*state, "0000:43:00.0/vram", &provider), 0);
	assert_int_equal(p2pdma_provider_size_bytes(provider), 68702699520);
	p2pdma_provider_unref(provider);
	assert_int_equal(p2pdma_provider_find(*state, "0000:43:00.0/p2pmem", &provider), 0);
	assert_int_equal(p2pdma_provider_kind(provider), P2PDMA_PROVIDER_KIND_P2PMEM);
	assert_int_equal(p2pdma_provider_size_bytes(provider), MIB);
	p2pdma_provider_unref(provider);
}

static void list_has_memory_of_drivers_behind_the_bars(void **state)
{
	struct p2pdma_provider_list *list = NULL;

	fake_add_function("0000:43:00.0", "nvme");
	fake_mkdir("sys/bus/pci/devices/0000:43:00.0/p2pmem");
	fake_write("sys/bus/pci/devices/0000:43:00.0/p2pmem/size", "1048576\n");
	assert_int_equal(p2pdma_provider_list_query(*state, &list), 0);
	assert_int_equal(p2pdma_provider_list_count(list), 5);
	assert_string_equal(p2pdma_provider_name(p2pdma_provider_list_at(list, 4)),
			    "0000:43:00.0/p2pmem");
	p2pdma_provider_list_free(list);
}

static void find_broken_sysfs_eio(void **state)
{
	fake_write("sys/bus/pci/devices/0000:01:00.0/vendor", "0x12345\n");
	assert_int_equal(find(*state, "0000:01:00.0/2"), -EIO);
	fake_write("sys/bus/pci/devices/0000:01:00.0/vendor", "junk\n");
	assert_int_equal(find(*state, "0000:01:00.0/2"), -EIO);
}

static void find_old_generation_estale(void **state)
{
	struct p2pdma_provider *provider = fake_provider();
	char name[64];

	snprintf(name, sizeof(name), "%s", p2pdma_provider_unique_name(provider));
	p2pdma_provider_unref(provider);
	assert_int_equal(find(*state, name), 0);
	fake_replace_function("0000:01:00.0", "p2pdma_export");
	assert_int_equal(find(*state, name), -ESTALE);
	assert_cause("exchanged");
	assert_int_equal(find(*state, "0000:01:00.0/2"), 0);
}

static void can_export_by_device_node(void **state)
{
	struct p2pdma_provider *provider = fake_provider();
	const char *why = NULL;

	(void)state;
	assert_int_equal(p2pdma_provider_can_export(provider, P2PDMA_BACKEND_EXPORT, &why), 1);
	assert_non_null(strstr(why, "/dev/p2pdma/0000:01:00.0"));
	assert_int_equal(p2pdma_provider_can_export(provider, P2PDMA_BACKEND_VFIO, &why), 0);
	assert_non_null(strstr(why, "bound to p2pdma_export"));
	assert_int_equal(p2pdma_provider_can_export(provider, P2PDMA_BACKEND_AUTO, NULL), 1);
	assert_int_equal(p2pdma_provider_can_export(provider, P2PDMA_BACKEND_ADOPT, &why), -EINVAL);
	assert_int_equal(p2pdma_provider_can_export(NULL, P2PDMA_BACKEND_AUTO, &why), -EINVAL);
	p2pdma_provider_unref(provider);
}

static void can_export_no_node_says_how(void **state)
{
	struct p2pdma_provider *provider = NULL;
	const char *why = NULL;

	fake_add_function("0000:02:00.0", NULL);
	assert_int_equal(p2pdma_provider_find(*state, "0000:02:00.0/2", &provider), 0);
	assert_int_equal(p2pdma_provider_can_export(provider, P2PDMA_BACKEND_AUTO, &why), 0);
	assert_non_null(strstr(why, "driver_override"));
	p2pdma_provider_unref(provider);
}

static void can_export_forbidden_node_says_eacces(void **state)
{
	struct p2pdma_provider *provider;
	const char *why = NULL;

	(void)state;
	fake.access_errors = -EACCES;
	provider = fake_provider();
	assert_int_equal(p2pdma_provider_can_export(provider, P2PDMA_BACKEND_EXPORT, &why), 0);
	assert_non_null(strstr(why, "EACCES"));
	p2pdma_provider_unref(provider);
}

static void can_export_small_bar_no(void **state)
{
	struct p2pdma_provider *provider = NULL;
	const char *why = NULL;

	assert_int_equal(p2pdma_provider_find(*state, "0000:01:00.0/0", &provider), 0);
	assert_int_equal(p2pdma_provider_can_export(provider, P2PDMA_BACKEND_EXPORT, &why), 0);
	assert_non_null(strstr(why, "page size"));
	p2pdma_provider_unref(provider);
}

static void ref_outlives_list_and_context(void **state)
{
	struct p2pdma_context *other = fake_open_context(P2PDMA_CONTEXT_NO_HOTPLUG);
	struct p2pdma_provider_list *list = NULL;
	struct p2pdma_provider *kept;

	(void)state;
	assert_int_equal(p2pdma_provider_list_query(other, &list), 0);
	kept = p2pdma_provider_ref(p2pdma_provider_list_at(list, 1));
	p2pdma_provider_list_free(list);
	p2pdma_context_close(other);
	assert_string_equal(p2pdma_provider_name(kept), "0000:01:00.0/2");
	p2pdma_provider_unref(kept);
	assert_null(p2pdma_provider_ref(NULL));
	p2pdma_provider_unref(NULL);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, fake_setup, fake_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(list_memory_bars_only),
		CASE(list_null_einval),
		CASE(list_without_pci_enoent),
		CASE(list_leaves_out_what_makes_no_sense),
		CASE(list_has_memory_of_drivers_behind_the_bars),
		CASE(find_tells_everything),
		CASE(find_bad_name_einval),
		CASE(find_no_function_enodev),
		CASE(find_no_memory_bar_enoent),
		CASE(find_no_memory_of_a_driver_enoent),
		CASE(find_memory_of_a_driver_tells_kind_and_size),
		CASE(find_broken_sysfs_eio),
		CASE(find_old_generation_estale),
		CASE(can_export_by_device_node),
		CASE(can_export_no_node_says_how),
		CASE(can_export_forbidden_node_says_eacces),
		CASE(can_export_small_bar_no),
		CASE(ref_outlives_list_and_context),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
