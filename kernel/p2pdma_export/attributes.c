// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an administrator sets for one device, in sysfs.
 *
 * allow_unrevocable is the permission to let in importers that can't be revoked.
 * They can hold up hot plug of the whole machine, so nobody has it by being able to open
 * the node: it takes CAP_SYS_ADMIN, or this attribute, which takes CAP_SYS_ADMIN to
 * set. It belongs to the registration: a function that is bound again begins
 * without it, and who wants it for good has udev set it. Exports that were made
 * under it stay when it is taken away.
 *
 * The attributes are there before the uevent of the device is.
 */
#include <linux/capability.h>
#include <linux/device.h>
#include <linux/kstrtox.h>
#include <linux/sysfs.h>

#include "core.h"

static ssize_t allow_unrevocable_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct p2pdma_export_dev *pe = container_of(dev, struct p2pdma_export_dev, dev);
	bool is_allowed;

	mutex_lock(&pe->lock);
	is_allowed = pe->allows_unrevocable;
	mutex_unlock(&pe->lock);
	return sysfs_emit(buf, "%d\n", is_allowed);
}

static ssize_t allow_unrevocable_store(struct device *dev, struct device_attribute *attr,
				       const char *buf, size_t count)
{
	struct p2pdma_export_dev *pe = container_of(dev, struct p2pdma_export_dev, dev);
	bool is_allowed;
	int ret;

	/* To root that has lost its capabilities the file still belongs. */
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	ret = kstrtobool(buf, &is_allowed);
	if (ret)
		return ret;
	mutex_lock(&pe->lock);
	pe->allows_unrevocable = is_allowed;
	mutex_unlock(&pe->lock);
	return count;
}
static DEVICE_ATTR_RW(allow_unrevocable);

static struct attribute *p2pe_attrs[] = {
	&dev_attr_allow_unrevocable.attr,
	NULL
};

static const struct attribute_group p2pe_group = {
	.attrs = p2pe_attrs,
};

const struct attribute_group *p2pe_groups[] = {
	&p2pe_group,
	NULL
};
