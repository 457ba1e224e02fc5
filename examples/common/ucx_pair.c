// SPDX-License-Identifier: MIT
/*
 * UCX's plumbing, so that the example can show its own subject.
 *
 * A memory domain (md) is the RDMA device, a worker makes progress, an interface is one
 * transport on one port, an endpoint one side of a connection. Both sides are in this process, so
 * their addresses are at hand. Progress is made by whoever waits. A connection that failed stays
 * failed: everything after that completes with its error.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ucx_pair.h"

#define TRANSPORT    "rc_verbs"
#define TIMEOUT_S    30
#define ADDRESS_SIZE 256

static ucs_status_t open_md(struct ucx_pair *pair, uct_component_h component, const char *device)
{
	ucs_status_t status;
	uct_md_config_t *config;

	status = uct_md_config_read(component, NULL, NULL, &config);
	if (status != UCS_OK)
		return status;
	status = uct_md_open(component, device, config, &pair->md);
	uct_config_release(config);
	if (status != UCS_OK)
		return status;
	pair->component = component;
	return uct_md_query(pair->md, &pair->attr);
}

/* Does @component have a memory domain called @device? */
static bool has_md(uct_component_h component, const char *device)
{
	uct_component_attr_t attr = {.field_mask = UCT_COMPONENT_ATTR_FIELD_MD_RESOURCE_COUNT};
	bool found = false;

	if (uct_component_query(component, &attr) != UCS_OK || !attr.md_resource_count)
		return false;
	attr.field_mask = UCT_COMPONENT_ATTR_FIELD_MD_RESOURCES;
	attr.md_resources = calloc(attr.md_resource_count, sizeof(*attr.md_resources));
	if (attr.md_resources && uct_component_query(component, &attr) == UCS_OK) {
		for (unsigned int i = 0; i < attr.md_resource_count; i++)
			found |= !strcmp(attr.md_resources[i].md_name, device);
	}
	free(attr.md_resources);
	return found;
}

static ucs_status_t find_md(struct ucx_pair *pair, const char *device)
{
	uct_component_h *components;
	unsigned int nr_components;
	ucs_status_t status;

	status = uct_query_components(&components, &nr_components);
	if (status != UCS_OK)
		return status;
	status = UCS_ERR_NO_DEVICE;
	for (unsigned int i = 0; i < nr_components; i++) {
		if (has_md(components[i], device)) {
			status = open_md(pair, components[i], device);
			break;
		}
	}
	uct_release_component_list(components);
	return status;
}

/* Without a handler UCX ends the process when a connection fails. */
static ucs_status_t handle_failure(void *arg, uct_ep_h ep, ucs_status_t status)
{
	(void)arg;
	(void)ep;
	(void)status;
	return UCS_OK;
}

static ucs_status_t open_interface(struct ucx_pair *pair, const char *device)
{
	char port[64];
	uct_iface_params_t params = {
		.field_mask = UCT_IFACE_PARAM_FIELD_OPEN_MODE | UCT_IFACE_PARAM_FIELD_DEVICE |
			      UCT_IFACE_PARAM_FIELD_ERR_HANDLER |
			      UCT_IFACE_PARAM_FIELD_ERR_HANDLER_FLAGS,
		.open_mode = UCT_IFACE_OPEN_MODE_DEVICE,
		.mode.device = {.tl_name = TRANSPORT, .dev_name = port},
		.err_handler = handle_failure,
	};
	uct_iface_config_t *config;
	ucs_status_t status;

	snprintf(port, sizeof(port), "%s:1", device);
	status = ucs_async_context_create(UCS_ASYNC_MODE_THREAD_SPINLOCK, &pair->async);
	if (status == UCS_OK)
		status = uct_worker_create(pair->async, UCS_THREAD_MODE_SINGLE, &pair->worker);
	if (status == UCS_OK)
		status = uct_md_iface_config_read(pair->md, TRANSPORT, NULL, NULL, &config);
	if (status != UCS_OK)
		return status;
	status = uct_iface_open(pair->md, pair->worker, &params, config, &pair->iface);
	uct_config_release(config);
	if (status == UCS_OK)
		uct_iface_progress_enable(pair->iface, UCT_PROGRESS_SEND | UCT_PROGRESS_RECV);
	return status;
}

static ucs_status_t connect_ends(struct ucx_pair *pair)
{
	uct_ep_params_t params = {.field_mask = UCT_EP_PARAM_FIELD_IFACE, .iface = pair->iface};
	union {
		uint64_t align;
		uint8_t bytes[ADDRESS_SIZE];
	} device, end[2];
	uct_device_addr_t *place = (uct_device_addr_t *)device.bytes;
	uct_iface_attr_t attr;
	ucs_status_t status;

	status = uct_iface_query(pair->iface, &attr);
	if (status != UCS_OK)
		return status;
	if (attr.device_addr_len > ADDRESS_SIZE || attr.ep_addr_len > ADDRESS_SIZE)
		return UCS_ERR_BUFFER_TOO_SMALL;
	status = uct_iface_get_device_address(pair->iface, place);
	for (int i = 0; i < 2 && status == UCS_OK; i++) {
		status = uct_ep_create(&params, &pair->ep[i]);
		if (status == UCS_OK)
			status = uct_ep_get_address(pair->ep[i], (uct_ep_addr_t *)end[i].bytes);
	}
	for (int i = 0; i < 2 && status == UCS_OK; i++)
		status = uct_ep_connect_to_ep(pair->ep[i], place, (uct_ep_addr_t *)end[!i].bytes);
	return status;
}

static ucs_status_t provide_host(struct ucx_pair *pair, size_t bytes)
{
	void *memory;

	if (posix_memalign(&memory, 4096, bytes))
		return UCS_ERR_NO_MEMORY;
	pair->host = memory;
	return uct_md_mem_reg(pair->md, memory, bytes, UCT_MD_MEM_ACCESS_ALL, &pair->host_handle);
}

ucs_status_t ucx_pair_open(struct ucx_pair *pair, const char *device, size_t host_bytes)
{
	ucs_status_t status;

	memset(pair, 0, sizeof(*pair));
	status = find_md(pair, device);
	if (status == UCS_OK)
		status = open_interface(pair, device);
	if (status == UCS_OK)
		status = connect_ends(pair);
	if (status == UCS_OK)
		status = provide_host(pair, host_bytes);
	if (status != UCS_OK)
		ucx_pair_close(pair);
	return status;
}

void ucx_pair_close(struct ucx_pair *pair)
{
	for (int i = 0; i < 2; i++) {
		if (pair->ep[i])
			uct_ep_destroy(pair->ep[i]);
	}
	if (pair->iface)
		uct_iface_close(pair->iface);
	if (pair->worker)
		uct_worker_destroy(pair->worker);
	if (pair->async)
		ucs_async_context_destroy(pair->async);
	if (pair->host_handle)
		uct_md_mem_dereg(pair->md, pair->host_handle);
	if (pair->md)
		uct_md_close(pair->md);
	free(pair->host);
	memset(pair, 0, sizeof(*pair));
}

ucs_status_t ucx_pair_share(struct ucx_pair *pair, struct ucx_memory *memory)
{
	void *packed = malloc(pair->attr.rkey_packed_size);
	ucs_status_t status;

	if (!packed)
		return UCS_ERR_NO_MEMORY;
	status = uct_md_mkey_pack(pair->md, memory->handle, packed);
	if (status == UCS_OK)
		status = uct_rkey_unpack(pair->component, packed, &memory->key);
	memory->is_shared = status == UCS_OK;
	free(packed);
	return status;
}

void ucx_pair_forget(struct ucx_pair *pair, struct ucx_memory *memory)
{
	if (memory->is_shared)
		uct_rkey_release(pair->component, &memory->key);
	if (memory->handle)
		uct_md_mem_dereg(pair->md, memory->handle);
	memset(memory, 0, sizeof(*memory));
}

enum request_kind {
	REQUEST_PUT,
	REQUEST_GET,
	REQUEST_ADD
};

struct request {
	enum request_kind kind;
	uct_iov_t local; /* of put and get */
	const struct ucx_memory *remote;
	uint64_t summand; /* of add */
	uint64_t *before;
};

static ucs_status_t post(uct_ep_h ep, const struct request *request, uct_completion_t *completion)
{
	uint64_t address = (uintptr_t)request->remote->address;
	uct_rkey_t key = request->remote->key.rkey;

	if (request->kind == REQUEST_PUT)
		return uct_ep_put_zcopy(ep, &request->local, 1, address, key, completion);
	if (request->kind == REQUEST_GET)
		return uct_ep_get_zcopy(ep, &request->local, 1, address, key, completion);
	return uct_ep_atomic64_fetch(ep, UCT_ATOMIC_OP_ADD, request->summand, request->before,
				     address, key, completion);
}

static void note_completion(uct_completion_t *completion)
{
	(void)completion; /* its count is 0 now, which is what is waited for */
}

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static ucs_status_t run(struct ucx_pair *pair, const struct request *request)
{
	/* Not on the stack: what timed out may complete later. */
	static uct_completion_t completion;
	time_t deadline = now_s() + TIMEOUT_S;
	ucs_status_t status;

	completion = (uct_completion_t){.func = note_completion, .count = 1, .status = UCS_OK};
	while ((status = post(pair->ep[0], request, &completion)) == UCS_ERR_NO_RESOURCE) {
		uct_worker_progress(pair->worker);
		if (now_s() > deadline)
			return UCS_ERR_TIMED_OUT;
	}
	if (status != UCS_INPROGRESS)
		return status;
	while (completion.count) {
		uct_worker_progress(pair->worker);
		if (now_s() > deadline)
			return UCS_ERR_TIMED_OUT;
	}
	return completion.status;
}

static ucs_status_t move(struct ucx_pair *pair, enum request_kind kind, void *local, size_t bytes,
			 const struct ucx_memory *remote)
{
	struct request request = {
		.kind = kind,
		.local = {.buffer = local, .length = bytes, .memh = pair->host_handle, .count = 1},
		.remote = remote,
	};

	return run(pair, &request);
}

ucs_status_t ucx_pair_put(struct ucx_pair *pair, uint8_t *local, size_t bytes,
			  const struct ucx_memory *remote)
{
	return move(pair, REQUEST_PUT, local, bytes, remote);
}

ucs_status_t ucx_pair_get(struct ucx_pair *pair, uint8_t *local, size_t bytes,
			  const struct ucx_memory *remote)
{
	return move(pair, REQUEST_GET, local, bytes, remote);
}

ucs_status_t ucx_pair_add(struct ucx_pair *pair, const struct ucx_memory *remote, uint64_t summand,
			  uint64_t *ret_before)
{
	struct request request = {
		.kind = REQUEST_ADD, .remote = remote, .summand = summand, .before = ret_before};

	return run(pair, &request);
}
