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
 *	sandbox		a seccomp filter before the RDMA device
 *	cgroup		rdma.max
 */
#include <fcntl.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <rdma/rdma_user_ioctl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "library/explain.h"

#define MAX_FDS	 4096
#define FILE_MAX "/proc/sys/fs/file-max"
#define MAP_MAX	 "/proc/sys/vm/max_map_count"
#define CGROUP	 "/tmp/cgroup"

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

static void ask_memory(void *memory)
{
	ask_register(-1);
	request.operation = P2PDMA_OPERATION_REGISTER_MEMORY;
	request.iova = (uintptr_t)memory;
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

static int map_until_full(struct p2pdma_buffer *buffer)
{
	void *window;
	int r = 0;

	for (int i = 0; i < 200 && !r; i++)
		r = p2pdma_buffer_map(buffer, 0, SLICE, P2PDMA_MAP_READ, &window);
	return r;
}

static void ask_map(struct p2pdma_buffer *buffer)
{
	ask_register(p2pdma_buffer_fd(buffer));
	request.operation = P2PDMA_OPERATION_MAP;
	request.access = P2PDMA_MAP_READ;
}

static void test_mappings(void)
{
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);
	char text[32];
	int r;

	snprintf(text, sizeof(text), "%u", count_mappings() + 40);
	must(write_file(MAP_MAX, text), MAP_MAX);
	r = map_until_full(buffer);
	told(r, -ENOMEM, "and vm.max_map_count is", "library_says_mappings");
	ask_map(buffer);
	explained(r, -ENOMEM, P2PDMA_CAUSE_MAPPINGS, SEEN, "and vm.max_map_count is");
	must(write_file(MAP_MAX, "65530"), MAP_MAX);
	p2pdma_buffer_free(buffer);
}

static void test_address_space(void)
{
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);
	unsigned long long kib = 0;
	char line[128];
	FILE *status = fopen("/proc/self/status", "re");
	int r;

	while (fgets(line, sizeof(line), status))
		sscanf(line, "VmSize: %llu", &kib);
	fclose(status);
	set_limit(RLIMIT_AS, kib * 1024 + 4 * SLICE);
	r = map_until_full(buffer);
	told(r, -ENOMEM, "KiB of address space", "library_says_address_space");
	ask_map(buffer);
	explained(r, -ENOMEM, P2PDMA_CAUSE_ADDRESS_SPACE, SEEN, "KiB of address space");
	p2pdma_buffer_free(buffer);
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

static void test_sandbox(void)
{
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RDMA_VERBS_IOCTL, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(*filter), filter};
	int r;

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), "seccomp");
	r = try_library(buffer);
	told(r, -EPERM, "a seccomp filter of this process", "library_says_sandbox");
	ask_register(p2pdma_buffer_fd(buffer));
	explained(try_register(MR_IOCTL), -EPERM, P2PDMA_CAUSE_SANDBOX, SEEN, "a seccomp filter");
	p2pdma_buffer_free(buffer);
	/* The filter stays, and the protection domain with it, until the end. */
}

static void test_cgroup(void)
{
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);
	char text[64];
	int r;

	mkdir(CGROUP, 0755);
	must(mount("cgroup", CGROUP, "cgroup2", 0, NULL) ? -errno : 0, "mounting cgroup2");
	r = write_file(CGROUP "/cgroup.subtree_control", "+rdma");
	mkdir(CGROUP "/none", 0755);
	snprintf(text, sizeof(text), "%s hca_object=0",
		 ibv_get_device_name(lab.pair.context->device));
	if (!r)
		r = write_file(CGROUP "/none/rdma.max", text);
	must(r, "rdma.max");
	must(write_file(CGROUP "/none/cgroup.procs", "0"), "joining the group");
	told(try_library(buffer), -EAGAIN, "has no objects of", "library_says_cgroup");
	ask_register(p2pdma_buffer_fd(buffer));
	explained(try_register(MR_IOCTL), -EAGAIN, P2PDMA_CAUSE_CGROUP, LIKELY,
		  "has no objects of");
	must(write_file(CGROUP "/cgroup.procs", "0"), "leaving the group");
	umount2(CGROUP, MNT_DETACH);
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
		{"sandbox", test_sandbox},
		{"cgroup", test_cgroup},
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
