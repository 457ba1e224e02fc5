// SPDX-License-Identifier: GPL-2.0-only
/*
 * One open file's DMABUF: attach, DMA, invalidation, detach.
 *
 * An attachment is mapped from ATTACH on. It loses the mapping when the exporter
 * invalidates it, and doesn't try again: the file then answers -ENODEV until the
 * user detaches. An attachment made with P2PDMA_EDU_ATTACH_PIN has no callback for
 * that, and keeps pin and mapping until it is detached.
 *
 * Locks, outermost first:
 *   edu->files_lock	only remove() goes on from it to the next one
 *   file->lock		attach, detach, DMA; held over access to user memory
 *   dmabuf->resv	map, unmap, pin; the exporter holds it in the callback
 *   edu->engine_lock	a step of the engine
 *
 * User memory may be a mapping of a DMABUF whose fault handler takes the
 * reservation lock. So it is copied to file->bounce with neither that nor the
 * engine lock held, and the callback can wait for the engine without waiting for
 * a page fault.
 */
#include <linux/dma-resv.h>
#include <linux/lockdep.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "edu.h"

static enum dma_data_direction edu_peer_direction(u32 access)
{
	switch (access) {
	case P2PDMA_EDU_READ:
		return DMA_TO_DEVICE;
	case P2PDMA_EDU_WRITE:
		return DMA_FROM_DEVICE;
	default:
		return DMA_BIDIRECTIONAL;
	}
}

/* Waits for the engine, so that nothing uses the mapping when it goes. */
static void edu_peer_unmap(struct edu_file *file, bool revoked)
{
	struct dma_buf_attachment *attach = file->attach;
	struct sg_table *sgt;

	dma_resv_assert_held(attach->dmabuf->resv);

	mutex_lock(&file->edu->engine_lock);
	sgt = file->sgt;
	file->sgt = NULL;
	if (sgt)
		file->revoked = revoked;
	mutex_unlock(&file->edu->engine_lock);

	if (sgt)
		dma_buf_unmap_attachment(attach, sgt, edu_peer_direction(file->access));
}

static void edu_peer_invalidate(struct dma_buf_attachment *attach)
{
	struct edu_file *file = attach->importer_priv;

	/* Before ATTACH has mapped it there is nothing to undo. */
	if (file->sgt)
		edu_peer_unmap(file, true);
}

static const struct dma_buf_attach_ops edu_peer_ops = {
	.allow_peer2peer = true,
	.invalidate_mappings = edu_peer_invalidate,
};

#ifndef P2PDMA_HAVE_INVALIDATE_MAPPINGS
static void edu_peer_ignore(struct dma_buf_attachment *attach)
{
	dev_warn(attach->dev, "pinned mapping invalidated, DMA goes on\n");
}
#endif

static const struct dma_buf_attach_ops edu_peer_pin_ops = {
	.allow_peer2peer = true,
#ifndef P2PDMA_HAVE_INVALIDATE_MAPPINGS
	.invalidate_mappings = edu_peer_ignore,
#endif
};

static int edu_peer_map(struct edu_file *file, bool pin)
{
	struct dma_buf_attachment *attach = file->attach;
	struct sg_table *sgt;
	int ret;

	dma_resv_assert_held(attach->dmabuf->resv);

	if (pin) {
		ret = dma_buf_pin(attach);
		if (ret)
			return ret;
	}

	sgt = dma_buf_map_attachment(attach, edu_peer_direction(file->access));
	if (IS_ERR(sgt)) {
		if (pin)
			dma_buf_unpin(attach);
		return PTR_ERR(sgt);
	}

	mutex_lock(&file->edu->engine_lock);
	file->pinned = pin;
	file->sgt = sgt;
	file->revoked = false;
	mutex_unlock(&file->edu->engine_lock);
	return 0;
}

int edu_peer_attach(struct edu_file *file, struct p2pdma_edu_attach *arg)
{
	bool pin = arg->flags & P2PDMA_EDU_ATTACH_PIN;
	struct dma_buf_attachment *attach;
	struct dma_buf *dmabuf;
	int ret;

	lockdep_assert_held(&file->lock);

	/* Set before remove() takes the lock of this file, which it does to detach. */
	if (READ_ONCE(file->edu->gone))
		return -ENODEV;
	if (file->attach)
		return -EBUSY;

	dmabuf = dma_buf_get(arg->fd);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);

	attach = dma_buf_dynamic_attach(dmabuf, &file->edu->pdev->dev,
					pin ? &edu_peer_pin_ops : &edu_peer_ops, file);
	if (IS_ERR(attach)) {
		dma_buf_put(dmabuf);
		return PTR_ERR(attach);
	}

	dma_resv_lock(dmabuf->resv, NULL);
	mutex_lock(&file->edu->engine_lock);
	file->attach = attach;
	file->access = arg->access;
	mutex_unlock(&file->edu->engine_lock);
	ret = edu_peer_map(file, pin);
	if (!ret)
		arg->nr_entries = file->sgt->nents;
	dma_resv_unlock(dmabuf->resv);

	if (ret) {
		edu_peer_detach(file);
		return ret;
	}
	arg->size = dmabuf->size;
	return 0;
}

/* Undoes edu_peer_attach(), however far it came. */
void edu_peer_detach(struct edu_file *file)
{
	struct dma_buf_attachment *attach = file->attach;
	struct dma_buf *dmabuf = attach->dmabuf;

	lockdep_assert_held(&file->lock);

	dma_resv_lock(dmabuf->resv, NULL);
	edu_peer_unmap(file, false);
	if (file->pinned)
		dma_buf_unpin(attach);
	dma_resv_unlock(dmabuf->resv);

	dma_buf_detach(dmabuf, attach);

	mutex_lock(&file->edu->engine_lock);
	file->attach = NULL;
	file->pinned = false;
	file->revoked = false;
	mutex_unlock(&file->edu->engine_lock);

	dma_buf_put(dmabuf);
}

/* The DMA address at @offset, and how much of @len follows it without a gap. */
static int edu_peer_locate(struct edu_file *file, u64 offset, dma_addr_t *ret_addr, u32 *len)
{
	struct scatterlist *sg;
	unsigned int i;

	lockdep_assert_held(&file->edu->engine_lock);

	if (!file->sgt)
		return -ENODEV;

	for_each_sgtable_dma_sg(file->sgt, sg, i) {
		if (offset < sg_dma_len(sg)) {
			*ret_addr = sg_dma_address(sg) + offset;
			*len = min_t(u64, *len, sg_dma_len(sg) - offset);
			return 0;
		}
		offset -= sg_dma_len(sg);
	}
	return -EIO;
}

/* Between the coherent buffer and the DMABUF; @len shrinks to what one step moves. */
static int edu_peer_move(struct edu_file *file, const struct p2pdma_edu_dma *arg, u32 *len)
{
	bool internal = arg->flags & P2PDMA_EDU_DMA_INTERNAL;
	struct edu *edu = file->edu;
	dma_addr_t addr;
	int ret;

	ret = mutex_lock_interruptible(&edu->engine_lock);
	if (ret)
		return ret;

	ret = edu_peer_locate(file, arg->offset + arg->done, &addr, len);
	if (ret)
		goto unlock;

	if (arg->access == P2PDMA_EDU_WRITE) {
		if (!internal) {
			memcpy(edu->ram, file->bounce, *len);
			ret = edu_engine_load(edu, edu->ram_dma, *len);
			if (ret)
				goto unlock;
			file->nr_steps++;
		}
		ret = edu_engine_store(edu, addr, *len);
	} else {
		ret = edu_engine_load(edu, addr, *len);
		if (!ret && !internal) {
			file->nr_steps++;
			ret = edu_engine_store(edu, edu->ram_dma, *len);
			memcpy(file->bounce, edu->ram, *len);
		}
	}
	if (!ret)
		file->nr_steps++;
unlock:
	mutex_unlock(&edu->engine_lock);
	return ret;
}

int edu_peer_dma(struct edu_file *file, struct p2pdma_edu_dma *arg)
{
	bool internal = arg->flags & P2PDMA_EDU_DMA_INTERNAL;
	u64 size;
	int ret;

	lockdep_assert_held(&file->lock);

	if (READ_ONCE(file->edu->gone))
		return -ENODEV;
	if (!file->attach)
		return -ENOENT;
	if (!(file->access & arg->access))
		return -EACCES;
	size = file->attach->dmabuf->size;
	if (arg->offset >= size || arg->length > size - arg->offset)
		return -EINVAL;

	while (arg->done < arg->length) {
		u32 len = min_t(u64, arg->length - arg->done, P2PDMA_EDU_STEP_BYTES);
		void __user *user = u64_to_user_ptr(arg->user + arg->done);

		if (signal_pending(current))
			return -EINTR;
		if (!internal && arg->access == P2PDMA_EDU_WRITE &&
		    copy_from_user(file->bounce, user, len))
			return -EFAULT;
		ret = edu_peer_move(file, arg, &len);
		if (ret)
			return ret;
		if (!internal && arg->access == P2PDMA_EDU_READ &&
		    copy_to_user(user, file->bounce, len))
			return -EFAULT;
		arg->done += len;
	}
	return 0;
}

void edu_peer_status(struct edu_file *file, struct p2pdma_edu_status *arg)
{
	struct scatterlist *sg;
	unsigned int i;

	mutex_lock(&file->edu->engine_lock);
	if (file->attach)
		arg->flags |= P2PDMA_EDU_STATUS_ATTACHED;
	if (file->revoked)
		arg->flags |= P2PDMA_EDU_STATUS_REVOKED;
	if (file->pinned)
		arg->flags |= P2PDMA_EDU_STATUS_PINNED;
	if (file->edu->gone)
		arg->flags |= P2PDMA_EDU_STATUS_GONE;
	if (file->sgt) {
		arg->flags |= P2PDMA_EDU_STATUS_MAPPED;
		arg->nr_entries = file->sgt->nents;
		for_each_sgtable_dma_sg(file->sgt, sg, i) {
			if (i != arg->index)
				continue;
			arg->dma_addr = sg_dma_address(sg);
			arg->dma_len = sg_dma_len(sg);
		}
	}
	arg->nr_steps = file->nr_steps;
	mutex_unlock(&file->edu->engine_lock);
}
