// SPDX-License-Identifier: MIT
/*
 * The fake kernel: descriptors, the export module, and verbs with libibverbs. VFIO is in
 * fake_vfio.c, sysfs and the fixtures in fake.c. A real kernel takes calls from
 * many threads; this one takes them one after the other, by fake_lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <rdma/ib_user_ioctl_cmds.h>
#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/rdma_user_ioctl_cmds.h>

#include "fake.h"
#include "fake_drm.h"
#include "fake_memory.h"
#include "fake_vfio.h"
#include "uverbs_abi.h"

struct fake fake;

/* Recursive: a test's hook may call the library again. */
static pthread_mutex_t fake_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static void unlock(pthread_mutex_t **lock)
{
	pthread_mutex_unlock(*lock);
}

static pthread_mutex_t *lock(void)
{
	pthread_mutex_lock(&fake_lock);
	return &fake_lock;
}

/* Until the end of the scope. */
#define HOLD_LOCK pthread_mutex_t *held __attribute__((cleanup(unlock), unused)) = lock()

static void add_failure(const struct fake_failure *failure)
{
	for (size_t i = 0; i < ARRAY_SIZE(fake.failures); i++) {
		if (fake.failures[i].request)
			continue;
		fake.failures[i] = *failure;
		return;
	}
	fail_msg("too many failures at once");
}

void fake_fail(unsigned long request, int error, int countdown)
{
	add_failure(&(struct fake_failure){request, error, countdown, NULL});
}

void fake_happen(unsigned long request, void (*happens)(void), int countdown)
{
	add_failure(&(struct fake_failure){request, 0, countdown, happens});
}

int fake_take_failure(unsigned long request)
{
	for (size_t i = 0; i < ARRAY_SIZE(fake.failures); i++) {
		struct fake_failure failure = fake.failures[i];

		if (!failure.request || failure.request != request || fake.failures[i].countdown--)
			continue;
		fake.failures[i].request = 0;
		if (failure.happens)
			failure.happens();
		return failure.error;
	}
	return 0;
}

int fake_add_fd(int fd, enum fake_kind kind)
{
	assert_in_range(fd, 0, FAKE_MAX_FDS - 1);
	fake.kinds[fd] = kind;
	return fd;
}

static int open_export(void)
{
	int ends[2];

	if (fake.is_gone)
		return -ENXIO;
	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	if (fake.event_fd >= 0)
		close(fake.event_fd);
	fake.event_fd = ends[1];
	return fake_add_fd(ends[0], FAKE_EXPORT);
}

static bool is_dmabuf(int fd);

/* A procfs of its own below the root; a DMABUF's fdinfo is made here, as the kernel does. */
static int open_proc(const char *path)
{
	char full[128];
	int fd, dmabuf;

	if (sscanf(path, "/proc/self/fdinfo/%d", &dmabuf) == 1 && is_dmabuf(dmabuf) &&
	    fake.exporter) {
		fd = memfd_create("fdinfo", MFD_CLOEXEC);
		dprintf(fd,
			"pos:\t0\nflags:\t02000002\nsize:\t4096\ncount:\t1\n"
			"exp_name:\t%s\nname:\texp_name:\tfalse\n",
			fake.exporter);
		lseek(fd, 0, SEEK_SET);
		return fd;
	}
	snprintf(full, sizeof(full), "%s/%s", fake.root, path);
	fd = open(full, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int sys_open_at(int dir_fd, const char *path, int flags)
{
	HOLD_LOCK;
	bool is_proc = (!strncmp(path, "/proc/", 6) && !fake_drm_is_node(path)) ||
		       !strncmp(path, "proc/", 5);
	int r = fake_take_failure(is_proc ? FAKE_OPEN_PROC : FAKE_OPEN);

	(void)flags;
	if (r)
		return r;
	if (is_proc)
		return open_proc(path);
	if (faccessat(dir_fd, path, F_OK, 0))
		return -errno;
	fake.nr_opens++;
	if (fake_drm_is_node(path))
		return fake_drm_open(path);
	if (!strncmp(path, P2PDMA_EXPORT_DIR "/", 7))
		return open_export();
	if (strstr(path, "/p2pmem/"))
		return fake_add_fd(eventfd(0, EFD_CLOEXEC), FAKE_P2PMEM);
	r = fake_memory_open(path);
	return r == -ENOENT ? fake_vfio_open(path) : r;
}

static int sys_access_at(int dir_fd, const char *path, int mode)
{
	(void)mode;
	if (faccessat(dir_fd, path, F_OK, 0))
		return -errno;
	return fake.access_errors;
}

static int sys_close(int fd)
{
	HOLD_LOCK;

	if (fake.kinds[fd] == FAKE_EXPORT && fake.event_fd >= 0) {
		close(fake.event_fd);
		fake.event_fd = -1;
	}
	if (fake.kinds[fd] == FAKE_DRM)
		fake_drm_close(fd);
	fake.kinds[fd] = FAKE_NONE;
	return close(fd) ? -errno : 0;
}

static int sys_dup(int fd)
{
	HOLD_LOCK;
	int r = fake_take_failure(FAKE_DUP);
	int copy;

	if (r)
		return r;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return copy < 0 ? -errno : fake_add_fd(copy, fake.kinds[fd]);
}

/* Ours, or one that came through a socket: by its name. */
static bool is_dmabuf(int fd)
{
	char path[32], name[32] = "";

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return fake.kinds[fd] == FAKE_DMABUF ||
	       (readlink(path, name, sizeof(name) - 1) > 0 && !strncmp(name, "/memfd:dmabuf", 13));
}

int fake_make_dmabuf(uint64_t size)
{
	int fd = memfd_create("dmabuf", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	return fake_add_fd(fd, FAKE_DMABUF);
}

static int export_info(struct p2pdma_export_info *info)
{
	info->bus = fake.info_bus;
	info->features = fake.features;
	return fake.is_gone ? -ENODEV : 0;
}

static int export_export(struct p2pdma_export_export *argument)
{
	const struct p2pdma_export_range *ranges =
		(const struct p2pdma_export_range *)(uintptr_t)argument->ranges;
	struct fake_export *export;

	if (fake.is_gone)
		return -ENODEV;
	assert_true(fake.nr_exports < FAKE_MAX_EXPORTS);
	export = &fake.exports[fake.nr_exports++];
	memset(export, 0, sizeof(*export));
	export->flags = argument->flags;
	export->nr_ranges = argument->nr_ranges;
	for (uint32_t i = 0; i < argument->nr_ranges; i++)
		export->size += ranges[i].length;
	argument->fd = fake_make_dmabuf(export->size);
	argument->export_id = fake.nr_exports;
	argument->size = export->size;
	return 0;
}

static int export_revoke(struct p2pdma_export_revoke *argument)
{
	struct fake_export *export;

	fake.nr_revokes++;
	fake.last_timeout_ms = argument->timeout_ms;
	if (!argument->export_id || argument->export_id > fake.nr_exports)
		return -ENOENT;
	export = &fake.exports[argument->export_id - 1];
	argument->nr_mappings = export->nr_mappings - export->nr_remaining;
	argument->nr_remaining = export->nr_remaining;
	argument->nr_revoked = export->state == P2PDMA_EXPORT_STATE_ACTIVE;
	if (!export->reason)
		export->reason = P2PDMA_EXPORT_REASON_IOCTL;
	export->nr_mappings = export->nr_remaining;
	if (export->nr_remaining) {
		export->state = P2PDMA_EXPORT_STATE_REVOKING;
		return -EBUSY;
	}
	if (export->state != P2PDMA_EXPORT_STATE_REVOKED)
		fake_event(P2PDMA_EXPORT_EVENT_REVOKED, argument->export_id, export->reason);
	export->state = P2PDMA_EXPORT_STATE_REVOKED;
	return 0;
}

static int export_status(struct p2pdma_export_status *argument)
{
	const struct fake_export *export;

	if (!argument->export_id || argument->export_id > fake.nr_exports)
		return -ENOENT;
	export = &fake.exports[argument->export_id - 1];
	argument->state = export->state;
	argument->reason = export->reason;
	argument->nr_mappings = export->nr_mappings;
	argument->nr_attachments = export->nr_mappings;
	argument->mapped_bytes = export->nr_mappings * export->size;
	argument->size = export->size;
	return 0;
}

static int verbs_data_direct(struct ib_uverbs_ioctl_hdr *header)
{
	if (header->method_id != UVERBS_ABI_MLX5_METHOD_DATA_DIRECT_PATH ||
	    header->driver_id != RDMA_DRIVER_MLX5)
		return -EPROTONOSUPPORT;
	if (!fake.data_direct)
		return -ENODEV;
	assert_true(strlen(fake.data_direct) < header->attrs[0].len);
	strcpy((char *)(uintptr_t)header->attrs[0].data, fake.data_direct);
	return 0;
}

static int verbs_ioctl(struct ib_uverbs_ioctl_hdr *header)
{
	struct ib_uverbs_attr *attrs = header->attrs;

	if (header->driver_id != fake.driver_id)
		return -EINVAL;
	if (header->object_id == UVERBS_ABI_OBJECT_DMAH)
		return fake.has_dmah && !header->num_attrs ? -EINVAL : -EPROTONOSUPPORT;
	if (header->object_id == UVERBS_OBJECT_DEVICE)
		return verbs_data_direct(header);
	if (header->object_id != UVERBS_OBJECT_MR)
		return -EPROTONOSUPPORT;
	assert_int_equal(header->length, sizeof(*header) + header->num_attrs * sizeof(attrs[0]));
	if (header->method_id == UVERBS_METHOD_MR_DESTROY) {
		if (fake.dereg_error)
			return fake.dereg_error;
		fake.nr_mrs--;
		return 0;
	}
	if (header->method_id != UVERBS_METHOD_REG_DMABUF_MR)
		return -EPROTONOSUPPORT;
	assert_int_equal(header->num_attrs, 9);
	if (fake.probe_error)
		return fake.probe_error;
	if (fcntl((int)attrs[5].data, F_GETFD) < 0)
		return -EBADF;
	if (!is_dmabuf((int)attrs[5].data))
		return -EINVAL;
	if (fake.refused_access & attrs[6].data)
		return -EOPNOTSUPP;
	if (fake.uverbs_error)
		return fake.uverbs_error;
	fake.last_access = (uint32_t)attrs[6].data;
	if (fake.on_register)
		fake.on_register(fake.on_register_data);
	attrs[0].data = 77;
	*(uint32_t *)(uintptr_t)attrs[7].data = 0x111;
	*(uint32_t *)(uintptr_t)attrs[8].data = 0x222;
	fake.nr_mrs++;
	return 0;
}

static int export_path(struct p2pdma_export_path *argument)
{
	if (!fake.has_path)
		return -ENOTTY;
	fake.last_path = *argument;
	argument->map_type = fake.path_map_type;
	argument->distance = fake.path_distance;
	return 0;
}

static int sys_ioctl(int fd, unsigned long request, void *argument)
{
	HOLD_LOCK;
	int r = fake_take_failure(request);

	if (r)
		return r;
	switch (fake.kinds[fd]) {
	case FAKE_EXPORT:
		switch (request) {
		case P2PDMA_EXPORT_INFO:
			return export_info(argument);
		case P2PDMA_EXPORT_EXPORT:
			return export_export(argument);
		case P2PDMA_EXPORT_REVOKE:
			return export_revoke(argument);
		case P2PDMA_EXPORT_PATH:
			return export_path(argument);
		case P2PDMA_EXPORT_STATUS:
			return export_status(argument);
		default:
			return -ENOTTY;
		}
	case FAKE_HEAP:
	case FAKE_UDMABUF:
		return fake_memory_ioctl(fd, request, argument);
	case FAKE_UVERBS:
		return request == RDMA_VERBS_IOCTL ? verbs_ioctl(argument) : -ENOTTY;
	case FAKE_DRM:
		return fake_drm_ioctl(fd, request, argument);
	default:
		return fake_vfio_ioctl(fd, request, argument);
	}
}

static ssize_t sys_read(int fd, void *data, size_t size)
{
	ssize_t n = read(fd, data, size);

	return n < 0 ? -errno : n;
}

static int sys_map(void *where, size_t length, int protection, int flags, int fd, uint64_t offset,
		   void **ret_address)
{
	HOLD_LOCK;
	int r = fake_take_failure(FAKE_MAP);
	void *address;

	if (r)
		return r;
	/* A VFIO device maps its BAR, which is region 0x200000000 of the fake. */
	if (fd >= 0 && fake_vfio_is_device(fd)) {
		fd = fake.bar_fd;
		offset -= FAKE_BAR_OFFSET;
	}
	/* Each mapping of a pool is other memory. */
	if (fd >= 0 && fake.kinds[fd] == FAKE_P2PMEM) {
		assert_int_equal(flags, MAP_SHARED);
		assert_int_equal(offset, 0);
		if (fake.is_gone)
			return -ENODEV;
		flags |= MAP_ANONYMOUS;
		fd = -1;
	}
	address = mmap(where, length, protection, flags, fd, (off_t)offset);
	if (address == MAP_FAILED)
		return -errno;
	*ret_address = address;
	return 0;
}

static int sys_unmap(void *address, size_t length)
{
	return munmap(address, length) ? -errno : 0;
}

static int sys_stat(int fd, struct stat *ret_status)
{
	HOLD_LOCK;
	int r = fake_take_failure(FAKE_STAT);

	if (r)
		return r;
	if (fd >= 0 && fake.kinds[fd] == FAKE_DRM)
		return fake_drm_stat(ret_status);
	return fstat(fd, ret_status) ? -errno : 0;
}

static int sys_fs_type(int fd, uint64_t *ret_type)
{
	HOLD_LOCK;

	if (fcntl(fd, F_GETFD) < 0)
		return -errno;
	*ret_type = is_dmabuf(fd) ? DMA_BUF_MAGIC : fake.fs_type;
	return 0;
}

static int sys_size(int fd, uint64_t *ret_size_bytes)
{
	HOLD_LOCK;
	int r = fake_take_failure(FAKE_SIZE);
	off_t end;

	if (r)
		return r;
	if (fake.kinds[fd] == FAKE_P2PMEM) {
		*ret_size_bytes = 1ULL << 40;
		return fake.is_gone ? -ENODEV : 0;
	}
	end = lseek(fd, 0, SEEK_END);
	if (end < 0)
		return -errno;
	*ret_size_bytes = (uint64_t)end;
	return 0;
}

static int sys_access_mode(int fd)
{
	HOLD_LOCK;
	int r = fake_take_failure(FAKE_MODE);

	return r ? r : fcntl(fd, F_GETFL) & O_ACCMODE;
}

static int sys_limit(int resource, uint64_t *ret_limit)
{
	if (fake.rlimit_error)
		return fake.rlimit_error;
	*ret_limit = fake.limits[resource] ? fake.limits[resource] - 1 : UINT64_MAX;
	return 0;
}

static int sys_is_member(uint32_t group)
{
	for (size_t i = 0; i < ARRAY_SIZE(fake.groups); i++) {
		if (group && fake.groups[i] == group)
			return 1;
	}
	return 0;
}

static int verbs_reg_dmabuf_mr(struct ibv_pd *pd, uint64_t offset, size_t length, uint64_t iova,
			       int fd, int access, struct ibv_mr **ret_mr)
{
	HOLD_LOCK;
	struct ibv_mr *mr;

	(void)offset;
	(void)iova;
	assert_true(fd < 0 || is_dmabuf(fd));
	if (fake.verbs_error)
		return fake.verbs_error;
	if (fd < 0)
		return -EBADF;
	mr = calloc(1, sizeof(*mr));
	mr->pd = pd;
	mr->length = length;
	mr->lkey = 0x11;
	mr->rkey = 0x22;
	fake.last_access = (uint32_t)access;
	fake.nr_mrs++;
	if (fake.on_register)
		fake.on_register(fake.on_register_data);
	*ret_mr = mr;
	return 0;
}

static int verbs_dereg_mr(struct ibv_mr *mr)
{
	HOLD_LOCK;

	if (fake.dereg_error == -EBUSY)
		return fake.dereg_error;
	usleep(fake.dereg_us);
	free(mr);
	fake.nr_mrs--;
	return fake.dereg_error;
}

static int verbs_open(const char *name, struct ibv_context **ret_verbs)
{
	if (fake.open_error || strcmp(name, "mlx5_0"))
		return fake.open_error ? fake.open_error : -ENODEV;
	if (fake.on_open)
		fake.on_open();
	fake.nr_verbs++;
	*ret_verbs = fake_pd()->context;
	return 0;
}

static void verbs_close(struct ibv_context *verbs)
{
	(void)verbs;
	fake.nr_verbs--;
}

static int verbs_alloc_pd(struct ibv_context *verbs, struct ibv_pd **ret_pd)
{
	(void)verbs;
	if (fake.pd_error)
		return fake.pd_error;
	fake.nr_verbs++;
	*ret_pd = fake_pd();
	return 0;
}

static void verbs_free_pd(struct ibv_pd *pd)
{
	(void)pd;
	fake.nr_verbs--;
}

static int verbs_query_limits(struct ibv_context *context, struct verbs_limits *ret_limits)
{
	(void)context;
	ret_limits->max_mr_bytes = fake.max_mr_bytes ? fake.max_mr_bytes : UINT64_MAX;
	ret_limits->has_odp = fake.has_odp;
	return fake.limits_error;
}

const struct sys_ops fake_sys = {
	.open_at = sys_open_at,
	.access_at = sys_access_at,
	.close = sys_close,
	.dup = sys_dup,
	.ioctl = sys_ioctl,
	.read = sys_read,
	.pread = fake_vfio_pread,
	.pwrite = fake_vfio_pwrite,
	.map = sys_map,
	.unmap = sys_unmap,
	.stat = sys_stat,
	.fs_type = sys_fs_type,
	.size = sys_size,
	.access_mode = sys_access_mode,
	.memory = fake_memory_make,
	.limit = sys_limit,
	.is_member = sys_is_member,
};

const struct verbs_ops fake_verbs = {
	.reg_dmabuf_mr = verbs_reg_dmabuf_mr,
	.dereg_mr = verbs_dereg_mr,
	.query_limits = verbs_query_limits,
	.open = verbs_open,
	.close = verbs_close,
	.alloc_pd = verbs_alloc_pd,
	.free_pd = verbs_free_pd,
};
