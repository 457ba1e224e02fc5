// SPDX-License-Identifier: MIT
/*
 * The `p2pmem` backend: memory with struct pages, which a process maps from p2pmem/allocate in the
 * function's sysfs directory.
 *
 * There is no DMABUF of it, and nobody can map it into another process. So what a lease hands out
 * is the file itself, and that is more than a slice: whoever has it allocates any amount, for as
 * long as the driver stays, also after the lease, and finds there what the last one left. It can't
 * be taken back. Hence a lease is of the whole pool, for one at a time, for those whom policy lets
 * have what can't be taken back (unrevocable = yes), and says that nothing of it can be forced.
 *
 * What can be seen is how much of the pool is free, and not who has the rest: processes, or the driver
 * itself (NVMe drives have queues there), for which an administrator says how much that may be. A pool with
 * more out than that isn't leased: somebody has memory of it from before, and p2pd may not even
 * know of a lease that it came with, since its journal can be lost. A lease that is over ends when as much is
 * free again as when it was granted, or no more out than the driver may have; until then nobody else gets
 * the pool. The first of these numbers, in pages, is the lease's export id, so that the next p2pd goes on
 * with it. Only the driver's leaving (an unbind, a hot unplug) takes all from everybody, by the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker/broker.h"
#include "common/cleanup.h"
#include "common/pci_memory.h"
#include "common/sys.h"
#include "provider/paths.h"
#include "report/log.h"
#include "p2pmem.h"

struct p2pmem_source {
	struct device device; /* its fd: none */
	struct broker *broker;
	int sysfs_fd;
	ino_t inode; /* of the file: which pool it is */
};

static struct p2pmem_source *p2pmem_of(struct device *device)
{
	return list_entry(device, struct p2pmem_source, device);
}

static void file_path(const struct pci_address *address, char *path, size_t size)
{
	char name[PCI_ADDRESS_SIZE];

	pci_address_format(address, name);
	snprintf(path, size, "bus/pci/devices/%s/p2pmem/allocate", name);
}

static int inode_query(int sysfs_fd, const struct pci_address *address, ino_t *ret_inode)
{
	struct stat status;
	char path[80];

	file_path(address, path, sizeof(path));
	if (fstatat(sysfs_fd, path, &status, 0) < 0)
		return -errno;
	*ret_inode = status.st_ino;
	return 0;
}

/* -ENODEV: the pool that it was has gone. */
static int query(const struct p2pmem_source *p2pmem, struct pci_p2pmem *ret_pool)
{
	cleanup_fd int fd = -1;
	int r;

	if (!source_p2pmem_is_there(&p2pmem->device))
		return -ENODEV;
	r = pci_function_open(p2pmem->sysfs_fd, &p2pmem->device.address, &fd);
	return r ? r : pci_p2pmem_query(fd, ret_pool);
}

static uint32_t pages_of(const struct pci_p2pmem *pool)
{
	return (uint32_t)(pool->available_bytes / (uint64_t)sysconf(_SC_PAGESIZE));
}

/* With processes, or with its driver. */
static uint64_t out_bytes(const struct pci_p2pmem *pool)
{
	return pool->size_bytes - pool->available_bytes;
}

static uint64_t driver_bytes(const struct p2pmem_source *p2pmem)
{
	return policy_settings(p2pmem->broker->policy)->p2pmem_driver_bytes;
}

static int export(struct device *device, const struct lease *lease, struct source_grant *ret)
{
	const struct p2pmem_source *p2pmem = p2pmem_of(device);
	uint64_t most_bytes = driver_bytes(p2pmem);
	struct pci_p2pmem pool;
	char path[80];
	int r;

	r = query(p2pmem, &pool);
	if (r)
		return cause_fail(&ret->why, r, "its pool can't be looked at: %s", error_name(r));
	/* Who has it already and asks again has his own memory out. */
	if (!lease->export_id && out_bytes(&pool) > most_bytes)
		return cause_fail(&ret->why, -EBUSY,
				  "%" PRIu64 " of its %" PRIu64 " bytes are out, and "
				  "p2pmem-driver-bytes lets its driver have %" PRIu64
				  ": see p2pd(8)",
				  out_bytes(&pool), pool.size_bytes, most_bytes);
	file_path(&device->address, path, sizeof(path));
	ret->fd = openat(p2pmem->sysfs_fd, path, O_RDWR | O_CLOEXEC);
	if (ret->fd < 0)
		return -errno;
	ret->export_id = pages_of(&pool);
	return 0;
}

/* Who administrates must see what a pool waits for; "": nothing. */
static void set_trouble(struct p2pmem_source *p2pmem, const char *trouble)
{
	bool had_trouble = *p2pmem->device.trouble;

	wire_text_set(p2pmem->device.trouble, sizeof(p2pmem->device.trouble), trouble);
	if (had_trouble == (bool)*trouble)
		return;
	list_for_each_entry(provider, &p2pmem->device.providers, struct provider, link_of_device) {
		if (*trouble)
			log_event(P2PD_LOG_WARNING, "%s: %s", provider->identity.name, trouble);
		broker_provider_tell(p2pmem->broker, provider, WIRE_MONITOR_PROVIDER_CHANGED);
	}
}

static int take_back(struct device *device, const struct lease *lease,
		     struct source_result *ret_result)
{
	struct p2pmem_source *p2pmem = p2pmem_of(device);
	struct pci_p2pmem pool;
	int r = query(p2pmem, &pool);
	struct cause trouble;

	/* Sysfs that can't be looked at now says nothing: another time. */
	if (r)
		return r == -ENODEV ? r : -EAGAIN;
	if (pages_of(&pool) >= lease->export_id || out_bytes(&pool) <= driver_bytes(p2pmem)) {
		set_trouble(p2pmem, "");
		return 0;
	}
	ret_result->nr_remaining = 1;
	/* One whose answer was lost is asked about as well. */
	if (lease->state == WIRE_LEASE_ACTIVE)
		return -EBUSY;
	cause_fail(&trouble, -EBUSY,
		   "lease %" PRIu64 " of user %" PRIu32 " is over, and %" PRIu64 " of %" PRIu64
		   " bytes are still out: with whoever has the file from a lease, or with the "
		   "driver (p2pmem-driver-bytes)",
		   lease->id, (uint32_t)lease->uid, out_bytes(&pool), pool.size_bytes);
	set_trouble(p2pmem, trouble.text);
	return -EBUSY;
}

/* Nothing can be. */
static int revoke_all(struct device *device)
{
	(void)device;
	return 0;
}

static int distance(struct device *device, const struct pci_address *importer,
		    int32_t *ret_distance)
{
	return paths_distance(p2pmem_of(device)->sysfs_fd, &device->address, importer,
			      ret_distance);
}

static void close_device(struct device *device)
{
	free(p2pmem_of(device));
}

static const struct source_ops ops = {
	.backend = WIRE_BACKEND_P2PMEM,
	.force = WIRE_FORCE_NONE,
	.export = export,
	.revoke = take_back,
	.revoke_all = revoke_all,
	.distance = distance,
	.close = close_device,
};

bool source_p2pmem_is_there(const struct device *device)
{
	const struct p2pmem_source *p2pmem = list_entry(device, const struct p2pmem_source, device);
	ino_t inode;

	return !inode_query(p2pmem->sysfs_fd, &device->address, &inode) && inode == p2pmem->inode;
}

int source_p2pmem_new(struct broker *broker, int sysfs_fd, const struct pci_function *function,
		      struct device **ret_device)
{
	struct p2pmem_source *p2pmem;
	char path[80];
	ino_t inode;
	int r;

	file_path(&function->address, path, sizeof(path));
	if (faccessat(sysfs_fd, path, R_OK | W_OK, AT_EACCESS) < 0)
		return -errno;
	r = inode_query(sysfs_fd, &function->address, &inode);
	if (r)
		return r;
	p2pmem = calloc(1, sizeof(*p2pmem));
	if (!p2pmem)
		return -ENOMEM;
	p2pmem->device.ops = &ops;
	p2pmem->device.address = function->address;
	p2pmem->device.generation = function->generation;
	p2pmem->device.fd = -1;
	/* What holders have doesn't depend on this process. */
	p2pmem->device.is_kept = true;
	p2pmem->device.trouble_for_users =
		"a lease is over, and more of its memory is still out than the driver may have";
	list_init(&p2pmem->device.link);
	list_init(&p2pmem->device.providers);
	p2pmem->broker = broker;
	p2pmem->sysfs_fd = sysfs_fd;
	p2pmem->inode = inode;
	*ret_device = &p2pmem->device;
	return 0;
}
