// SPDX-License-Identifier: MIT
/*
 * The drm backend: memory of a GPU, made by its DRM driver and exported by PRIME.
 *
 * The driver decides where an object lies, so a buffer isn't a slice at an offset but so many
 * bytes. Each has a device of its own (drm/object.c says why), which is retired from the start: no other
 * buffer joins it.
 *
 * Nobody can take an object back: its DMABUF lives as long as somebody holds it, and
 * the driver tells importers to move, never to let go. So a revocation is cooperative: it waits
 * until this process has deregistered, covers its CPU mappings, and lets go of the handle. What
 * other processes got they keep.
 *
 * Where the bytes are is looked at when the buffer is made, and after each registration, since
 * attaching may have moved them. A revocation may come meanwhile: the object has a lock of its
 * own, so that a question waits for no other device that is being opened. CPU mappings are made
 * without DMA_BUF_IOCTL_SYNC, which would move the object to system memory with some drivers.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "drm.h"
#include "buffer/buffer.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/pci_memory.h"
#include "explain/explain.h"

/* How often is looked whether the last registration is gone. */
#define POLL_NS (NS_PER_MS)

/* "dri/renderD128", below /dev. */
static int node_path(const struct p2pdma_context *context, const struct pci_function *function,
		     char *path, size_t size)
{
	struct pci_memory memory;
	cleanup_fd int fd = -1;
	int r;

	r = pci_function_open(context->sysfs_fd, &function->address, &fd);
	if (!r)
		r = pci_memory_query(fd, PCI_MEMORY_VRAM, &memory);
	if (!r)
		snprintf(path, size, "dri/%s", memory.render_node);
	return r;
}

static int check_export(const struct p2pdma_context *context, const struct pci_function *function,
			uint32_t bar, char *ret_why, size_t size)
{
	const struct drm_driver *driver = drm_driver_of(function->driver);
	const char *hint = driver->caveat ? driver->caveat : driver->system_cause;
	char path[40];
	int r;

	(void)bar;
	r = node_path(context, function, path, sizeof(path));
	if (r) {
		snprintf(ret_why, size, "drm: no render node of its driver, %.32s",
			 *function->driver ? function->driver : "none");
		return r;
	}
	if (!driver->allocate) {
		snprintf(ret_why, size,
			 "drm: this library can't allocate with %.32s; what has made a buffer can "
			 "export it",
			 function->driver);
		return -EOPNOTSUPP;
	}
	r = context->sys->access_at(context->dev_fd, path, R_OK | W_OK);
	if (r) {
		snprintf(ret_why, size, "drm: /dev/%s: %s%s", path, error_name(r),
			 r == -EACCES ? "; the group of the node (render) may open it" : "");
		return r;
	}
	snprintf(ret_why, size, "drm: %s by /dev/%s%s%s", driver->name, path, hint ? "; " : "",
		 hint ? hint : "");
	return 0;
}

const char *drm_why_unreachable(const struct pci_function *function, bool *ret_is_system)
{
	const struct drm_driver *driver = drm_driver_of(function->driver);

	*ret_is_system = driver->system_cause;
	return driver->system_cause ? driver->system_cause : driver->caveat;
}

/* The number of the directory that the driver made when it was bound; 0: there is none. */
static uint64_t binding_of(const struct p2pdma_context *context,
			   const struct pci_function *function)
{
	char name[PCI_ADDRESS_SIZE], path[64];
	struct stat status;

	/* Without a descriptor: not to have one must not look like a driver that has left. */
	pci_address_format(&function->address, name);
	snprintf(path, sizeof(path), "bus/pci/devices/%s/drm", name);
	return fstatat(context->sysfs_fd, path, &status, 0) ? 0 : status.st_ino;
}

int drm_device_new(struct p2pdma_context *context, const struct pci_function *function,
		   const struct drm_object *object, struct drm_device **ret_device)
{
	static const struct pci_function none;
	struct drm_device *drm = calloc(1, sizeof(*drm));

	if (!drm)
		return context_fail(context, -ENOMEM, "no memory for a device");
	device_init(&drm->device, context, &backend_drm, function ? function : &none);
	drm->device.is_retired = true;
	drm->is_listed = function;
	if (function)
		drm->binding = binding_of(context, function);
	else
		*drm->device.name = '\0';
	pthread_mutex_init(&drm->lock, NULL);
	drm->object = *object;
	*ret_device = drm;
	return 0;
}

void drm_device_free(struct drm_device *drm)
{
	pthread_mutex_destroy(&drm->lock);
	free(drm);
}

static int open_node(struct p2pdma_context *context, const struct pci_function *function,
		     struct drm_object *ret_object)
{
	char path[40];
	int r;

	r = node_path(context, function, path, sizeof(path));
	if (r)
		return context_fail(context, r == -ENODEV ? -EOPNOTSUPP : r,
				    "the driver of this function has no render node");
	r = context->sys->open_at(context->dev_fd, path, O_RDWR);
	if (r < 0) {
		explain_open_failure(context, r, "/dev/", path);
		return r == -ENOENT ? -EOPNOTSUPP : r;
	}
	return drm_object_init(ret_object, context, r);
}

int drm_memory_query(struct p2pdma_context *context, const struct pci_function *function,
		     uint64_t *ret_size_bytes)
{
	uint64_t size_bytes = 0;
	struct drm_object object;
	int r;

	r = open_node(context, function, &object);
	if (r)
		return r;
	if (object.driver->memory)
		r = object.driver->memory(&object, &size_bytes);
	drm_object_done(&object);
	if (!r)
		*ret_size_bytes = size_bytes;
	return r;
}

static int open_device(struct p2pdma_context *context, const struct pci_function *function,
		       struct device **ret_device)
{
	struct drm_object object;
	struct drm_device *drm;
	int r;

	r = open_node(context, function, &object);
	if (r)
		return r;
	r = drm_device_new(context, function, &object, &drm);
	if (r) {
		drm_object_done(&object);
		return r;
	}
	*ret_device = &drm->device;
	return 0;
}

static void close_device(struct device *device)
{
	struct drm_device *drm = drm_device_of(device);

	drm_object_done(&drm->object);
	drm_device_free(drm);
}

static int export_object(struct device *device, const struct export_request *request,
			 struct export_result *ret_result)
{
	struct drm_object *object = &drm_device_of(device)->object;
	const struct p2pdma_context *context = device->context;
	int fd, r;

	r = drm_object_allocate(object, request->ranges[0].length_bytes, request->flags);
	if (!r)
		r = drm_object_export(object, request->flags, &fd);
	if (r)
		return r;
	r = context->sys->size(fd, &object->size_bytes);
	if (r)
		dmabuf_query_failed(device->context, fd, r);
	else
		r = drm_object_check(object, request->flags);
	if (r) {
		context->sys->close(fd);
		return r;
	}
	ret_result->fd = fd;
	ret_result->export_id = 0;
	ret_result->size_bytes = object->size_bytes;
	return 0;
}

/* Another binding of the same function is another DRM device. */
static bool has_left(const struct device *device)
{
	const struct drm_device *drm = list_entry(device, const struct drm_device, device);

	return binding_of(device->context, &device->function) != drm->binding;
}

bool drm_device_has_left(const struct drm_device *drm)
{
	const struct device *device = &drm->device;
	uint64_t generation;

	return pci_generation_query(device->context->sysfs_fd, &device->function.address,
				    &generation) ||
	       generation != device->function.generation || has_left(device);
}

static uint32_t wait_for_mrs(struct p2pdma_buffer *buffer, uint64_t deadline_ns)
{
	static const struct timespec pause = {.tv_nsec = POLL_NS};
	uint32_t count;

	for (;;) {
		pthread_mutex_lock(&buffer->context->lock);
		count = buffer->nr_mrs;
		pthread_mutex_unlock(&buffer->context->lock);
		if (!count || clock_now_ns() >= deadline_ns)
			return count;
		nanosleep(&pause, NULL);
	}
}

static int revoke_buffer(struct p2pdma_buffer *buffer, uint32_t timeout_ms,
			 struct p2pdma_revoke_result *result)
{
	struct drm_device *drm = drm_device_of(buffer->device);
	struct p2pdma_context *context = buffer->context;

	result->nr_remaining = wait_for_mrs(buffer, clock_now_ns() + timeout_ms * NS_PER_MS);
	pthread_mutex_lock(&context->lock);
	mappings_end(buffer, true);
	pthread_mutex_unlock(&context->lock);
	if (result->nr_remaining)
		return context_fail(context, -EBUSY,
				    "%s is revoked, but DRM can't take it from its holders, and "
				    "%" PRIu32 " memory regions of this process still have it",
				    buffer->name, result->nr_remaining);
	pthread_mutex_lock(&drm->lock);
	drm_object_done(&drm->object);
	pthread_mutex_unlock(&drm->lock);
	pthread_mutex_lock(&context->lock);
	buffer_revoked(buffer, P2PDMA_REASON_OWNER, 0);
	pthread_mutex_unlock(&context->lock);
	return 0;
}

static void query(struct p2pdma_buffer *buffer, struct p2pdma_buffer_status *status)
{
	struct drm_device *drm = drm_device_of(buffer->device);
	enum drm_place place = DRM_PLACE_UNKNOWN;

	pthread_mutex_lock(&drm->lock);
	if (drm->object.handle)
		drm_object_place(&drm->object, &place);
	pthread_mutex_unlock(&drm->lock);
	if (place != DRM_PLACE_UNKNOWN)
		status->flags |= P2PDMA_STATUS_PLACED;
	if (place == DRM_PLACE_SYSTEM)
		status->flags |= P2PDMA_STATUS_SYSTEM;
}

static int check(struct p2pdma_buffer *buffer)
{
	struct drm_device *drm = drm_device_of(buffer->device);
	int r = 0;

	pthread_mutex_lock(&drm->lock);
	/* Revoked meanwhile: whoever asks is told that. */
	if (drm->object.handle)
		r = drm_object_check(&drm->object, buffer->flags);
	pthread_mutex_unlock(&drm->lock);
	return r;
}

const struct backend backend_drm = {
	.name = "drm",
	.id = P2PDMA_BACKEND_DRM,
	.flags = P2PDMA_BUFFER_READ_ONLY | P2PDMA_BUFFER_MMAP_WC,
	.kind = P2PDMA_PROVIDER_KIND_VRAM,
	.check_export = check_export,
	.open = open_device,
	.close = close_device,
	.export = export_object,
	.has_left = has_left,
	.revoke = revoke_buffer,
	.is_cooperative = true,
	.query = query,
	.map = buffer_map_dmabuf,
	.check = check,
};
