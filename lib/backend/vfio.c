// SPDX-License-Identifier: MIT
/*
 * The vfio backend: a function that is bound to a VFIO driver, exported through
 * VFIO_DEVICE_FEATURE_DMA_BUF.
 *
 * VFIO knows no revocation of one DMABUF. What revokes is the function's memory
 * decode going off, and that is undone when it comes on again: an old DMABUF
 * held by somebody else would come back to life. So a revocation here is for
 * good: decode off, CPU mappings covered (a live one keeps the device open),
 * then the device is closed, which ends its DMABUFs for ever; the next buffer
 * opens the function again as a new device. That is why it is function-wide.
 *
 * Opening, exporting and closing under open_lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "vfio.h"
#include "buffer/buffer.h"
#include "common/vfio_abi.h"
#include "explain/explain.h"

static int check_bound(const struct pci_function *function, struct cause *ret_why)
{
	if (vfio_is_bound(function))
		return 0;
	return cause_fail(ret_why, -EOPNOTSUPP, "vfio: bound to %.32s, not to vfio-pci",
			  *function->driver ? function->driver : "no driver");
}

static int check_export(const struct p2pdma_context *context, const struct pci_function *function,
			uint32_t bar, char *ret_why, size_t size)
{
	struct cause why;
	int r = 0;

	if (function->bars[bar].size_bytes % context->page_size_bytes)
		r = cause_fail(&why, -EOPNOTSUPP,
			       "vfio: the BAR isn't a multiple of the page size");
	if (!r)
		r = check_bound(function, &why);
	if (!r)
		r = vfio_check(&context->vfio, function, &why);
	snprintf(ret_why, size, "%s%s", r && *why.node ? "vfio: " : "", why.text);
	return r;
}

static int decode_set(struct vfio_device *vfio, bool is_on)
{
	return vfio_decode_set(vfio->device.context->sys, vfio->open.fd, is_on);
}

/* Closes for good all that is open; idempotent. */
static void shut(struct vfio_device *vfio)
{
	vfio_close(&vfio->device.context->vfio, &vfio->open);
	vfio_events_close(vfio);
}

static int prepare(struct vfio_device *vfio)
{
	const struct p2pdma_context *context = vfio->device.context;
	int r;

	if (vfio_can_export(context->sys, vfio->open.fd))
		return context_fail(context, -EOPNOTSUPP,
				    "VFIO of this kernel can't export DMABUFs of %s",
				    vfio->device.name);
	r = decode_set(vfio, true);
	if (r)
		return context_fail(context, r, "can't turn memory decode of %s on: %s",
				    vfio->device.name, error_name(r));
	return vfio_events_open(vfio);
}

static int open_device(struct p2pdma_context *context, const struct pci_function *function,
		       struct device **ret_device)
{
	struct vfio_device *vfio;
	struct cause why;
	int r;

	r = check_bound(function, &why);
	if (r)
		return context_fail(context, r, "%s", why.text);
	vfio = calloc(1, sizeof(*vfio));
	if (!vfio)
		return context_fail(context, -ENOMEM, "no memory for a device");
	device_init(&vfio->device, context, &backend_vfio, function);
	vfio->open = (struct vfio_open)VFIO_OPEN_INIT;
	vfio->req_fd = vfio->err_fd = -1;
	r = vfio_open(&context->vfio, function, &why, &vfio->open);
	if (r && *why.node)
		explain_open_failure(context, r, "/dev/", why.node);
	else if (r)
		context_fail(context, r, "%s", why.text);
	else
		r = prepare(vfio);
	if (r) {
		shut(vfio);
		free(vfio);
		return r == -ENOENT ? -EOPNOTSUPP : r;
	}
	*ret_device = &vfio->device;
	return 0;
}

static void close_device(struct device *device)
{
	struct vfio_device *vfio = vfio_device_of(device);

	/* For other holders of the DMABUFs: they end before anything could turn decode on. */
	if (vfio->open.fd >= 0)
		decode_set(vfio, false);
	shut(vfio);
	free(vfio);
}

static int export_failed(const struct device *device, const struct export_request *request, int r)
{
	struct p2pdma_explain_request failed = P2PDMA_EXPLAIN_REQUEST_INIT;
	char provider[PCI_PROVIDER_NAME_SIZE];

	snprintf(provider, sizeof(provider), "%s/%" PRIu32, device->name, request->bar);
	failed.operation = P2PDMA_OPERATION_EXPORT;
	failed.bar = request->bar;
	failed.provider = provider;
	return explain_failure(device->context, r, &failed,
			       "VFIO doesn't export BAR %" PRIu32 " of %s", request->bar,
			       device->name);
}

static int export_ranges(struct device *device, const struct export_request *request,
			 struct export_result *ret_result)
{
	struct {
		struct vfio_abi_dma_buf head;
		struct vfio_abi_dma_range ranges[P2PDMA_BUFFER_MAX_RANGES];
	} argument;
	const struct p2pdma_context *context = device->context;
	uint64_t size_bytes = 0;
	int r;

	argument.head = (struct vfio_abi_dma_buf){
		.argsz = (uint32_t)(sizeof(argument.head) +
				    request->nr_ranges * sizeof(argument.ranges[0])),
		.feature_flags = VFIO_DEVICE_FEATURE_GET | VFIO_ABI_FEATURE_DMA_BUF,
		.region_index = request->bar,
		.open_flags =
			O_CLOEXEC | (request->flags & P2PDMA_BUFFER_READ_ONLY ? O_RDONLY : O_RDWR),
		.nr_ranges = (uint32_t)request->nr_ranges,
	};
	for (size_t i = 0; i < request->nr_ranges; i++) {
		argument.ranges[i].offset = request->ranges[i].offset_bytes;
		argument.ranges[i].length = request->ranges[i].length_bytes;
		size_bytes += request->ranges[i].length_bytes;
	}
	r = context->sys->ioctl(vfio_device_of(device)->open.fd, VFIO_DEVICE_FEATURE, &argument);
	if (r < 0)
		return export_failed(device, request, r);
	ret_result->fd = r;
	ret_result->export_id = 0;
	ret_result->size_bytes = size_bytes;
	return 0;
}

static int revoke_buffer(struct p2pdma_buffer *buffer, uint32_t timeout_ms,
			 struct p2pdma_revoke_result *result)
{
	struct vfio_device *vfio = vfio_device_of(buffer->device);
	struct p2pdma_context *context = buffer->context;
	int r;

	/* VFIO lets nobody in who can't be revoked, so nothing is waited for or counted. */
	(void)timeout_ms;
	(void)result;
	pthread_mutex_lock(&context->open_lock);
	if (vfio->open.fd >= 0) {
		r = decode_set(vfio, false);
		if (r)
			context_log(context, P2PDMA_LOG_WARNING,
				    "%s: memory decode stays on (%s); closing revokes as well",
				    vfio->device.name, error_name(r));
		pthread_mutex_lock(&context->lock);
		list_for_each_entry(other, &vfio->device.buffers, struct p2pdma_buffer, link)
			mappings_end(other, true);
		vfio_events_unwatch(&vfio->device);
		vfio->req.fd = vfio->err.fd = -1;
		pthread_mutex_unlock(&context->lock);
		shut(vfio);
	}
	pthread_mutex_unlock(&context->open_lock);
	return 0;
}

static void query(struct p2pdma_buffer *buffer, struct p2pdma_buffer_status *status)
{
	/* VFIO has no question about a DMABUF. */
	(void)buffer;
	(void)status;
}

/* Maps what of a range lies between @from and @to, both bytes of the buffer. */
static int map_range(struct vfio_device *vfio, uint64_t region_offset,
		     const struct p2pdma_range *range, uint64_t range_start, uint64_t from,
		     uint64_t to, char *base, int protection)
{
	uint64_t start = from > range_start ? from : range_start;
	uint64_t end = range_start + range->length_bytes;
	void *address;

	if (end > to)
		end = to;
	if (start >= end)
		return 0;
	return vfio->device.context->sys->map(
		base + (start - from), (size_t)(end - start), protection, MAP_SHARED | MAP_FIXED,
		vfio->open.fd, region_offset + range->offset_bytes + (start - range_start),
		&address);
}

static int map(struct p2pdma_buffer *buffer, uint64_t offset_bytes, uint64_t length_bytes,
	       int protection, void **ret_address)
{
	struct vfio_device *vfio = vfio_device_of(buffer->device);
	struct p2pdma_context *context = buffer->context;
	uint64_t region_offset, at = 0;
	void *base;
	int r;

	pthread_mutex_lock(&context->open_lock);
	r = vfio->open.fd < 0 ?
		    -ESTALE :
		    vfio_region_query(context->sys, vfio->open.fd, buffer->bar, &region_offset);
	/* One address range for all pieces, held by a mapping that allows nothing. */
	if (!r)
		r = context->sys->map(NULL, (size_t)length_bytes, PROT_NONE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0, &base);
	if (r)
		goto unlock;
	for (size_t i = 0; i < buffer->nr_ranges && !r; i++) {
		r = map_range(vfio, region_offset, &buffer->ranges[i], at, offset_bytes,
			      offset_bytes + length_bytes, base, protection);
		at += buffer->ranges[i].length_bytes;
	}
	if (r)
		context->sys->unmap(base, (size_t)length_bytes);
unlock:
	pthread_mutex_unlock(&context->open_lock);
	if (r == -EINVAL)
		r = -EOPNOTSUPP;
	if (r)
		return buffer_map_failed(buffer, offset_bytes, length_bytes, protection, r);
	*ret_address = base;
	return 0;
}

const struct backend backend_vfio = {
	.name = "vfio",
	.id = P2PDMA_BACKEND_VFIO,
	.flags = P2PDMA_BUFFER_READ_ONLY | P2PDMA_BUFFER_MMAP_WC,
	.check_export = check_export,
	.open = open_device,
	.close = close_device,
	.export = export_ranges,
	.watch = vfio_events_watch,
	.unwatch = vfio_events_unwatch,
	.revoke = revoke_buffer,
	.is_function_wide = true,
	.query = query,
	.map = map,
};
