// SPDX-License-Identifier: MIT
/*
 * The fake machine: a sysfs and a /dev in a temporary directory, events, and the
 * fixtures that every test begins and ends with.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <infiniband/verbs.h>

#include "fake.h"
#include "fake_vfio.h"
#include "provider/provider.h"

static struct p2pdma_context *context;
static struct ibv_device device;
static struct ibv_context verbs;
static struct ibv_pd pd;
static int fds_before;

static void path_of(const char *path, char *full, size_t size)
{
	snprintf(full, size, "%s/%s", fake.root, path);
}

void fake_mkdir(const char *path)
{
	char full[256];

	path_of(path, full, sizeof(full));
	for (char *slash = full + strlen(fake.root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(full, 0700);
		*slash = '/';
	}
	if (mkdir(full, 0700) && errno != EEXIST)
		fail_msg("can't make %s", full);
}

void fake_write(const char *path, const char *text)
{
	char full[256];
	FILE *file;

	path_of(path, full, sizeof(full));
	file = fopen(full, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

void fake_link(const char *target, const char *path)
{
	char full[256];

	path_of(path, full, sizeof(full));
	unlink(full);
	assert_int_equal(symlink(target, full), 0);
}

void fake_unlink(const char *path)
{
	char full[256];

	path_of(path, full, sizeof(full));
	unlink(full);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void fake_add_function(const char *address, const char *driver)
{
	char path[128], text[1024] = "", target[64];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s", address);
	fake_mkdir(path);
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/vendor", address);
	fake_write(path, "0x1af4\n");
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/device", address);
	fake_write(path, "0x1110\n");
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/numa_node", address);
	fake_write(path, "-1\n");
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/resource", address);
	strcat(text, "0x00000000fe800000 0x00000000fe8000ff 0x0000000000040200\n");
	strcat(text, "0x0000000000000000 0x0000000000000000 0x0000000000000000\n");
	strcat(text, "0x00000fc000000000 0x00000fc003ffffff 0x000000000014220c\n");
	strcat(text, "0x0000000000000000 0x0000000000000000 0x0000000000000000\n");
	strcat(text, "0x000000000000c000 0x000000000000c0ff 0x0000000000040101\n");
	strcat(text, "0x0000000000000000 0x0000000000000000 0x0000000000000000\n");
	strcat(text, "0x0000000000000000 0x0000000000000000 0x0000000000000000\n");
	fake_write(path, text);
	if (!driver)
		return;
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/driver", address);
	snprintf(target, sizeof(target), "../../../../bus/pci/drivers/%s", driver);
	fake_link(target, path);
	if (!strcmp(driver, "p2pdma_export")) {
		snprintf(path, sizeof(path), "dev/p2pdma/%s", address);
		fake_write(path, "");
	}
}

void fake_remove_function(const char *address)
{
	char path[128], full[256];

	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s", address);
	path_of(path, full, sizeof(full));
	remove_tree(full);
	snprintf(path, sizeof(path), "dev/p2pdma/%s", address);
	fake_unlink(path);
}

void fake_replace_function(const char *address, const char *driver)
{
	char from[256], to[256], path[128];

	/* Moved away, not removed: the file system could use the inode again at once. */
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s", address);
	path_of(path, from, sizeof(from));
	path_of("old", to, sizeof(to));
	remove_tree(to);
	assert_int_equal(rename(from, to), 0);
	fake_add_function(address, driver);
}

void fake_event_record(const struct p2pdma_export_event *record)
{
	if (fake.event_fd >= 0)
		assert_int_equal(write(fake.event_fd, record, sizeof(*record)), sizeof(*record));
}

void fake_event(uint32_t type, uint32_t export_id, uint32_t reason)
{
	struct p2pdma_export_event record = {
		.size = sizeof(record),
		.type = type,
		.export_id = export_id,
		.reason = reason,
		.time_ns = 1234,
	};

	fake_event_record(&record);
}

void fake_leave(void)
{
	fake.is_gone = true;
	for (uint32_t i = 0; i < fake.nr_exports; i++) {
		if (fake.exports[i].state == P2PDMA_EXPORT_STATE_REVOKED)
			continue;
		fake.exports[i].state = P2PDMA_EXPORT_STATE_REVOKED;
		fake.exports[i].reason = P2PDMA_EXPORT_REASON_REMOVE;
		fake_event(P2PDMA_EXPORT_EVENT_REVOKED, i + 1, P2PDMA_EXPORT_REASON_REMOVE);
	}
	fake_event(P2PDMA_EXPORT_EVENT_GONE, 0, P2PDMA_EXPORT_REASON_REMOVE);
	if (fake.event_fd >= 0)
		close(fake.event_fd);
	fake.event_fd = -1;
}

struct p2pdma_context *fake_open_context(uint32_t flags)
{
	struct p2pdma_context_options options = P2PDMA_CONTEXT_OPTIONS_INIT;
	struct p2pdma_context *opened = NULL;
	struct context_roots roots = {.sys = &fake_sys, .verbs = &fake_verbs};
	char sysfs[80], dev[80], socket[80], cpuinfo[80];

	path_of("sys", sysfs, sizeof(sysfs));
	path_of("dev", dev, sizeof(dev));
	roots.sysfs = sysfs;
	roots.dev = dev;
	path_of("p2pd.sock", socket, sizeof(socket));
	roots.socket = socket;
	path_of("cpuinfo", cpuinfo, sizeof(cpuinfo));
	roots.cpuinfo = cpuinfo;
	roots.root = fake.root;
	options.flags = flags;
	assert_int_equal(context_open(&options, &roots, &opened), 0);
	return opened;
}

/* Thousands of small files, for each case anew, take long on a disk. */
#define IN_MEMORY "/dev/shm"

static bool has_room(const char *folder)
{
	struct statvfs status;

	return !access(folder, W_OK | X_OK) && !statvfs(folder, &status) &&
	       status.f_bavail * status.f_frsize >= 512 * MIB;
}

int fake_setup(void **state)
{
	fds_before = count_fds();
	memset(&fake, 0, sizeof(fake));
	fake.event_fd = fake.req_fd = fake.err_fd = -1;
	fake.bar_fd = memfd_create("bar", MFD_CLOEXEC);
	assert_int_equal(ftruncate(fake.bar_fd, 64 * MIB), 0);
	fake.info_bus = 1;
	fake.features = P2PDMA_EXPORT_FEATURE_MMAP_WC;
	fake.driver_id = 13;
	fake.is_viable = fake.has_dma_buf = true;
	strcpy(fake.root, has_room(IN_MEMORY) ? IN_MEMORY : "/tmp");
	strcat(fake.root, "/p2pdma-unit-XXXXXX");
	assert_non_null(mkdtemp(fake.root));
	fake_mkdir("sys/bus/pci/devices");
	fake_mkdir("dev/p2pdma");
	fake_add_function("0000:01:00.0", "p2pdma_export");
	context = fake_open_context(P2PDMA_CONTEXT_NO_HOTPLUG);

	strcpy(device.name, "fake0");
	verbs.device = &device;
	verbs.cmd_fd = fake_add_fd(eventfd(0, EFD_CLOEXEC), FAKE_UVERBS);
	pd.context = &verbs;
	pd.handle = 5;
	*state = context;
	return 0;
}

int fake_teardown(void **state)
{
	(void)state;
	p2pdma_context_close(context);
	context = NULL;
	close(verbs.cmd_fd);
	close(fake.bar_fd);
	if (fake.event_fd >= 0)
		close(fake.event_fd);
	remove_tree(fake.root);
	assert_int_equal(fake.nr_mrs, 0);
	assert_int_equal(fake.nr_verbs, 0);
	assert_int_equal(count_fds(), fds_before);
	return 0;
}

struct p2pdma_context *fake_context(void)
{
	return context;
}

struct ibv_pd *fake_pd(void)
{
	return &pd;
}

struct p2pdma_provider *fake_provider(void)
{
	struct p2pdma_provider *provider = NULL;

	assert_int_equal(p2pdma_provider_find(context, "0000:01:00.0/2", &provider), 0);
	return provider;
}

struct p2pdma_buffer *fake_buffer(uint64_t offset, uint64_t length, uint32_t flags)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_range range = {offset, length};
	struct p2pdma_provider *provider = fake_provider();
	struct p2pdma_buffer *buffer = NULL;

	options.flags = flags;
	assert_int_equal(p2pdma_buffer_new(context, provider, &range, 1, &options, &buffer), 0);
	p2pdma_provider_unref(provider);
	return buffer;
}

struct p2pdma_event fake_next_event(void)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	assert_int_equal(p2pdma_next_event(context, &event), 0);
	return event;
}

void fake_no_event(void)
{
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	assert_int_equal(p2pdma_next_event(context, &event), -EAGAIN);
}

void assert_cause(const char *text)
{
	const char *cause = p2pdma_context_error(context);

	if (!strstr(cause, text))
		fail_msg("the cause \"%s\" doesn't say \"%s\"", cause, text);
}
