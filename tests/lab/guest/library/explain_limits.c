/* SPDX-License-Identifier: MIT */
/*
 * explain_limits LIMIT RDMADEV PROVIDER: takes something away from itself, runs against it, and
 * compares what the library says. LIMITs are
 *
 *	memlock		RLIMIT_MEMLOCK without CAP_IPC_LOCK
 *	open-files	RLIMIT_NOFILE
 *	system-files	fs.file-max without CAP_SYS_ADMIN
 *	mappings	vm.max_map_count
 *	address-space	RLIMIT_AS
 *	privilege	CAP_SYS_ADMIN
 *	memory		the kernel's own: an allocation of it fails, by fault injection
 *
 * The provider of mappings and address-space may be a pool of p2pmem.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "library/explain.h"

#define MAX_FDS	    4096
#define MAX_BUFFERS 100
#define FILE_MAX    "/proc/sys/fs/file-max"
#define MAP_MAX	    "/proc/sys/vm/max_map_count"

static void drop_capability(unsigned int capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	must(syscall(SYS_capget, &header, data) ? -errno : 0, "capget");
	data[capability / 32].effective &= ~(1U << capability % 32);
	data[capability / 32].permitted &= ~(1U << capability % 32);
	must(syscall(SYS_capset, &header, data) ? -errno : 0, "capset");
}

static void set_limit(int resource, uint64_t value)
{
	struct rlimit limit = {value, value};

	must(setrlimit((__rlimit_resource_t)resource, &limit) ? -errno : 0, "setrlimit");
}

static void test_memlock(void)
{
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);
	void *memory = aligned_alloc(4096, SLICE);

	memset(memory, 1, SLICE);
	drop_capability(CAP_IPC_LOCK);
	set_limit(RLIMIT_MEMLOCK, SLICE / 2);
	ask_memory(memory);
	explained(try_register_memory(), -ENOMEM, P2PDMA_CAUSE_MEMLOCK, SEEN,
		  "wants 128 KiB more, and may have 64 KiB");
	set_limit(RLIMIT_MEMLOCK, 0);
	explained(try_register_memory(), -EPERM, P2PDMA_CAUSE_MEMLOCK, SEEN, "may have 0 KiB");
	/* What the remedy says: a DMABUF isn't counted. */
	tap_ok(!try_library(buffer), "a_dmabuf_is_registered_without_any", 0);
	p2pdma_buffer_free(buffer);
	free(memory);
}

/* Opens files until there is no room; what the call after that says. */
static int new_without_room(int fds[MAX_FDS], int *ret_count)
{
	struct p2pdma_range range = {SLICE, SLICE};
	struct p2pdma_buffer *buffer = NULL;

	while (*ret_count < MAX_FDS) {
		int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			break;
		fds[(*ret_count)++] = fd;
	}
	return p2pdma_buffer_new(lab.context, lab.provider, &range, 1, NULL, &buffer);
}

static void close_all(const int *fds, int count)
{
	for (int i = 0; i < count; i++)
		close(fds[i]);
}

static void test_open_files(void)
{
	/* The device node is open already: the export itself has no room. */
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);
	static int fds[MAX_FDS];
	int count = 0, r;

	set_limit(RLIMIT_NOFILE, 64);
	r = new_without_room(fds, &count);
	told(r, -EMFILE, "as many open descriptors as it may: 64", "library_says_open_files");
	ask_register(-1);
	request.operation = P2PDMA_OPERATION_EXPORT;
	explained(r, -EMFILE, P2PDMA_CAUSE_OPEN_FILES, SEEN, "as it may: 64");
	r = p2pdma_buffer_adopt(lab.context, p2pdma_buffer_fd(buffer), NULL, &buffer);
	told(r, -EMFILE, "EMFILE", "adopting_says_so_too");
	p2pdma_buffer_free(buffer);
	/* Now the node can't be opened either. */
	r = new_without_room(fds, &count);
	told(r, -EMFILE, "as many open descriptors as it may: 64", "opening_says_so_too");
	close_all(fds, count);
	ask_register(-1);
	explained(-EMFILE, -EMFILE, P2PDMA_CAUSE_OPEN_FILES, LIKELY, "as it may: 64");
}

static void test_system_files(void)
{
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);
	int file_max = open(FILE_MAX, O_RDWR | O_CLOEXEC), count = 0, r;
	char before[32] = "";
	static int fds[MAX_FDS];

	must(file_max < 0 ? -errno : read(file_max, before, sizeof(before) - 1), FILE_MAX);
	drop_capability(CAP_SYS_ADMIN);
	must(pwrite(file_max, "1", 1, 0), FILE_MAX);
	r = new_without_room(fds, &count);
	told(r, -ENFILE, "the system has no room for another open file",
	     "library_says_system_files");
	ask_register(-1);
	request.operation = P2PDMA_OPERATION_EXPORT;
	explained(r, -ENFILE, P2PDMA_CAUSE_SYSTEM_FILES, SEEN, "no room for another open file");
	must(pwrite(file_max, before, strlen(before), 0), FILE_MAX);
	close(file_max);
	close_all(fds, count);
	p2pdma_buffer_free(buffer);
}

static unsigned int count_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	unsigned int count = 0;
	int c;

	must(maps ? 0 : -errno, "/proc/self/maps");
	while ((c = getc(maps)) != EOF)
		count += c == '\n';
	fclose(maps);
	return count;
}

static bool is_pool(void)
{
	return strstr(p2pdma_provider_name(lab.provider), "/p2pmem");
}

/* A pool's buffers are mappings; another's are mapped. */
static int map_until_full(struct p2pdma_buffer *buffers[MAX_BUFFERS])
{
	void *window;
	int r = 0;

	for (int i = 1; i < MAX_BUFFERS && !r; i++) {
		struct p2pdma_range range = {0, SLICE};

		if (is_pool())
			r = p2pdma_buffer_new(lab.context, lab.provider, &range, 1, NULL,
					      &buffers[i]);
		else
			r = p2pdma_buffer_map(buffers[0], 0, SLICE, P2PDMA_MAP_READ, &window);
	}
	return r;
}

static void free_all(struct p2pdma_buffer *buffers[MAX_BUFFERS])
{
	for (int i = 0; i < MAX_BUFFERS; i++)
		p2pdma_buffer_free(buffers[i]);
}

static void ask_map(struct p2pdma_buffer *buffer)
{
	ask_register(p2pdma_buffer_fd(buffer));
	request.operation = P2PDMA_OPERATION_MAP;
	request.access = P2PDMA_MAP_READ;
	if (is_pool())
		request.operation = P2PDMA_OPERATION_POOL_ALLOCATE;
}

static void test_mappings(void)
{
	struct p2pdma_buffer *buffers[MAX_BUFFERS] = {lab_buffer(0, 0)};
	char text[32];
	int r;

	snprintf(text, sizeof(text), "%u", count_mappings() + 40);
	must(write_file(MAP_MAX, text), MAP_MAX);
	r = map_until_full(buffers);
	told(r, -ENOMEM, "and vm.max_map_count is", "library_says_mappings");
	ask_map(buffers[0]);
	explained(r, -ENOMEM, P2PDMA_CAUSE_MAPPINGS, SEEN, "and vm.max_map_count is");
	must(write_file(MAP_MAX, "65530"), MAP_MAX);
	free_all(buffers);
}

static void test_address_space(void)
{
	struct p2pdma_buffer *buffers[MAX_BUFFERS] = {lab_buffer(0, 0)};
	unsigned long long kib = 0;
	char line[128];
	FILE *status = fopen("/proc/self/status", "re");
	int r;

	while (fgets(line, sizeof(line), status))
		sscanf(line, "VmSize: %llu", &kib);
	fclose(status);
	set_limit(RLIMIT_AS, kib * 1024 + 4 * SLICE);
	r = map_until_full(buffers);
	told(r, -ENOMEM, "KiB of address space", "library_says_address_space");
	ask_map(buffers[0]);
	explained(r, -ENOMEM, P2PDMA_CAUSE_ADDRESS_SPACE, SEEN, "KiB of address space");
	free_all(buffers);
}

static void test_privilege(void)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_buffer *buffer = NULL;
	int r;

	drop_capability(CAP_SYS_ADMIN);
	options.flags = P2PDMA_BUFFER_ALLOW_UNREVOCABLE;
	r = p2pdma_buffer_new(lab.context, lab.provider, NULL, 0, &options, &buffer);
	told(r, -EPERM, "allow_unrevocable", "library_says_privilege");
	ask_register(-1);
	request.operation = P2PDMA_OPERATION_EXPORT;
	explained(r, -EPERM, P2PDMA_CAUSE_PERMISSION, LIKELY, "needs CAP_SYS_ADMIN");
}

/* A registration in which the @nth chance to fail is taken: an allocation, a copy from the program. */
static int register_with_fault(int faults, unsigned int nth)
{
	char text[16];
	int r, length = snprintf(text, sizeof(text), "%u", nth);

	must(pwrite(faults, text, (size_t)length, 0), "fail-nth");
	r = try_register(MR_IOCTL);
	/* This may be what meets the fault. */
	while (pwrite(faults, "0", 1, 0) != 1)
		;
	return r;
}

static void test_memory(void)
{
	int faults = (int)must(open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC), "fail-nth");
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);
	int r = 0;

	ask_register(p2pdma_buffer_fd(buffer));
	for (unsigned int nth = 1; nth < 100 && r != -ENOMEM; nth++)
		r = register_with_fault(faults, nth);
	close(faults);
	explained(r, -ENOMEM, P2PDMA_CAUSE_NO_MEMORY, LIKELY, "has no room for another");
	tap_ok(!try_register(MR_IOCTL), "with_memory_all_is_well", 0);
	p2pdma_buffer_free(buffer);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*test)(void);
	} limits[] = {
		{"memlock", test_memlock},
		{"open-files", test_open_files},
		{"system-files", test_system_files},
		{"mappings", test_mappings},
		{"address-space", test_address_space},
		{"privilege", test_privilege},
		{"memory", test_memory},
	};

	if (argc != 4)
		die(0, "usage: explain_limits LIMIT RDMADEV PROVIDER");
	lab_open(argv[2], argv[3]);
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		if (!strcmp(argv[1], limits[i].name))
			limits[i].test();
	}
	lab_close();
	return tap_done();
}
