// SPDX-License-Identifier: MIT
/*
 * What VFIO tells: that the kernel wants the function back (an unbind or a
 * hot unplug waits until userspace closes), and PCI errors.
 *
 * Both are eventfds that the kernel signals. The request repeats as long as the
 * kernel waits, so it is told again each time to each buffer that is still
 * active. Under context->lock, but opening and closing.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>

#include <linux/vfio.h>

#include "vfio.h"
#include "buffer/buffer.h"
#include "event/queue.h"

static void tell_active(struct vfio_device *vfio, uint32_t type, uint32_t reason)
{
	list_for_each_entry(buffer, &vfio->device.buffers, struct p2pdma_buffer, link) {
		struct p2pdma_event event = P2PDMA_EVENT_INIT;

		if (buffer->state != P2PDMA_BUFFER_ACTIVE || buffer->is_freed)
			continue;
		event.type = type;
		event.reason = reason;
		event.buffer = buffer;
		memcpy(event.function, vfio->device.name, sizeof(event.function));
		event_queue_push(vfio->device.context, &event);
	}
}

static bool take(const struct event_source *source)
{
	eventfd_t count;

	return !eventfd_read(source->fd, &count);
}

static void ready_req(struct event_source *source)
{
	if (take(source))
		tell_active(list_entry(source, struct vfio_device, req),
			    P2PDMA_EVENT_REVOKE_REQUESTED, P2PDMA_REASON_REMOVE);
}

static void ready_err(struct event_source *source)
{
	if (take(source))
		tell_active(list_entry(source, struct vfio_device, err), P2PDMA_EVENT_ERROR,
			    P2PDMA_REASON_ERROR);
}

int vfio_events_open(struct vfio_device *vfio)
{
	const struct p2pdma_context *context = vfio->device.context;
	int r;

	vfio->req_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	vfio->err_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (vfio->req_fd < 0 || vfio->err_fd < 0) {
		r = -errno;
		return context_fail(context, r, "no eventfd for %s: %s", vfio->device.name,
				    error_name(r));
	}
	/* Not every function has error reporting, nor every kernel the request. */
	r = vfio_irq_set(context->sys, vfio->open.fd, VFIO_PCI_REQ_IRQ_INDEX, vfio->req_fd);
	if (r)
		context_log(context, P2PDMA_LOG_WARNING, "%s: no revoke requests from VFIO: %s",
			    vfio->device.name, error_name(r));
	r = vfio_irq_set(context->sys, vfio->open.fd, VFIO_PCI_ERR_IRQ_INDEX, vfio->err_fd);
	if (r)
		context_log(context, P2PDMA_LOG_DEBUG, "%s: no PCI errors from VFIO: %s",
			    vfio->device.name, error_name(r));
	return 0;
}

void vfio_events_close(struct vfio_device *vfio)
{
	const struct sys_ops *sys = vfio->device.context->sys;

	if (vfio->req_fd >= 0)
		sys->close(vfio->req_fd);
	if (vfio->err_fd >= 0)
		sys->close(vfio->err_fd);
	vfio->req_fd = vfio->err_fd = -1;
}

int vfio_events_watch(struct device *device)
{
	struct vfio_device *vfio = vfio_device_of(device);
	int r;

	vfio->req.fd = vfio->req_fd;
	vfio->req.ready = ready_req;
	vfio->err.fd = vfio->err_fd;
	vfio->err.ready = ready_err;
	r = context_watch(device->context, &vfio->req);
	if (r)
		return r;
	r = context_watch(device->context, &vfio->err);
	if (r)
		context_unwatch(device->context, &vfio->req);
	return r;
}

void vfio_events_unwatch(struct device *device)
{
	struct vfio_device *vfio = vfio_device_of(device);

	/* Closed for good: they left the set then. */
	if (vfio->req_fd < 0)
		return;
	context_unwatch(device->context, &vfio->req);
	context_unwatch(device->context, &vfio->err);
}
