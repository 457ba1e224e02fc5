// SPDX-License-Identifier: GPL-2.0-only
/*
 * One open of a device node.
 *
 * A file owns the exports made through it: its last close revokes them. It may
 * outlive the function; then revoke, status and the events that are left still
 * work, and the rest says -ENODEV.
 */
#include <linux/fs.h>
#include <linux/slab.h>

#include "core.h"

static int p2pe_open(struct inode *inode, struct file *filp)
{
	struct p2pdma_export_dev *pe = p2pe_device_open(inode->i_cdev);
	struct p2pe_file *file;
	int ret = 0;

	file = kzalloc_obj(*file, GFP_KERNEL_ACCOUNT);
	if (!file)
		return -ENOMEM;
	file->events = p2pe_events_new();
	if (!file->events) {
		kfree(file);
		return -ENOMEM;
	}
	file->pe = pe;
	xa_init(&file->exports);

	mutex_lock(&pe->lock);
	if (pe->is_gone)
		ret = -ENODEV;
	else
		list_add_tail(&file->entry, &pe->files);
	mutex_unlock(&pe->lock);
	if (ret) {
		p2pe_events_unref(file->events);
		kfree(file);
		return ret;
	}
	get_device(&pe->dev);
	filp->private_data = file;
	return stream_open(inode, filp);
}

static int p2pe_release(struct inode *inode, struct file *filp)
{
	struct p2pe_file *file = filp->private_data;
	struct p2pdma_export_dev *pe = file->pe;

	p2pe_revoke_file(file);
	mutex_lock(&pe->lock);
	list_del(&file->entry);
	mutex_unlock(&pe->lock);
	xa_destroy(&file->exports);
	p2pe_events_unref(file->events);
	kfree(file);
	put_device(&pe->dev);
	return 0;
}

static ssize_t p2pe_read(struct file *filp, char __user *buf, size_t len, loff_t *pos)
{
	struct p2pe_file *file = filp->private_data;

	return p2pe_events_read(file->events, buf, len, filp->f_flags & O_NONBLOCK);
}

static __poll_t p2pe_poll(struct file *filp, struct poll_table_struct *wait)
{
	struct p2pe_file *file = filp->private_data;

	return p2pe_events_poll(file->events, filp, wait);
}

const struct file_operations p2pe_fops = {
	.owner = THIS_MODULE,
	.open = p2pe_open,
	.release = p2pe_release,
	.read = p2pe_read,
	.poll = p2pe_poll,
	.unlocked_ioctl = p2pe_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};
