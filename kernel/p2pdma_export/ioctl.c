// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ioctls: one table, one way in, one way out.
 *
 * Every argument starts with its size. What comes in is copied with
 * copy_struct_from_user(), so that callers older and newer than this kernel
 * both work, and what goes out is cut to the caller's size. A handler sees only
 * kernel memory. A new DMABUF gets its descriptor after everything that can fail.
 */
#include <linux/file.h>
#include <linux/uaccess.h>

#include "core.h"

union p2pe_arg {
	u32 argsz;
	struct p2pdma_export_info info;
	struct p2pdma_export_export export;
	struct p2pdma_export_revoke revoke;
	struct p2pdma_export_status status;
	struct p2pdma_export_path path;
	struct p2pdma_export_eventfd eventfd;
};

/**
 * struct p2pe_call - one ioctl in progress
 * @file: the open file
 * @can_write: it was opened for writing
 * @arg: the argument; what it holds at the end goes back to the caller
 * @dmabuf: a new DMABUF to be published as descriptor arg.export.fd
 * @has_reply: the argument goes back although the call failed
 */
struct p2pe_call {
	struct p2pe_file *file;
	bool can_write;
	union p2pe_arg arg;
	struct dma_buf *dmabuf;
	bool has_reply;
};

static int p2pe_ioctl_info(struct p2pe_call *call)
{
	return p2pe_info(call->file, &call->arg.info);
}

static int p2pe_ioctl_export(struct p2pe_call *call)
{
	struct p2pdma_export_export *arg = &call->arg.export;
	struct dma_buf *dmabuf;
	int fd;

	if (arg->reserved || arg->open_flags & ~(O_ACCMODE | O_CLOEXEC) ||
	    ((arg->open_flags & O_ACCMODE) != O_RDONLY && (arg->open_flags & O_ACCMODE) != O_RDWR))
		return -EINVAL;
	if (!call->can_write && (arg->open_flags & O_ACCMODE) != O_RDONLY)
		return -EACCES;
	dmabuf = p2pe_export_new(call->file, arg);
	if (IS_ERR(dmabuf))
		return PTR_ERR(dmabuf);
	fd = get_unused_fd_flags(arg->open_flags & O_CLOEXEC);
	if (fd < 0) {
		dma_buf_put(dmabuf);
		return fd;
	}
	arg->fd = fd;
	call->dmabuf = dmabuf;
	return 0;
}

static int p2pe_ioctl_revoke(struct p2pe_call *call)
{
	int ret = p2pe_revoke(call->file, &call->arg.revoke);

	call->has_reply = ret == -EBUSY || ret == -EINTR;
	return ret;
}

static int p2pe_ioctl_status(struct p2pe_call *call)
{
	return p2pe_export_status(call->file, &call->arg.status);
}

static int p2pe_ioctl_path(struct p2pe_call *call)
{
	return p2pe_path(call->file, &call->arg.path);
}

static int p2pe_ioctl_set_eventfd(struct p2pe_call *call)
{
	struct p2pdma_export_eventfd *arg = &call->arg.eventfd;

	if (arg->flags || arg->reserved)
		return -EINVAL;
	return p2pe_events_set_eventfd(call->file->events, arg->fd);
}

/* The sizes are those of the first published version and never change. */
static const struct p2pe_ioctl_op {
	unsigned int cmd;
	size_t size;
	size_t min_size;
	int (*run)(struct p2pe_call *call);
} p2pe_ioctl_ops[] = {
	{ P2PDMA_EXPORT_INFO, sizeof(struct p2pdma_export_info),
	  offsetofend(struct p2pdma_export_info, bars), p2pe_ioctl_info },
	{ P2PDMA_EXPORT_EXPORT, sizeof(struct p2pdma_export_export),
	  offsetofend(struct p2pdma_export_export, size), p2pe_ioctl_export },
	{ P2PDMA_EXPORT_REVOKE, sizeof(struct p2pdma_export_revoke),
	  offsetofend(struct p2pdma_export_revoke, duration_ns), p2pe_ioctl_revoke },
	{ P2PDMA_EXPORT_STATUS, sizeof(struct p2pdma_export_status),
	  offsetofend(struct p2pdma_export_status, revoke_ns), p2pe_ioctl_status },
	{ P2PDMA_EXPORT_PATH, sizeof(struct p2pdma_export_path),
	  offsetofend(struct p2pdma_export_path, reserved), p2pe_ioctl_path },
	{ P2PDMA_EXPORT_SET_EVENTFD, sizeof(struct p2pdma_export_eventfd),
	  offsetofend(struct p2pdma_export_eventfd, reserved), p2pe_ioctl_set_eventfd },
};

static const struct p2pe_ioctl_op *p2pe_ioctl_find(unsigned int cmd)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(p2pe_ioctl_ops); i++)
		if (p2pe_ioctl_ops[i].cmd == cmd)
			return &p2pe_ioctl_ops[i];
	return NULL;
}

long p2pe_ioctl(struct file *filp, unsigned int cmd, unsigned long user_arg)
{
	struct p2pe_call call = {
		.file = filp->private_data,
		.can_write = filp->f_mode & FMODE_WRITE,
	};
	void __user *uarg = (void __user *)user_arg;
	const struct p2pe_ioctl_op *op;
	u32 argsz;
	int ret;

	op = p2pe_ioctl_find(cmd);
	if (!op)
		return -ENOTTY;
	if (get_user(argsz, (u32 __user *)uarg))
		return -EFAULT;
	if (argsz < op->min_size)
		return -EINVAL;
	if (argsz > PAGE_SIZE)
		return -E2BIG;
	ret = copy_struct_from_user(&call.arg, op->size, uarg, argsz);
	if (ret)
		return ret;
	/* Another thread may have changed it between the two reads. */
	call.arg.argsz = argsz;

	ret = op->run(&call);
	if (ret && !call.has_reply)
		return ret;
	if (copy_to_user(uarg, &call.arg, min_t(size_t, argsz, op->size)))
		ret = -EFAULT;
	if (call.dmabuf) {
		if (ret) {
			put_unused_fd(call.arg.export.fd);
			dma_buf_put(call.dmabuf);
		} else {
			/* Hands the reference over to the descriptor. */
			fd_install(call.arg.export.fd, call.dmabuf->file);
		}
	}
	return ret;
}
