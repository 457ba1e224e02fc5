// SPDX-License-Identifier: MIT
/* AUTO where p2pd is: memory of a GPU comes from its DRM driver, unless p2pd leases it. */
#include <errno.h>
#include <string.h>

#include <p2pdma/p2pdma.h>

#include "fake_drm.h"
#include "fake_p2pd.h"

static int teardown(void **state)
{
	int r = p2pd_teardown(state);

	assert_int_equal(fake_drm.nr_files, 0);
	return r;
}

static int try_new(uint32_t backend, struct p2pdma_buffer **ret_buffer)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_range amount = {0, MIB};
	struct p2pdma_provider *provider = NULL;
	int r;

	if (!fake_drm.driver)
		fake_drm_add("xe");
	options.backend = backend;
	assert_int_equal(p2pdma_provider_find(p2pd_context(), FAKE_DRM_FUNCTION "/vram", &provider),
			 0);
	r = p2pdma_buffer_new(p2pd_context(), provider, &amount, 1, &options, ret_buffer);
	p2pdma_provider_unref(provider);
	return r;
}

static uint32_t auto_takes(void)
{
	struct p2pdma_buffer *buffer = NULL;
	uint32_t backend;

	assert_int_equal(try_new(P2PDMA_BACKEND_AUTO, &buffer), 0);
	backend = p2pdma_buffer_backend(buffer);
	p2pdma_buffer_free(buffer);
	return backend;
}

static int setup(void **state)
{
	memset(&fake_drm, 0, sizeof(fake_drm));
	return p2pd_setup(state);
}

static void vram_that_isnt_listed_is_the_drivers(void **state)
{
	(void)state;
	assert_int_equal(auto_takes(), P2PDMA_BACKEND_DRM);
	assert_int_equal(p2pd_count(WIRE_PROVIDERS), 1);
	assert_int_equal(p2pd_count(WIRE_ACQUIRE), 0);
}

static void vram_that_isnt_leased_is_the_drivers(void **state)
{
	struct wire_list list;

	(void)state;
	p2pd_set_records(1, 1);
	p2pd_set_health(1, true);
	assert_int_equal(auto_takes(), P2PDMA_BACKEND_DRM);
	assert_int_equal(p2pd_count(WIRE_ACQUIRE), 0);
	/* It was asked for that arrival of that memory. */
	assert_int_equal(p2pd_last(WIRE_PROVIDERS, &list, sizeof(list)), sizeof(list));
	assert_int_equal(strncmp(list.selector, FAKE_DRM_FUNCTION "/vram@", 18), 0);
}

static void vram_that_is_leased_is_p2pds(void **state)
{
	struct p2pdma_buffer *buffer = NULL;

	(void)state;
	p2pd_set_records(1, 1);
	assert_int_equal(auto_takes(), P2PDMA_BACKEND_BROKER);
	/* Then its answer is final. */
	p2pd_twist(WIRE_ACQUIRE, TWIST_ERROR, -EACCES, 1);
	assert_int_equal(try_new(P2PDMA_BACKEND_AUTO, &buffer), -EACCES);
	assert_p2pd_cause("p2pd's own sentence");
	assert_null(buffer);
}

static void vram_doesnt_depend_on_a_p2pd_that_fails(void **state)
{
	(void)state;
	p2pd_twist(WIRE_PROVIDERS, TWIST_ERROR, -EACCES, 1);
	assert_int_equal(auto_takes(), P2PDMA_BACKEND_DRM);
	p2pd_twist(WIRE_PROVIDERS, TWIST_SHORT, 0, 1);
	assert_int_equal(auto_takes(), P2PDMA_BACKEND_DRM);
	p2pd_stop();
	assert_int_equal(auto_takes(), P2PDMA_BACKEND_DRM);
}

static void vram_by_name_is_asked_of_nobody_else(void **state)
{
	struct p2pdma_buffer *buffer = NULL;

	(void)state;
	p2pd_set_records(1, 1);
	assert_int_equal(try_new(P2PDMA_BACKEND_DRM, &buffer), 0);
	assert_int_equal(p2pdma_buffer_backend(buffer), P2PDMA_BACKEND_DRM);
	p2pdma_buffer_free(buffer);
	assert_int_equal(p2pd_count(WIRE_HELLO), 0);
	assert_int_equal(try_new(P2PDMA_BACKEND_BROKER, &buffer), 0);
	assert_int_equal(p2pdma_buffer_backend(buffer), P2PDMA_BACKEND_BROKER);
	p2pdma_buffer_free(buffer);
	assert_int_equal(p2pd_count(WIRE_PROVIDERS), 0);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(vram_that_isnt_listed_is_the_drivers),
		CASE(vram_that_isnt_leased_is_the_drivers),
		CASE(vram_that_is_leased_is_p2pds),
		CASE(vram_doesnt_depend_on_a_p2pd_that_fails),
		CASE(vram_by_name_is_asked_of_nobody_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
