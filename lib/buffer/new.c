// SPDX-License-Identifier: MIT
/*
 * Making a buffer: check the request, choose the backend, open the function,
 * export, publish.
 *
 * Everything that can be checked without the kernel is checked before anything
 * is opened. AUTO asks p2pd where it is there, whose answer is final: p2pd has the device nodes of
 * BARs and pools. Memory of a GPU belongs to the process that allocates it, by a node that is open to
 * users, so of that p2pd is asked only where it says that it leases it. Otherwise AUTO looks at the
 * function as it is now, not as it was when the provider was looked up, and takes the first
 * backend that says it can, or where only rights stand before one, that, since opening its node
 * says who may; a backend asked for by name is simply tried, so that the kernel's own answer is
 * what the caller gets. A buffer is linked to its device, and so visible to
 * events and revocation, only when it is complete.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "broker/broker.h"
#include "buffer.h"
#include "context/options.h"
#include "provider/provider.h"

int buffer_options_load(const struct p2pdma_context *context,
			const struct p2pdma_buffer_options *options,
			struct p2pdma_buffer_options *ret_known)
{
	struct p2pdma_buffer_options known = P2PDMA_BUFFER_OPTIONS_INIT;
	int r;

	if (options) {
		r = options_load(&known, sizeof(known), sizeof(known), options);
		if (r)
			return context_fail(context, r, "the buffer options have a wrong size");
	}
	if (known.flags & ~BUFFER_FLAGS || known.reserved)
		return context_fail(context, -EINVAL, "unknown buffer flags 0x%" PRIx32,
				    known.flags & ~BUFFER_FLAGS);
	*ret_known = known;
	return 0;
}

/* What the first of these flags asks for. */
static const char *flag_meaning(uint32_t flags)
{
	if (flags & P2PDMA_BUFFER_ALLOW_UNREVOCABLE)
		return "let importers in that can't be revoked";
	if (flags & P2PDMA_BUFFER_READ_ONLY)
		return "make read-only buffers";
	if (flags & P2PDMA_BUFFER_PCIE_MAPPING)
		return "choose the way to its memory";
	return "share its memory with children";
}

int buffer_check_flags(const struct p2pdma_context *context, const struct backend *backend,
		       uint32_t flags)
{
	uint32_t unknown = flags & ~(backend->flags | P2PDMA_BUFFER_ALLOW_SYSTEM);

	if (unknown)
		return context_fail(context, -EOPNOTSUPP, "the %s backend can't %s", backend->name,
				    flag_meaning(unknown));
	return 0;
}

static int load_options(const struct p2pdma_context *context,
			const struct p2pdma_buffer_options *options,
			struct p2pdma_buffer_options *ret_known)
{
	struct p2pdma_buffer_options known;
	int r;

	r = buffer_options_load(context, options, &known);
	if (r)
		return r;
	if (known.backend == P2PDMA_BACKEND_ADOPT)
		return context_fail(context, -EINVAL,
				    "the adopt backend makes no DMABUF: use p2pdma_buffer_adopt()");
	if (known.backend >= P2PDMA_BACKEND_HEAP && known.backend <= P2PDMA_BACKEND_ZE)
		return context_fail(context, -EINVAL,
				    "no provider has a backend %" PRIu32
				    ": <p2pdma/memory.h> has the calls for it",
				    known.backend);
	if (known.backend != P2PDMA_BACKEND_AUTO && known.backend != P2PDMA_BACKEND_BROKER &&
	    !backend_find(known.backend))
		return context_fail(context, -EINVAL, "unknown backend %" PRIu32, known.backend);
	*ret_known = known;
	return 0;
}

/* Of several, the first that can; else the first that could for who may open its node. */
static int choose_backend(struct p2pdma_context *context, const struct p2pdma_provider *provider,
			  uint32_t wanted, const struct backend **ret_backend)
{
	char whys[NR_EXPORTERS * BACKEND_WHY_SIZE] = "", why[BACKEND_WHY_SIZE];
	const struct backend *refused = NULL;
	struct pci_function function;
	int r;

	if (wanted != P2PDMA_BACKEND_AUTO) {
		*ret_backend = backend_find(wanted);
		return 0;
	}
	r = pci_function_query(context->sysfs_fd, &provider->function.address, &function);
	if (r)
		return context_fail(context, r, "can't look at %s: %s", provider->function_name,
				    r == -ENODEV ? "it has gone" : error_name(r));
	for (size_t i = 0; i < NR_EXPORTERS; i++) {
		size_t length = strlen(whys);

		r = backend_check_export(backends[i], context, &function, provider->bar, why);
		if (!r) {
			*ret_backend = backends[i];
			return 0;
		}
		if (!refused && (r == -EACCES || r == -EPERM))
			refused = backends[i];
		if (backends[i]->kind == backend_kind(provider->bar))
			snprintf(whys + length, sizeof(whys) - length, "%s%s", length ? "; " : "",
				 why);
	}
	if (refused) {
		/* Opening it says who may. */
		*ret_backend = refused;
		return 0;
	}
	return context_fail(context, -EOPNOTSUPP, "nothing here can export %s: %s", provider->name,
			    *whys ? whys : why);
}

static int wants_broker(struct p2pdma_context *context, const struct p2pdma_provider *provider,
			const struct p2pdma_buffer_options *options)
{
	int r = options->backend == P2PDMA_BACKEND_BROKER;

	if (options->backend == P2PDMA_BACKEND_AUTO)
		r = p2pdma_provider_kind(provider) == P2PDMA_PROVIDER_KIND_VRAM ?
			    broker_leases(context, provider->unique_name) :
			    broker_is_there(context);
	if (r > 0 && options->flags & P2PDMA_BUFFER_INHERIT)
		return context_fail(context, -EOPNOTSUPP, "a lease of p2pd can't %s",
				    flag_meaning(P2PDMA_BUFFER_INHERIT));
	return r;
}

static int check_ranges(const struct p2pdma_context *context,
			const struct p2pdma_provider *provider, const struct p2pdma_range *ranges,
			size_t nr_ranges)
{
	uint64_t size_bytes;

	if (p2pdma_provider_kind(provider) == P2PDMA_PROVIDER_KIND_VRAM)
		return ranges_check_amount(context, provider->name, provider->size_bytes, ranges,
					   nr_ranges);
	return ranges_check(context, provider->name, provider->size_bytes, ranges, nr_ranges,
			    &size_bytes);
}

/* Under open_lock. */
static int export_locked(struct p2pdma_context *context, const struct backend *backend,
			 struct p2pdma_provider *provider, const struct export_request *request,
			 struct p2pdma_buffer **ret_buffer)
{
	struct export_result result = {.fd = -1};
	struct p2pdma_buffer *buffer;
	struct device *device;
	int r;

	r = device_acquire(context, backend, provider, &device);
	if (r)
		return r;
	r = backend->export(device, request, &result);
	if (r)
		goto release;
	r = buffer_create(context, backend, request, &result, &buffer);
	if (r)
		goto close;
	snprintf(buffer->name, sizeof(buffer->name), "%s", provider->unique_name);
	buffer->device = device;
	pthread_mutex_lock(&context->lock);
	list_append(&device->buffers, &buffer->link);
	/* The device may have gone since its export: then nobody told this buffer. */
	if (device->is_gone)
		buffer_revoked(buffer, P2PDMA_REASON_REMOVE, 0);
	pthread_mutex_unlock(&context->lock);
	*ret_buffer = buffer;
	return 0;

close:
	if (result.fd >= 0)
		context->sys->close(result.fd);
	if (result.memory)
		context->sys->unmap(result.memory, (size_t)result.size_bytes);
release:
	device_release(device);
	return r;
}

int p2pdma_buffer_new(struct p2pdma_context *context, struct p2pdma_provider *provider,
		      const struct p2pdma_range *ranges, size_t nr_ranges,
		      const struct p2pdma_buffer_options *options,
		      struct p2pdma_buffer **ret_buffer)
{
	struct p2pdma_buffer_options known;
	const struct backend *backend;
	struct export_request request;
	struct p2pdma_buffer *buffer;
	struct p2pdma_range whole;
	int r;

	if (!context)
		return -EINVAL;
	if (!provider || !ret_buffer || (!ranges && nr_ranges))
		return context_fail(context, -EINVAL,
				    "no provider, no ranges, or no place for the buffer");
	r = load_options(context, options, &known);
	if (r)
		return r;
	if (!nr_ranges && !ranges) {
		whole = (struct p2pdma_range){.length_bytes = provider->size_bytes};
		ranges = &whole;
		nr_ranges = 1;
	}
	r = check_ranges(context, provider, ranges, nr_ranges);
	if (r)
		return r;
	request = (struct export_request){
		.bar = provider->bar,
		.flags = known.flags,
		.nr_ranges = nr_ranges,
		.ranges = ranges,
	};
	r = wants_broker(context, provider, &known);
	if (r < 0)
		return r;
	if (r)
		return broker_export(context, provider->unique_name, &request, known.user_data,
				     ret_buffer);
	r = choose_backend(context, provider, known.backend, &backend);
	if (r)
		return r;
	if (backend->kind != p2pdma_provider_kind(provider))
		return context_fail(context, -EOPNOTSUPP, "the %s backend can't export %s",
				    backend->name, provider->name);
	r = buffer_check_flags(context, backend, known.flags);
	if (r)
		return r;
	pthread_mutex_lock(&context->open_lock);
	r = export_locked(context, backend, provider, &request, &buffer);
	pthread_mutex_unlock(&context->open_lock);
	if (r)
		return r;
	buffer->user_data = known.user_data;
	*ret_buffer = buffer;
	return 0;
}

int p2pdma_buffer_adopt(struct p2pdma_context *context, int fd, void *user_data,
			struct p2pdma_buffer **ret_buffer)
{
	struct p2pdma_buffer_options options = {.user_data = user_data};
	struct export_result result = {.fd = -1};
	int r;

	if (!context)
		return -EINVAL;
	if (!ret_buffer)
		return context_fail(context, -EINVAL, "no place for the buffer was given");
	r = dmabuf_query(context, fd, &result);
	if (r)
		return r;
	r = context->sys->access_mode(fd);
	if (r < 0)
		return context_fail(context, r, "can't ask for the mode of the DMABUF");
	if (r == O_RDONLY)
		options.flags |= P2PDMA_BUFFER_READ_ONLY;
	r = context->sys->dup(fd);
	if (r < 0)
		return dmabuf_query_failed(context, fd, r);
	result.fd = r;
	r = buffer_create_alone(context, &backend_adopt, &options, &result, ret_buffer);
	/* Whose it is nobody knows, only what it is. */
	if (!r)
		snprintf((*ret_buffer)->name, sizeof((*ret_buffer)->name), "dmabuf:%" PRIu64,
			 (*ret_buffer)->inode);
	return r;
}
