// SPDX-License-Identifier: GPL-2.0-only
/*
 * The DMABUF operations of an export, as importers see them.
 *
 * Attaching demands that the importer can take peer memory, which has no struct
 * page. Pinning and mapping ask whether the importer can be revoked; one that
 * can't gets in only where an administrator allowed it. map, pin and vmap run
 * under the resv lock, and so does the mark of a revocation: whoever sees an
 * export that isn't revoked there may use its provider until the lock is
 * dropped.
 *
 * A device mapping is made of parts, each mapped by a call of the kernel's helper.
 * The helper takes several ranges of any size, but up to 7.3 it links them all
 * to the first IOVA, and unmaps what needs more than one scatterlist entry in
 * other pieces than it mapped. So it is handed one range at a time, cut small
 * enough for one entry.
 */
#include <linux/dma-resv.h>
#include <linux/scatterlist.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "core.h"

/* The most that one part maps. */
#define P2PE_PART_MAX	SZ_2G

/**
 * struct p2pe_mapping - what one importer has mapped
 * @sgt: the importer's view: all parts in a row
 * @nr_parts: entries of @parts
 * @parts: from the kernel's helper, NULL from the first that isn't mapped on
 */
struct p2pe_mapping {
	struct sg_table sgt;
	size_t nr_parts;
	struct sg_table *parts[] __counted_by(nr_parts);
};

static enum p2pe_holder p2pe_attachment_holder(struct dma_buf_attachment *attach)
{
	struct p2pe_export *exp = attach->dmabuf->priv;

	if (P2PE_CAN_TELL_REVOCABLE)
		return dma_buf_attach_revocable(attach) ? P2PE_REVOCABLE : P2PE_UNREVOCABLE;
	/* Without the flag it couldn't pin, and all that maps without a pin is revocable. */
	return exp->flags & P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE ? P2PE_UNREVOCABLE : P2PE_REVOCABLE;
}

bool p2pe_attachment_is_revocable(struct dma_buf_attachment *attach)
{
	return p2pe_attachment_holder(attach) == P2PE_REVOCABLE;
}

static bool p2pe_export_takes(struct p2pe_export *exp, struct dma_buf_attachment *attach)
{
	return exp->flags & P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE || dma_buf_attach_revocable(attach);
}

static int p2pe_dmabuf_attach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct p2pe_export *exp = dmabuf->priv;

	if (!attach->peer2peer)
		return -EOPNOTSUPP;

	spin_lock(&exp->lock);
	if (exp->is_revoked) {
		spin_unlock(&exp->lock);
		return -ENODEV;
	}
	exp->count.attachments++;
	spin_unlock(&exp->lock);
	p2pe_events_post(exp->events, P2PDMA_EXPORT_EVENT_ATTACHED, exp->id,
			 P2PDMA_EXPORT_REASON_NONE, attach->dev);
	return 0;
}

static void p2pe_dmabuf_detach(struct dma_buf *dmabuf, struct dma_buf_attachment *attach)
{
	struct p2pe_export *exp = dmabuf->priv;

	spin_lock(&exp->lock);
	exp->count.attachments--;
	spin_unlock(&exp->lock);
	p2pe_events_post(exp->events, P2PDMA_EXPORT_EVENT_DETACHED, exp->id,
			 P2PDMA_EXPORT_REASON_NONE, attach->dev);
}

static int p2pe_dmabuf_pin(struct dma_buf_attachment *attach)
{
	struct p2pe_export *exp = attach->dmabuf->priv;
	bool is_allowed = exp->flags & P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE;

	dma_resv_assert_held(attach->dmabuf->resv);
	if (exp->is_revoked)
		return -ENODEV;
	if (!is_allowed && (!P2PE_CAN_TELL_REVOCABLE || !dma_buf_attach_revocable(attach)))
		return -EOPNOTSUPP;
	spin_lock(&exp->lock);
	exp->count.pins[p2pe_attachment_holder(attach)]++;
	spin_unlock(&exp->lock);
	return 0;
}

static void p2pe_dmabuf_unpin(struct dma_buf_attachment *attach)
{
	struct p2pe_export *exp = attach->dmabuf->priv;

	dma_resv_assert_held(attach->dmabuf->resv);
	spin_lock(&exp->lock);
	exp->count.pins[p2pe_attachment_holder(attach)]--;
	p2pe_revoke_note(exp);
	spin_unlock(&exp->lock);
}

static void p2pe_mapping_free(struct p2pe_mapping *mapping, struct dma_buf_attachment *attach,
			      enum dma_data_direction dir)
{
	size_t i;

	for (i = 0; i < mapping->nr_parts && mapping->parts[i]; i++) {
		struct sg_table *part = mapping->parts[i];

		/*
		 * The helper hides the table's length from importers and, up to
		 * 7.3, from its own way back, too: nothing would be freed.
		 */
		part->orig_nents = part->nents;
		dma_buf_free_sgt(attach, part, dir);
	}
	mapping->sgt.orig_nents = mapping->sgt.nents;
	sg_free_table(&mapping->sgt);
	kfree(mapping);
}

/* Strings the parts' DMA addresses together; there are no CPU pages. */
static int p2pe_mapping_join(struct p2pe_mapping *mapping)
{
	struct scatterlist *from, *to;
	unsigned int nents = 0;
	unsigned int j;
	size_t i;
	int ret;

	for (i = 0; i < mapping->nr_parts; i++)
		nents += mapping->parts[i]->nents;
	ret = sg_alloc_table(&mapping->sgt, nents, GFP_KERNEL);
	if (ret)
		return ret;
	to = mapping->sgt.sgl;
	for (i = 0; i < mapping->nr_parts; i++) {
		for_each_sgtable_dma_sg(mapping->parts[i], from, j) {
			sg_set_page(to, NULL, 0, 0);
			sg_dma_address(to) = sg_dma_address(from);
			sg_dma_len(to) = sg_dma_len(from);
			to = sg_next(to);
		}
	}
	/* Tells importers that only the DMA side is there. */
	mapping->sgt.orig_nents = 0;
	return 0;
}

/* Maps the parts of one range; @parts is where the first of them belongs. */
static int p2pe_mapping_add(struct sg_table **parts, struct dma_buf_attachment *attach,
			    const struct phys_vec *range, enum dma_data_direction dir)
{
	struct p2pe_export *exp = attach->dmabuf->priv;
	struct sg_table *part;
	u64 done;

	for (done = 0; done < range->len; done += P2PE_PART_MAX) {
		struct phys_vec piece = {
			.paddr = range->paddr + done,
			.len = min_t(u64, range->len - done, P2PE_PART_MAX),
		};

		part = dma_buf_phys_vec_to_sgt(attach, exp->provider, &piece, 1, piece.len, dir);
		if (IS_ERR(part))
			return PTR_ERR(part);
		*parts++ = part;
	}
	return 0;
}

static size_t p2pe_range_parts(const struct phys_vec *range)
{
	return DIV_ROUND_UP_ULL((u64)range->len, P2PE_PART_MAX);
}

static struct p2pe_mapping *p2pe_mapping_new(struct p2pe_export *exp,
					     struct dma_buf_attachment *attach,
					     enum dma_data_direction dir)
{
	struct p2pe_mapping *mapping;
	struct sg_table **next;
	size_t nr_parts = 0;
	size_t i;
	int ret;

	for (i = 0; i < exp->nr_ranges; i++)
		nr_parts += p2pe_range_parts(&exp->ranges[i]);
	mapping = kzalloc(struct_size(mapping, parts, nr_parts), GFP_KERNEL_ACCOUNT);
	if (!mapping)
		return ERR_PTR(-ENOMEM);
	mapping->nr_parts = nr_parts;
	next = mapping->parts;
	for (i = 0; i < exp->nr_ranges; i++) {
		ret = p2pe_mapping_add(next, attach, &exp->ranges[i], dir);
		if (ret)
			goto err_free;
		next += p2pe_range_parts(&exp->ranges[i]);
	}
	ret = p2pe_mapping_join(mapping);
	if (ret)
		goto err_free;
	return mapping;

err_free:
	p2pe_mapping_free(mapping, attach, dir);
	return ERR_PTR(ret);
}

static struct sg_table *p2pe_dmabuf_map(struct dma_buf_attachment *attach,
					enum dma_data_direction dir)
{
	struct p2pe_export *exp = attach->dmabuf->priv;
	struct p2pe_mapping *mapping;

	dma_resv_assert_held(attach->dmabuf->resv);
	if (exp->is_revoked)
		return ERR_PTR(-ENODEV);
	if (!p2pe_export_takes(exp, attach))
		return ERR_PTR(-EOPNOTSUPP);
	if (exp->is_read_only && dir != DMA_TO_DEVICE)
		return ERR_PTR(-EACCES);
	mapping = p2pe_mapping_new(exp, attach, dir);
	if (IS_ERR(mapping))
		return ERR_CAST(mapping);

	spin_lock(&exp->lock);
	exp->count.maps[p2pe_attachment_holder(attach)]++;
	spin_unlock(&exp->lock);
	return &mapping->sgt;
}

static void p2pe_dmabuf_unmap(struct dma_buf_attachment *attach, struct sg_table *sgt,
			      enum dma_data_direction dir)
{
	struct p2pe_export *exp = attach->dmabuf->priv;

	dma_resv_assert_held(attach->dmabuf->resv);
	p2pe_mapping_free(container_of(sgt, struct p2pe_mapping, sgt), attach, dir);
	spin_lock(&exp->lock);
	exp->count.maps[p2pe_attachment_holder(attach)]--;
	p2pe_revoke_note(exp);
	spin_unlock(&exp->lock);
}

static void p2pe_dmabuf_release(struct dma_buf *dmabuf)
{
	p2pe_export_forget(dmabuf->priv);
}

static const struct dma_buf_ops p2pe_dmabuf_ops = {
	.attach = p2pe_dmabuf_attach,
	.detach = p2pe_dmabuf_detach,
	.pin = p2pe_dmabuf_pin,
	.unpin = p2pe_dmabuf_unpin,
	.map_dma_buf = p2pe_dmabuf_map,
	.unmap_dma_buf = p2pe_dmabuf_unmap,
	.release = p2pe_dmabuf_release,
	.mmap = p2pe_cpu_mmap,
};

static const struct dma_buf_ops p2pe_dmabuf_vmap_ops = {
	.attach = p2pe_dmabuf_attach,
	.detach = p2pe_dmabuf_detach,
	.pin = p2pe_dmabuf_pin,
	.unpin = p2pe_dmabuf_unpin,
	.map_dma_buf = p2pe_dmabuf_map,
	.unmap_dma_buf = p2pe_dmabuf_unmap,
	.release = p2pe_dmabuf_release,
	.mmap = p2pe_cpu_mmap,
	.vmap = p2pe_cpu_vmap,
	.vunmap = p2pe_cpu_vunmap,
};

/*
 * An export that never takes a vmap has no such operation: dma_buf_vmap() then says
 * -EINVAL. From an operation that refuses it would make a kernel warning, which
 * whoever holds the DMABUF could provoke by any importer that calls it.
 */
const struct dma_buf_ops *p2pe_dmabuf_ops_of(const struct p2pe_export *exp)
{
	return p2pe_cpu_can_vmap(exp) ? &p2pe_dmabuf_vmap_ops : &p2pe_dmabuf_ops;
}
