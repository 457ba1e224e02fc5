// SPDX-License-Identifier: GPL-2.0-only
/*
 * Taking exports back.
 *
 * A revocation has two steps. The mark, under the resv lock: no new attachment,
 * mapping, pin or page fault from here on, CPU mappings are torn down, importers
 * are told to let go, and the work that is still in progress is noted. The wait,
 * without locks: until that work's fence has signalled and the importers have
 * unmapped. All exports concerned are marked before the first is waited for.
 * Fences that somebody adds after the mark don't count: nothing maps any more.
 *
 * Importers that can be revoked unmap in bounded time, so that wait is neither
 * interruptible nor limited; one that breaks the rule is named in the log. Others
 * may never unmap; waiting for them is the caller's choice (enum p2pe_patience).
 *
 * States of an export: active, revoked (is_revoked), quiet (is_quiet: the fence is
 * done and nothing left but pins of revocable importers, which reach nothing
 * without a mapping). Whoever makes the last change to quiet reports it, be it a
 * waiter or, much later, the importer's unmap.
 *
 * Both steps are walks over exports that take pe->lock only to find the next one
 * and hold its DMABUF meanwhile, so a slow importer keeps nobody else waiting.
 * The walks miss nothing: what keeps new exports out (gone, quiesced, the last
 * close) is set before.
 */
#include <linux/dma-fence.h>
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
 * @nr_before: what reached their memory before
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
	u32 nr_before;
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
static bool p2pe_revoke_set(struct p2pe_revocation *rev, struct p2pe_export *exp)
{
	bool is_first;

	dma_resv_assert_held(exp->dmabuf->resv);
	spin_lock(&exp->lock);
	is_first = !exp->is_revoked;
	rev->nr_before += p2pe_count_holding(&exp->count);
	if (is_first) {
		rev->nr_revoked++;
		exp->is_revoked = true;
		exp->reason = rev->reason;
		exp->revoke_start = ktime_get();
	}
	spin_unlock(&exp->lock);
	return is_first;
}

/* The work that the importers still have in progress. */
static void p2pe_revoke_note_work(struct p2pe_export *exp)
{
	struct dma_resv *resv = exp->dmabuf->resv;

	dma_resv_assert_held(resv);
	if (dma_resv_get_singleton(resv, DMA_RESV_USAGE_BOOKKEEP, &exp->fence))
		/* Out of memory: wait here, as long as nobody can add fences. */
		dma_resv_wait_timeout(resv, DMA_RESV_USAGE_BOOKKEEP, false, MAX_SCHEDULE_TIMEOUT);
}

static int p2pe_revoke_mark(struct p2pe_revocation *rev, struct p2pe_export *exp)
{
	struct dma_buf *dmabuf = exp->dmabuf;

	dma_resv_lock(dmabuf->resv, NULL);
	if (p2pe_revoke_set(rev, exp)) {
		unmap_mapping_range(dmabuf->file->f_mapping, 0, 0, 1);
		/* A vmap stays, and so does its claim until vunmap. */
		if (!exp->count.vmaps)
			p2pe_cpu_forget(exp);
		dma_buf_invalidate_mappings(dmabuf);
		p2pe_revoke_note_work(exp);
	}
	dma_resv_unlock(dmabuf->resv);
	return 0;
}

static void p2pe_revoke_log_holders(struct p2pe_revocation *rev, struct p2pe_export *exp,
				    enum p2pe_holder holder)
{
	bool is_revocable = holder == P2PE_REVOCABLE;
	const char *why = is_revocable ? "which should have unmapped" : "which can't be revoked";
	struct device *dev = &rev->pe->dev;
	struct dma_buf_attachment *attach;

	dma_resv_lock(exp->dmabuf->resv, NULL);
	list_for_each_entry(attach, &exp->dmabuf->attachments, node)
		if (p2pe_attachment_is_revocable(attach) == is_revocable)
			dev_warn(dev, "export %u waits for %s %s, %s\n", exp->id,
				 dev_driver_string(attach->dev), dev_name(attach->dev), why);
	if (!is_revocable && exp->count.vmaps)
		dev_warn(dev, "export %u waits for a kernel mapping, %s\n", exp->id, why);
	dma_resv_unlock(exp->dmabuf->resv);
}

static int p2pe_revoke_wait_revocable(struct p2pe_revocation *rev, struct p2pe_export *exp)
{
	struct dma_fence *fence;

	/* Under the lock: another call may be in the middle of the mark. */
	dma_resv_lock(exp->dmabuf->resv, NULL);
	fence = dma_fence_get(exp->fence);
	dma_resv_unlock(exp->dmabuf->resv);
	if (fence) {
		dma_fence_wait(fence, false);
		dma_fence_put(fence);
	}
	while (!wait_event_timeout(exp->idle, p2pe_export_is_let_go(exp),
				   msecs_to_jiffies(P2PE_REMIND_MS)))
		p2pe_revoke_log_holders(rev, exp, P2PE_REVOCABLE);
	spin_lock(&exp->lock);
	exp->has_waited = true;
	p2pe_revoke_note(exp);
	spin_unlock(&exp->lock);
	return 0;
}

static int p2pe_revoke_tell_pending(struct p2pe_revocation *rev, struct p2pe_export *exp)
{
	spin_lock(&exp->lock);
	if (!exp->is_quiet && exp->told != rev->reason) {
		exp->told = rev->reason;
		p2pe_events_post(exp->events, P2PDMA_EXPORT_EVENT_REMOVAL_PENDING, exp->id,
				 rev->reason, NULL);
	}
	spin_unlock(&exp->lock);
	return 0;
}

static int p2pe_revoke_wait_all(struct p2pe_revocation *rev, struct p2pe_export *exp)
{
	while (!p2pe_export_is_quiet(exp)) {
		p2pe_revoke_log_holders(rev, exp, P2PE_UNREVOCABLE);
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
 * Calls @visit for each export that is not yet quiet, without locks but with the
 * DMABUF held, and stops at the first error. @is_marked: leave out those that
 * are active, which another thread has made since the mark.
 */
static int p2pe_revoke_walk(struct p2pe_revocation *rev, bool is_marked,
			    int (*visit)(struct p2pe_revocation *rev, struct p2pe_export *exp))
{
	unsigned long index = rev->first;
	struct p2pe_export *exp;
	int ret = 0;

	mutex_lock(&rev->pe->lock);
	for (exp = xa_find(rev->exports, &index, rev->last, XA_PRESENT); exp && !ret;
	     exp = xa_find_after(rev->exports, &index, rev->last, XA_PRESENT)) {
		if ((is_marked && !READ_ONCE(exp->is_revoked)) || p2pe_export_is_quiet(exp) ||
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

/* What still reaches the memory of what was revoked. */
static u32 p2pe_revoke_count(struct p2pe_revocation *rev)
{
	unsigned long index;
	struct p2pe_export *exp;
	u32 nr = 0;

	lockdep_assert_held(&rev->pe->lock);
	xa_for_each_range(rev->exports, index, exp, rev->first, rev->last) {
		spin_lock(&exp->lock);
		if (exp->is_revoked)
			nr += p2pe_count_holding(&exp->count);
		spin_unlock(&exp->lock);
	}
	return nr;
}

/* The whole of it. */
static int p2pe_revoke_run(struct p2pe_revocation *rev)
{
	p2pe_revoke_walk(rev, false, p2pe_revoke_mark);
	p2pe_revoke_walk(rev, true, p2pe_revoke_wait_revocable);
	switch (rev->patience) {
	case P2PE_WAIT_ALL:
		p2pe_revoke_walk(rev, true, p2pe_revoke_tell_pending);
		return p2pe_revoke_walk(rev, true, p2pe_revoke_wait_all);
	case P2PE_WAIT_TIMEOUT:
		return p2pe_revoke_walk(rev, true, p2pe_revoke_wait_timeout);
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
	u32 after;
	int ret;

	if (arg->flags & ~P2PDMA_EXPORT_REVOKE_ALL || arg->reserved ||
	    (is_all && arg->export_id))
		return -EINVAL;
	if (is_all)
		rev.last = ULONG_MAX;

	if (!is_all && !xa_load(&file->exports, arg->export_id))
		return -ENOENT;
	ret = p2pe_revoke_run(&rev);

	mutex_lock(&file->pe->lock);
	after = p2pe_revoke_count(&rev);
	mutex_unlock(&file->pe->lock);
	arg->nr_revoked = rev.nr_revoked;
	arg->nr_mappings = rev.nr_before - min(rev.nr_before, after);
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

	p2pe_revoke_run(&rev);

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

	return p2pe_revoke_run(&rev);
}
