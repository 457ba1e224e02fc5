// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking exports back.
 *
 * A revocation has two steps. The mark, under pe->lock and the resv lock: no new
 * attachment, mapping, pin or page fault from here on, CPU mappings are torn
 * down, importers are told to let go. The wait, without locks: until the fences
 * of work in progress have signalled and the importers have unmapped. All
 * exports concerned are marked before the first is waited for.
 *
 * Importers that can be revoked unmap in bounded time, so that wait is neither
 * interruptible nor limited. Others may never unmap; waiting for them is the
 * caller's choice (enum p2pe_patience).
 *
 * States of an export: active, revoked (is_revoked), quiet (is_quiet: fences
 * done and nothing left but pins of revocable importers, which reach nothing
 * without a mapping). Whoever makes the last change to quiet reports it, be it a
 * waiter or, much later, the importer's unmap.
 */
#include <linux/dma-resv.h>
#include <linux/fs.h>
#include <linux/mm.h>

#include "core.h"

#define P2PE_REMIND_MS	30000

enum p2pe_patience {
	P2PE_WAIT_REVOCABLE,	/* don't wait for importers that can't be revoked */
	P2PE_WAIT_TIMEOUT,	/* until a time, interruptible */
	P2PE_WAIT_ALL,		/* without limit, telling everybody why */
};

/**
 * struct p2pe_revocation - one call that revokes
 * @pe: the device
 * @exports: pe->exports or the exports of one file
 * @first: first index in @exports
 * @last: last index in @exports
 * @reason: why
 * @patience: how long to wait for importers that can't be revoked
 * @deadline: in jiffies, for P2PE_WAIT_TIMEOUT
 * @nr_revoked: exports that this call marked
 */
struct p2pe_revocation {
	struct p2pdma_export_dev *pe;
	struct xarray *exports;
	unsigned long first;
	unsigned long last;
	enum p2pdma_export_reason reason;
	enum p2pe_patience patience;
	unsigned long deadline;
	u32 nr_revoked;
};

/* What keeps a revoked export from being quiet: a revocable pin alone reaches nothing. */
static u32 p2pe_count_holding(const struct p2pe_count *count)
{
	return count->maps[P2PE_REVOCABLE] + count->maps[P2PE_UNREVOCABLE] +
	       count->pins[P2PE_UNREVOCABLE] + count->vmaps;
}

/* To be called whenever a count falls. */
void p2pe_revoke_note(struct p2pe_export *exp)
{
	lockdep_assert_held(&exp->lock);
	if (!exp->is_revoked)
		return;
	if (exp->has_waited && !exp->is_quiet && !p2pe_count_holding(&exp->count)) {
		exp->is_quiet = true;
		exp->revoke_ns = ktime_to_ns(ktime_sub(ktime_get(), exp->revoke_start));
		p2pe_events_post(exp->events, P2PDMA_EXPORT_EVENT_REVOKED, exp->id, exp->reason,
				 NULL);
	}
	wake_up_all(&exp->idle);
}

static bool p2pe_export_is_quiet(struct p2pe_export *exp)
{
	bool is_quiet;

	spin_lock(&exp->lock);
	is_quiet = exp->is_quiet;
	spin_unlock(&exp->lock);
	return is_quiet;
}

static bool p2pe_export_is_let_go(struct p2pe_export *exp)
{
	bool is_let_go;

	spin_lock(&exp->lock);
	is_let_go = !exp->count.maps[P2PE_REVOCABLE];
	spin_unlock(&exp->lock);
	return is_let_go;
}

/*
 * Keeps the DMABUF, and so the export, for a walk that drops pe->lock. False when
 * the DMABUF is on its way out: then no importer and no CPU mapping is left.
 */
static bool p2pe_export_hold(struct p2pe_export *exp)
{
	lockdep_assert_held(&exp->pe->lock);
	return get_file_active(&exp->dmabuf->file);
}

static void p2pe_export_unhold(struct p2pe_export *exp)
{
	fput(exp->dmabuf->file);
}

/* True where it was active until now. */
static bool p2pe_revoke_set(struct p2pe_export *exp, enum p2pdma_export_reason reason)
{
	bool is_first;

	dma_resv_assert_held(exp->dmabuf->resv);
	spin_lock(&exp->lock);
	is_first = !exp->is_revoked;
	if (is_first) {
		exp->is_revoked = true;
		exp->reason = reason;
		exp->revoke_start = ktime_get();
	}
	spin_unlock(&exp->lock);
	return is_first;
}

static void p2pe_revoke_mark(struct p2pe_revocation *rev, struct p2pe_export *exp)
{
	struct dma_buf *dmabuf = exp->dmabuf;

	lockdep_assert_held(&rev->pe->lock);
	if (!p2pe_export_hold(exp))
		return;
	dma_resv_lock(dmabuf->resv, NULL);
	if (p2pe_revoke_set(exp, rev->reason)) {
		rev->nr_revoked++;
		unmap_mapping_range(dmabuf->file->f_mapping, 0, 0, 1);
		dma_buf_invalidate_mappings(dmabuf);
	}
	dma_resv_unlock(dmabuf->resv);
	p2pe_export_unhold(exp);
}

static int p2pe_revoke_wait_revocable(struct p2pe_revocation *rev, struct p2pe_export *exp)
{
	dma_resv_wait_timeout(exp->dmabuf->resv, DMA_RESV_USAGE_BOOKKEEP, false,
			      MAX_SCHEDULE_TIMEOUT);
	wait_event(exp->idle, p2pe_export_is_let_go(exp));
	spin_lock(&exp->lock);
	exp->has_waited = true;
	p2pe_revoke_note(exp);
	spin_unlock(&exp->lock);
	return 0;
}

static void p2pe_revoke_log_holders(struct p2pe_revocation *rev, struct p2pe_export *exp)
{
	struct device *dev = &rev->pe->pdev->dev;
	struct dma_buf_attachment *attach;

	dma_resv_lock(exp->dmabuf->resv, NULL);
	list_for_each_entry(attach, &exp->dmabuf->attachments, node)
		if (!p2pe_attachment_is_revocable(attach))
			dev_warn(dev, "export %u waits for %s %s, which can't be revoked\n",
				 exp->id, dev_driver_string(attach->dev), dev_name(attach->dev));
	if (exp->count.vmaps)
		dev_warn(dev, "export %u waits for a kernel mapping, which can't be revoked\n",
			 exp->id);
	dma_resv_unlock(exp->dmabuf->resv);
}

static int p2pe_revoke_tell_pending(struct p2pe_revocation *rev, struct p2pe_export *exp)
{
	bool is_news;

	spin_lock(&exp->lock);
	is_news = exp->is_revoked && !exp->is_quiet && !exp->is_pending_told;
	if (is_news) {
		exp->is_pending_told = true;
		p2pe_events_post(exp->events, P2PDMA_EXPORT_EVENT_REMOVAL_PENDING, exp->id,
				 rev->reason, NULL);
	}
	spin_unlock(&exp->lock);
	return 0;
}

static int p2pe_revoke_wait_all(struct p2pe_revocation *rev, struct p2pe_export *exp)
{
	while (!p2pe_export_is_quiet(exp)) {
		p2pe_revoke_log_holders(rev, exp);
		wait_event_timeout(exp->idle, p2pe_export_is_quiet(exp),
				   msecs_to_jiffies(P2PE_REMIND_MS));
	}
	return 0;
}

static int p2pe_revoke_wait_timeout(struct p2pe_revocation *rev, struct p2pe_export *exp)
{
	long left = rev->deadline - jiffies;
	long ret;

	ret = wait_event_interruptible_timeout(exp->idle, p2pe_export_is_quiet(exp), max(left, 0L));
	if (ret < 0)
		return -EINTR;
	return ret ? 0 : -EBUSY;
}

/*
 * Calls @visit for each export that is revoked and not yet quiet, without locks
 * but with the DMABUF held, and stops at the first error.
 */
static int p2pe_revoke_walk(struct p2pe_revocation *rev,
			    int (*visit)(struct p2pe_revocation *rev, struct p2pe_export *exp))
{
	unsigned long index = rev->first;
	struct p2pe_export *exp;
	int ret = 0;

	mutex_lock(&rev->pe->lock);
	for (exp = xa_find(rev->exports, &index, rev->last, XA_PRESENT); exp && !ret;
	     exp = xa_find_after(rev->exports, &index, rev->last, XA_PRESENT)) {
		if (!READ_ONCE(exp->is_revoked) || p2pe_export_is_quiet(exp) ||
		    !p2pe_export_hold(exp))
			continue;
		mutex_unlock(&rev->pe->lock);
		ret = visit(rev, exp);
		p2pe_export_unhold(exp);
		mutex_lock(&rev->pe->lock);
	}
	mutex_unlock(&rev->pe->lock);
	return ret;
}

/* What reaches the memory, or may, now. */
static u32 p2pe_revoke_count(struct p2pe_revocation *rev)
{
	unsigned long index;
	struct p2pe_export *exp;
	u32 nr = 0;

	lockdep_assert_held(&rev->pe->lock);
	xa_for_each_range(rev->exports, index, exp, rev->first, rev->last) {
		spin_lock(&exp->lock);
		nr += p2pe_count_holding(&exp->count);
		spin_unlock(&exp->lock);
	}
	return nr;
}

static void p2pe_revoke_mark_all(struct p2pe_revocation *rev)
{
	struct p2pe_export *exp;
	unsigned long index;

	lockdep_assert_held(&rev->pe->lock);
	xa_for_each_range(rev->exports, index, exp, rev->first, rev->last)
		p2pe_revoke_mark(rev, exp);
}

static int p2pe_revoke_wait(struct p2pe_revocation *rev)
{
	p2pe_revoke_walk(rev, p2pe_revoke_wait_revocable);
	switch (rev->patience) {
	case P2PE_WAIT_ALL:
		p2pe_revoke_walk(rev, p2pe_revoke_tell_pending);
		return p2pe_revoke_walk(rev, p2pe_revoke_wait_all);
	case P2PE_WAIT_TIMEOUT:
		return p2pe_revoke_walk(rev, p2pe_revoke_wait_timeout);
	default:
		return 0;
	}
}

/* The ioctl. */
int p2pe_revoke(struct p2pe_file *file, struct p2pdma_export_revoke *arg)
{
	struct p2pe_revocation rev = {
		.pe = file->pe,
		.exports = &file->exports,
		.first = arg->export_id,
		.last = arg->export_id,
		.reason = P2PDMA_EXPORT_REASON_IOCTL,
		.patience = P2PE_WAIT_TIMEOUT,
		.deadline = jiffies + msecs_to_jiffies(arg->timeout_ms),
	};
	bool is_all = arg->flags & P2PDMA_EXPORT_REVOKE_ALL;
	ktime_t start = ktime_get();
	u32 before, after;
	int ret;

	if (arg->flags & ~P2PDMA_EXPORT_REVOKE_ALL || arg->reserved ||
	    (is_all && arg->export_id))
		return -EINVAL;
	if (is_all)
		rev.last = ULONG_MAX;

	mutex_lock(&file->pe->lock);
	if (!is_all && !xa_load(&file->exports, arg->export_id)) {
		mutex_unlock(&file->pe->lock);
		return -ENOENT;
	}
	before = p2pe_revoke_count(&rev);
	p2pe_revoke_mark_all(&rev);
	mutex_unlock(&file->pe->lock);
	ret = p2pe_revoke_wait(&rev);

	mutex_lock(&file->pe->lock);
	after = p2pe_revoke_count(&rev);
	mutex_unlock(&file->pe->lock);
	arg->nr_revoked = rev.nr_revoked;
	arg->nr_mappings = before - min(before, after);
	arg->nr_remaining = after;
	arg->duration_ns = ktime_to_ns(ktime_sub(ktime_get(), start));
	return ret;
}

/* The last close: revokes what the file owns and cuts the ties to it. */
void p2pe_revoke_file(struct p2pe_file *file)
{
	struct p2pe_revocation rev = {
		.pe = file->pe,
		.exports = &file->exports,
		.last = ULONG_MAX,
		.reason = P2PDMA_EXPORT_REASON_CLOSE,
		.patience = P2PE_WAIT_REVOCABLE,
	};
	struct p2pe_export *exp;
	unsigned long id;

	mutex_lock(&file->pe->lock);
	p2pe_revoke_mark_all(&rev);
	mutex_unlock(&file->pe->lock);
	p2pe_revoke_wait(&rev);

	mutex_lock(&file->pe->lock);
	xa_for_each(&file->exports, id, exp)
		exp->file = NULL;
	mutex_unlock(&file->pe->lock);
}

/*
 * Everything of the function. @is_patient: wait for importers that can't be
 * revoked, too. Return: 0, or -EBUSY where some of them remain.
 */
int p2pe_revoke_device(struct p2pdma_export_dev *pe, enum p2pdma_export_reason reason,
		       bool is_patient)
{
	struct p2pe_revocation rev = {
		.pe = pe,
		.exports = &pe->exports,
		.last = ULONG_MAX,
		.reason = reason,
		.patience = is_patient ? P2PE_WAIT_ALL : P2PE_WAIT_TIMEOUT,
		.deadline = jiffies,
	};

	mutex_lock(&pe->lock);
	p2pe_revoke_mark_all(&rev);
	mutex_unlock(&pe->lock);
	return p2pe_revoke_wait(&rev);
}
