// SPDX-License-Identifier: GPL-2.0-only
/*
 * One open file's kernel mapping of a DMABUF (vmap), by the CPU and without the engine.
 *
 * It is apart from what the file has attached: a vmap needs no attachment. It
 * stays until P2PDMA_EDU_VUNMAP or the last close, also when the edu device or the
 * exporter's function goes meanwhile, because nobody can take a vmap back.
 *
 * file->lock guards it. User memory may be a mapping of the same DMABUF, whose fault
 * handler takes the reservation lock, so it is copied with that lock not held.
 */
#include <linux/dma-buf.h>
#include <linux/lockdep.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "edu.h"

static int edu_vmap_start(struct edu_file *file, struct p2pdma_edu_vmap *arg)
{
	struct dma_buf *dmabuf;
	int ret;

	lockdep_assert_held(&file->lock);

	if (file->vmapped)
		return -EBUSY;
	dmabuf = dma_buf_get(arg->fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	ret = dma_buf_vmap_unlocked(dmabuf, &file->vmap);
	if (ret) {
		dma_buf_put(dmabuf);
		return ret;
	}
	file->vmapped = dmabuf;
	arg->size = dmabuf->size;
	return 0;
}

void edu_vmap_end(struct edu_file *file)
{
	lockdep_assert_held(&file->lock);

	dma_buf_vunmap_unlocked(file->vmapped, &file->vmap);
	dma_buf_put(file->vmapped);
	file->vmapped = NULL;
}

static int edu_vmap_move(struct edu_file *file, struct p2pdma_edu_vmap_copy *arg)
{
	u64 size;

	lockdep_assert_held(&file->lock);

	if (!file->vmapped)
		return -ENOENT;
	size = file->vmapped->size;
	if (arg->offset >= size || arg->length > size - arg->offset)
		return -EINVAL;

	while (arg->done < arg->length) {
		u32 len = min_t(u64, arg->length - arg->done, P2PDMA_EDU_STEP_BYTES);
		void __user *user = u64_to_user_ptr(arg->user + arg->done);
		size_t offset = arg->offset + arg->done;

		if (signal_pending(current))
			return -EINTR;
		if (arg->access == P2PDMA_EDU_WRITE) {
			if (copy_from_user(file->bounce, user, len))
				return -EFAULT;
			iosys_map_memcpy_to(&file->vmap, offset, file->bounce, len);
		} else {
			iosys_map_memcpy_from(file->bounce, &file->vmap, offset, len);
			if (copy_to_user(user, file->bounce, len))
				return -EFAULT;
		}
		arg->done += len;
	}
	return 0;
}

long edu_ioctl_vmap(struct edu_file *file, void *data)
{
	struct p2pdma_edu_vmap *arg = data;
	long ret;

	if (arg->flags || arg->reserved)
		return -EINVAL;
	mutex_lock(&file->lock);
	ret = edu_vmap_start(file, arg);
	mutex_unlock(&file->lock);
	return ret;
}

long edu_ioctl_vmap_copy(struct edu_file *file, void *data)
{
	struct p2pdma_edu_vmap_copy *arg = data;
	long ret;

	arg->done = 0;
	if (arg->flags || arg->reserved || !arg->length || !arg->user ||
	    (arg->access != P2PDMA_EDU_READ && arg->access != P2PDMA_EDU_WRITE))
		return -EINVAL;
	mutex_lock(&file->lock);
	ret = edu_vmap_move(file, arg);
	mutex_unlock(&file->lock);
	return ret;
}

long edu_ioctl_vunmap(struct edu_file *file)
{
	long ret = -ENOENT;

	mutex_lock(&file->lock);
	if (file->vmapped) {
		edu_vmap_end(file);
		ret = 0;
	}
	mutex_unlock(&file->lock);
	return ret;
}
