// SPDX-License-Identifier: MIT
/*
 * The devices behind what discovery sees: opened anew, or taken up from the p2pd before.
 *
 * The descriptor of a device goes to the service manager before anything is exported from
 * it, so that no lease ever depends on one that would die with us.
 *
 * A function whose removal is pending has left its driver in sysfs, and the kernel waits for us: for its
 * exports, or for the device to be closed. When p2pd was started again meanwhile, the
 * kept descriptor is all there is of it. Its leases are taken up with that, and end as gracefully as if nothing
 * had happened: by the deadline that the journal knows.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/sys.h"
#include "request/deferred.h"
#include "discovery_state.h"
#include "report/log.h"
#include "source/export.h"
#include "source/p2pmem.h"

/* In the names of kept descriptors colons separate. */
static void kept_name(const struct pci_function *function, char *name, size_t size)
{
	const struct pci_address *a = &function->address;

	snprintf(name, size, "dev-%04" PRIx32 "-%02x-%02x.%x-%" PRIu64, a->domain,
		 (unsigned int)a->bus, a->devfn >> 3U, a->devfn & 7U, function->generation);
}

void discovery_device_name(const struct device *device, char *name, size_t size)
{
	struct pci_function function = {.address = device->address,
					.generation = device->generation};

	kept_name(&function, name, size);
}

static void on_kept(void *data, int error)
{
	struct device *device = data;
	struct discovery *discovery = device->owner;
	char name[64];

	discovery_device_name(device, name, sizeof(name));
	if (error)
		log_event(P2PD_LOG_ERROR,
			  "the service manager doesn't keep %s (%s): its leases end with this p2pd",
			  name, error_name(error));
	else if (!device->is_settling)
		log_event(P2PD_LOG_INFO, "the service manager keeps %s after all", name);
	device->is_kept = !error;
	device->is_settling = false;
	deferred_resume(discovery->server);
}

/* Has the device's file kept; until that is known nothing is leased from it. */
static void keep(struct device *device, const char *name)
{
	int r = service_keep(name, device->fd, on_kept, device, &device->keeping);

	device->is_settling = !r;
	if (r == -EOPNOTSUPP)
		log_event(P2PD_LOG_WARNING,
			  "nobody keeps descriptors: leases of %s end with this p2pd", name);
	else if (r)
		log_event(P2PD_LOG_ERROR, "the service manager doesn't keep %s: %s", name,
			  error_name(r));
}

/* What the kernel says of its function is heard. */
static int watch(struct discovery *discovery, struct device *device)
{
	char name[64];

	device->owner = discovery;
	device->watch = event_new(discovery->server->base, device->fd, EV_READ | EV_PERSIST,
				  discovery_on_device, device);
	if (device->watch && !event_add(device->watch, NULL))
		return 0;
	if (device->watch)
		event_free(device->watch);
	device->watch = NULL;
	discovery_device_name(device, name, sizeof(name));
	log_event(P2PD_LOG_ERROR, "%s can't be listened to", name);
	return -ENOMEM;
}

static void list_providers(struct discovery *discovery, const struct sighting *seen,
			   struct device *device, bool is_kept, const char *cause)
{
	char name[PCI_ADDRESS_SIZE];

	if (!inventory_add(&discovery->server->broker, seen, device, is_kept, cause))
		return;
	pci_address_format(&seen->function->address, name);
	log_event(P2PD_LOG_ERROR, "no memory for the providers of %s", name);
}

void discovery_add_other(struct discovery *discovery, const struct sighting *seen,
			 const char *cause)
{
	list_providers(discovery, seen, NULL, false, cause);
}

void discovery_add_export(struct discovery *discovery, const struct sighting *seen)
{
	const struct pci_function *function = seen->function;
	struct device *device;
	bool is_kept = false;
	char name[64];
	int fd = -1, r;

	kept_name(function, name, sizeof(name));
	if (discovery->kept)
		fd = service_take(discovery->kept, name);
	is_kept = fd >= 0;
	r = source_export_open(discovery->dev_fd, function, fd, &device);
	if (r && is_kept) {
		/* A file of a function that is no more. */
		is_kept = false;
		service_forget(name);
		r = source_export_open(discovery->dev_fd, function, -1, &device);
	}
	if (r) {
		char cause[WIRE_TEXT_SIZE];

		snprintf(cause, sizeof(cause), "its device node can't be opened (%s): see p2pd(8)",
			 error_name(r));
		discovery_add_other(discovery, seen, cause);
		if (r == -EACCES || r == -ENOENT || r == -EPERM)
			discovery_try_again(discovery);
		return;
	}
	if (is_kept && discovery->is_distrusted)
		device->ops->revoke_all(device);
	device->is_kept = is_kept;
	if (watch(discovery, device)) {
		if (is_kept)
			service_forget(name);
		device->ops->close(device);
		return;
	}
	if (!is_kept)
		keep(device, name);
	list_append(&discovery->devices, &device->link);
	list_providers(discovery, seen, device, is_kept, "");
}

/* Looked at, not opened: that is for the first lease. */
void discovery_add_vfio(struct discovery *discovery, const struct sighting *seen)
{
	const struct pci_function *function = seen->function;
	struct device *device;
	char name[64];
	int fd = -1, r;

	kept_name(function, name, sizeof(name));
	if (discovery->kept)
		fd = service_take(discovery->kept, name);
	r = source_vfio_new(&discovery->vfio, function, fd, name, &device);
	if (r) {
		log_event(P2PD_LOG_ERROR, "no memory or thread for %s: %s", name, error_name(r));
		return;
	}
	if (fd >= 0 && discovery->is_distrusted)
		device->ops->revoke_all(device);
	list_append(&discovery->devices, &device->link);
	list_providers(discovery, seen, device, fd >= 0, "");
	if (fd >= 0)
		source_vfio_restored(device);
}

/* Nothing of it is open between leases, nor during them. */
void discovery_add_pool(struct discovery *discovery, const struct sighting *seen)
{
	struct device *device;
	int r;

	r = source_p2pmem_new(&discovery->server->broker, discovery->sysfs_fd, seen->function,
			      &device);
	if (!r)
		list_append(&discovery->devices, &device->link);
	list_providers(discovery, seen, r ? NULL : device, true, "");
	/* Its rights may be given a moment later. */
	if (r == -EACCES || r == -EPERM)
		discovery_try_again(discovery);
}

static void on_settled(void *data, struct device *device)
{
	struct discovery *discovery = data;

	broker_device_settled(&discovery->server->broker, device);
	broker_journal_compact(&discovery->server->broker);
	if (discovery->is_ending)
		return;
	if (source_vfio_is_let_go(device)) {
		discovery->nr_retries = 0;
		discovery_try_again(discovery);
	}
	deferred_resume(discovery->server);
}

/* What functions of one IOMMU group share is kept where their own descriptors are. */
static int take_shared(const char *name, void *data)
{
	const struct discovery *discovery = data;

	return discovery->kept ? service_take(discovery->kept, name) : -1;
}

int discovery_vfio_init(struct discovery *discovery)
{
	discovery->vfio = (struct source_vfio_owner){
		.base = discovery->server->base,
		.broker = &discovery->server->broker,
		.sysfs_fd = discovery->sysfs_fd,
		.settled = on_settled,
		.data = discovery,
	};
	return vfio_jobs_new(discovery->server->base, discovery->dev_fd, take_shared, discovery,
			     &discovery->vfio.jobs);
}

/* -- functions that have left their driver -- */

static int take_up_export(struct discovery *discovery, const struct pci_function *function, int fd)
{
	struct broker *broker = &discovery->server->broker;
	struct device *device;
	int r;

	r = source_export_take_up(function, fd, &device);
	if (r)
		return r;
	device->is_kept = true;
	r = watch(discovery, device);
	if (r) {
		device->ops->close(device);
		return r;
	}
	list_append(&discovery->devices, &device->link);
	inventory_take_up(broker, device);
	source_export_leave(broker, device);
	return 0;
}

static int take_up_vfio(struct discovery *discovery, const struct pci_function *function, int fd,
			const char *name)
{
	struct device *device;
	int r;

	r = source_vfio_new(&discovery->vfio, function, fd, name, &device);
	if (r)
		return r;
	list_append(&discovery->devices, &device->link);
	inventory_take_up(&discovery->server->broker, device);
	source_vfio_restored(device);
	source_vfio_leave(device);
	return 0;
}

/* What sysfs still has of it: its IOMMU group. */
static void recall(const struct discovery *discovery, struct pci_function *function)
{
	struct pci_function seen;

	if (!pci_function_query(discovery->sysfs_fd, &function->address, &seen) &&
	    seen.generation == function->generation)
		*function = seen;
}

static void take_up(struct discovery *discovery, const struct provider *provider)
{
	struct pci_function function = {.iommu_group = -1, .numa_node = -1};
	struct pci_provider_name name;
	char kept_as[64];
	int fd, r;

	if (pci_provider_name_parse(provider->identity.name, &name))
		return;
	function.address = name.address;
	function.generation = name.generation;
	kept_name(&function, kept_as, sizeof(kept_as));
	fd = service_take(discovery->kept, kept_as);
	if (fd < 0)
		return;
	recall(discovery, &function);
	if (provider->identity.backend == WIRE_BACKEND_VFIO)
		r = take_up_vfio(discovery, &function, fd, kept_as);
	else
		r = take_up_export(discovery, &function, fd);
	if (!r) {
		log_event(P2PD_LOG_INFO, "%s has left its driver, which waits for its leases",
			  kept_as);
		return;
	}
	log_event(P2PD_LOG_INFO, "%s is over: %s", kept_as, error_name(r));
	service_forget(kept_as);
}

void discovery_add_leaving(struct discovery *discovery)
{
	/* Only what the journal knew of has none yet. */
	list_for_each_entry(provider, &discovery->server->broker.providers, struct provider, link)
		if (!provider->device && !provider->identity.is_published && provider->nr_leases)
			take_up(discovery, provider);
}
