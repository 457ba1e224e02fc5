// SPDX-License-Identifier: MIT
/*
 * ucx_mr PROVIDER RDMADEV [refused]: what UCX makes of a BAR, by each call that it has.
 *
 * The calls of its public headers take an address and no descriptor: given the CPU's
 * mapping of a BAR they end in ibv_reg_mr(), which finds no pages. Inside, UCX does
 * register DMABUFs: uct_md_mem_reg_v2() is in libuct.so.0, its header isn't in Debian's
 * libucx-dev. What the header says of it is written down here as far as it is needed.
 * It asks for remote atomics each time, when it probes and when it registers: a NIC that has
 * none on a DMABUF it takes for one without DMABUFs ("refused").
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ucp/api/ucp.h>
#include <uct/api/uct.h>

#include <p2pdma/p2pdma.h>

#include "common/labtest.h"

#define BYTES 0x10000

/* UCX 1.18, uct/api/v2/uct_v2.h. */
struct mem_reg_params {
	uint64_t field_mask;
	uint64_t flags;
	int dmabuf_fd;
	size_t dmabuf_offset;
};

#define FIELD_FLAGS	    (1U << 0)
#define FIELD_DMABUF_FD	    (1U << 1)
#define FIELD_DMABUF_OFFSET (1U << 2)

typedef ucs_status_t (*mem_reg_v2_t)(uct_md_h md, void *address, size_t length,
				     const struct mem_reg_params *params, uct_mem_h *ret_memh);

static struct p2pdma_buffer *buffer;
static void *window;
static bool is_refused;

static void check(ucs_status_t status, const char *what)
{
	if (status != UCS_OK)
		die(0, "%s: %s", what, ucs_status_string(status));
}

/* The memory domain called @device of the component @component. */
static uct_md_h open_md(uct_component_h component, const char *device)
{
	uct_component_attr_t attr = {.field_mask = UCT_COMPONENT_ATTR_FIELD_MD_RESOURCE_COUNT};
	uct_md_resource_desc_t resources[16];
	uct_md_config_t *config;
	uct_md_h md = NULL;

	check(uct_component_query(component, &attr), "uct_component_query()");
	if (!attr.md_resource_count || attr.md_resource_count > 16)
		return NULL;
	attr.field_mask = UCT_COMPONENT_ATTR_FIELD_MD_RESOURCES;
	attr.md_resources = resources;
	check(uct_component_query(component, &attr), "uct_component_query()");
	for (unsigned int i = 0; !md && i < attr.md_resource_count; i++) {
		if (strcmp(resources[i].md_name, device))
			continue;
		check(uct_md_config_read(component, NULL, NULL, &config), "uct_md_config_read()");
		check(uct_md_open(component, device, config, &md), "uct_md_open()");
		uct_config_release(config);
	}
	return md;
}

static uct_md_h find_md(const char *device)
{
	uct_component_h *components;
	unsigned int nr_components;
	uct_md_h md = NULL;

	check(uct_query_components(&components, &nr_components), "uct_query_components()");
	for (unsigned int i = 0; !md && i < nr_components; i++)
		md = open_md(components[i], device);
	uct_release_component_list(components);
	if (!md)
		die(0, "UCX has no memory domain %s", device);
	return md;
}

static void by_uct(uct_md_h md)
{
	uct_mem_h memh;
	ucs_status_t status;

	status = uct_md_mem_reg(md, window, BYTES, UCT_MD_MEM_ACCESS_RMA, &memh);
	tap_ok(status == UCS_ERR_IO_ERROR, "uct_md_mem_reg_of_the_mapping_fails", status);
	printf("uct_md_mem_reg(): %s\n", ucs_status_string(status));
}

static void by_ucp(void)
{
	ucp_params_t params = {.field_mask = UCP_PARAM_FIELD_FEATURES, .features = UCP_FEATURE_RMA};
	ucp_mem_map_params_t map = {
		.field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS | UCP_MEM_MAP_PARAM_FIELD_LENGTH,
		.address = window,
		.length = BYTES,
	};
	ucp_context_h context;
	ucp_mem_h memh;
	ucs_status_t status;

	check(ucp_init(&params, NULL, &context), "ucp_init()");
	status = ucp_mem_map(context, &map, &memh);
	tap_ok(status == UCS_ERR_IO_ERROR, "ucp_mem_map_of_the_mapping_fails", status);
	printf("ucp_mem_map(): %s\n", ucs_status_string(status));
	ucp_cleanup(context);
}

static void by_descriptor(uct_md_h md)
{
	struct mem_reg_params params = {
		.field_mask = FIELD_FLAGS | FIELD_DMABUF_FD | FIELD_DMABUF_OFFSET,
		.flags = UCT_MD_MEM_ACCESS_RMA,
		.dmabuf_fd = p2pdma_buffer_fd(buffer),
	};
	mem_reg_v2_t reg;
	uct_mem_h memh;
	ucs_status_t status;

	*(void **)&reg = dlsym(RTLD_DEFAULT, "uct_md_mem_reg_v2");
	if (!tap_ok(reg, "libuct_has_uct_md_mem_reg_v2", 0))
		return;
	status = reg(md, window, BYTES, &params, &memh);
	printf("uct_md_mem_reg_v2(): %s\n", ucs_status_string(status));
	if (is_refused) {
		tap_ok(status == UCS_ERR_IO_ERROR, "uct_md_mem_reg_v2_gets_the_nics_refusal",
		       status);
		return;
	}
	if (tap_ok(status == UCS_OK, "uct_md_mem_reg_v2_registers", status))
		check(uct_md_mem_dereg(md, memh), "uct_md_mem_dereg()");
	params.dmabuf_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	status = reg(md, window, BYTES, &params, &memh);
	tap_ok(status == UCS_ERR_IO_ERROR, "uct_md_mem_reg_v2_goes_by_the_descriptor", status);
	close(params.dmabuf_fd);
}

int main(int argc, char **argv)
{
	struct p2pdma_range range = {.offset_bytes = 0, .length_bytes = BYTES};
	struct p2pdma_context *context;
	struct p2pdma_provider *provider;
	uct_md_attr_t attr;
	uct_md_h md;

	if (argc < 3)
		die(0, "usage: ucx_mr PROVIDER RDMADEV [refused]");
	is_refused = argc > 3;
	must(p2pdma_context_open(NULL, &context), "opening the library");
	must(p2pdma_provider_find(context, argv[1], &provider), argv[1]);
	must(p2pdma_buffer_new(context, provider, &range, 1, NULL, &buffer), "exporting");
	must(p2pdma_buffer_map(buffer, 0, BYTES, P2PDMA_MAP_READ | P2PDMA_MAP_WRITE, &window),
	     "mapping");
	md = find_md(argv[2]);
	check(uct_md_query(md, &attr), "uct_md_query()");
	tap_ok(!(attr.cap.flags & UCT_MD_FLAG_REG_DMABUF) == is_refused,
	       is_refused ? "ucx_takes_the_nic_for_one_without_dmabufs" :
			    "ucx_takes_the_nic_for_one_with_dmabufs",
	       (long long)attr.cap.flags);
	by_uct(md);
	by_descriptor(md);
	uct_md_close(md);
	by_ucp();
	p2pdma_buffer_free(buffer);
	p2pdma_provider_unref(provider);
	p2pdma_context_close(context);
	return tap_done();
}
