/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_DRM_H
#define P2PDMA_DRM_H

#include <stdint.h>

#include <p2pdma/buffer.h>

#ifdef __cplusplus
extern "C" {
#endif

struct p2pdma_context;

/**
 * p2pdma_buffer_new_drm() - make an object in a DRM device that is open
 * @context:      borrowed; it must outlive the use of the buffer's events
 * @drm_fd:       borrowed: a DRM node (/dev/dri/renderD128); vgem allocates on its primary node only
 * @length_bytes: a multiple of the page size, not zero; drivers with larger pages round it up
 * @options:      borrowed; NULL means P2PDMA_BUFFER_OPTIONS_INIT
 * @ret_buffer:   the buffer, owned by the caller; p2pdma_buffer_free()
 *
 * The same as p2pdma_buffer_new() of a GPU's vram, for devices that are no provider: what is
 * allocated is memory of the device (amdgpu, xe, i915, nouveau), by its driver's own calls.
 * virtio-gpu and vgem have system memory only, which P2PDMA_BUFFER_ALLOW_SYSTEM allows.
 *
 * The buffer has a DRM file of its own: it is the device of @drm_fd that counts, not its handles.
 * Who has got the DMABUF keeps it: p2pdma_buffer_revoke() waits for this process's memory
 * regions to be deregistered and reaches no other process.
 *
 * Blocking: until the driver has room, as it likes
 * Threads:  any
 * Kernel:   the driver's GEM allocation, DRM_IOCTL_PRIME_HANDLE_TO_FD; fdinfo of the DRM file,
 *           or the driver's own question, for where the object is
 * Since:    0.1
 *
 * Return: 0, or -EINVAL for a length or option that can't be, or when @drm_fd is no DRM node;
 * -EBADF when it is no descriptor; -E2BIG for options from the future; -EOPNOTSUPP when the object
 * isn't in memory of the device, or this can't be known, and P2PDMA_BUFFER_ALLOW_SYSTEM isn't
 * set, and for drivers that the library can't allocate with; -EACCES when the node may not be
 * opened again or doesn't allow it; -ENOSPC, -ENOMEM when the device has no room; -EMFILE, -ENFILE
 */
P2PDMA_API int p2pdma_buffer_new_drm(struct p2pdma_context *context, int drm_fd,
				     uint64_t length_bytes,
				     const struct p2pdma_buffer_options *options,
				     struct p2pdma_buffer **ret_buffer);

/**
 * p2pdma_buffer_new_gem() - make a buffer of a GEM object that is there
 * @context:    borrowed; it must outlive the use of the buffer's events
 * @drm_fd:     borrowed: the DRM node that @handle belongs to
 * @handle:     borrowed; the object lives on when the caller closes it
 * @options:    borrowed; NULL means P2PDMA_BUFFER_OPTIONS_INIT
 * @ret_buffer: the buffer, owned by the caller; p2pdma_buffer_free()
 *
 * An object has one DMABUF for as long as anybody holds it: whether that can be written through its first
 * export has decided, and a buffer that asks for the other is refused.
 *
 * For what a graphics or compute library has allocated. Any DRM driver that exports; where the
 * object is, and that it isn't in system memory unless P2PDMA_BUFFER_ALLOW_SYSTEM is set, is found
 * out as in p2pdma_buffer_new_drm(), and the rest is the same, too.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   DRM_IOCTL_PRIME_HANDLE_TO_FD, DRM_IOCTL_PRIME_FD_TO_HANDLE
 * Since:    0.1
 *
 * Return: 0, or -ENOENT when @drm_fd has no such handle; -EPERM when the object may not be shared;
 * -EOPNOTSUPP when it was exported before, read-only or not, and @options want the other; else as
 * p2pdma_buffer_new_drm()
 */
P2PDMA_API int p2pdma_buffer_new_gem(struct p2pdma_context *context, int drm_fd, uint32_t handle,
				     const struct p2pdma_buffer_options *options,
				     struct p2pdma_buffer **ret_buffer);

/**
 * p2pdma_gem_import() - let a DRM device map a buffer
 * @buffer:     borrowed, of any backend
 * @drm_fd:     borrowed: a DRM node
 * @ret_handle: the GEM handle in @drm_fd; p2pdma_gem_close() releases it
 *
 * A second import of the same buffer in the same @drm_fd gives the same handle, and one close
 * ends both: DRM doesn't count. The object keeps the DMABUF. When the buffer is revoked, the
 * kernel takes its memory from the device, and what the device does with the object from
 * then on fails.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   DRM_IOCTL_PRIME_FD_TO_HANDLE
 * Since:    0.1
 *
 * Return: 0, or -EINVAL for NULL or when @drm_fd is no DRM node; -EOPNOTSUPP when the device's
 * driver can't reach the memory peer to peer, or can't be revoked (vgem, i915 and nouveau can
 * neither), and for p2pmem, which has no DMABUF; -ENODEV and others as the driver says; -ESTALE
 * after a revocation; -ENODEV when the buffer's device has gone; -EBADF, -ENOMEM
 */
P2PDMA_API int p2pdma_gem_import(struct p2pdma_buffer *buffer, int drm_fd, uint32_t *ret_handle);

/**
 * p2pdma_gem_close() - release a GEM handle
 * @context: borrowed
 * @drm_fd:  borrowed: the DRM node that the handle belongs to
 * @handle:  consumed
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   DRM_IOCTL_GEM_CLOSE
 * Since:    0.1
 *
 * Return: 0, or -EINVAL when there is no such handle or @drm_fd is no DRM node; -EBADF
 */
P2PDMA_API int p2pdma_gem_close(struct p2pdma_context *context, int drm_fd, uint32_t handle);

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_DRM_H */
