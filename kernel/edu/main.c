// SPDX-License-Identifier: GPL-2.0-only
/*
 * p2pdma_edu: QEMU's edu device as a DMABUF importer with a real DMA engine.
 *
 * For tests only. It binds every edu function (1234:11e8), gives each a character
 * device and lets the engine read and write a DMABUF that someone else exported,
 * so that peer-to-peer mappings of every kind can be shown to work, and to stop
 * working when they are revoked, by a device and not by a CPU playing one.
 *
 * The character device outlives the function: an open file holds the cdev, which
 * holds edu->dev, whose last reference frees struct edu. remove() marks it gone,
 * waits for the step in progress and detaches what the open files have attached;
 * from then on they can only be closed.
 *
 * QEMU's device masks DMA addresses with its dma_mask property, 28 bits unless
 * told otherwise: give it dma_mask=0xffffffffffffffff, or load this module with
 * dma_bits=28.
 */
#include <linux/dma-mapping.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/module.h>
#include <linux/sizes.h>
#include <linux/uaccess.h>

#include "edu.h"

#define EDU_VENDOR	0x1234
#define EDU_DEVICE	0x11e8
#define EDU_MINORS	64

static unsigned int dma_bits = 64;
module_param(dma_bits, uint, 0444);
MODULE_PARM_DESC(dma_bits, "address bits that the device's dma_mask property lets through");

static dev_t edu_devt;
static DEFINE_IDA(edu_minors);

static char *edu_devnode(const struct device *dev, umode_t *mode)
{
	if (mode)
		*mode = 0600;
	return kasprintf(GFP_KERNEL, P2PDMA_EDU_DIR "/%s", dev_name(dev));
}

static const struct class edu_class = {
	.name = "p2pdma_edu",
	.devnode = edu_devnode,
};

static int edu_open(struct inode *inode, struct file *filp)
{
	struct edu *edu = container_of(inode->i_cdev, struct edu, cdev);
	struct edu_file *file;
	int ret = 0;

	file = kzalloc_obj(*file);
	if (!file)
		return -ENOMEM;
	file->bounce = kmalloc(P2PDMA_EDU_STEP_BYTES, GFP_KERNEL);
	if (!file->bounce) {
		kfree(file);
		return -ENOMEM;
	}
	file->edu = edu;
	mutex_init(&file->lock);

	mutex_lock(&edu->files_lock);
	if (edu->gone)
		ret = -ENODEV;
	else
		list_add(&file->link, &edu->files);
	mutex_unlock(&edu->files_lock);

	if (ret) {
		kfree(file->bounce);
		kfree(file);
		return ret;
	}
	filp->private_data = file;
	return nonseekable_open(inode, filp);
}

static int edu_release(struct inode *inode, struct file *filp)
{
	struct edu_file *file = filp->private_data;
	struct edu *edu = file->edu;

	mutex_lock(&edu->files_lock);
	list_del(&file->link);
	mutex_unlock(&edu->files_lock);

	mutex_lock(&file->lock);
	if (file->attach)
		edu_peer_detach(file);
	if (file->vmapped)
		edu_vmap_end(file);
	mutex_unlock(&file->lock);

	kfree(file->bounce);
	kfree(file);
	return 0;
}

static long edu_ioctl_attach(struct edu_file *file, void *data)
{
	struct p2pdma_edu_attach *arg = data;
	long ret;

	if (arg->flags & ~P2PDMA_EDU_ATTACH_PIN || arg->reserved || !arg->access ||
	    arg->access & ~(P2PDMA_EDU_READ | P2PDMA_EDU_WRITE))
		return -EINVAL;

	mutex_lock(&file->lock);
	ret = edu_peer_attach(file, arg);
	mutex_unlock(&file->lock);
	return ret;
}

static long edu_ioctl_dma(struct edu_file *file, void *data)
{
	struct p2pdma_edu_dma *arg = data;
	long ret;

	arg->done = 0;
	if (arg->flags & ~P2PDMA_EDU_DMA_INTERNAL || arg->reserved || !arg->length ||
	    (arg->access != P2PDMA_EDU_READ && arg->access != P2PDMA_EDU_WRITE) ||
	    !(arg->flags & P2PDMA_EDU_DMA_INTERNAL) == !arg->user)
		return -EINVAL;

	ret = mutex_lock_interruptible(&file->lock);
	if (ret)
		return ret;
	ret = edu_peer_dma(file, arg);
	mutex_unlock(&file->lock);
	return ret;
}

static long edu_ioctl_status(struct edu_file *file, void *data)
{
	struct p2pdma_edu_status *arg = data;

	if (arg->flags)
		return -EINVAL;
	arg->nr_entries = 0;
	arg->dma_addr = 0;
	arg->dma_len = 0;
	edu_peer_status(file, arg);
	return 0;
}

/* The whole argument of each is published at once, so its size is the smallest one. */
static const struct {
	long (*handler)(struct edu_file *file, void *data);
	u32 size;
} edu_ioctls[] = {
	[_IOC_NR(P2PDMA_EDU_ATTACH)] = { edu_ioctl_attach, sizeof(struct p2pdma_edu_attach) },
	[_IOC_NR(P2PDMA_EDU_DMA)] = { edu_ioctl_dma, sizeof(struct p2pdma_edu_dma) },
	[_IOC_NR(P2PDMA_EDU_STATUS)] = { edu_ioctl_status, sizeof(struct p2pdma_edu_status) },
	[_IOC_NR(P2PDMA_EDU_VMAP)] = { edu_ioctl_vmap, sizeof(struct p2pdma_edu_vmap) },
	[_IOC_NR(P2PDMA_EDU_VMAP_COPY)] = { edu_ioctl_vmap_copy,
					    sizeof(struct p2pdma_edu_vmap_copy) },
};

union edu_ioctl_arg {
	u32 argsz;
	struct p2pdma_edu_attach attach;
	struct p2pdma_edu_dma dma;
	struct p2pdma_edu_status status;
	struct p2pdma_edu_vmap vmap;
	struct p2pdma_edu_vmap_copy vmap_copy;
};

static long edu_detach(struct edu_file *file, unsigned long arg)
{
	long ret = -ENOENT;

	if (arg)
		return -EINVAL;
	mutex_lock(&file->lock);
	if (file->attach) {
		edu_peer_detach(file);
		ret = 0;
	}
	mutex_unlock(&file->lock);
	return ret;
}

static long edu_ioctl(struct file *filp, unsigned int cmd, unsigned long uarg)
{
	void __user *user = (void __user *)uarg;
	unsigned int nr = _IOC_NR(cmd);
	union edu_ioctl_arg arg = {};
	u32 argsz, size;
	long ret;

	if (cmd == P2PDMA_EDU_DETACH)
		return edu_detach(filp->private_data, uarg);
	if (cmd == P2PDMA_EDU_VUNMAP)
		return uarg ? -EINVAL : edu_ioctl_vunmap(filp->private_data);
	if (cmd != _IO(P2PDMA_EDU_IOC, nr) || nr >= ARRAY_SIZE(edu_ioctls) ||
	    !edu_ioctls[nr].handler)
		return -ENOTTY;

	size = edu_ioctls[nr].size;
	if (get_user(argsz, (u32 __user *)user))
		return -EFAULT;
	if (argsz < size)
		return -EINVAL;
	ret = copy_struct_from_user(&arg, size, user, argsz);
	if (ret)
		return ret;

	ret = edu_ioctls[nr].handler(filp->private_data, &arg);

	/* What moves bytes tells after a failure, too, how far it came. */
	if ((!ret || cmd == P2PDMA_EDU_DMA || cmd == P2PDMA_EDU_VMAP_COPY) &&
	    copy_to_user(user, &arg, size))
		return -EFAULT;
	return ret;
}

static const struct file_operations edu_fops = {
	.owner = THIS_MODULE,
	.open = edu_open,
	.release = edu_release,
	.unlocked_ioctl = edu_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static void edu_free(struct device *dev)
{
	struct edu *edu = container_of(dev, struct edu, dev);

	ida_free(&edu_minors, MINOR(dev->devt));
	mutex_destroy(&edu->files_lock);
	mutex_destroy(&edu->engine_lock);
	kfree(edu);
}

/* From here on edu->dev counts the references: undone by put_device(). */
static struct edu *edu_new(struct pci_dev *pdev)
{
	struct edu *edu;
	int minor;

	edu = kzalloc_obj(*edu);
	if (!edu)
		return ERR_PTR(-ENOMEM);
	minor = ida_alloc_max(&edu_minors, EDU_MINORS - 1, GFP_KERNEL);
	if (minor < 0) {
		kfree(edu);
		return ERR_PTR(minor);
	}
	edu->pdev = pdev;
	mutex_init(&edu->files_lock);
	mutex_init(&edu->engine_lock);
	INIT_LIST_HEAD(&edu->files);
	cdev_init(&edu->cdev, &edu_fops);
	edu->cdev.owner = THIS_MODULE;

	device_initialize(&edu->dev);
	edu->dev.class = &edu_class;
	edu->dev.parent = &pdev->dev;
	edu->dev.devt = MKDEV(MAJOR(edu_devt), minor);
	edu->dev.release = edu_free;
	return edu;
}

static int edu_setup(struct edu *edu)
{
	struct pci_dev *pdev = edu->pdev;
	int ret;

	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(dma_bits));
	if (ret)
		return ret;
	edu->regs = pcim_iomap_region(pdev, 0, "p2pdma_edu");
	if (IS_ERR(edu->regs))
		return PTR_ERR(edu->regs);
	ret = edu_engine_probe(edu);
	if (ret)
		return ret;
	edu->ram = dmam_alloc_coherent(&pdev->dev, P2PDMA_EDU_STEP_BYTES, &edu->ram_dma,
				       GFP_KERNEL);
	if (!edu->ram)
		return -ENOMEM;
	pci_set_master(pdev);

	ret = dev_set_name(&edu->dev, "%s", pci_name(pdev));
	if (ret)
		return ret;
	return cdev_device_add(&edu->cdev, &edu->dev);
}

static int edu_probe(struct pci_dev *pdev, const struct pci_device_id *id)
{
	struct edu *edu;
	int ret;

	ret = pcim_enable_device(pdev);
	if (ret)
		return ret;
	edu = edu_new(pdev);
	if (IS_ERR(edu))
		return PTR_ERR(edu);
	ret = edu_setup(edu);
	if (ret) {
		pci_clear_master(pdev);
		put_device(&edu->dev);
		return ret;
	}
	pci_set_drvdata(pdev, edu);
	return 0;
}

static void edu_remove(struct pci_dev *pdev)
{
	struct edu *edu = pci_get_drvdata(pdev);
	struct edu_file *file;

	cdev_device_del(&edu->cdev, &edu->dev);

	mutex_lock(&edu->files_lock);
	/* The engine lock waits for the step in progress; there is no next one. */
	mutex_lock(&edu->engine_lock);
	WRITE_ONCE(edu->gone, true);
	mutex_unlock(&edu->engine_lock);
	list_for_each_entry(file, &edu->files, link) {
		mutex_lock(&file->lock);
		if (file->attach)
			edu_peer_detach(file);
		mutex_unlock(&file->lock);
	}
	mutex_unlock(&edu->files_lock);

	pci_clear_master(pdev);
	put_device(&edu->dev);
}

static const struct pci_device_id edu_ids[] = {
	{ PCI_DEVICE(EDU_VENDOR, EDU_DEVICE) },
	{ }
};
MODULE_DEVICE_TABLE(pci, edu_ids);

static struct pci_driver edu_driver = {
	.name = "p2pdma_edu",
	.id_table = edu_ids,
	.probe = edu_probe,
	.remove = edu_remove,
};

static int __init edu_init(void)
{
	int ret;

	if (dma_bits < 28 || dma_bits > 64)
		return -EINVAL;
	ret = class_register(&edu_class);
	if (ret)
		return ret;
	ret = alloc_chrdev_region(&edu_devt, 0, EDU_MINORS, "p2pdma_edu");
	if (ret)
		goto err_class;
	ret = pci_register_driver(&edu_driver);
	if (ret)
		goto err_region;
	return 0;

err_region:
	unregister_chrdev_region(edu_devt, EDU_MINORS);
err_class:
	class_unregister(&edu_class);
	return ret;
}

static void __exit edu_exit(void)
{
	pci_unregister_driver(&edu_driver);
	unregister_chrdev_region(edu_devt, EDU_MINORS);
	class_unregister(&edu_class);
	ida_destroy(&edu_minors);
}

module_init(edu_init);
module_exit(edu_exit);

MODULE_DESCRIPTION("QEMU edu device as a DMABUF importer, for tests");
MODULE_LICENSE("GPL");
MODULE_IMPORT_NS("DMA_BUF");
