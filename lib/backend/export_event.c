// SPDX-License-Identifier: MIT
/*
 * Events of the export backend.
 *
 * The device file gives records that start with their size, so that a newer
 * kernel may append fields. Records are the kernel's word, but a length in them
 * is still checked against what was read. Kernel reasons and ours have the same
 * numbers.
 *
 * Runs under context->lock on a nonblocking file. When the function has gone
 * the file is at its end for good, and is no longer watched: it would make the
 * context's descriptor readable forever.
 */
#include <errno.h>
#include <string.h>

#include "export.h"
#include "buffer/buffer.h"
#include "event/queue.h"

#define READ_BYTES (32 * sizeof(struct p2pdma_export_event))

/* Bounds one look; what is left makes the descriptor readable again. */
#define MAX_READS  8

int export_query(struct p2pdma_buffer *buffer, struct p2pdma_export_status *ret_status)
{
	struct export_device *export = export_device_of(buffer->device);
	struct p2pdma_export_status status = {
		.argsz = sizeof(status),
		.export_id = buffer->export_id,
	};
	int r;

	r = buffer->context->sys->ioctl(export->fd, P2PDMA_EXPORT_STATUS, &status);
	if (!r)
		*ret_status = status;
	return r;
}

void export_take_state(struct p2pdma_buffer *buffer, const struct p2pdma_export_status *status)
{
	if (status->state == P2PDMA_EXPORT_STATE_REVOKED)
		buffer_revoked(buffer, status->reason, 0);
	else if (status->state == P2PDMA_EXPORT_STATE_REVOKING)
		buffer_mark(buffer, P2PDMA_BUFFER_REVOKING, status->reason);
}

static struct p2pdma_buffer *find_buffer(struct export_device *export, uint32_t export_id)
{
	list_for_each_entry(buffer, &export->device.buffers, struct p2pdma_buffer, link) {
		if (buffer->export_id == export_id)
			return buffer;
	}
	return NULL;
}

static void ask_all(struct export_device *export)
{
	struct p2pdma_export_status status;

	list_for_each_entry(buffer, &export->device.buffers, struct p2pdma_buffer, link) {
		if (!export_query(buffer, &status))
			export_take_state(buffer, &status);
	}
}

static void tell(struct export_device *export, struct p2pdma_buffer *buffer, uint32_t type,
		 const struct p2pdma_export_event *record)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	if (!buffer || buffer->is_freed)
		return;
	event.type = type;
	event.buffer = buffer;
	event.reason = record->reason;
	event.lost = record->lost;
	event.time_ns = record->time_ns;
	memcpy(event.function, export->device.name, sizeof(event.function));
	if (record->flags & P2PDMA_EXPORT_EVENT_HAS_CLIENT) {
		struct pci_address importer = {
			.domain = record->client_domain,
			.bus = (uint8_t)record->client_bus,
			.devfn = (uint8_t)record->client_devfn,
		};

		pci_address_format(&importer, event.importer);
	}
	event_queue_push(export->device.context, &event);
}

static void take_record(struct export_device *export, const struct p2pdma_export_event *record)
{
	struct p2pdma_buffer *buffer = find_buffer(export, record->export_id);

	if (record->lost)
		ask_all(export);
	switch (record->type) {
	case P2PDMA_EXPORT_EVENT_ATTACHED:
		tell(export, buffer, P2PDMA_EVENT_ATTACHED, record);
		break;
	case P2PDMA_EXPORT_EVENT_DETACHED:
		tell(export, buffer, P2PDMA_EVENT_DETACHED, record);
		break;
	case P2PDMA_EXPORT_EVENT_REVOKED:
		if (buffer)
			buffer_revoked(buffer, record->reason, record->time_ns);
		break;
	case P2PDMA_EXPORT_EVENT_REMOVAL_PENDING:
		ask_all(export);
		tell(export, buffer, P2PDMA_EVENT_REVOKE_REQUESTED, record);
		break;
	case P2PDMA_EXPORT_EVENT_GONE:
		device_mark_gone(&export->device,
				 record->reason ? record->reason : P2PDMA_REASON_REMOVE);
		break;
	default:
		break;
	}
}

void export_take_records(struct export_device *export, const unsigned char *data, size_t length)
{
	struct p2pdma_export_event record;

	while (length >= sizeof(record)) {
		memcpy(&record, data, sizeof(record));
		if (record.size < sizeof(record) || record.size > length)
			return;
		take_record(export, &record);
		data += record.size;
		length -= record.size;
	}
}

static void ready(struct event_source *source)
{
	struct export_device *export = list_entry(source, struct export_device, source);
	unsigned char data[READ_BYTES];

	for (int i = 0; i < MAX_READS; i++) {
		ssize_t n = export->device.context->sys->read(export->fd, data, sizeof(data));

		if (n == -EAGAIN || n == -EINTR)
			return;
		if (n <= 0) {
			context_unwatch(export->device.context, source);
			device_mark_gone(&export->device, P2PDMA_REASON_REMOVE);
			return;
		}
		export_take_records(export, data, (size_t)n);
	}
}

int export_watch(struct device *device)
{
	struct export_device *export = export_device_of(device);

	export->source.fd = export->fd;
	export->source.ready = ready;
	return context_watch(device->context, &export->source);
}

void export_unwatch(struct device *device)
{
	context_unwatch(device->context, &export_device_of(device)->source);
}
