// SPDX-License-Identifier: MIT
/*
 * The export backend: our own kernel module, one device node a function.
 *
 * A device is one open file of /dev/p2pdma/<function>. What is exported through
 * it belongs to it, and its events are read from it, without blocking. The
 * events are only hints: when the kernel says that some were lost, every
 * buffer's status is asked instead, so a revocation can't be missed.
 *
 * Exporting and closing run under open_lock, events under context->lock,
 * revoking and asking with no lock: the kernel orders those itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/p2pdma_export.h>

#include "export.h"
#include "buffer/buffer.h"
#include "event/queue.h"
#include "explain/explain.h"

static void node_path(const struct pci_function *function, char *path, size_t size)
{
	char name[PCI_ADDRESS_SIZE];

	pci_address_format(&function->address, name);
	snprintf(path, size, P2PDMA_EXPORT_DIR "/%s", name);
}

/* 0, or why the node can't be opened. */
static int check_node(const struct p2pdma_context *context, const struct pci_function *function,
		      char *ret_why, size_t size)
{
	char path[64];
	int r;

	node_path(function, path, sizeof(path));
	r = context->sys->access_at(context->dev_fd, path, R_OK | W_OK);
	if (!r)
		snprintf(ret_why, size, "export: through /dev/%s", path);
	else if (r == -ENOENT)
		snprintf(ret_why, size,
			 "export: no /dev/%s: load p2pdma_export and bind the function to it "
			 "(p2pctl bind, or driver_override); now bound to %.32s",
			 path, *function->driver ? function->driver : "no driver");
	else
		snprintf(ret_why, size, "export: /dev/%s can't be opened: %s", path, error_name(r));
	return r;
}

static int check_export(const struct p2pdma_context *context, const struct pci_function *function,
			uint32_t bar, char *ret_why, size_t size)
{
	if (function->bars[bar].size_bytes % context->page_size_bytes) {
		snprintf(ret_why, size, "export: the BAR isn't a multiple of the page size");
		return -EOPNOTSUPP;
	}
	return check_node(context, function, ret_why, size);
}

static int query_info(struct export_device *export)
{
	struct p2pdma_context *context = export->device.context;
	const struct pci_address *address = &export->device.function.address;
	struct p2pdma_export_info info = {.argsz = sizeof(info)};
	int r;

	r = context->sys->ioctl(export->fd, P2PDMA_EXPORT_INFO, &info);
	if (r == -ENOTTY)
		return context_fail(context, -EOPNOTSUPP,
				    "the device node of %s isn't one of p2pdma_export",
				    export->device.name);
	if (r)
		return context_fail(context, r, "%s doesn't answer: %s", export->device.name,
				    r == -ENODEV ? "it has gone" : error_name(r));
	if (info.domain != address->domain || info.bus != address->bus ||
	    info.devfn != address->devfn)
		return context_fail(context, -ESTALE, "the device node of %s is another function's",
				    export->device.name);
	export->features = info.features;
	return 0;
}

static int open_device(struct p2pdma_context *context, const struct pci_function *function,
		       struct device **ret_device)
{
	struct export_device *export;
	char path[64], why[192];
	int r;

	export = calloc(1, sizeof(*export));
	if (!export)
		return context_fail(context, -ENOMEM, "no memory for a device");
	device_init(&export->device, context, &backend_export, function);
	node_path(function, path, sizeof(path));
	export->fd = context->sys->open_at(context->dev_fd, path, O_RDWR | O_NONBLOCK);
	if (export->fd < 0) {
		r = export->fd;
		free(export);
		/* Without a node the driver isn't there; with one it may leave at any moment. */
		if (r == -ENOENT && check_node(context, function, why, sizeof(why)))
			return context_fail(context, -EOPNOTSUPP, "%s", why);
		explain_open_failure(context, r, "/dev/", path);
		return r == -ENXIO ? -ENODEV : r == -ENOENT ? -EOPNOTSUPP : r;
	}
	r = query_info(export);
	if (r) {
		context->sys->close(export->fd);
		free(export);
		return r;
	}
	*ret_device = &export->device;
	return 0;
}

static void close_device(struct device *device)
{
	struct export_device *export = export_device_of(device);

	device->context->sys->close(export->fd);
	free(export);
}

static int export_failed(const struct device *device, const struct export_request *request, int r)
{
	struct p2pdma_explain_request failed = P2PDMA_EXPLAIN_REQUEST_INIT;
	char provider[PCI_PROVIDER_NAME_SIZE];

	snprintf(provider, sizeof(provider), "%s/%" PRIu32, device->name, request->bar);
	failed.operation = P2PDMA_OPERATION_EXPORT;
	failed.bar = request->bar;
	failed.provider = provider;
	explain_failure(device->context, r, &failed, "can't export from %s", provider);
	/* The ranges have been checked: what the kernel doesn't like is the BAR. */
	return r == -EINVAL ? -EOPNOTSUPP : r;
}

static int export_ranges(struct device *device, const struct export_request *request,
			 struct export_result *ret_result)
{
	struct p2pdma_export_range ranges[P2PDMA_BUFFER_MAX_RANGES];
	struct p2pdma_export_export argument = {
		.argsz = sizeof(argument),
		.bar = request->bar,
		.nr_ranges = (uint32_t)request->nr_ranges,
		.ranges = (uintptr_t)ranges,
		.open_flags = O_CLOEXEC,
		.fd = -1,
	};
	int r;

	for (size_t i = 0; i < request->nr_ranges; i++) {
		ranges[i].offset = request->ranges[i].offset_bytes;
		ranges[i].length = request->ranges[i].length_bytes;
	}
	argument.open_flags |= request->flags & P2PDMA_BUFFER_READ_ONLY ? O_RDONLY : O_RDWR;
	if (request->flags & P2PDMA_BUFFER_MMAP_WC &&
	    export_device_of(device)->features & P2PDMA_EXPORT_FEATURE_MMAP_WC)
		argument.flags |= P2PDMA_EXPORT_F_MMAP_WC;
	if (request->flags & P2PDMA_BUFFER_ALLOW_UNREVOCABLE)
		argument.flags |= P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE;
	r = device->context->sys->ioctl(export_device_of(device)->fd, P2PDMA_EXPORT_EXPORT,
					&argument);
	if (r)
		return export_failed(device, request, r);
	ret_result->fd = argument.fd;
	ret_result->export_id = argument.export_id;
	ret_result->size_bytes = argument.size;
	return 0;
}

static int revoke_buffer(struct p2pdma_buffer *buffer, uint32_t timeout_ms,
			 struct p2pdma_revoke_result *result)
{
	struct p2pdma_context *context = buffer->context;
	struct p2pdma_export_revoke argument = {
		.argsz = sizeof(argument),
		.export_id = buffer->export_id,
		.timeout_ms = timeout_ms,
	};
	int r;

	r = context->sys->ioctl(export_device_of(buffer->device)->fd, P2PDMA_EXPORT_REVOKE,
				&argument);
	if (!r || r == -EBUSY || r == -EINTR) {
		result->nr_mappings = argument.nr_mappings;
		result->nr_remaining = argument.nr_remaining;
	}
	if (r == -EBUSY)
		return context_fail(context, r,
				    "%s is revoked, but %" PRIu32
				    " mappings of importers that can't be revoked remain",
				    buffer->name, argument.nr_remaining);
	if (r)
		return context_fail(context, r, "revoking %s: %s", buffer->name, error_name(r));
	return 0;
}

static void query(struct p2pdma_buffer *buffer, struct p2pdma_buffer_status *status)
{
	struct p2pdma_context *context = buffer->context;
	struct p2pdma_export_status argument;
	int r;

	r = export_query(buffer, &argument);
	if (r)
		return;
	status->flags |= P2PDMA_STATUS_COUNTED;
	status->nr_attachments = argument.nr_attachments;
	status->nr_mappings = argument.nr_mappings;
	status->nr_pins = argument.nr_pins;
	status->nr_unrevocable = argument.nr_unrevocable;
	status->mapped_bytes = argument.mapped_bytes;
	status->revoke_ns = argument.revoke_ns;
	pthread_mutex_lock(&context->lock);
	export_take_state(buffer, &argument);
	pthread_mutex_unlock(&context->lock);
}

const struct backend backend_export = {
	.name = "export",
	.id = P2PDMA_BACKEND_EXPORT,
	.flags = P2PDMA_BUFFER_READ_ONLY | P2PDMA_BUFFER_MMAP_WC | P2PDMA_BUFFER_ALLOW_UNREVOCABLE,
	.check_export = check_export,
	.open = open_device,
	.close = close_device,
	.export = export_ranges,
	.watch = export_watch,
	.unwatch = export_unwatch,
	.revoke = revoke_buffer,
	.query = query,
	.map = buffer_map_dmabuf,
};
