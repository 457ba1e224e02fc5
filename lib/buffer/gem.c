// SPDX-License-Identifier: MIT
/*
 * Buffers of DRM devices that the caller has open: new objects, objects it has already, and
 * the other way round, buffers that its device maps.
 *
 * What is the caller's stays so: its descriptor and its handle are only used while the call
 * lasts. The buffer has a file and a handle of its own. A DRM device need not be a PCI function's
 * (vgem); where it is, the buffer learns when the function leaves.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include <drm.h>

#include <p2pdma/drm.h>

#include "backend/drm.h"
#include "buffer.h"
#include "common/pci_tree.h"
#include "explain/explain.h"

/* The function that the device is; false: none, or none that sysfs tells of. */
static bool find_function(struct p2pdma_context *context, int drm_fd,
			  struct pci_function *ret_function)
{
	struct pci_address address;
	struct stat status;
	char path[48];

	if (context->sys->stat(drm_fd, &status))
		return false;
	snprintf(path, sizeof(path), "dev/char/%u:%u", major(status.st_rdev),
		 minor(status.st_rdev));
	return !pci_function_above(context->sysfs_fd, path, &address) &&
	       !pci_function_query(context->sysfs_fd, &address, ret_function);
}

/* Takes over the object and the descriptor in @result, unless it fails. */
static int create(struct p2pdma_context *context, const struct drm_object *object,
		  const struct p2pdma_buffer_options *options, const struct export_result *result,
		  struct p2pdma_buffer **ret_buffer)
{
	struct export_request request = {.bar = PCI_MEMORY_VRAM, .flags = options->flags};
	struct pci_function function;
	struct p2pdma_buffer *buffer;
	struct drm_device *drm;
	int r;

	r = drm_device_new(context,
			   find_function(context, object->fd, &function) ? &function : NULL, object,
			   &drm);
	if (r)
		return r;
	r = buffer_create(context, &backend_drm, &request, result, &buffer);
	if (r) {
		drm_device_free(drm);
		return r;
	}
	snprintf(buffer->name, sizeof(buffer->name), "drm:%s:%" PRIu64,
		 object->driver->name ? object->driver->name : "other", buffer->inode);
	buffer->user_data = options->user_data;
	buffer->device = &drm->device;
	pthread_mutex_lock(&context->lock);
	list_append(&drm->device.buffers, &buffer->link);
	if (drm->is_listed)
		list_append(&context->devices, &drm->device.link);
	/* Whoever left while the function was looked at told nobody. */
	if (drm->is_listed && drm_device_has_left(drm))
		device_mark_gone(&drm->device, P2PDMA_REASON_REMOVE);
	pthread_mutex_unlock(&context->lock);
	*ret_buffer = buffer;
	return 0;
}

static int check_arguments(struct p2pdma_context *context, int drm_fd,
			   const struct p2pdma_buffer_options *options,
			   struct p2pdma_buffer **ret_buffer,
			   struct p2pdma_buffer_options *ret_known)
{
	const struct drm_driver *driver;
	int r;

	if (!context)
		return -EINVAL;
	if (!ret_buffer)
		return context_fail(context, -EINVAL, "no place for the buffer was given");
	r = buffer_options_load(context, options, ret_known);
	if (r)
		return r;
	if (ret_known->backend != P2PDMA_BACKEND_AUTO && ret_known->backend != P2PDMA_BACKEND_DRM)
		return context_fail(context, -EINVAL, "GEM objects are the drm backend's");
	r = buffer_check_flags(context, &backend_drm, ret_known->flags);
	return r ? r : drm_driver_query(context, drm_fd, &driver);
}

static int open_object(struct p2pdma_context *context, int drm_fd, struct drm_object *ret_object)
{
	int fd, r;

	r = drm_file_reopen(context, drm_fd, &fd);
	return r ? r : drm_object_init(ret_object, context, fd);
}

/* The last steps of both: of an object that is there and its DMABUF. Consumes both. */
static int finish(struct p2pdma_context *context, struct drm_object *object, int dmabuf_fd,
		  const struct p2pdma_buffer_options *options, struct p2pdma_buffer **ret_buffer)
{
	struct export_result result = {.fd = dmabuf_fd};
	int r;

	r = context->sys->size(dmabuf_fd, &object->size_bytes);
	if (r)
		dmabuf_query_failed(context, dmabuf_fd, r);
	else
		r = drm_object_check(object, options->flags);
	result.size_bytes = object->size_bytes;
	if (!r)
		r = create(context, object, options, &result, ret_buffer);
	if (r) {
		context->sys->close(dmabuf_fd);
		drm_object_done(object);
	}
	return r;
}

int p2pdma_buffer_new_drm(struct p2pdma_context *context, int drm_fd, uint64_t length_bytes,
			  const struct p2pdma_buffer_options *options,
			  struct p2pdma_buffer **ret_buffer)
{
	struct p2pdma_buffer_options known;
	struct drm_object object;
	int fd, r;

	r = check_arguments(context, drm_fd, options, ret_buffer, &known);
	if (r)
		return r;
	if (!length_bytes || length_bytes % context->page_size_bytes)
		return context_fail(context, -EINVAL,
				    "0x%" PRIx64 " bytes: a multiple of the page size is wanted",
				    length_bytes);
	r = open_object(context, drm_fd, &object);
	if (r)
		return r;
	r = drm_object_allocate(&object, length_bytes, known.flags);
	if (!r)
		r = drm_object_export(&object, known.flags, &fd);
	if (r) {
		drm_object_done(&object);
		return r;
	}
	return finish(context, &object, fd, &known, ret_buffer);
}

int p2pdma_buffer_new_gem(struct p2pdma_context *context, int drm_fd, uint32_t handle,
			  const struct p2pdma_buffer_options *options,
			  struct p2pdma_buffer **ret_buffer)
{
	struct p2pdma_buffer_options known;
	struct drm_object object, callers;
	int fd, r;

	r = check_arguments(context, drm_fd, options, ret_buffer, &known);
	if (r)
		return r;
	r = open_object(context, drm_fd, &object);
	if (r)
		return r;
	callers = object;
	callers.fd = drm_fd;
	callers.handle = handle;
	r = drm_object_export(&callers, known.flags, &fd);
	if (r) {
		drm_object_done(&object);
		return r;
	}
	r = drm_object_import(&object, fd);
	if (r) {
		context->sys->close(fd);
		drm_object_done(&object);
		return r;
	}
	return finish(context, &object, fd, &known, ret_buffer);
}

static int import_failed(struct p2pdma_buffer *buffer, int drm_fd, int error)
{
	struct p2pdma_explain_request request = P2PDMA_EXPLAIN_REQUEST_INIT;
	/* The memory's end explains more. */
	int r = buffer_check_after(buffer, 0);

	if (r)
		return r;
	request.operation = P2PDMA_OPERATION_GEM_IMPORT;
	request.buffer = buffer;
	request.device_fd = drm_fd;
	return explain_failure(buffer->context, error, &request, "the DRM device doesn't map %s",
			       buffer->name);
}

int p2pdma_gem_import(struct p2pdma_buffer *buffer, int drm_fd, uint32_t *ret_handle)
{
	struct drm_prime_handle prime = {.handle = 0};
	const struct drm_driver *driver;
	struct p2pdma_context *context;
	int r;

	if (!buffer)
		return -EINVAL;
	context = buffer->context;
	if (!ret_handle)
		return context_fail(context, -EINVAL, "no place for the handle was given");
	r = buffer_check(buffer);
	if (!r)
		r = drm_driver_query(context, drm_fd, &driver);
	if (r)
		return r;
	prime.fd = p2pdma_buffer_fd(buffer);
	if (prime.fd < 0)
		return prime.fd;
	r = drm_ioctl(context, drm_fd, DRM_IOCTL_PRIME_FD_TO_HANDLE, &prime);
	if (r)
		return import_failed(buffer, drm_fd, r);
	*ret_handle = prime.handle;
	return 0;
}

int p2pdma_gem_close(struct p2pdma_context *context, int drm_fd, uint32_t handle)
{
	struct drm_gem_close argument = {.handle = handle};
	const struct drm_driver *driver;
	int r;

	if (!context)
		return -EINVAL;
	r = drm_driver_query(context, drm_fd, &driver);
	if (r)
		return r;
	r = drm_ioctl(context, drm_fd, DRM_IOCTL_GEM_CLOSE, &argument);
	if (r)
		return context_fail(context, r, "the DRM device has no GEM handle %" PRIu32,
				    handle);
	return 0;
}
