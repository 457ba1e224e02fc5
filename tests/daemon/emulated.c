// SPDX-License-Identifier: MIT
/*
 * Discovery of the emulated device: takes the place of daemon/provider/discovery.c and its backends in the
 * p2pd that tests run. All else of that p2pd is the real one.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "common/sys.h"
#include "request/deferred.h"
#include "provider/discovery.h"
#include "client/dmabuf.h"
#include "emulated.h"
#include "report/log.h"

struct discovery {
	struct device device;
	struct emulated_kernel *kernel;
	struct event *poll;
	bool is_gone;
};

/*
 * Where there is no /dev/udmabuf a memfd that begins with $P2PD_EMULATED_DMABUF passes for a DMABUF:
 * the linker puts these in the place of fstatfs() and fd_is_dmabuf().
 */
static bool passes_for_dmabuf(int fd)
{
	const char *word = getenv("P2PD_EMULATED_DMABUF");
	char link[64], target[64] = "", begin[32] = "";

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	return word && *word && readlink(link, target, sizeof(target) - 1) > 0 &&
	       !strncmp(target, "/memfd:", 7) && pread(fd, begin, sizeof(begin) - 1, 0) > 0 &&
	       !strncmp(begin, word, strlen(word));
}

/* NOLINTBEGIN(bugprone-reserved-identifier) */
int __real_fstatfs(int fd, struct statfs *ret_status);
int __wrap_fstatfs(int fd, struct statfs *ret_status);
bool __real_fd_is_dmabuf(int fd);
bool __wrap_fd_is_dmabuf(int fd);
/* NOLINTEND(bugprone-reserved-identifier) */

int __wrap_fstatfs(int fd, struct statfs *ret_status)
{
	int r = __real_fstatfs(fd, ret_status);

	if (!r && passes_for_dmabuf(fd))
		ret_status->f_type = DMA_BUF_MAGIC;
	return r;
}

bool __wrap_fd_is_dmabuf(int fd)
{
	return __real_fd_is_dmabuf(fd) || passes_for_dmabuf(fd);
}

static struct emulated_kernel *kernel_of(const struct device *device)
{
	return list_entry(device, struct discovery, device)->kernel;
}

static int export(struct device *device, const struct lease *lease, struct source_grant *ret)
{
	struct emulated_kernel *kernel = kernel_of(device);
	struct emulated_export *slot;
	int fd;

	if (kernel->fail_export) {
		kernel->fail_export--;
		return kernel->fail_errno;
	}
	slot = &kernel->exports[++kernel->next_id % EMULATED_EXPORTS];
	for (int i = 0; slot->state && i < EMULATED_EXPORTS; i++)
		slot = &kernel->exports[++kernel->next_id % EMULATED_EXPORTS];
	fd = memfd_create("emulated-dmabuf", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	slot->id = kernel->next_id;
	slot->offset_bytes = lease->ranges[0].offset_bytes;
	slot->length_bytes = lease->ranges[0].length_bytes;
	slot->state = EMULATED_ACTIVE;
	/* Holders prove that a DMABUF has the size of its lease. */
	if (ftruncate(fd, (off_t)lease->size_bytes) ||
	    pwrite(fd, &slot->id, sizeof(slot->id), 0) != sizeof(slot->id)) {
		close(fd);
		return -ENOSPC;
	}
	ret->fd = fd;
	ret->export_id = slot->id;
	return 0;
}

static int take_back(struct device *device, const struct lease *lease,
		     struct source_result *ret_result)
{
	struct emulated_kernel *kernel = kernel_of(device);
	struct emulated_export *slot = &kernel->exports[lease->export_id % EMULATED_EXPORTS];

	if (slot->id != lease->export_id || slot->state == EMULATED_FREE)
		return 0;
	if (kernel->stubborn) {
		slot->state = EMULATED_STUBBORN;
		ret_result->nr_remaining = 1;
		return -EBUSY;
	}
	slot->state = EMULATED_FREE;
	kernel->nr_revoked++;
	ret_result->nr_mappings = 1;
	return 0;
}

static int revoke_all(struct device *device)
{
	struct emulated_kernel *kernel = kernel_of(device);

	for (int i = 0; i < EMULATED_EXPORTS; i++)
		kernel->exports[i].state = EMULATED_FREE;
	return 0;
}

static int distance(struct device *device, const struct pci_address *importer,
		    int32_t *ret_distance)
{
	(void)device;
	*ret_distance = importer->bus == 0xff ? -1 : 4;
	return 0;
}

static void close_device(struct device *device)
{
	close(device->fd);
}

static const struct source_ops ops = {
	.backend = WIRE_BACKEND_EXPORT,
	.force = WIRE_FORCE_LEASE,
	.export = export,
	.revoke = take_back,
	.revoke_all = revoke_all,
	.distance = distance,
	.close = close_device,
};

static int add_provider(struct server *server, bool is_kept)
{
	struct discovery *discovery = server->discovery;
	const char *bytes = getenv("P2PD_EMULATED_BYTES");
	struct identity identity = {
		.name = "0000:01:00.0/2@7",
		.backend = WIRE_BACKEND_EXPORT,
		.address = {.bus = 1},
		.bar = 2,
		.generation = 7,
		.vendor_id = 0x10ee,
		.device_id = 0x903f,
		.pci_class = 0x050000,
	};
	struct provider *provider;

	if (broker_provider_add(&server->broker, &identity,
				bytes ? strtoull(bytes, NULL, 0) : 64ULL << 20, &provider))
		return -ENOMEM;
	provider->device = &discovery->device;
	wire_text_set(provider->driver, sizeof(provider->driver), "emulated");
	list_append(&discovery->device.providers, &provider->link_of_device);
	broker_provider_ready(&server->broker, provider, is_kept);
	return 0;
}

/* The test can let the function go. */
static void on_poll(evutil_socket_t fd, short what, void *data)
{
	struct server *server = data;
	struct discovery *discovery = server->discovery;

	(void)fd;
	(void)what;
	if (!discovery->kernel->is_gone || discovery->is_gone)
		return;
	discovery->is_gone = true;
	list_for_each_entry_safe(provider, &discovery->device.providers, struct provider,
				 link_of_device)
		broker_provider_remove(&server->broker, provider, WIRE_REASON_GONE);
}

static void on_kept(void *data, int error)
{
	struct device *device = data;

	if (error)
		log_event(P2PD_LOG_ERROR, "the emulated device isn't kept (%s)", error_name(error));
	device->is_kept = !error;
	device->is_settling = false;
	deferred_resume(device->owner);
}

int discovery_new(struct server *server, struct service_fds *kept, bool is_distrusted)
{
	struct discovery *discovery = calloc(1, sizeof(*discovery));
	struct timeval often = {.tv_usec = 20000};
	const char *path = getenv("P2PD_EMULATED");
	bool is_kept;

	if (!discovery || !path)
		return -ENODEV;
	server->discovery = discovery;
	discovery->device.ops = &ops;
	list_init(&discovery->device.link);
	list_init(&discovery->device.providers);
	discovery->device.fd = service_take(kept, "dev-emulated");
	is_kept = discovery->device.fd >= 0;
	if (!is_kept)
		discovery->device.fd = open(path, O_RDWR | O_CLOEXEC | O_CREAT, 0600);
	if (discovery->device.fd < 0 ||
	    ftruncate(discovery->device.fd, sizeof(struct emulated_kernel)) < 0)
		return -errno;
	discovery->kernel = mmap(NULL, sizeof(struct emulated_kernel), PROT_READ | PROT_WRITE,
				 MAP_SHARED, discovery->device.fd, 0);
	if (discovery->kernel == MAP_FAILED)
		return -errno;
	if (!is_kept || is_distrusted)
		revoke_all(&discovery->device);
	discovery->device.is_kept = is_kept;
	discovery->device.owner = server;
	if (!is_kept && service_keep("dev-emulated", discovery->device.fd, on_kept,
				     &discovery->device, &discovery->device.keeping))
		log_event(P2PD_LOG_WARNING, "nobody keeps the emulated device");
	else
		discovery->device.is_settling = !is_kept;
	discovery->poll = event_new(server->base, -1, EV_PERSIST, on_poll, server);
	event_add(discovery->poll, &often);
	return add_provider(server, is_kept);
}

void discovery_end(struct server *server)
{
	(void)server;
}

void discovery_free(struct server *server)
{
	struct discovery *discovery = server->discovery;

	if (!discovery)
		return;
	list_for_each_entry_safe(provider, &discovery->device.providers, struct provider,
				 link_of_device)
		list_remove(&provider->link_of_device);
	service_question_free(discovery->device.keeping);
	event_free(discovery->poll);
	munmap(discovery->kernel, sizeof(*discovery->kernel));
	close_device(&discovery->device);
	free(discovery);
	server->discovery = NULL;
}

void discovery_rescan(struct server *server)
{
	(void)server;
}
