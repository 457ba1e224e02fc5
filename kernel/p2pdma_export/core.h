/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the p2pdma_export core share.
 *
 * Three objects. A device (struct p2pdma_export_dev) is one registered function.
 * A file (struct p2pe_file) is one open of its node and owns exports. An export
 * (struct p2pe_export) is one DMABUF; it lives as long as the DMABUF does, which
 * may be longer than its file and longer than the function.
 *
 * Locks, outermost first; of the first two, one at a time:
 *
 *   pe->lock (mutex)        the device's state, its lists, which file owns an
 *                           export, whether an export's DMABUF is still there
 *   dma-buf's resv lock     whether an export is revoked; map, pin, vmap, fault
 *   exp->lock (spinlock)    an export's counters and the end of a revocation
 *   events->lock (spinlock) the queue of a file
 *
 * Whoever walks over exports holds their DMABUF instead of pe->lock.
 * pe->cpu_lock (mutex, inside the resv lock or alone) orders CPU mappings by cache
 * attribute; inside it only the architecture's memtype calls happen. attach,
 * detach, map, unmap, pin, unpin, vmap and vunmap run inside importers and never
 * take pe->lock, and importers' callbacks never run under it.
 */
#ifndef P2PE_CORE_H
#define P2PE_CORE_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/dma-buf.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/pci-p2pdma.h>
#include <linux/p2pdma_export.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/xarray.h>

#include "compat.h"

/* Whether the kernel says which importers can be revoked. */
#ifndef P2PE_CAN_TELL_REVOCABLE
#define P2PE_CAN_TELL_REVOCABLE	1
#endif

struct dma_fence;
struct eventfd_ctx;
struct poll_table_struct;

/**
 * struct p2pdma_export_dev - one registered function
 * @dev: the class device; its reference count is this structure's
 * @cdev: the character device
 * @pdev: the function; valid under @lock while not @is_gone
 * @generation: unique to this registration
 * @bars: mask of the BARs that can be exported
 * @lock: see above
 * @is_gone: unregistered
 * @quiesced: mask of the reasons (enum p2pdma_export_reason) that keep new
 *	exports out
 * @allows_unrevocable: an administrator lets every user of the node export
 *	with P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE; under @lock
 * @exports: all exports that have a DMABUF, by serial number
 * @last_serial: the last serial number given out
 * @files: struct p2pe_file.entry
 * @cpu_lock: guards @cpu_mapped
 * @cpu_mapped: struct p2pe_export.cpu_entry, those a CPU has mapped
 */
struct p2pdma_export_dev {
	struct device dev;
	struct cdev cdev;
	struct pci_dev *pdev;
	u64 generation;
	unsigned long bars;
	struct mutex lock;	/* see the top of this file */
	bool is_gone;
	unsigned long quiesced;
	bool allows_unrevocable;
	struct xarray exports;
	unsigned long last_serial;
	struct list_head files;
	struct mutex cpu_lock;	/* orders CPU mappings by cache attribute */
	struct list_head cpu_mapped;
};

/**
 * struct p2pe_file - one open of the device node
 * @pe: holds a reference
 * @events: its queue; exports hold references too
 * @entry: in pe->files
 * @exports: the exports it owns, by id; under pe->lock
 * @last_id: the last id given out; ids are never used twice
 */
struct p2pe_file {
	struct p2pdma_export_dev *pe;
	struct p2pe_events *events;
	struct list_head entry;
	struct xarray exports;
	u32 last_id;
};

/* Mappings and pins are counted apart by whether their holder can be revoked. */
enum p2pe_holder {
	P2PE_REVOCABLE,
	P2PE_UNREVOCABLE,
	P2PE_NR_HOLDERS,
};

/**
 * struct p2pe_count - what is alive on an export
 * @maps: device mappings
 * @pins: pins
 * @vmaps: kernel mappings; never revocable
 * @attachments: attached devices
 */
struct p2pe_count {
	u32 maps[P2PE_NR_HOLDERS];
	u32 pins[P2PE_NR_HOLDERS];
	u32 vmaps;
	u32 attachments;
};

/**
 * struct p2pe_export - one DMABUF
 * @ref: one for the DMABUF, one for each operation that goes on without locks
 * @pe: holds a reference
 * @file: its owner, NULL once that was closed; under pe->lock
 * @events: the owner's queue; holds a reference
 * @serial: its index in pe->exports
 * @dmabuf: NULL once it is being released; under pe->lock
 * @provider: touched only under the resv lock while not @is_revoked
 * @id: names it on its file
 * @flags: P2PDMA_EXPORT_F_*
 * @is_read_only: exported O_RDONLY
 * @bar: BAR number
 * @size: bytes
 * @nr_ranges: entries of @ranges and @sorted
 * @ranges: physical addresses, in the DMABUF's order
 * @sorted: the same within the BAR, by offset
 * @cpu_entry: in pe->cpu_mapped; under pe->cpu_lock
 * @is_cpu_mapped: whether it is; under pe->cpu_lock
 * @fence: work that was in progress when it was revoked; under the resv lock
 * @lock: guards what follows
 * @is_revoked: changed under the resv lock and @lock, read under either
 * @has_waited: the fence of a revoked export has signalled
 * @is_quiet: revoked, and nothing is left
 * @reason: why it was revoked
 * @told: for which other reason the owner was told that it is waited for
 * @count: what is alive
 * @revoke_start: when @is_revoked was set
 * @revoke_ns: from there to @is_quiet
 * @idle: woken when a count falls on a revoked export
 */
struct p2pe_export {
	struct kref ref;
	struct p2pdma_export_dev *pe;
	struct p2pe_file *file;
	struct p2pe_events *events;
	unsigned long serial;
	struct dma_buf *dmabuf;
	struct p2pdma_provider *provider;
	u32 id;
	u32 flags;
	bool is_read_only;
	u32 bar;
	size_t size;
	size_t nr_ranges;
	struct phys_vec *ranges;
	struct p2pdma_export_range *sorted;
	struct list_head cpu_entry;
	bool is_cpu_mapped;
	struct dma_fence *fence;

	spinlock_t lock;	/* guards what follows */
	bool is_revoked;
	bool has_waited;
	bool is_quiet;
	enum p2pdma_export_reason reason;
	enum p2pdma_export_reason told;
	struct p2pe_count count;
	ktime_t revoke_start;
	u64 revoke_ns;
	wait_queue_head_t idle;
};

/* device.c */
extern const struct class p2pe_class;
struct p2pdma_export_dev *p2pe_device_open(struct cdev *cdev);

/* attributes.c */
extern const struct attribute_group *p2pe_groups[];

/* file.c */
extern const struct file_operations p2pe_fops;

/* ioctl.c */
long p2pe_ioctl(struct file *filp, unsigned int cmd, unsigned long arg);

/* info.c */
int p2pe_info(struct p2pe_file *file, struct p2pdma_export_info *info);
int p2pe_path(struct p2pe_file *file, struct p2pdma_export_path *path);

/* export.c */
struct dma_buf *p2pe_export_new(struct p2pe_file *file, struct p2pdma_export_export *arg);
int p2pe_export_status(struct p2pe_file *file, struct p2pdma_export_status *status);
void p2pe_export_put(struct p2pe_export *exp);
void p2pe_export_forget(struct p2pe_export *exp);

/* revoke.c */
int p2pe_revoke(struct p2pe_file *file, struct p2pdma_export_revoke *arg);
void p2pe_revoke_file(struct p2pe_file *file);
int p2pe_revoke_device(struct p2pdma_export_dev *pe, enum p2pdma_export_reason reason,
		       bool is_patient);
void p2pe_revoke_note(struct p2pe_export *exp);

/* dmabuf.c */
const struct dma_buf_ops *p2pe_dmabuf_ops_of(const struct p2pe_export *exp);
bool p2pe_attachment_is_revocable(struct dma_buf_attachment *attach);

/* cpu.c */
int p2pe_cpu_mmap(struct dma_buf *dmabuf, struct vm_area_struct *vma);
bool p2pe_cpu_can_vmap(const struct p2pe_export *exp);
int p2pe_cpu_vmap(struct dma_buf *dmabuf, struct iosys_map *map);
void p2pe_cpu_vunmap(struct dma_buf *dmabuf, struct iosys_map *map);
void p2pe_cpu_forget(struct p2pe_export *exp);

/* events.c */
struct p2pe_events *p2pe_events_new(void);
struct p2pe_events *p2pe_events_ref(struct p2pe_events *events);
void p2pe_events_unref(struct p2pe_events *events);
int p2pe_events_set_eventfd(struct p2pe_events *events, int fd);
void p2pe_events_post(struct p2pe_events *events, enum p2pdma_export_event_type type, u32 id,
		      enum p2pdma_export_reason reason, struct device *client);
ssize_t p2pe_events_read(struct p2pe_events *events, char __user *buf, size_t len,
			 bool is_nonblocking);
__poll_t p2pe_events_poll(struct p2pe_events *events, struct file *filp,
			  struct poll_table_struct *wait);

#endif /* P2PE_CORE_H */
