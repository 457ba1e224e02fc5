// SPDX-License-Identifier: MIT
/*
 * Records of the export device's file, on a device with two buffers: whatever
 * comes, states only go forward and the queue stays bounded.
 */
#include <stdlib.h>
#include <string.h>

#include "backend/export.h"
#include "buffer/buffer.h"
#include "event/queue.h"
#include "fuzz.h"

static int fake_ioctl(int fd, unsigned long request, void *argument)
{
	struct p2pdma_export_status *status = argument;

	(void)fd;
	fuzz_require(request == P2PDMA_EXPORT_STATUS);
	status->state =
		status->export_id == 1 ? P2PDMA_EXPORT_STATE_ACTIVE : P2PDMA_EXPORT_STATE_REVOKING;
	status->reason = status->export_id == 1 ? 0 : P2PDMA_EXPORT_REASON_RESET;
	return 0;
}

static const struct sys_ops fake_sys = {.ioctl = fake_ioctl};

static void buffer_init(struct p2pdma_buffer *buffer, struct export_device *export, uint32_t id)
{
	memset(buffer, 0, sizeof(*buffer));
	buffer->context = export->device.context;
	buffer->device = &export->device;
	buffer->backend = &backend_export;
	buffer->export_id = id;
	list_init(&buffer->mrs);
	list_init(&buffer->mappings);
	list_append(&export->device.buffers, &buffer->link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct p2pdma_context context = {.sys = &fake_sys, .sysfs_fd = -1, .wake_fd = -1};
	struct pci_function function = {.numa_node = -1};
	struct p2pdma_buffer a, b;
	struct export_device export;
	unsigned char *copy = malloc(size ? size : 1);

	memcpy(copy, data, size);
	memset(&export, 0, sizeof(export));
	list_init(&context.devices);
	event_queue_init(&context);
	device_init(&export.device, &context, &backend_export, &function);
	buffer_init(&a, &export, 1);
	buffer_init(&b, &export, 2);
	export_take_records(&export, copy, size);
	fuzz_require(a.state <= P2PDMA_BUFFER_GONE && b.state <= P2PDMA_BUFFER_GONE);
	fuzz_require(!a.is_revoke_told || a.state >= P2PDMA_BUFFER_REVOKED);
	fuzz_require(!export.device.is_gone || a.state >= P2PDMA_BUFFER_REVOKED);
	fuzz_require(context.queue.count < 2000);
	event_queue_done(&context);
	free(copy);
	return 0;
}
