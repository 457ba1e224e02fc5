// SPDX-License-Identifier: MIT
/*
 * Discovery: PCI functions that can be leased from, as they come, change drivers and go.
 *
 * Sysfs is the truth and an event only says where to look, so events may be late,
 * doubled or out of order. When the kernel says that some were lost, everything is
 * looked at. A function that is there with a generation or driver other than
 * the one known is first removed and then added.
 *
 * Where udevd runs we listen to it instead of the kernel, because the permissions of a
 * device node are its work; a node that can't be opened yet is tried again a few times.
 *
 * The descriptor of a device goes to the service manager before anything is exported from
 * it, so that no lease ever depends on one that would die with us.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libudev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/sysfs.h"
#include "discovery.h"
#include "log.h"
#include "source_export.h"
#include "source_vfio.h"

#define RECEIVE_BUFFER (8 << 20)
#define MAX_AT_ONCE    64
#define RETRIES	       10
#define RETRY_MS       200

struct discovery {
	struct server *server;
	struct service_fds *kept; /* only while starting */
	bool is_distrusted;
	struct udev *udev;
	struct udev_monitor *monitor;
	struct event *event;
	struct event *retry;
	int nr_retries;
	int sysfs_fd;
	int dev_fd;
	struct vfio_nodes vfio;
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

static void device_removed(struct discovery *discovery, struct device *device, uint32_t reason)
{
	char name[64];

	list_for_each_entry_safe(provider, &device->providers, struct provider, link_of_device)
		broker_provider_remove(&discovery->server->broker, provider, reason);
	device_name(device, name, sizeof(name));
	log_event(P2PD_LOG_INFO, "%s has gone (%s)", name, lease_reason_name(reason));
	service_forget(name);
	if (device->watch)
		event_free(device->watch);
	list_remove(&device->link);
	device->ops->close(device);
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

static uint32_t class_of(struct discovery *discovery, const struct pci_address *address)
{
	char path[64], name[PCI_ADDRESS_SIZE];
	uint64_t value;

	pci_address_format(address, name);
	snprintf(path, sizeof(path), "bus/pci/devices/%s/class", name);
	return sysfs_read_u64(discovery->sysfs_fd, path, &value) ? 0 : (uint32_t)value;
}

static void add_bar(struct discovery *discovery, const struct pci_function *function, uint32_t bar,
		    uint32_t backend, struct device *device, bool is_kept, const char *cause)
{
	struct broker *broker = &discovery->server->broker;
	struct pci_provider_name name = {.address = function->address,
					 .bar = bar,
					 .has_generation = true,
					 .generation = function->generation};
	struct identity identity = {
		.backend = backend,
		.address = function->address,
		.bar = bar,
		.generation = function->generation,
		.vendor_id = function->vendor_id,
		.device_id = function->device_id,
		.pci_class = class_of(discovery, &function->address),
	};
	char text[PCI_PROVIDER_NAME_SIZE];
	struct provider *provider;

	pci_provider_name_format(&name, text);
	wire_text_set(identity.name, sizeof(identity.name), text);
	if (broker_provider_add(broker, &identity, function->bars[bar].size_bytes, &provider)) {
		log_event(P2PD_LOG_ERROR, "no memory for provider %s", text);
		return;
	}
	provider->numa_node = function->numa_node;
	wire_text_set(provider->driver, sizeof(provider->driver), function->driver);
	wire_text_set(provider->cause, sizeof(provider->cause), cause);
	provider->device = device;
	provider->is_gone = false;
	if (device) {
		list_remove(&provider->link_of_device);
		list_append(&device->providers, &provider->link_of_device);
	}
	broker_provider_ready(broker, provider, is_kept);
}

static void add_bars(struct discovery *discovery, const struct pci_function *function,
		     uint32_t backend, struct device *device, bool is_kept, const char *cause)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	for (uint32_t bar = 0; bar < PCI_NR_BARS; bar++) {
		const struct pci_bar *b = &function->bars[bar];

		if (b->is_memory && b->size_bytes && b->size_bytes % page == 0)
			add_bar(discovery, function, bar, backend, device, is_kept, cause);
	}
}

/* Known as something that can't be leased from; the reason may have changed. */
static void forget_unavailable(struct discovery *discovery, const struct pci_address *address)
{
	struct broker *broker = &discovery->server->broker;

	list_for_each_entry_safe(provider, &broker->providers, struct provider, link)
		if (!provider->device && !provider->identity.is_published && *provider->cause &&
		    !pci_address_compare(&provider->identity.address, address))
			broker_provider_remove(broker, provider, WIRE_REASON_GONE);
}

/* Keeps the device's file, or says why leases from it would not outlive us. */
static void keep(const struct device *device, const char *name)
{
	int r = service_keep(name, device->fd);

	if (r == -EOPNOTSUPP)
		log_event(P2PD_LOG_WARNING,
			  "nobody keeps descriptors: leases of %s end with this p2pd", name);
	else if (r)
		log_event(P2PD_LOG_ERROR, "the service manager doesn't keep %s: %s", name,
			  strerrorname_np(-r));
}

static void try_again(struct discovery *discovery)
{
	struct timeval soon = {.tv_usec = RETRY_MS * 1000};

	if (discovery->nr_retries++ < RETRIES)
		event_add(discovery->retry, &soon);
}

static void look_at_export(struct discovery *discovery, const struct pci_function *function)
{
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
			 strerrorname_np(-r));
		add_bars(discovery, function, WIRE_BACKEND_EXPORT, NULL, false, cause);
		if (r == -EACCES || r == -ENOENT || r == -EPERM)
			try_again(discovery);
		return;
	}
	if (!is_kept)
		keep(device, name);
	else if (discovery->is_distrusted)
		device->ops->revoke_all(device);
	device->owner = discovery;
	device->watch = event_new(discovery->server->base, device->fd, EV_READ | EV_PERSIST,
				  on_device, device);
	if (!device->watch || event_add(device->watch, NULL)) {
		log_event(P2PD_LOG_ERROR, "%s can't be listened to", name);
		service_forget(name);
		device->ops->close(device);
		return;
	}
	list_append(&discovery->devices, &device->link);
	add_bars(discovery, function, WIRE_BACKEND_EXPORT, device, is_kept, "");
}

static bool is_of_backend(const struct pci_function *function, uint32_t backend)
{
	return backend == WIRE_BACKEND_VFIO ? vfio_is_bound(function) :
					      !strcmp(function->driver, "p2pdma_export");
}

/* Looked at, not opened: that is for the first lease. */
static void look_at_vfio(struct discovery *discovery, const struct pci_function *function)
{
	struct server *server = discovery->server;
	struct device *device;
	char name[64];
	int fd = -1;

	kept_name(function, name, sizeof(name));
	if (discovery->kept)
		fd = service_take(discovery->kept, name);
	if (source_vfio_new(server->base, &server->broker, &discovery->vfio, function, fd, name,
			    &device)) {
		log_event(P2PD_LOG_ERROR, "no memory for %s", name);
		return;
	}
	if (fd >= 0 && discovery->is_distrusted)
		device->ops->revoke_all(device);
	list_append(&discovery->devices, &device->link);
	add_bars(discovery, function, WIRE_BACKEND_VFIO, device, fd >= 0, "");
	if (fd >= 0)
		source_vfio_restored(device);
}

/* What one slot holds now. */
static void look(struct discovery *discovery, const struct pci_address *address)
{
	struct device *known = device_at(discovery, address);
	struct pci_function function;
	int r;

	r = pci_function_query(discovery->sysfs_fd, address, &function);
	if (known &&
	    (r || known->generation != function.generation ||
	     !is_of_backend(&function, known->ops->backend)) &&
	    is_held_up(discovery, known))
		return;
	if (known && (r || known->generation != function.generation)) {
		device_removed(discovery, known, WIRE_REASON_GONE);
		known = NULL;
	} else if (known && !is_of_backend(&function, known->ops->backend)) {
		device_removed(discovery, known, WIRE_REASON_REMOVAL);
		known = NULL;
	}
	if (known)
		return;
	forget_unavailable(discovery, address);
	if (r)
		return;
	if (!strcmp(function.driver, "p2pdma_export"))
		look_at_export(discovery, &function);
	else if (vfio_is_bound(&function))
		look_at_vfio(discovery, &function);
}

void discovery_rescan(struct server *server)
{
	struct discovery *discovery = server->discovery;
	cleanup_free struct pci_address *addresses = NULL;
	size_t count = 0;
	int r;

	r = pci_list_query(discovery->sysfs_fd, &addresses, &count);
	if (r && r != -ENOENT)
		log_event(P2PD_LOG_ERROR, "PCI functions can't be listed: %s", strerrorname_np(-r));
	/* Those that have gone, then those that are there. */
	list_for_each_entry_safe(device, &discovery->devices, struct device, link) {
		struct pci_address address = device->address;

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

static void on_uevent(evutil_socket_t fd, short what, void *data)
{
	struct discovery *discovery = data;

	(void)fd;
	(void)what;
	discovery->nr_retries = 0;
	for (int i = 0; i < MAX_AT_ONCE; i++) {
		struct udev_device *device;
		struct pci_address address;
		const char *name;

		errno = 0;
		device = udev_monitor_receive_device(discovery->monitor);
		if (!device) {
			if (errno == ENOBUFS) {
				log_event(P2PD_LOG_WARNING, "uevents were lost: looking again");
				discovery_rescan(discovery->server);
			}
			return;
		}
		name = udev_device_get_sysname(device);
		if (name && !pci_address_parse(name, &address))
			look(discovery, &address);
		udev_device_unref(device);
	}
}

static int listen_to_udev(struct discovery *discovery)
{
	const char *group = access("/run/udev/control", F_OK) ? "kernel" : "udev";

	discovery->udev = udev_new();
	if (!discovery->udev)
		return -ENOMEM;
	discovery->monitor = udev_monitor_new_from_netlink(discovery->udev, group);
	if (!discovery->monitor)
		return errno ? -errno : -ENOMEM;
	udev_monitor_filter_add_match_subsystem_devtype(discovery->monitor, "pci", NULL);
	udev_monitor_filter_add_match_subsystem_devtype(discovery->monitor, "p2pdma_export", NULL);
	udev_monitor_set_receive_buffer_size(discovery->monitor, RECEIVE_BUFFER);
	if (udev_monitor_enable_receiving(discovery->monitor) < 0)
		return -EIO;
	discovery->event =
		event_new(discovery->server->base, udev_monitor_get_fd(discovery->monitor),
			  EV_READ | EV_PERSIST, on_uevent, discovery);
	return discovery->event && !event_add(discovery->event, NULL) ? 0 : -ENOMEM;
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
	if (discovery->sysfs_fd < 0 || discovery->dev_fd < 0 || !discovery->retry)
		return -EIO;
	vfio_nodes_init(&discovery->vfio, &sys_real, discovery->dev_fd);
	/* First listen, then look: what happens in between is seen twice, not never. */
	r = listen_to_udev(discovery);
	if (r)
		log_event(P2PD_LOG_ERROR, "no uevents (%s): hot-plug is noticed on SIGHUP only",
			  strerrorname_np(-r));
	discovery->kept = kept;
	discovery_rescan(server);
	discovery->kept = NULL;
	return 0;
}

void discovery_free(struct server *server)
{
	struct discovery *discovery = server->discovery;

	if (!discovery)
		return;
	server->discovery = NULL;
	list_for_each_entry_safe(device, &discovery->devices, struct device, link) {
		if (device->watch)
			event_free(device->watch);
		list_for_each_entry_safe(provider, &device->providers, struct provider,
					 link_of_device) {
			list_remove(&provider->link_of_device);
			provider->device = NULL;
		}
		list_remove(&device->link);
		device->ops->close(device);
	}
	if (discovery->event)
		event_free(discovery->event);
	if (discovery->retry)
		event_free(discovery->retry);
	udev_monitor_unref(discovery->monitor);
	udev_unref(discovery->udev);
	cleanup_close(&discovery->sysfs_fd);
	cleanup_close(&discovery->dev_fd);
	free(discovery);
}
