/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * p2pdma_export: slices of a PCI function's memory BARs as revocable DMABUFs.
 *
 * One character device per PCI function, /dev/p2pdma/<dddd:bb:dd.f>. What an
 * open file exported belongs to that file: its last close revokes it all.
 *
 * Rules that hold for every ioctl:
 *
 *  - The argument starts with @argsz, the size of the structure as the caller
 *    was compiled with it. A size below the first published one is -EINVAL. A
 *    larger one than the kernel knows is accepted when the unknown tail is all
 *    zero and is -E2BIG when it isn't. The kernel writes back no more than
 *    @argsz bytes.
 *  - Reserved fields and unknown flag bits must be zero, or the answer is
 *    -EINVAL. An unknown ioctl number is -ENOTTY.
 *  - A file that was opened for reading only can't export with O_RDWR (-EACCES).
 *  - -ENODEV means that the function is gone (unbound, unplugged): the file
 *    can only be closed.
 *  - Nothing has happened when an ioctl fails, unless it says otherwise below.
 */
#ifndef _UAPI_LINUX_P2PDMA_EXPORT_H
#define _UAPI_LINUX_P2PDMA_EXPORT_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define P2PDMA_EXPORT_IOC		0xDB

/* The device nodes live in /dev/P2PDMA_EXPORT_DIR, named by PCI address. */
#define P2PDMA_EXPORT_DIR		"p2pdma"

#define P2PDMA_EXPORT_MAX_BARS		6
#define P2PDMA_EXPORT_MAX_RANGES	512

/* What this kernel part can do (p2pdma_export_info.features). */
/* It knows which importers can be revoked; without it every pin counts as one that can't. */
#define P2PDMA_EXPORT_FEATURE_REVOCABLE_QUERY	(1ULL << 0)
/* The mmap of an export can be write-combining. */
#define P2PDMA_EXPORT_FEATURE_MMAP_WC		(1ULL << 1)
/* P2PDMA_EXPORT_PATH fills map_type. */
#define P2PDMA_EXPORT_FEATURE_MAP_TYPE		(1ULL << 2)

/**
 * enum p2pdma_export_reason - why an export was revoked
 * @P2PDMA_EXPORT_REASON_NONE: it was not
 * @P2PDMA_EXPORT_REASON_IOCTL: its owner asked (P2PDMA_EXPORT_REVOKE)
 * @P2PDMA_EXPORT_REASON_CLOSE: its owner closed the file
 * @P2PDMA_EXPORT_REASON_REMOVE: the driver let go of the function: unbind,
 *	hot unplug, sysfs remove, module unload
 * @P2PDMA_EXPORT_REASON_RESET: the function was reset
 * @P2PDMA_EXPORT_REASON_SUSPEND: the machine or the function was suspended
 * @P2PDMA_EXPORT_REASON_ERROR: PCI error recovery took the function offline
 * @P2PDMA_EXPORT_REASON_SHUTDOWN: the machine goes down
 */
enum p2pdma_export_reason {
	P2PDMA_EXPORT_REASON_NONE = 0,
	P2PDMA_EXPORT_REASON_IOCTL = 1,
	P2PDMA_EXPORT_REASON_CLOSE = 2,
	P2PDMA_EXPORT_REASON_REMOVE = 3,
	P2PDMA_EXPORT_REASON_RESET = 4,
	P2PDMA_EXPORT_REASON_SUSPEND = 5,
	P2PDMA_EXPORT_REASON_ERROR = 6,
	P2PDMA_EXPORT_REASON_SHUTDOWN = 7,
};

/* The BAR can be exported: memory, page aligned, at least one page. */
#define P2PDMA_EXPORT_BAR_EXPORTABLE	(1U << 0)
#define P2PDMA_EXPORT_BAR_64BIT		(1U << 1)
#define P2PDMA_EXPORT_BAR_PREFETCHABLE	(1U << 2)

/**
 * struct p2pdma_export_bar - one BAR of the function
 * @size: bytes; 0 where there is none
 * @flags: P2PDMA_EXPORT_BAR_*
 * @reserved: zero
 */
struct p2pdma_export_bar {
	__aligned_u64 size;
	__u32 flags;
	__u32 reserved;
};

/* The function takes no new exports now: it is being reset or is suspended. */
#define P2PDMA_EXPORT_INFO_QUIESCED	(1U << 0)

/**
 * struct p2pdma_export_info - argument of P2PDMA_EXPORT_INFO
 * @argsz: in: size of this structure as the caller knows it
 * @flags: in: zero; out: P2PDMA_EXPORT_INFO_*
 * @generation: out: grows with each arrival of a function, so that a device
 *	plugged into the slot of another is never taken for it
 * @features: out: P2PDMA_EXPORT_FEATURE_*
 * @domain: out: PCI domain of the function
 * @bus: out: PCI bus number
 * @devfn: out: PCI device << 3 | function
 * @numa_node: out: NUMA node, -1 where unknown
 * @vendor: out: PCI vendor id
 * @device: out: PCI device id
 * @page_size: out: bytes; every offset and length in P2PDMA_EXPORT_EXPORT is a
 *	multiple of it
 * @max_ranges: out: the most ranges that one export may have
 * @nr_exports: out: exports of the whole function that are still there,
 *	revoked ones with an open DMABUF included
 * @reserved: zero
 * @exported_bytes: out: sum of the sizes of those of them that aren't revoked
 * @bars: out: the BARs, by number
 *
 * Needs only an open file. Never blocks for long.
 */
struct p2pdma_export_info {
	__u32 argsz;
	__u32 flags;
	__aligned_u64 generation;
	__aligned_u64 features;
	__u32 domain;
	__u32 bus;
	__u32 devfn;
	__s32 numa_node;
	__u32 vendor;
	__u32 device;
	__u32 page_size;
	__u32 max_ranges;
	__u32 nr_exports;
	__u32 reserved;
	__aligned_u64 exported_bytes;
	struct p2pdma_export_bar bars[P2PDMA_EXPORT_MAX_BARS];
};

/* mmap() of the DMABUF is write-combining; without it uncached. */
#define P2PDMA_EXPORT_F_MMAP_WC			(1U << 0)
/*
 * Importers that can't be revoked may pin, map and vmap this export. Taking the
 * function away then waits for them, without limit and with the PCI core's
 * rescan lock held: hot plug of the whole machine stands still until the process
 * that uses the importer ends. So it is for processes with CAP_SYS_ADMIN, and
 * for all that have the node open where an administrator has written 1 to the
 * device's attribute allow_unrevocable in sysfs; -EPERM for others. That is asked
 * when the export is made: it stays when the attribute is changed back.
 *
 * Only one range that was exported O_RDWR can be vmapped: -EINVAL for others, as
 * without this flag; -EBUSY where one of its pages is mapped through another
 * export with the other cache attribute.
 */
#define P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE	(1U << 1)

/**
 * struct p2pdma_export_range - one page-aligned piece of a BAR
 * @offset: bytes from the start of the BAR, a multiple of the page size
 * @length: bytes, a multiple of the page size, not zero
 */
struct p2pdma_export_range {
	__aligned_u64 offset;
	__aligned_u64 length;
};

/**
 * struct p2pdma_export_export - argument of P2PDMA_EXPORT_EXPORT
 * @argsz: in: size of this structure as the caller knows it
 * @flags: in: P2PDMA_EXPORT_F_*
 * @bar: in: BAR number, below P2PDMA_EXPORT_MAX_BARS
 * @nr_ranges: in: 1 .. P2PDMA_EXPORT_MAX_RANGES
 * @ranges: in: address of @nr_ranges structures p2pdma_export_range. In the
 *	DMABUF they follow each other in this order. They must not overlap.
 * @open_flags: in: O_CLOEXEC and O_RDONLY or O_RDWR for the new descriptor.
 *	O_RDONLY binds the CPU and the importers: a writable mmap and a mapping
 *	that lets a device write are refused (-EACCES). Most RDMA drivers always
 *	map for both directions, so for them such a DMABUF can't be registered.
 * @fd: out: the DMABUF's descriptor, owned by the caller
 * @export_id: out: names this export on this file in the other ioctls; never
 *	reused on one file
 * @reserved: zero
 * @size: out: bytes of the DMABUF
 *
 * Return: 0; -EINVAL for a bad field, a BAR that can't be exported, a range
 * that isn't aligned, overlaps another or passes the end of the BAR; -EPERM
 * for P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE where neither the capability nor the
 * device's attribute allows it; -EBUSY while the function is quiesced; -EMFILE,
 * -ENFILE, -ENOMEM, -EFAULT; -ENODEV.
 */
struct p2pdma_export_export {
	__u32 argsz;
	__u32 flags;
	__u32 bar;
	__u32 nr_ranges;
	__aligned_u64 ranges;
	__u32 open_flags;
	__s32 fd;
	__u32 export_id;
	__u32 reserved;
	__aligned_u64 size;
};

/* Revoke every export of this file; export_id must be zero. */
#define P2PDMA_EXPORT_REVOKE_ALL	(1U << 0)

/**
 * struct p2pdma_export_revoke - argument of P2PDMA_EXPORT_REVOKE
 * @argsz: in: size of this structure as the caller knows it
 * @flags: in: zero or P2PDMA_EXPORT_REVOKE_ALL
 * @export_id: in: which export; zero with P2PDMA_EXPORT_REVOKE_ALL
 * @timeout_ms: in: how long to wait for importers that can't be revoked, if
 *	the export allowed any; 0 doesn't wait
 * @nr_revoked: out: exports that this call revoked; 0 where all already were
 * @nr_mappings: out: device mappings, kernel mappings (vmap) and pins of
 *	importers that can't be revoked, in all exports named, that were alive
 *	before the call and no longer are
 * @nr_remaining: out: those that are still alive; always 0 unless an export
 *	allowed importers that can't be revoked
 * @reserved: zero
 * @duration_ns: out: time from the mark to the last mapping gone (or the
 *	time-out)
 *
 * Synchronous and idempotent: when it returns 0, no device and no CPU reaches
 * the memory through these exports, and none will again; waiting for an
 * importer that is revocable can't be interrupted. After -EBUSY (mappings
 * remain when the time-out is over) or -EINTR (a signal came in that wait) the
 * exports are revoked all the same, the outputs are valid, and calling again
 * waits again.
 *
 * Return: 0; -ENOENT for an unknown id; -EBUSY; -EINTR; -EINVAL. Works after
 * the function has gone, too.
 */
struct p2pdma_export_revoke {
	__u32 argsz;
	__u32 flags;
	__u32 export_id;
	__u32 timeout_ms;
	__u32 nr_revoked;
	__u32 nr_mappings;
	__u32 nr_remaining;
	__u32 reserved;
	__aligned_u64 duration_ns;
};

/**
 * enum p2pdma_export_state - where an export stands
 * @P2PDMA_EXPORT_STATE_ACTIVE: importers may map it
 * @P2PDMA_EXPORT_STATE_REVOKING: revoked, with mappings still alive
 * @P2PDMA_EXPORT_STATE_REVOKED: revoked, and nothing reaches the memory
 */
enum p2pdma_export_state {
	P2PDMA_EXPORT_STATE_ACTIVE = 0,
	P2PDMA_EXPORT_STATE_REVOKING = 1,
	P2PDMA_EXPORT_STATE_REVOKED = 2,
};

/**
 * struct p2pdma_export_status - argument of P2PDMA_EXPORT_STATUS
 * @argsz: in: size of this structure as the caller knows it
 * @flags: in: zero; out: the P2PDMA_EXPORT_F_* it was made with
 * @export_id: in: which export of this file
 * @state: out: enum p2pdma_export_state
 * @reason: out: enum p2pdma_export_reason
 * @nr_attachments: out: devices attached
 * @nr_mappings: out: live device mappings
 * @nr_unrevocable: out: those of @nr_mappings, @nr_pins and @nr_vmaps whose
 *	holder can't be revoked
 * @nr_pins: out: pins
 * @nr_vmaps: out: kernel mappings; the DMABUF's users share one
 * @size: out: bytes of the DMABUF
 * @mapped_bytes: out: bytes of the DMABUF times live device mappings
 * @revoke_ns: out: how long the revocation took; 0 before its end
 *
 * Return: 0; -ENOENT for an unknown id, or one whose DMABUF has been closed by
 * its last user; -EINVAL. Works after the function has gone, too.
 */
struct p2pdma_export_status {
	__u32 argsz;
	__u32 flags;
	__u32 export_id;
	__u32 state;
	__u32 reason;
	__u32 nr_attachments;
	__u32 nr_mappings;
	__u32 nr_unrevocable;
	__u32 nr_pins;
	__u32 nr_vmaps;
	__aligned_u64 size;
	__aligned_u64 mapped_bytes;
	__aligned_u64 revoke_ns;
};

/**
 * enum p2pdma_export_map_type - what the kernel would do for a client
 * @P2PDMA_EXPORT_MAP_UNKNOWN: it can be mapped, how isn't known
 * @P2PDMA_EXPORT_MAP_NOT_SUPPORTED: no mapping
 * @P2PDMA_EXPORT_MAP_BUS_ADDR: peer to peer below a common switch
 * @P2PDMA_EXPORT_MAP_THRU_HOST_BRIDGE: through the host bridge
 */
enum p2pdma_export_map_type {
	P2PDMA_EXPORT_MAP_UNKNOWN = 0,
	P2PDMA_EXPORT_MAP_NOT_SUPPORTED = 1,
	P2PDMA_EXPORT_MAP_BUS_ADDR = 2,
	P2PDMA_EXPORT_MAP_THRU_HOST_BRIDGE = 3,
};

/**
 * struct p2pdma_export_path - argument of P2PDMA_EXPORT_PATH
 * @argsz: in: size of this structure as the caller knows it
 * @flags: in: zero
 * @client_domain: in: PCI domain of the would-be importer
 * @client_bus: in: its bus number, below 256
 * @client_devfn: in: its device << 3 | function, below 256
 * @distance: out: hops by the kernel's own count, -1 where it would not map
 * @map_type: out: enum p2pdma_export_map_type
 * @reserved: zero
 *
 * Return: 0, also where the answer is "no"; -ENXIO when there is no such
 * client function; -EINVAL; -ENODEV.
 */
struct p2pdma_export_path {
	__u32 argsz;
	__u32 flags;
	__u32 client_domain;
	__u32 client_bus;
	__u32 client_devfn;
	__s32 distance;
	__u32 map_type;
	__u32 reserved;
};

/**
 * struct p2pdma_export_eventfd - argument of P2PDMA_EXPORT_SET_EVENTFD
 * @argsz: in: size of this structure as the caller knows it
 * @flags: in: zero
 * @fd: in: an eventfd that is signalled once for each event, or -1 for none.
 *	It replaces the one before. Events are read from the file either way.
 * @reserved: zero
 *
 * Return: 0; -EBADF or -EINVAL when @fd isn't an eventfd.
 */
struct p2pdma_export_eventfd {
	__u32 argsz;
	__u32 flags;
	__s32 fd;
	__u32 reserved;
};

/**
 * enum p2pdma_export_event_type - what happened
 * @P2PDMA_EXPORT_EVENT_ATTACHED: a device attached to an export
 * @P2PDMA_EXPORT_EVENT_DETACHED: a device detached
 * @P2PDMA_EXPORT_EVENT_REVOKED: an export was revoked and nothing reaches its
 *	memory any more
 * @P2PDMA_EXPORT_EVENT_REMOVAL_PENDING: the function is to go and waits for an
 *	importer that can't be revoked; once for each export that holds it up
 * @P2PDMA_EXPORT_EVENT_GONE: the function is gone
 */
enum p2pdma_export_event_type {
	P2PDMA_EXPORT_EVENT_ATTACHED = 1,
	P2PDMA_EXPORT_EVENT_DETACHED = 2,
	P2PDMA_EXPORT_EVENT_REVOKED = 3,
	P2PDMA_EXPORT_EVENT_REMOVAL_PENDING = 4,
	P2PDMA_EXPORT_EVENT_GONE = 5,
};

/* client_domain, client_bus and client_devfn name a PCI function. */
#define P2PDMA_EXPORT_EVENT_HAS_CLIENT	(1U << 0)

/**
 * struct p2pdma_export_event - what read() of the device file gives
 * @size: bytes of this record; the next one starts after them
 * @type: enum p2pdma_export_event_type
 * @flags: P2PDMA_EXPORT_EVENT_HAS_CLIENT
 * @export_id: the export, or 0 for the function as a whole
 * @reason: enum p2pdma_export_reason
 * @lost: events dropped just before this one because nobody read them. Those of
 *	attaching and detaching go first: they can't push out the others
 * @client_domain: PCI domain of the importer
 * @client_bus: its bus number
 * @client_devfn: its device << 3 | function
 * @reserved: zero
 * @time_ns: CLOCK_MONOTONIC
 *
 * read() gives whole records, as many as fit, at least one; it blocks unless
 * O_NONBLOCK is set (-EAGAIN), -EINVAL for a buffer below one record, and 0
 * once the function is gone and all has been read. poll(): EPOLLIN while there
 * is a record, and EPOLLHUP once the function is gone.
 */
struct p2pdma_export_event {
	__u32 size;
	__u32 type;
	__u32 flags;
	__u32 export_id;
	__u32 reason;
	__u32 lost;
	__u32 client_domain;
	__u32 client_bus;
	__u32 client_devfn;
	__u32 reserved;
	__aligned_u64 time_ns;
};

#define P2PDMA_EXPORT_INFO		_IO(P2PDMA_EXPORT_IOC, 0x00)
#define P2PDMA_EXPORT_EXPORT		_IO(P2PDMA_EXPORT_IOC, 0x01)
#define P2PDMA_EXPORT_REVOKE		_IO(P2PDMA_EXPORT_IOC, 0x02)
#define P2PDMA_EXPORT_STATUS		_IO(P2PDMA_EXPORT_IOC, 0x03)
#define P2PDMA_EXPORT_PATH		_IO(P2PDMA_EXPORT_IOC, 0x04)
#define P2PDMA_EXPORT_SET_EVENTFD	_IO(P2PDMA_EXPORT_IOC, 0x05)

#endif /* _UAPI_LINUX_P2PDMA_EXPORT_H */
