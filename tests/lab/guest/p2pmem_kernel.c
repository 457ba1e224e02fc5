/* SPDX-License-Identifier: MIT */
/*
 * p2pmem_kernel BDF RDMADEV DISK PLAIN: what the kernel does with the memory of a
 * p2pmem pool, without the library: who can share it, who may do i/o on it, and
 * what becomes of it. docs/sources.md stands on these cases.
 *
 * BDF is the function with the pool, DISK a block device whose driver takes such
 * memory (another NVMe drive's namespace) and may be overwritten, PLAIN one whose
 * driver doesn't. Nobody else may use the pool meanwhile.
 */
#include <errno.h>
#include <fcntl.h>
#include <infiniband/verbs.h>
#include <linux/io_uring.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/labtest.h"
#include "common/touch.h"

#define PAGE   0x1000UL
#define LENGTH 0x10000UL

static char pool[128]; /* its directory in sysfs */
static int allocate;
static long long pool_figure(const char *name)
{
	char path[160], text[32] = "";
	int fd;

	snprintf(path, sizeof(path), "%s/%s", pool, name);
	fd = (int)must(open(path, O_RDONLY | O_CLOEXEC), path);
	must(read(fd, text, sizeof(text) - 1), path);
	close(fd);
	return atoll(text);
}

/* An address, or NULL with errno. */
static void *map_with(size_t length, int protection, int flags, off_t offset)
{
	void *address = mmap(NULL, length, protection, flags, allocate, offset);

	return address == MAP_FAILED ? NULL : address;
}

static void *map(size_t length)
{
	return map_with(length, PROT_READ | PROT_WRITE, MAP_SHARED, 0);
}

static void test_allocate(void)
{
	long long size = pool_figure("size"), before = pool_figure("available");
	char *all, *one, *two;
	int err;

	tap_ok(before > 0 && before < size, "the_driver_has_its_queues_there", before);
	tap_ok(!map_with(LENGTH, PROT_READ, MAP_PRIVATE, 0) && errno == EINVAL,
	       "private_mapping_einval", -errno);
	tap_ok(!map_with(LENGTH, PROT_READ, MAP_SHARED, PAGE) && errno == EINVAL,
	       "mapping_with_an_offset_einval", -errno);
	one = map(LENGTH);
	tap_ok(one && pool_figure("available") == before - (long long)LENGTH,
	       "a_mapping_takes_from_the_pool", pool_figure("available"));
	two = map(LENGTH);
	memset(one, 1, LENGTH);
	memset(two, 2, LENGTH);
	tap_ok(one[0] == 1 && one[LENGTH - 1] == 1, "a_second_mapping_is_other_memory", one[0]);
	munmap(two, LENGTH);
	munmap(one, PAGE);
	tap_ok(pool_figure("available") == before - (long long)(LENGTH - PAGE),
	       "a_page_unmapped_goes_back", pool_figure("available"));
	munmap(one + PAGE, LENGTH - PAGE);
	tap_ok(pool_figure("available") == before, "all_goes_back", pool_figure("available"));
	all = map(before);
	tap_ok(all && !pool_figure("available"), "one_mapping_can_take_all",
	       pool_figure("available"));
	err = map(PAGE) ? 0 : -errno;
	tap_ok(err == -ENOMEM, "an_empty_pool_enomem", err);
	munmap(all, before);
	err = map(before + PAGE) ? 0 : -errno;
	tap_ok(err == -ENOMEM, "more_than_the_pool_enomem", err);
	tap_ok(pool_figure("available") == before, "refusals_take_nothing",
	       pool_figure("available"));
}

/* The pool is empty but for two pages: free, but not in one piece. */
static void test_pieces(void)
{
	size_t size = pool_figure("available");
	char *all = map(size);
	int err;

	munmap(all, PAGE);
	munmap(all + 2 * PAGE, PAGE);
	err = map(2 * PAGE) ? 0 : -errno;
	tap_ok(err == -ENOMEM, "pieces_are_not_put_together", err);
	munmap(all, size);
}

/* Runs @body in a child; its exit status. */
static int in_child(int (*body)(char *memory), char *memory)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(body(memory));
	must(waitpid(pid, &status, 0), "waiting for a child");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int write_3(char *memory)
{
	int signal = touch(memory);

	if (!signal)
		memory[5] = 3;
	return signal;
}

static int map_through_inherited(char *memory)
{
	char *other = map(PAGE);

	memory[7] = 1;
	other[7] = 9;
	return memory[7] == 1 ? 0 : 1;
}

static int hold_after_parent(char *memory)
{
	sleep(1);
	return memory[5];
}

static void test_share(void)
{
	long long before = pool_figure("available");
	char *memory = map(LENGTH);
	pid_t pid;
	int status;

	in_child(write_3, memory);
	tap_ok(memory[5] == 3, "fork_shares_the_memory", memory[5]);
	tap_ok(!in_child(map_through_inherited, memory), "the_descriptor_shares_nothing", 0);
	pid = fork();
	if (!pid)
		_exit(hold_after_parent(memory));
	munmap(memory, LENGTH);
	tap_ok(pool_figure("available") == before - (long long)LENGTH,
	       "a_child_keeps_what_its_parent_unmapped", pool_figure("available"));
	waitpid(pid, &status, 0);
	tap_ok(WEXITSTATUS(status) == 3, "and_reads_it", WEXITSTATUS(status));
	tap_ok(pool_figure("available") == before, "its_exit_gives_it_back",
	       pool_figure("available"));

	memory = map(LENGTH);
	tap_ok(!madvise(memory, LENGTH, MADV_DONTFORK), "dontfork_is_possible", -errno);
	tap_ok(in_child(write_3, memory) == SIGSEGV, "and_keeps_it_from_children", 0);
	tap_ok(madvise(memory, LENGTH, MADV_DOFORK) && errno == EINVAL, "dofork_einval", -errno);
	munmap(memory, LENGTH);
	tap_ok(pool_figure("available") == before, "all_of_it_goes_back", pool_figure("available"));
}

static void test_remap(void)
{
	long long before = pool_figure("available");
	char *memory = map(LENGTH), *moved;

	memory[0] = 4;
	moved = mremap(memory, 0, LENGTH, MREMAP_MAYMOVE);
	tap_ok(moved == MAP_FAILED || touch(moved) == SIGBUS, "a_doubled_mapping_is_empty", -errno);
	if (moved != MAP_FAILED)
		munmap(moved, LENGTH);
	moved = mremap(memory, LENGTH, 2 * LENGTH, MREMAP_MAYMOVE);
	tap_ok(moved == MAP_FAILED || (moved[0] == 4 && touch(moved + LENGTH) == SIGBUS),
	       "a_grown_mapping_is_empty_in_its_new_part", -errno);
	munmap(moved == MAP_FAILED ? memory : moved, moved == MAP_FAILED ? LENGTH : 2 * LENGTH);
	tap_ok(pool_figure("available") == before, "remapping_loses_nothing",
	       pool_figure("available"));
}

/* What @got is must be @want, unless this kernel was built without the call. */
static void unless_missing(ssize_t got, int want, const char *name)
{
	if (got == -ENOSYS)
		tap_skip(name, "this kernel hasn't the call");
	else
		tap_ok(got == want, name, got);
}

static void test_other_ways_in(char *memory)
{
	char buffer[PAGE];
	struct iovec local = {buffer, PAGE}, remote = {memory, PAGE};
	int pipes[2], mem = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	ssize_t r;

	r = process_vm_readv(getpid(), &local, 1, &remote, 1, 0) < 0 ? -errno : 0;
	unless_missing(r, -EFAULT, "process_vm_readv_efault");
	r = pread(mem, buffer, PAGE, (off_t)memory) < 0 ? -errno : 0;
	tap_ok(r == -EIO, "proc_mem_eio", r);
	must(pipe2(pipes, O_CLOEXEC), "pipe");
	r = vmsplice(pipes[1], &remote, 1, 0) < 0 ? -errno : 0;
	tap_ok(r == -EREMOTEIO, "vmsplice_eremoteio", r);
	must(write(pipes[1], "hello", 5), "writing to a pipe");
	r = read(pipes[0], memory, 5);
	tap_ok(r == 5 && !memcmp(memory, "hello", 5), "read_of_a_pipe_copies_into_it", r);
	close(pipes[0]);
	close(pipes[1]);
	close(mem);
}

/* 0, or the -errno of reading the disk by O_DIRECT into @memory. */
static int read_disk(const char *path, void *memory, size_t length)
{
	int fd = open(path, O_RDWR | O_DIRECT | O_CLOEXEC);
	ssize_t r;

	if (fd < 0)
		return -errno;
	r = pread(fd, memory, length, 0);
	if (r < 0)
		r = -errno;
	close(fd);
	return r < 0 ? (int)r : r == (ssize_t)length ? 0 : -EIO;
}

static void test_direct(char *memory, const char *disk, const char *plain)
{
	int fd = open(disk, O_RDWR | O_DIRECT | O_CLOEXEC);
	ssize_t r;

	must(fd, disk);
	pattern_fill(memory, 7, LENGTH);
	r = pwrite(fd, memory, LENGTH, 0);
	tap_ok(r == (ssize_t)LENGTH, "o_direct_writes_from_it", r);
	memset(memory, 0, LENGTH);
	tap_ok(!read_disk(disk, memory, LENGTH) && pattern_check(memory, 7, LENGTH) < 0,
	       "o_direct_reads_into_it", pattern_check(memory, 7, LENGTH));
	close(fd);
	r = read_disk(plain, memory, LENGTH);
	tap_ok(r == -EREMOTEIO, "a_driver_without_the_feature_eremoteio", r);
}

/* 0, or the -errno of making it a buffer that io_uring keeps. */
static int make_fixed(void *memory)
{
	struct io_uring_params params = {.flags = 0};
	struct iovec piece = {memory, LENGTH};
	int ring, err = 0;

	ring = (int)syscall(SYS_io_uring_setup, 1, &params);
	if (ring < 0)
		return -errno;
	if (syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &piece, 1))
		err = -errno;
	close(ring);
	return err;
}

/* 0, or the -errno of a registration of ordinary memory. */
static int register_as(struct ibv_pd *pd, char *memory, int access)
{
	struct ibv_mr *mr = ibv_reg_mr(pd, memory, LENGTH, access);

	if (!mr)
		return -errno;
	ibv_dereg_mr(mr);
	return 0;
}

static void test_register(char *memory, const char *name)
{
	struct ibv_device **devices = ibv_get_device_list(NULL);
	struct ibv_context *context = NULL;
	struct ibv_pd *pd;
	int err;

	for (int i = 0; devices && devices[i]; i++)
		if (!strcmp(ibv_get_device_name(devices[i]), name))
			context = ibv_open_device(devices[i]);
	must(context ? 0 : -ENODEV, name);
	pd = ibv_alloc_pd(context);
	/* Refused as a page to be written that sysfs would have to hear of, and as a page of a peer. */
	err = register_as(pd, memory, IBV_ACCESS_LOCAL_WRITE);
	tap_ok(err == -EFAULT, "ibv_reg_mr_to_write_efault", err);
	err = register_as(pd, memory, 0);
	tap_ok(err == -EREMOTEIO, "ibv_reg_mr_to_read_eremoteio", err);
	ibv_dealloc_pd(pd);
	ibv_close_device(context);
	ibv_free_device_list(devices);
}

int main(int argc, char **argv)
{
	char path[160], *memory;

	if (argc != 5)
		die(0, "usage: p2pmem_kernel BDF RDMADEV DISK PLAIN");
	snprintf(pool, sizeof(pool), "/sys/bus/pci/devices/%.20s/p2pmem", argv[1]);
	snprintf(path, sizeof(path), "%s/allocate", pool);
	allocate = (int)must(open(path, O_RDWR | O_CLOEXEC), path);
	test_allocate();
	test_pieces();
	test_share();
	test_remap();
	memory = map(LENGTH);
	must(memory ? 0 : -errno, "mapping the pool");
	memset(memory, 0, LENGTH);
	test_other_ways_in(memory);
	test_direct(memory, argv[3], argv[4]);
	unless_missing(make_fixed(memory), -EFAULT, "a_fixed_buffer_of_io_uring_efault");
	test_register(memory, argv[2]);
	munmap(memory, LENGTH);
	return tap_done();
}
