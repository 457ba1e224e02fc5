// SPDX-License-Identifier: GPL-2.0-only
/*
 * Making exports, asking after them, and their end.
 *
 * An export begins active and is revoked once, for good (revoke.c). It exists
 * for as long as its DMABUF: the DMABUF's release takes it off its file and its
 * device and drops the DMABUF's reference; what is left are short-lived
 * references of operations that had found it before.
 */
#include <linux/capability.h>
#include <linux/dma-fence.h>
#include <linux/fcntl.h>
#include <linux/nospec.h>
#include <linux/slab.h>
#include <linux/sort.h>
#include <linux/uaccess.h>

#include "core.h"

#define P2PE_EXPORT_FLAGS	(P2PDMA_EXPORT_F_MMAP_WC | P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE)

static void p2pe_export_free(struct kref *ref)
{
	struct p2pe_export *exp = container_of(ref, struct p2pe_export, ref);

	dma_fence_put(exp->fence);
	kvfree(exp->ranges);
	kfree(exp->sorted);
	p2pe_events_unref(exp->events);
	put_device(&exp->pe->dev);
	kfree(exp);
}

void p2pe_export_put(struct p2pe_export *exp)
{
	kref_put(&exp->ref, p2pe_export_free);
}

/* The DMABUF is being released: no importer, no CPU mapping is left. */
void p2pe_export_forget(struct p2pe_export *exp)
{
	struct p2pdma_export_dev *pe = exp->pe;

	p2pe_cpu_forget(exp);
	mutex_lock(&pe->lock);
	exp->dmabuf = NULL;
	xa_erase(&pe->exports, exp->serial);
	if (exp->file)
		xa_erase(&exp->file->exports, exp->id);
	exp->file = NULL;
	mutex_unlock(&pe->lock);
	p2pe_export_put(exp);
}

static int p2pe_range_compare(const void *a, const void *b)
{
	const struct p2pdma_export_range *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static bool p2pe_ranges_overlap(const struct p2pdma_export_range *ranges, size_t nr)
{
	size_t i;

	for (i = 1; i < nr; i++)
		if (ranges[i].offset - ranges[i - 1].offset < ranges[i - 1].length)
			return true;
	return false;
}

/* Fills in the ranges, all of them relative to the BAR. */
static int p2pe_export_read_ranges(struct p2pe_export *exp, u64 address, u32 nr)
{
	struct p2pdma_export_range *ranges;
	u64 size = 0;
	u32 i;

	if (address != (unsigned long)address)
		return -EFAULT;
	ranges = memdup_array_user(u64_to_user_ptr(address), nr, sizeof(*ranges));
	if (IS_ERR(ranges))
		return PTR_ERR(ranges);
	exp->sorted = ranges;
	exp->ranges = kvcalloc(nr, sizeof(*exp->ranges), GFP_KERNEL_ACCOUNT);
	if (!exp->ranges)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		u64 end;

		if (!ranges[i].length || !PAGE_ALIGNED(ranges[i].offset | ranges[i].length) ||
		    check_add_overflow(ranges[i].offset, ranges[i].length, &end) ||
		    check_add_overflow(size, ranges[i].length, &size))
			return -EINVAL;
		exp->ranges[i].paddr = ranges[i].offset;
		exp->ranges[i].len = ranges[i].length;
	}
	sort(ranges, nr, sizeof(*ranges), p2pe_range_compare, NULL);
	/* The DMA layer keeps the top bit of a size for itself. */
	if (size > SIZE_MAX >> 1 || p2pe_ranges_overlap(ranges, nr))
		return -EINVAL;
	exp->size = size;
	exp->nr_ranges = nr;
	return 0;
}

/* Binds what p2pe_export_read_ranges() found to a BAR of the live function. */
static int p2pe_export_place(struct p2pe_export *exp, unsigned int bar)
{
	struct p2pdma_export_dev *pe = exp->pe;
	resource_size_t start, length;
	size_t i;

	lockdep_assert_held(&pe->lock);
	if (!(pe->bars & BIT(bar)))
		return -EINVAL;
	bar = array_index_nospec(bar, P2PDMA_EXPORT_MAX_BARS);
	start = pci_resource_start(pe->pdev, bar);
	length = pci_resource_len(pe->pdev, bar);
	exp->bar = bar;
	exp->provider = pcim_p2pdma_provider(pe->pdev, bar);
	if (!exp->provider)
		return -EINVAL;
	for (i = 0; i < exp->nr_ranges; i++)
		if (exp->ranges[i].paddr > length ||
		    exp->ranges[i].len > length - exp->ranges[i].paddr)
			return -EINVAL;
	for (i = 0; i < exp->nr_ranges; i++)
		exp->ranges[i].paddr += start;
	return 0;
}

static struct p2pe_export *p2pe_export_alloc(struct p2pe_file *file,
					     const struct p2pdma_export_export *arg)
{
	struct p2pe_export *exp;
	int ret;

	exp = kzalloc_obj(*exp, GFP_KERNEL_ACCOUNT);
	if (!exp)
		return ERR_PTR(-ENOMEM);
	kref_init(&exp->ref);
	spin_lock_init(&exp->lock);
	init_waitqueue_head(&exp->idle);
	exp->flags = arg->flags;
	exp->is_read_only = (arg->open_flags & O_ACCMODE) == O_RDONLY;
	exp->pe = file->pe;
	get_device(&exp->pe->dev);
	exp->events = p2pe_events_ref(file->events);

	ret = p2pe_export_read_ranges(exp, arg->ranges, arg->nr_ranges);
	if (ret) {
		p2pe_export_put(exp);
		return ERR_PTR(ret);
	}
	return exp;
}

/* Makes the DMABUF and enters the export everywhere; pe->lock is held. */
static struct dma_buf *p2pe_export_publish(struct p2pe_export *exp, struct p2pe_file *file,
					   const struct p2pdma_export_export *arg)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct p2pdma_export_dev *pe = exp->pe;
	struct dma_buf *dmabuf;
	int ret;

	lockdep_assert_held(&pe->lock);
	if (pe->is_gone)
		return ERR_PTR(-ENODEV);
	if (arg->flags & P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE && !pe->allows_unrevocable &&
	    !capable(CAP_SYS_ADMIN))
		return ERR_PTR(-EPERM);
	if (pe->quiesced)
		return ERR_PTR(-EBUSY);
	ret = p2pe_export_place(exp, arg->bar);
	if (ret)
		return ERR_PTR(ret);
	if (file->last_id == U32_MAX)
		return ERR_PTR(-ENOSPC);
	exp->id = file->last_id + 1;
	exp->serial = pe->last_serial + 1;
	ret = xa_insert(&file->exports, exp->id, exp, GFP_KERNEL_ACCOUNT);
	if (ret)
		return ERR_PTR(ret);
	ret = xa_insert(&pe->exports, exp->serial, exp, GFP_KERNEL_ACCOUNT);
	if (ret)
		goto err_erase_id;

	info.ops = p2pe_dmabuf_ops_of(exp);
	info.size = exp->size;
	info.flags = arg->open_flags & (O_ACCMODE | O_CLOEXEC);
	info.priv = exp;
	dmabuf = dma_buf_export(&info);
	if (IS_ERR(dmabuf)) {
		ret = PTR_ERR(dmabuf);
		goto err_erase_serial;
	}
	/* From here on the DMABUF holds the first reference to the export. */
	exp->dmabuf = dmabuf;
	exp->file = file;
	file->last_id = exp->id;
	pe->last_serial = exp->serial;
	return dmabuf;

err_erase_serial:
	xa_erase(&pe->exports, exp->serial);
err_erase_id:
	xa_erase(&file->exports, exp->id);
	return ERR_PTR(ret);
}

/* Fills in the outputs except for the descriptor. */
struct dma_buf *p2pe_export_new(struct p2pe_file *file, struct p2pdma_export_export *arg)
{
	struct p2pdma_export_dev *pe = file->pe;
	struct p2pe_export *exp;
	struct dma_buf *dmabuf;

	if (arg->flags & ~P2PE_EXPORT_FLAGS || arg->bar >= P2PDMA_EXPORT_MAX_BARS ||
	    !arg->nr_ranges || arg->nr_ranges > P2PDMA_EXPORT_MAX_RANGES)
		return ERR_PTR(-EINVAL);
	exp = p2pe_export_alloc(file, arg);
	if (IS_ERR(exp))
		return ERR_CAST(exp);

	mutex_lock(&pe->lock);
	dmabuf = p2pe_export_publish(exp, file, arg);
	if (!IS_ERR(dmabuf)) {
		arg->export_id = exp->id;
		arg->size = exp->size;
	}
	mutex_unlock(&pe->lock);
	if (IS_ERR(dmabuf))
		p2pe_export_put(exp);
	return dmabuf;
}

int p2pe_export_status(struct p2pe_file *file, struct p2pdma_export_status *status)
{
	struct p2pe_count count;
	struct p2pe_export *exp;

	if (status->flags)
		return -EINVAL;
	mutex_lock(&file->pe->lock);
	exp = xa_load(&file->exports, status->export_id);
	if (!exp) {
		mutex_unlock(&file->pe->lock);
		return -ENOENT;
	}
	spin_lock(&exp->lock);
	count = exp->count;
	status->flags = exp->flags;
	status->reason = exp->reason;
	status->state = !exp->is_revoked ? P2PDMA_EXPORT_STATE_ACTIVE :
			!exp->is_quiet	 ? P2PDMA_EXPORT_STATE_REVOKING :
					   P2PDMA_EXPORT_STATE_REVOKED;
	status->size = exp->size;
	status->revoke_ns = exp->revoke_ns;
	spin_unlock(&exp->lock);
	mutex_unlock(&file->pe->lock);

	status->nr_attachments = count.attachments;
	status->nr_mappings = count.maps[P2PE_REVOCABLE] + count.maps[P2PE_UNREVOCABLE];
	status->nr_pins = count.pins[P2PE_REVOCABLE] + count.pins[P2PE_UNREVOCABLE];
	status->nr_vmaps = count.vmaps;
	status->nr_unrevocable = count.maps[P2PE_UNREVOCABLE] + count.pins[P2PE_UNREVOCABLE] +
				 count.vmaps;
	status->mapped_bytes = status->size * status->nr_mappings;
	return 0;
}
