// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPU access to exports: userspace mappings and kernel mappings (vmap).
 *
 * A userspace mapping is filled by page faults, never by mmap() itself, since
 * only then a revocation finds each page table entry: the fault handler inserts
 * under the resv lock, the revocation marks and unmaps under the same lock, and
 * later faults get SIGBUS.
 *
 * One physical page must not be mapped write-combining and uncached at a time.
 * Two exports may name the same page, so the first mapping of an export, by
 * userspace or by the kernel, claims the attribute for its ranges until the export
 * is revoked or ends, and a claim of the other attribute on an overlapping range
 * is refused.
 *
 * A kernel mapping can't be taken back, so it counts as an importer that can't
 * be revoked, and a revocation leaves the claim to its vunmap.
 */
#include <linux/dma-resv.h>
#include <linux/io.h>
#include <linux/iosys-map.h>
#include <linux/mm.h>
#include <linux/sizes.h>

#include "core.h"

/* One fault fills at most this much, aligned to it. */
#define P2PE_FAULT_AROUND	SZ_2M

static bool p2pe_cpu_is_wc(const struct p2pe_export *exp)
{
	return exp->flags & P2PDMA_EXPORT_F_MMAP_WC;
}

static bool p2pe_cpu_overlap(const struct p2pe_export *a, const struct p2pe_export *b)
{
	size_t i = 0, j = 0;

	if (a->bar != b->bar)
		return false;
	while (i < a->nr_ranges && j < b->nr_ranges) {
		const struct p2pdma_export_range *x = &a->sorted[i], *y = &b->sorted[j];

		if (x->offset + x->length <= y->offset)
			i++;
		else if (y->offset + y->length <= x->offset)
			j++;
		else
			return true;
	}
	return false;
}

static void p2pe_cpu_free_wc(struct p2pe_export *exp, size_t nr_ranges)
{
	size_t i;

	for (i = 0; i < nr_ranges; i++)
		arch_io_free_memtype_wc(exp->ranges[i].paddr, exp->ranges[i].len);
}

/* Without this, x86 would give the pages of a fault its default attribute. */
static int p2pe_cpu_reserve_wc(struct p2pe_export *exp)
{
	size_t i;
	int ret;

	for (i = 0; i < exp->nr_ranges; i++) {
		ret = arch_io_reserve_memtype_wc(exp->ranges[i].paddr, exp->ranges[i].len);
		if (ret) {
			p2pe_cpu_free_wc(exp, i);
			return ret;
		}
	}
	return 0;
}

static int p2pe_cpu_claim(struct p2pe_export *exp)
{
	struct p2pdma_export_dev *pe = exp->pe;
	struct p2pe_export *other;
	int ret = 0;

	mutex_lock(&pe->cpu_lock);
	/* Asked in here, since a revocation gives the claim back in here. */
	if (READ_ONCE(exp->is_revoked)) {
		ret = -ENODEV;
		goto out;
	}
	if (exp->is_cpu_mapped)
		goto out;
	list_for_each_entry(other, &pe->cpu_mapped, cpu_entry) {
		if (p2pe_cpu_is_wc(other) != p2pe_cpu_is_wc(exp) && p2pe_cpu_overlap(other, exp)) {
			ret = -EBUSY;
			goto out;
		}
	}
	if (p2pe_cpu_is_wc(exp))
		ret = p2pe_cpu_reserve_wc(exp);
	if (!ret) {
		exp->is_cpu_mapped = true;
		list_add(&exp->cpu_entry, &pe->cpu_mapped);
	}
out:
	mutex_unlock(&pe->cpu_lock);
	return ret;
}

/* The export is revoked or ends: no mapping of it is left, and none will be. */
void p2pe_cpu_forget(struct p2pe_export *exp)
{
	mutex_lock(&exp->pe->cpu_lock);
	if (exp->is_cpu_mapped) {
		list_del(&exp->cpu_entry);
		exp->is_cpu_mapped = false;
		if (p2pe_cpu_is_wc(exp))
			p2pe_cpu_free_wc(exp, exp->nr_ranges);
	}
	mutex_unlock(&exp->pe->cpu_lock);
}

/* Inserts the faulting page, then its neighbours as far as that is for free. */
static vm_fault_t p2pe_cpu_insert(struct p2pe_export *exp, struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	u64 offset = (u64)vmf->pgoff << PAGE_SHIFT;
	unsigned long address, begin, end;
	u64 into = offset;
	vm_fault_t ret;
	u64 paddr;
	size_t i;

	for (i = 0; i < exp->nr_ranges && into >= exp->ranges[i].len; i++)
		into -= exp->ranges[i].len;
	if (i == exp->nr_ranges)
		return VM_FAULT_SIGBUS;
	paddr = exp->ranges[i].paddr + into;

	ret = vmf_insert_pfn(vma, vmf->address, PHYS_PFN(paddr));
	if (ret != VM_FAULT_NOPAGE)
		return ret;
	begin = max(vma->vm_start, ALIGN_DOWN(vmf->address, P2PE_FAULT_AROUND));
	begin = max_t(u64, begin, vmf->address - min_t(u64, into, vmf->address));
	end = min_t(u64, vma->vm_end, (u64)begin + P2PE_FAULT_AROUND);
	end = min_t(u64, end, vmf->address + (exp->ranges[i].len - into));
	for (address = begin; address < end; address += PAGE_SIZE)
		if (vmf_insert_pfn(vma, address, PHYS_PFN(paddr + address - vmf->address)) !=
		    VM_FAULT_NOPAGE)
			break;
	return VM_FAULT_NOPAGE;
}

static vm_fault_t p2pe_cpu_fault(struct vm_fault *vmf)
{
	struct p2pe_export *exp = vmf->vma->vm_private_data;
	/* The mapping's file is the DMABUF's: both stay for as long as the mapping. */
	struct dma_buf *dmabuf = vmf->vma->vm_file->private_data;
	vm_fault_t ret = VM_FAULT_SIGBUS;

	/* The kernel itself would come back at once, signal or not. */
	if (!(vmf->flags & FAULT_FLAG_USER))
		dma_resv_lock(dmabuf->resv, NULL);
	else if (dma_resv_lock_interruptible(dmabuf->resv, NULL))
		return VM_FAULT_NOPAGE;
	if (!exp->is_revoked)
		ret = p2pe_cpu_insert(exp, vmf);
	dma_resv_unlock(dmabuf->resv);
	return ret;
}

static const struct vm_operations_struct p2pe_cpu_vm_ops = {
	.fault = p2pe_cpu_fault,
};

int p2pe_cpu_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma)
{
	struct p2pe_export *exp = dmabuf->priv;
	int ret;

	/* Not VM_SHARED: a shared mapping of a read-only descriptor doesn't have it. */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (exp->is_read_only) {
		if (vma->vm_flags & VM_WRITE)
			return -EACCES;
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	ret = p2pe_cpu_claim(exp);
	if (ret)
		return ret;
	vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP);
	vma->vm_page_prot = pgprot_decrypted(p2pe_cpu_is_wc(exp) ?
						     pgprot_writecombine(vma->vm_page_prot) :
						     pgprot_noncached(vma->vm_page_prot));
	vma->vm_private_data = exp;
	vma->vm_ops = &p2pe_cpu_vm_ops;
	return 0;
}

bool p2pe_cpu_can_vmap(const struct p2pe_export *exp)
{
	return exp->flags & P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE && exp->nr_ranges == 1 &&
	       !exp->is_read_only;
}

int p2pe_cpu_vmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct p2pe_export *exp = dmabuf->priv;
	void __iomem *vaddr;
	int ret;

	dma_resv_assert_held(dmabuf->resv);
	ret = p2pe_cpu_claim(exp);
	if (ret)
		return ret;
	if (p2pe_cpu_is_wc(exp))
		vaddr = ioremap_wc(exp->ranges[0].paddr, exp->ranges[0].len);
	else
		vaddr = ioremap(exp->ranges[0].paddr, exp->ranges[0].len);
	if (!vaddr)
		return -ENOMEM;
	iosys_map_set_vaddr_iomem(map, vaddr);
	spin_lock(&exp->lock);
	exp->count.vmaps++;
	spin_unlock(&exp->lock);
	return 0;
}

void p2pe_cpu_vunmap(struct dma_buf *dmabuf, struct iosys_map *map)
{
	struct p2pe_export *exp = dmabuf->priv;

	dma_resv_assert_held(dmabuf->resv);
	iounmap(map->vaddr_iomem);
	/* The core shares one mapping among all users: this was the last. */
	if (exp->is_revoked)
		p2pe_cpu_forget(exp);
	spin_lock(&exp->lock);
	exp->count.vmaps--;
	p2pe_revoke_note(exp);
	spin_unlock(&exp->lock);
}
