// SPDX-License-Identifier: MIT
/*
 * Discovery: PCI functions that can be leased from, as they come, change drivers and go.
 *
 * Sysfs is the truth and an event only says where to look, so events may be late,
 * doubled or out of order. When some were lost, everything is looked at, once for all that
 * are lost within a moment: in a storm the loop has other work, too. A function that is there with a
 * generation or driver other than the one known is first removed and then added.
 *
 * What is there but can't be leased from (function.h, or a device node that can't be opened) is a
 * provider with the cause and without a device. A node that can't be opened yet is tried again a
 * few times.
 *
 * The descriptor of a device goes to the service manager before anything is exported from
 * it, so that no lease ever depends on one that would die with us.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/sys.h"
#include "deferred.h"
#include "discovery.h"
#include "inventory.h"
#include "log.h"
#include "source_export.h"
#include "source_vfio.h"
#include "uevents.h"

#define RETRIES	      10
#define RETRY_MS      200
#define AFTER_LOSS_MS 100
#define ENDING_MS     5000

struct discovery {
	struct server *server;
	struct service_fds *kept; /* only while starting */
	bool is_distrusted;
	bool is_ending;
	struct uevents *uevents;
	struct event *retry;
	struct event *after_loss;
	int nr_retries;
	int sysfs_fd;
	int dev_fd;
	struct source_vfio_owner vfio;
	struct list devices;
};

/* In the names of kept descriptors colons separate. */
static void kept_name(const struct pci_function *function, char *name, size_t size)
{
	const struct pci_address *a = &function->address;

	snprintf(name, size, "dev-%04" PRIx32 "-%02x-%02x.%x-%" PRIu64, a->domain,
		 (unsigned int)a->bus, a->devfn >> 3U, a->devfn & 7U, function->generation);
}

static void device_name(const struct device *device, char *name, size_t size)
{
	struct pci_function function = {.address = device->address,
					.generation = device->generation};

	kept_name(&function, name, size);
}

static struct device *device_at(struct discovery *discovery, const struct pci_address *address)
{
	list_for_each_entry(device, &discovery->devices, struct device, link)
		if (!pci_address_compare(&device->address, address))
			return device;
	return NULL;
}

/* Closes it. */
static void release(struct device *device)
{
	if (device->watch)
		event_free(device->watch);
	service_question_free(device->keeping);
	list_remove(&device->link);
	device->ops->close(device);
}

static void device_removed(struct discovery *discovery, struct device *device, uint32_t reason)
{
	char name[64];

	list_for_each_entry_safe(provider, &device->providers, struct provider, link_of_device)
		broker_provider_remove(&discovery->server->broker, provider, reason);
	device_name(device, name, sizeof(name));
	log_event(P2PD_LOG_INFO, "%s has gone (%s)", name, lease_reason_name(reason));
	service_forget(name);
	release(device);
	/* Whoever waited for it. */
	deferred_resume_soon(discovery->server);
}

static void look(struct discovery *discovery, const struct pci_address *address);

static void on_device(evutil_socket_t fd, short what, void *data)
{
	struct device *device = data;
	struct discovery *discovery = device->owner;
	struct pci_address address = device->address;

	(void)fd;
	(void)what;
	source_export_read(&discovery->server->broker, device);
	if (!source_export_is_over(device))
		return;
	device_removed(discovery, device, WIRE_REASON_GONE);
	/* What came into its place was passed over so far. */
	look(discovery, &address);
}

/* Has it left its driver, whose exports are still mapped? Then it isn't gone. */
static bool is_held_up(struct discovery *discovery, struct device *device)
{
	struct broker *broker = &discovery->server->broker;

	if (device->ops->backend != WIRE_BACKEND_EXPORT)
		return false;
	source_export_read(broker, device);
	if (source_export_is_over(device))
		return false;
	source_export_leave(broker, device);
	return true;
}

static void on_kept(void *data, int error)
{
	struct device *device = data;
	struct discovery *discovery = device->owner;
	char name[64];

	device_name(device, name, sizeof(name));
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

static void try_again(struct discovery *discovery)
{
	struct timeval soon = {.tv_usec = RETRY_MS * 1000};

	if (!event_pending(discovery->retry, EV_TIMEOUT, NULL) && discovery->nr_retries++ < RETRIES)
		event_add(discovery->retry, &soon);
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

static void look_at_export(struct discovery *discovery, const struct sighting *seen)
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
		list_providers(discovery, seen, NULL, false, cause);
		if (r == -EACCES || r == -ENOENT || r == -EPERM)
			try_again(discovery);
		return;
	}
	if (is_kept && discovery->is_distrusted)
		device->ops->revoke_all(device);
	device->owner = discovery;
	device->is_kept = is_kept;
	device->watch = event_new(discovery->server->base, device->fd, EV_READ | EV_PERSIST,
				  on_device, device);
	if (!device->watch || event_add(device->watch, NULL)) {
		log_event(P2PD_LOG_ERROR, "%s can't be listened to", name);
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
static void look_at_vfio(struct discovery *discovery, const struct sighting *seen)
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

static int see(struct discovery *discovery, const struct pci_address *address,
	       struct pci_function *function, struct sighting *seen)
{
	int r = pci_function_query(discovery->sysfs_fd, address, function);

	if (!r)
		r = function_offers(discovery->sysfs_fd, function, seen->offers, &seen->nr_offers);
	return r;
}

/* It says nothing about a function that we can't look now: another time. */
static bool is_shortage(struct discovery *discovery, int error)
{
	if (error != -EMFILE && error != -ENFILE && error != -ENOMEM)
		return false;
	log_event(P2PD_LOG_DEBUG, "can't look at PCI functions now: %s", error_name(error));
	discovery->nr_retries = 0;
	try_again(discovery);
	return true;
}

/* What one slot holds now. */
static void look(struct discovery *discovery, const struct pci_address *address)
{
	struct device *known = device_at(discovery, address);
	struct pci_function function;
	struct sighting seen = {.function = &function};
	uint32_t backend;
	int r;

	r = see(discovery, address, &function, &seen);
	if (is_shortage(discovery, r))
		return;
	backend = r ? 0 : function_backend(&function);
	if (known &&
	    (r || known->generation != function.generation || backend != known->ops->backend) &&
	    is_held_up(discovery, known))
		return;
	if (known && (r || known->generation != function.generation))
		device_removed(discovery, known, WIRE_REASON_GONE);
	else if (known && backend != known->ops->backend)
		device_removed(discovery, known, WIRE_REASON_REMOVAL);
	else if (known)
		return;
	inventory_forget(&discovery->server->broker, address, &seen);
	if (backend == WIRE_BACKEND_EXPORT)
		look_at_export(discovery, &seen);
	else if (backend == WIRE_BACKEND_VFIO)
		look_at_vfio(discovery, &seen);
	else
		list_providers(discovery, &seen, NULL, false, "");
}

void discovery_rescan(struct server *server)
{
	struct discovery *discovery = server->discovery;
	cleanup_free struct pci_address *addresses = NULL;
	const struct provider *provider;
	size_t count = 0;
	int r;

	r = pci_list_query(discovery->sysfs_fd, &addresses, &count);
	if (r && r != -ENOENT && !is_shortage(discovery, r))
		log_event(P2PD_LOG_ERROR, "PCI functions can't be listed: %s", error_name(r));
	/* Those that have gone, then those that are there. */
	list_for_each_entry_safe(device, &discovery->devices, struct device, link) {
		struct pci_address address = device->address;

		look(discovery, &address);
	}
	for (uint64_t last = 0; (provider = inventory_unavailable_after(&server->broker, last));) {
		struct pci_address address = provider->identity.address;

		last = provider->serial;
		look(discovery, &address);
	}
	for (size_t i = 0; i < count; i++)
		look(discovery, &addresses[i]);
}

static void on_retry(evutil_socket_t fd, short what, void *data)
{
	struct discovery *discovery = data;

	(void)fd;
	(void)what;
	discovery_rescan(discovery->server);
}

static void on_after_loss(evutil_socket_t fd, short what, void *data)
{
	struct discovery *discovery = data;

	(void)fd;
	(void)what;
	log_event(P2PD_LOG_WARNING, "uevents were lost: looking again");
	discovery_rescan(discovery->server);
}

static void on_look(void *data, const struct pci_address *address)
{
	struct discovery *discovery = data;

	discovery->nr_retries = 0;
	look(discovery, address);
}

static void on_lost(void *data)
{
	struct timeval soon = {.tv_usec = AFTER_LOSS_MS * 1000};
	struct discovery *discovery = data;

	discovery->nr_retries = 0;
	/* One that is pending looks later than now, too. */
	if (!event_pending(discovery->after_loss, EV_TIMEOUT, NULL))
		event_add(discovery->after_loss, &soon);
}

static const struct uevents_ops uevents_ops = {
	.look = on_look,
	.lost = on_lost,
};

static void on_settled(void *data, struct device *device)
{
	struct discovery *discovery = data;

	broker_device_settled(&discovery->server->broker, device);
	broker_journal_compact(&discovery->server->broker);
	if (!discovery->is_ending)
		deferred_resume(discovery->server);
}

/* What functions of one IOMMU group share is kept where their own descriptors are. */
static int take_shared(const char *name, void *data)
{
	const struct discovery *discovery = data;

	return discovery->kept ? service_take(discovery->kept, name) : -1;
}

int discovery_new(struct server *server, struct service_fds *kept, bool is_distrusted)
{
	struct discovery *discovery = calloc(1, sizeof(*discovery));
	int r;

	if (!discovery)
		return -ENOMEM;
	server->discovery = discovery;
	discovery->server = server;
	discovery->is_distrusted = is_distrusted;
	list_init(&discovery->devices);
	discovery->sysfs_fd = open("/sys", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	discovery->dev_fd = open("/dev", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	discovery->retry = evtimer_new(server->base, on_retry, discovery);
	discovery->after_loss = evtimer_new(server->base, on_after_loss, discovery);
	if (discovery->sysfs_fd < 0 || discovery->dev_fd < 0 || !discovery->retry ||
	    !discovery->after_loss)
		return -EIO;
	discovery->vfio = (struct source_vfio_owner){
		.base = server->base,
		.broker = &server->broker,
		.settled = on_settled,
		.data = discovery,
	};
	r = vfio_jobs_new(server->base, discovery->dev_fd, take_shared, discovery,
			  &discovery->vfio.jobs);
	if (r)
		return r;
	/* First listen, then look: what happens in between is seen twice, not never. */
	r = uevents_new(server->base, &uevents_ops, discovery, &discovery->uevents);
	if (r)
		log_event(P2PD_LOG_ERROR, "no uevents (%s): hot-plug is noticed on SIGHUP only",
			  error_name(r));
	discovery->kept = kept;
	discovery_rescan(server);
	discovery->kept = NULL;
	vfio_jobs_go(discovery->vfio.jobs);
	return 0;
}

void discovery_end(struct server *server)
{
	struct discovery *discovery = server->discovery;

	if (!discovery || !discovery->vfio.jobs)
		return;
	discovery->is_ending = true;
	vfio_jobs_end(discovery->vfio.jobs, ENDING_MS);
	discovery->vfio.is_ending = true;
}

void discovery_free(struct server *server)
{
	struct discovery *discovery = server->discovery;

	if (!discovery)
		return;
	server->discovery = NULL;
	list_for_each_entry_safe(device, &discovery->devices, struct device, link) {
		list_for_each_entry_safe(provider, &device->providers, struct provider,
					 link_of_device) {
			list_remove(&provider->link_of_device);
			provider->device = NULL;
		}
		release(device);
	}
	vfio_jobs_free(discovery->vfio.jobs);
	uevents_free(discovery->uevents);
	if (discovery->retry)
		event_free(discovery->retry);
	if (discovery->after_loss)
		event_free(discovery->after_loss);
	cleanup_close(&discovery->sysfs_fd);
	cleanup_close(&discovery->dev_fd);
	free(discovery);
}
