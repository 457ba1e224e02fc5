// SPDX-License-Identifier: MIT
/*
 * GEM objects of DRM devices: what all drivers share.
 *
 * Each object is alone in a DRM file of its own. Two things come of it: what the kernel tells
 * of the file (fdinfo) is told of that one object, and its handle is nobody else's, who
 * would close it for us. An object that the caller has already is brought into such a file by
 * way of its DMABUF: DRM knows its own objects again.
 *
 * An object is placed where its driver likes, and may be moved when an importer attaches that
 * can't reach the device. So the question where it is has an answer of now, and is
 * asked after each thing that may have moved it. An answer that can't be had is no
 * better than system memory: who didn't allow that doesn't get a buffer.
 *
 * No state beyond the object, no locks: it is made and ended by one caller, and only asked in between.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <drm.h>

#include <p2pdma/buffer.h>

#include "context/context.h"
#include "object.h"
#include "explain/explain.h"

/* Of all DRM nodes, in the kernel's list of devices. */
#define DRM_MAJOR 226

/* A driver may ask for one more call for as long as it waits; this is far beyond that. */
#define MAX_TRIES 1000

static const struct drm_driver *const drivers[] = {
	&drm_amdgpu, &drm_xe, &drm_i915, &drm_nouveau, &drm_virtio, &drm_vgem,
};

int drm_ioctl(struct p2pdma_context *context, int fd, unsigned long request, void *argument)
{
	int r = -EINTR;

	for (int i = 0; i < MAX_TRIES && (r == -EINTR || r == -EAGAIN); i++)
		r = context->sys->ioctl(fd, request, argument);
	return r;
}

const struct drm_driver *drm_driver_of(const char *bound)
{
	for (size_t i = 0; i < sizeof(drivers) / sizeof(*drivers); i++) {
		if (!strcmp(drivers[i]->bound ? drivers[i]->bound : drivers[i]->name, bound))
			return drivers[i];
	}
	return &drm_other;
}

const struct drm_driver *drm_driver_find(const char *name)
{
	for (size_t i = 0; i < sizeof(drivers) / sizeof(*drivers); i++) {
		if (!strcmp(drivers[i]->name, name))
			return drivers[i];
	}
	return &drm_other;
}

int drm_name_query(struct p2pdma_context *context, int fd, char *ret_name, size_t size)
{
	struct drm_version version = {.name = ret_name, .name_len = size - 1};
	struct stat status;
	int r;

	r = context->sys->stat(fd, &status);
	if (r)
		return r;
	/* Other devices may have a call of this number, for something else. */
	if (!S_ISCHR(status.st_mode) || major(status.st_rdev) != DRM_MAJOR)
		return -EINVAL;
	memset(ret_name, 0, size);
	return drm_ioctl(context, fd, DRM_IOCTL_VERSION, &version);
}

int drm_driver_query(struct p2pdma_context *context, int fd, const struct drm_driver **ret_driver)
{
	struct p2pdma_explain_request request = P2PDMA_EXPLAIN_REQUEST_INIT;
	char name[32];
	int r;

	r = drm_name_query(context, fd, name, sizeof(name));
	if (!r) {
		*ret_driver = drm_driver_find(name);
		return 0;
	}
	request.operation = P2PDMA_OPERATION_GEM_QUERY;
	request.device_fd = fd;
	return explain_failure(context, r, &request, "can't take descriptor %d for a DRM device",
			       fd);
}

int drm_object_init(struct drm_object *object, struct p2pdma_context *context, int fd)
{
	int r;

	*object = (struct drm_object){.context = context, .fd = fd};
	r = drm_driver_query(context, fd, &object->driver);
	if (!r)
		r = drm_usage_query(object, &object->empty);
	if (r)
		drm_object_done(object);
	return r;
}

void drm_object_done(struct drm_object *object)
{
	struct drm_gem_close close = {.handle = object->handle};

	if (object->handle)
		drm_ioctl(object->context, object->fd, DRM_IOCTL_GEM_CLOSE, &close);
	object->handle = 0;
	if (object->fd >= 0)
		object->context->sys->close(object->fd);
	object->fd = -1;
}

static int reopen_failed(struct p2pdma_context *context, int drm_fd, int error)
{
	struct p2pdma_explain_request request = P2PDMA_EXPLAIN_REQUEST_INIT;

	request.operation = P2PDMA_OPERATION_OPEN;
	request.device_fd = drm_fd;
	request.node = "the DRM device's node";
	return explain_failure(context, error, &request,
			       "can't open the DRM device of descriptor %d", drm_fd);
}

int drm_file_reopen(struct p2pdma_context *context, int drm_fd, int *ret_fd)
{
	char path[32];
	int r;

	/* By way of the descriptor: names may be elsewhere, or not in this container at all. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", drm_fd);
	r = context->sys->open_at(AT_FDCWD, path, O_RDWR);
	if (r == -ENOENT)
		r = -EBADF;
	if (r < 0)
		return reopen_failed(context, drm_fd, r);
	/*
	 * Who opens a primary node that has no master is its master, and as long as the buffer
	 * lives no compositor could be. Others answer an error.
	 */
	drm_ioctl(context, r, DRM_IOCTL_DROP_MASTER, NULL);
	*ret_fd = r;
	return 0;
}

static const char *driver_name(const struct drm_object *object)
{
	return object->driver->name ? object->driver->name : "this DRM driver";
}

/* @request: all but the device. */
static int object_failed(const struct drm_object *object, struct p2pdma_explain_request *request,
			 const char *what, int error)
{
	request->device_fd = object->fd;
	return explain_failure(object->context, error, request, "%s %s", driver_name(object), what);
}

int drm_allocate_failed(const struct drm_object *object, uint64_t length_bytes, int error)
{
	struct p2pdma_explain_request request = P2PDMA_EXPLAIN_REQUEST_INIT;
	char what[64];

	snprintf(what, sizeof(what), "makes no object of 0x%" PRIx64 " bytes", length_bytes);
	request.operation = P2PDMA_OPERATION_GEM_ALLOCATE;
	request.length_bytes = length_bytes;
	return object_failed(object, &request, what, error);
}

int drm_query_failed(const struct drm_object *object, const char *what, int error)
{
	struct p2pdma_explain_request request = P2PDMA_EXPLAIN_REQUEST_INIT;
	char text[96];

	snprintf(text, sizeof(text), "doesn't tell %s", what);
	request.operation = P2PDMA_OPERATION_GEM_QUERY;
	return object_failed(object, &request, text, error);
}

int drm_object_allocate(struct drm_object *object, uint64_t length_bytes, uint32_t flags)
{
	struct p2pdma_context *context = object->context;
	bool is_system_allowed = flags & P2PDMA_BUFFER_ALLOW_SYSTEM;

	if (!object->driver->allocate)
		return context_fail(context, -EOPNOTSUPP,
				    "this library can't allocate with this DRM driver: make the "
				    "object, and hand it to p2pdma_buffer_new_gem()");
	if (object->driver->system_cause && !is_system_allowed)
		return context_fail(context, -EOPNOTSUPP,
				    "%s: %s (P2PDMA_BUFFER_ALLOW_SYSTEM takes it all the same)",
				    driver_name(object), object->driver->system_cause);
	return object->driver->allocate(object, length_bytes, is_system_allowed);
}

/*
 * An object has one DMABUF, whose file the first export has opened: later ones get it as it is,
 * whatever they ask for.
 */
static int check_mode(struct p2pdma_context *context, int fd, uint32_t flags)
{
	bool is_read_only = flags & P2PDMA_BUFFER_READ_ONLY;
	int mode = context->sys->access_mode(fd);

	if (mode < 0)
		return dmabuf_query_failed(context, fd, mode);
	if (is_read_only == (mode == O_RDONLY))
		return 0;
	return context_fail(context, -EOPNOTSUPP,
			    is_read_only ?
				    "the object was exported for writing before, and its "
				    "DMABUF stays so: leave P2PDMA_BUFFER_READ_ONLY out" :
				    "the object was exported read-only before, and its DMABUF "
				    "stays so: set P2PDMA_BUFFER_READ_ONLY");
}

int drm_object_export(struct drm_object *object, uint32_t flags, int *ret_fd)
{
	struct p2pdma_explain_request request = P2PDMA_EXPLAIN_REQUEST_INIT;
	struct p2pdma_context *context = object->context;
	struct drm_prime_handle prime = {.handle = object->handle, .fd = -1};
	int r;

	prime.flags = DRM_CLOEXEC | (flags & P2PDMA_BUFFER_READ_ONLY ? 0 : DRM_RDWR);
	r = drm_ioctl(context, object->fd, DRM_IOCTL_PRIME_HANDLE_TO_FD, &prime);
	if (r) {
		request.operation = P2PDMA_OPERATION_GEM_EXPORT;
		request.object = object->handle;
		return object_failed(object, &request, "doesn't export the object", r);
	}
	r = check_mode(context, prime.fd, flags);
	if (r) {
		context->sys->close(prime.fd);
		return r;
	}
	*ret_fd = prime.fd;
	return 0;
}

int drm_object_import(struct drm_object *object, int dmabuf_fd)
{
	struct p2pdma_explain_request request = P2PDMA_EXPLAIN_REQUEST_INIT;
	struct p2pdma_context *context = object->context;
	struct drm_prime_handle prime = {.fd = dmabuf_fd};
	uint64_t size_bytes;
	int r;

	r = context->sys->size(dmabuf_fd, &size_bytes);
	if (!r)
		r = drm_ioctl(context, object->fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime);
	if (!r) {
		object->handle = prime.handle;
		object->size_bytes = size_bytes;
		return 0;
	}
	request.operation = P2PDMA_OPERATION_GEM_IMPORT;
	request.fd = dmabuf_fd;
	return object_failed(object, &request, "doesn't take the object back", r);
}

int drm_object_place(const struct drm_object *object, enum drm_place *ret_place)
{
	if (object->driver->place)
		return object->driver->place(object, ret_place);
	*ret_place = DRM_PLACE_SYSTEM;
	return 0;
}

int drm_object_check(const struct drm_object *object, uint32_t flags)
{
	struct p2pdma_context *context = object->context;
	enum drm_place place;
	int r;

	if (flags & P2PDMA_BUFFER_ALLOW_SYSTEM)
		return 0;
	r = drm_object_place(object, &place);
	if (r)
		return r;
	if (place == DRM_PLACE_SYSTEM)
		return context_fail(
			context, -EOPNOTSUPP,
			"%s has the object in system memory%s%s: no peer would reach the device "
			"(P2PDMA_BUFFER_ALLOW_SYSTEM takes it all the same)",
			driver_name(object), object->driver->system_cause ? ", as " : "",
			object->driver->system_cause ? object->driver->system_cause : "");
	if (place == DRM_PLACE_UNKNOWN)
		return context_fail(
			context, -EOPNOTSUPP,
			"the kernel doesn't tell where %s has the object, so it may be system "
			"memory (P2PDMA_BUFFER_ALLOW_SYSTEM takes it all the same)",
			driver_name(object));
	return 0;
}
