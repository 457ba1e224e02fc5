// SPDX-License-Identifier: GPL-2.0-only
/*
 * The DMA engine of QEMU's edu device.
 *
 * The engine has one buffer of 4 KiB, at 0x40000 in its own address space. A step
 * copies from a bus address into that buffer ("load") or out of it ("store"):
 * source, destination and count are written, then a command with the run bit,
 * which the device clears when it is done, about 100 ms later. There is no way to
 * abort a step, so the driver waits for the end of each with the engine lock held:
 * whoever holds that lock knows that the engine is idle.
 *
 * A step that doesn't end in time leaves the engine in an unknown state. The
 * function then loses bus mastering for good, which is what makes it safe to
 * unmap what the engine was using. A function that was pulled out reads as all
 * ones, and can't do DMA either.
 */
#include <linux/bitops.h>
#include <linux/io-64-nonatomic-lo-hi.h>
#include <linux/iopoll.h>
#include <linux/lockdep.h>
#include <linux/time64.h>

#include "edu.h"

#define EDU_REG_ID		0x00
#define EDU_REG_DMA_SRC		0x80
#define EDU_REG_DMA_DST		0x88
#define EDU_REG_DMA_COUNT	0x90
#define EDU_REG_DMA_CMD		0x98

#define EDU_ID			0xed
#define EDU_ID_MASK		0xff

#define EDU_CMD_RUN		BIT(0)
#define EDU_CMD_STORE		BIT(1)

#define EDU_BUFFER		0x40000

#define EDU_POLL_US		1000
#define EDU_TIMEOUT_US		(10 * USEC_PER_SEC)

int edu_engine_probe(struct edu *edu)
{
	u32 id = readl(edu->regs + EDU_REG_ID);

	if ((id & EDU_ID_MASK) != EDU_ID)
		return dev_err_probe(&edu->pdev->dev, -ENODEV, "no edu device: id %#x\n", id);
	return 0;
}

static int edu_engine_step(struct edu *edu, u64 src, u64 dst, u32 len, u32 cmd)
{
	u32 val;

	lockdep_assert_held(&edu->engine_lock);

	if (edu->gone)
		return -ENODEV;
	if (edu->stuck)
		return -EIO;

	writeq(src, edu->regs + EDU_REG_DMA_SRC);
	writeq(dst, edu->regs + EDU_REG_DMA_DST);
	writeq(len, edu->regs + EDU_REG_DMA_COUNT);
	writeq(cmd | EDU_CMD_RUN, edu->regs + EDU_REG_DMA_CMD);

	if (read_poll_timeout(readl, val, !(val & EDU_CMD_RUN) || PCI_POSSIBLE_ERROR(val),
			      EDU_POLL_US, EDU_TIMEOUT_US, false, edu->regs + EDU_REG_DMA_CMD)) {
		edu->stuck = true;
		pci_clear_master(edu->pdev);
		dev_err(&edu->pdev->dev, "DMA did not end in %lu s, engine disabled\n",
			EDU_TIMEOUT_US / USEC_PER_SEC);
		return -EIO;
	}
	return PCI_POSSIBLE_ERROR(val) ? -ENODEV : 0;
}

/* Fill the engine's buffer from the bus. */
int edu_engine_load(struct edu *edu, dma_addr_t src, u32 len)
{
	return edu_engine_step(edu, src, EDU_BUFFER, len, 0);
}

/* Write the engine's buffer to the bus. */
int edu_engine_store(struct edu *edu, dma_addr_t dst, u32 len)
{
	return edu_engine_step(edu, EDU_BUFFER, dst, len, EDU_CMD_STORE);
}
