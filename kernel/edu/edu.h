/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of p2pdma_edu share. */
#ifndef EDU_H
#define EDU_H

#include <linux/cdev.h>
#include <linux/device.h>
#include <linux/dma-buf.h>
#include <linux/iosys-map.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/pci.h>
#include <linux/slab.h>

#include "p2pdma_edu.h"

/* Before 7.1 the callback had another name, and an importer had to have one. */
#ifndef P2PDMA_HAVE_INVALIDATE_MAPPINGS
#define invalidate_mappings	move_notify
#endif

#ifndef kzalloc_obj
#define kzalloc_obj(obj)	kzalloc(sizeof(obj), GFP_KERNEL)
#endif

/**
 * struct edu - one edu function
 * @dev: the character device; its last reference frees this
 * @cdev: see above
 * @pdev: the function, borrowed: not to be touched once @gone
 * @regs: BAR 0, unmapped after remove()
 * @ram: coherent buffer of P2PDMA_EDU_STEP_BYTES
 * @ram_dma: its address for the engine
 * @files_lock: guards @files, and @gone against open()
 * @files: the open files
 * @engine_lock: held through a step of the engine; guards @gone, @stuck, @ram and,
 *	in every file, what the engine reads
 * @gone: remove() has begun
 * @stuck: the engine did not finish a step; it is off the bus
 */
struct edu {
	struct device dev;
	struct cdev cdev;
	struct pci_dev *pdev;
	void __iomem *regs;
	void *ram;
	dma_addr_t ram_dma;
	struct mutex files_lock;	/* see above */
	struct list_head files;
	struct mutex engine_lock;	/* see above */
	bool gone;
	bool stuck;
};

/**
 * struct edu_file - one open file, the DMABUF attached through it, and the one vmapped
 * @edu: borrowed; the open file's cdev keeps it
 * @link: in edu->files
 * @lock: serialises attach, detach and DMA of this file; guards @vmapped and @vmap
 * @bounce: P2PDMA_EDU_STEP_BYTES on the way from or to user memory
 * @attach: the attachment, owned, or NULL
 * @access: what it was attached for
 * @pinned: a pin is held
 * @sgt: the mapping, owned, or NULL; changed under the reservation lock of the
 *	DMABUF and the engine lock, so that either will do for reading
 * @revoked: the exporter took @sgt back
 * @nr_steps: steps that the engine made
 * @vmapped: the DMABUF that @vmap maps, a reference, or NULL
 * @vmap: its kernel mapping, owned
 */
struct edu_file {
	struct edu *edu;
	struct list_head link;
	struct mutex lock;	/* see above */
	void *bounce;
	struct dma_buf_attachment *attach;
	u32 access;
	bool pinned;
	struct sg_table *sgt;
	bool revoked;
	u64 nr_steps;
	struct dma_buf *vmapped;
	struct iosys_map vmap;
};

int edu_engine_probe(struct edu *edu);
int edu_engine_load(struct edu *edu, dma_addr_t src, u32 len);
int edu_engine_store(struct edu *edu, dma_addr_t dst, u32 len);

int edu_peer_attach(struct edu_file *file, struct p2pdma_edu_attach *arg);
int edu_peer_dma(struct edu_file *file, struct p2pdma_edu_dma *arg);
void edu_peer_status(struct edu_file *file, struct p2pdma_edu_status *arg);
void edu_peer_detach(struct edu_file *file);

long edu_ioctl_vmap(struct edu_file *file, void *data);
long edu_ioctl_vmap_copy(struct edu_file *file, void *data);
long edu_ioctl_vunmap(struct edu_file *file);
void edu_vmap_end(struct edu_file *file);

#endif /* EDU_H */
