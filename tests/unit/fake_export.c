// SPDX-License-Identifier: MIT
/* The export module as the fake kernel plays it. Called under fake_lock. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "fake_call.h"
#include "fake_vfio.h"

int fake_export_open(void)
{
	int ends[2];

	if (fake.is_gone)
		return -ENXIO;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	if (fake.event_fd >= 0)
		close(fake.event_fd);
	fake.event_fd = ends[1];
	return fake_add_fd(ends[0], FAKE_EXPORT);
}

static int export_info(struct p2pdma_export_info *info)
{
	info->bus = fake.info_bus;
	info->features = fake.features;
	return fake.is_gone ? -ENODEV : 0;
}

static int export_export(struct p2pdma_export_export *argument)
{
	const struct p2pdma_export_range *ranges =
		(const struct p2pdma_export_range *)(uintptr_t)argument->ranges;
	struct fake_export *export;

	if (fake.is_gone)
		return -ENODEV;
	assert_true(fake.nr_exports < FAKE_MAX_EXPORTS);
	export = &fake.exports[fake.nr_exports++];
	memset(export, 0, sizeof(*export));
	export->flags = argument->flags;
	export->nr_ranges = argument->nr_ranges;
	for (uint32_t i = 0; i < argument->nr_ranges; i++)
		export->size += ranges[i].length;
	argument->fd = fake_make_dmabuf(export->size);
	argument->export_id = fake.nr_exports;
	argument->size = export->size;
	return 0;
}

static int export_revoke(struct p2pdma_export_revoke *argument)
{
	struct fake_export *export;

	fake.nr_revokes++;
	fake.last_timeout_ms = argument->timeout_ms;
	if (!argument->export_id || argument->export_id > fake.nr_exports)
		return -ENOENT;
	export = &fake.exports[argument->export_id - 1];
	argument->nr_mappings = export->nr_mappings - export->nr_remaining;
	argument->nr_remaining = export->nr_remaining;
	argument->nr_revoked = export->state == P2PDMA_EXPORT_STATE_ACTIVE;
	if (!export->reason)
		export->reason = P2PDMA_EXPORT_REASON_IOCTL;
	export->nr_mappings = export->nr_remaining;
	if (export->nr_remaining) {
		export->state = P2PDMA_EXPORT_STATE_REVOKING;
		return -EBUSY;
	}
	if (export->state != P2PDMA_EXPORT_STATE_REVOKED)
		fake_event(P2PDMA_EXPORT_EVENT_REVOKED, argument->export_id, export->reason);
	export->state = P2PDMA_EXPORT_STATE_REVOKED;
	return 0;
}

static int export_status(struct p2pdma_export_status *argument)
{
	const struct fake_export *export;

	if (!argument->export_id || argument->export_id > fake.nr_exports)
		return -ENOENT;
	export = &fake.exports[argument->export_id - 1];
	argument->state = export->state;
	argument->reason = export->reason;
	argument->nr_mappings = export->nr_mappings;
	argument->nr_attachments = export->nr_mappings;
	argument->mapped_bytes = export->nr_mappings * export->size;
	argument->size = export->size;
	return 0;
}

static int export_path(struct p2pdma_export_path *argument)
{
	if (!fake.has_path)
		return -ENOTTY;
	fake.last_path = *argument;
	argument->map_type = fake.path_map_type;
	argument->distance = fake.path_distance;
	return 0;
}

int fake_export_ioctl(unsigned long request, void *argument)
{
	switch (request) {
	case P2PDMA_EXPORT_INFO:
		return export_info(argument);
	case P2PDMA_EXPORT_EXPORT:
		return export_export(argument);
	case P2PDMA_EXPORT_REVOKE:
		return export_revoke(argument);
	case P2PDMA_EXPORT_PATH:
		return export_path(argument);
	case P2PDMA_EXPORT_STATUS:
		return export_status(argument);
	default:
		return -ENOTTY;
	}
}
