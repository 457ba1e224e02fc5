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
 * A function that has left its driver hasn't gone as long as the kernel waits for us to let go of it: it
 * is looked at again when it has been let go of.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/sys.h"
#include "request/deferred.h"
#include "discovery_state.h"
#include "paths.h"
#include "report/log.h"
#include "source/export.h"
#include "source/p2pmem.h"
#include "uevents.h"

#define RETRIES	      10
#define RETRY_MS      200
#define AFTER_LOSS_MS 100
#define ENDING_MS     5000

struct device *discovery_device_at(struct discovery *discovery, const struct pci_address *address)
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
	discovery_device_name(device, name, sizeof(name));
	log_event(P2PD_LOG_INFO, "%s has gone (%s)", name, lease_reason_name(reason));
	service_forget(name);
	release(device);
	/* Whoever waited for it. */
	deferred_resume_soon(discovery->server);
}

static void look(struct discovery *discovery, const struct pci_address *address);

void discovery_on_device(evutil_socket_t fd, short what, void *data)
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

/* Has it left its driver, which waits for us? Then it isn't gone. */
static bool is_held_up(struct discovery *discovery, struct device *device)
{
	struct broker *broker = &discovery->server->broker;

	if (device->ops->backend == WIRE_BACKEND_P2PMEM)
		return false;
	if (device->ops->backend == WIRE_BACKEND_VFIO)
		return source_vfio_leave(device);
	source_export_read(broker, device);
	if (source_export_is_over(device))
		return false;
	source_export_leave(broker, device);
	return true;
}

void discovery_try_again(struct discovery *discovery)
{
	struct timeval soon = {.tv_usec = RETRY_MS * 1000};

	if (!event_pending(discovery->retry, EV_TIMEOUT, NULL) && discovery->nr_retries++ < RETRIES)
		event_add(discovery->retry, &soon);
}

/* What leases of it are made by; 0: there are none. */
static uint32_t backend_of(const struct sighting *seen)
{
	uint32_t backend = function_backend(seen->function);

	for (size_t i = 0; i < seen->nr_offers && !backend; i++)
		if (seen->offers[i].identity.backend == WIRE_BACKEND_P2PMEM)
			backend = WIRE_BACKEND_P2PMEM;
	return backend;
}

static int see(struct discovery *discovery, const struct pci_address *address,
	       struct pci_function *function, struct sighting *seen)
{
	int r = pci_function_query(discovery->sysfs_fd, address, function);

	if (!r)
		r = function_offers(discovery->sysfs_fd, function, seen->offers, &seen->nr_offers);
	return r;
}

/* It has left its driver since we saw it; what is there was bound again. */
static bool is_let_go(struct device *device)
{
	if (device->ops->backend == WIRE_BACKEND_P2PMEM)
		return !source_p2pmem_is_there(device);
	return device->ops->backend == WIRE_BACKEND_VFIO && source_vfio_is_let_go(device);
}

/* It says nothing about a function that we can't look now: another time. */
static bool is_shortage(struct discovery *discovery, int error)
{
	if (error != -EMFILE && error != -ENFILE && error != -ENOMEM)
		return false;
	log_event(P2PD_LOG_DEBUG, "can't look at PCI functions now: %s", error_name(error));
	discovery->nr_retries = 0;
	discovery_try_again(discovery);
	return true;
}

/* What one slot holds now. */
static void look(struct discovery *discovery, const struct pci_address *address)
{
	struct device *known = discovery_device_at(discovery, address);
	struct pci_function function;
	struct sighting seen = {.function = &function};
	uint32_t backend;
	int r;

	paths_forget();
	r = see(discovery, address, &function, &seen);
	if (is_shortage(discovery, r))
		return;
	backend = r ? 0 : backend_of(&seen);
	if (known &&
	    (r || known->generation != function.generation || backend != known->ops->backend) &&
	    is_held_up(discovery, known))
		return;
	if (known && (r || known->generation != function.generation))
		device_removed(discovery, known, WIRE_REASON_GONE);
	else if (known && (backend != known->ops->backend || is_let_go(known)))
		device_removed(discovery, known, WIRE_REASON_REMOVAL);
	else if (known)
		return;
	inventory_forget(&discovery->server->broker, address, &seen);
	if (backend == WIRE_BACKEND_EXPORT)
		discovery_add_export(discovery, &seen);
	else if (backend == WIRE_BACKEND_VFIO)
		discovery_add_vfio(discovery, &seen);
	else if (backend == WIRE_BACKEND_P2PMEM)
		discovery_add_pool(discovery, &seen);
	else
		discovery_add_other(discovery, &seen, "");
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
	r = discovery_vfio_init(discovery);
	if (r)
		return r;
	/* First listen, then look: what happens in between is seen twice, not never. */
	r = uevents_new(server->base, &uevents_ops, discovery, &discovery->uevents);
	if (r)
		log_event(P2PD_LOG_ERROR, "no uevents (%s): hot-plug is noticed on SIGHUP only",
			  error_name(r));
	discovery->kept = kept;
	discovery_rescan(server);
	discovery_add_leaving(discovery);
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
	paths_forget();
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
