// SPDX-License-Identifier: GPL-2.0-only
/*
 * The event queue of one open file.
 *
 * A ring of fixed size: whoever doesn't read loses events and is told how many.
 * Anybody who holds a DMABUF can make attach and detach events without end, so
 * these leave the last part of the ring to the others. A queue outlives its file
 * as long as an export refers to it; then events go into a ring that nobody
 * reads. That the function has gone is a state beside the ring (EPOLLHUP, end of
 * file), so a full ring can't hide it.
 *
 * Locks: events->lock is innermost and taken in process context only; readers
 * serialize on read_lock so that a record leaves the ring only after it has
 * reached userspace.
 */
#include <linux/eventfd.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uaccess.h>

#include "core.h"

#define P2PE_EVENTS_MAX		256
/* Of these, attach and detach events fill at most so many. */
#define P2PE_EVENTS_MAX_IDLE	192

struct p2pe_events {
	struct kref ref;
	struct mutex read_lock;	/* one reader at a time */
	spinlock_t lock;	/* guards what follows */
	u64 head;		/* number of the next event to come */
	u64 tail;		/* number of the oldest event in the ring */
	u32 lost;		/* dropped before the one at tail */
	u32 lost_last;		/* dropped since the one before head */
	bool has_hung_up;
	struct eventfd_ctx *eventfd;
	wait_queue_head_t wait;
	struct p2pdma_export_event ring[P2PE_EVENTS_MAX];
};

struct p2pe_events *p2pe_events_new(void)
{
	struct p2pe_events *events;

	events = kvzalloc_obj(*events, GFP_KERNEL_ACCOUNT);
	if (!events)
		return NULL;
	kref_init(&events->ref);
	mutex_init(&events->read_lock);
	spin_lock_init(&events->lock);
	init_waitqueue_head(&events->wait);
	return events;
}

struct p2pe_events *p2pe_events_ref(struct p2pe_events *events)
{
	kref_get(&events->ref);
	return events;
}

static void p2pe_events_free(struct kref *ref)
{
	struct p2pe_events *events = container_of(ref, struct p2pe_events, ref);

	if (events->eventfd)
		eventfd_ctx_put(events->eventfd);
	mutex_destroy(&events->read_lock);
	kvfree(events);
}

void p2pe_events_unref(struct p2pe_events *events)
{
	kref_put(&events->ref, p2pe_events_free);
}

/* @fd: an eventfd, or -1 for none */
int p2pe_events_set_eventfd(struct p2pe_events *events, int fd)
{
	struct eventfd_ctx *ctx = NULL;

	if (fd < -1)
		return -EBADF;
	if (fd >= 0) {
		ctx = eventfd_ctx_fdget(fd);
		if (IS_ERR(ctx))
			return PTR_ERR(ctx);
	}
	spin_lock(&events->lock);
	swap(events->eventfd, ctx);
	spin_unlock(&events->lock);
	if (ctx)
		eventfd_ctx_put(ctx);
	return 0;
}

static void p2pe_event_set_client(struct p2pdma_export_event *event, struct device *client)
{
	struct pci_dev *pdev;

	if (!client || !dev_is_pci(client))
		return;
	pdev = to_pci_dev(client);
	event->flags = P2PDMA_EXPORT_EVENT_HAS_CLIENT;
	event->client_domain = pci_domain_nr(pdev->bus);
	event->client_bus = pdev->bus->number;
	event->client_devfn = pdev->devfn;
}

static bool p2pe_event_is_idle(const struct p2pdma_export_event *event)
{
	return event->type == P2PDMA_EXPORT_EVENT_ATTACHED ||
	       event->type == P2PDMA_EXPORT_EVENT_DETACHED;
}

static void p2pe_events_add(struct p2pe_events *events, struct p2pdma_export_event *event)
{
	lockdep_assert_held(&events->lock);
	if (events->has_hung_up)
		return;
	if (p2pe_event_is_idle(event) && events->head - events->tail >= P2PE_EVENTS_MAX_IDLE) {
		events->lost_last++;
		return;
	}
	if (events->head - events->tail == P2PE_EVENTS_MAX) {
		/* What the dropped record knew of earlier losses goes on to its successor. */
		events->lost += events->ring[events->tail++ % P2PE_EVENTS_MAX].lost + 1;
	}
	event->lost = events->lost_last;
	events->lost_last = 0;
	events->ring[events->head++ % P2PE_EVENTS_MAX] = *event;
	if (events->eventfd)
		eventfd_signal(events->eventfd);
}

void p2pe_events_post(struct p2pe_events *events, enum p2pdma_export_event_type type, u32 id,
		      enum p2pdma_export_reason reason, struct device *client)
{
	struct p2pdma_export_event event = {
		.size = sizeof(event),
		.type = type,
		.export_id = id,
		.reason = reason,
		.time_ns = ktime_get_ns(),
	};

	p2pe_event_set_client(&event, client);
	spin_lock(&events->lock);
	p2pe_events_add(events, &event);
	/* The last one: what comes later would follow an end of file. */
	if (type == P2PDMA_EXPORT_EVENT_GONE)
		events->has_hung_up = true;
	spin_unlock(&events->lock);
	wake_up_interruptible(&events->wait);
}

static bool p2pe_events_has_hung_up(struct p2pe_events *events)
{
	bool has_hung_up;

	spin_lock(&events->lock);
	has_hung_up = events->has_hung_up;
	spin_unlock(&events->lock);
	return has_hung_up;
}

static bool p2pe_events_can_read(struct p2pe_events *events)
{
	bool can_read;

	spin_lock(&events->lock);
	can_read = events->head != events->tail || events->has_hung_up;
	spin_unlock(&events->lock);
	return can_read;
}

/* The oldest record and its number; false where there is none. */
static bool p2pe_events_peek(struct p2pe_events *events, struct p2pdma_export_event *event,
			     u64 *number)
{
	bool has_one;

	spin_lock(&events->lock);
	has_one = events->head != events->tail;
	if (has_one) {
		*event = events->ring[events->tail % P2PE_EVENTS_MAX];
		event->lost += events->lost;
		*number = events->tail;
	}
	spin_unlock(&events->lock);
	return has_one;
}

/* Takes record @number out, unless an overflow has done so in the meantime. */
static void p2pe_events_pop(struct p2pe_events *events, u64 number, u32 lost)
{
	spin_lock(&events->lock);
	if (events->tail == number) {
		events->tail++;
		events->lost = 0;
	} else {
		/* Those the reader was told of, and the record it has got. */
		events->lost -= lost + 1;
	}
	spin_unlock(&events->lock);
}

static ssize_t p2pe_events_copy(struct p2pe_events *events, char __user *buf, size_t len)
{
	struct p2pdma_export_event event;
	size_t done = 0;
	u64 number;

	while (len - done >= sizeof(event) && p2pe_events_peek(events, &event, &number)) {
		if (copy_to_user(buf + done, &event, sizeof(event)))
			return done ? done : -EFAULT;
		p2pe_events_pop(events, number, event.lost);
		done += sizeof(event);
	}
	return done;
}

ssize_t p2pe_events_read(struct p2pe_events *events, char __user *buf, size_t len,
			 bool is_nonblocking)
{
	bool is_last;
	ssize_t ret;

	if (len < sizeof(struct p2pdma_export_event))
		return -EINVAL;
	for (;;) {
		if (mutex_lock_interruptible(&events->read_lock))
			return -ERESTARTSYS;
		/* Asked before the ring is: nothing is posted after the hang-up. */
		is_last = p2pe_events_has_hung_up(events);
		ret = p2pe_events_copy(events, buf, len);
		mutex_unlock(&events->read_lock);
		if (ret || is_last)
			return ret;
		if (is_nonblocking)
			return -EAGAIN;
		ret = wait_event_interruptible(events->wait, p2pe_events_can_read(events));
		if (ret)
			return ret;
	}
}

__poll_t p2pe_events_poll(struct p2pe_events *events, struct file *filp,
			  struct poll_table_struct *wait)
{
	__poll_t mask = 0;

	poll_wait(filp, &events->wait, wait);
	spin_lock(&events->lock);
	if (events->head != events->tail)
		mask |= EPOLLIN | EPOLLRDNORM;
	if (events->has_hung_up)
		mask |= EPOLLHUP;
	spin_unlock(&events->lock);
	return mask;
}
