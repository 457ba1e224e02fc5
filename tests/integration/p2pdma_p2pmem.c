// SPDX-License-Identifier: MIT
/*
 * p2pdma_p2pmem PROVIDER RDMADEV DISK: memory with struct pages through the library: who gets
 * it, who shares it, what i/o it takes, and its end, by a revocation and by the driver.
 *
 * PROVIDER is a pool of p2pmem that nobody else uses, DISK an NVMe namespace that may be
 * overwritten, of another drive. Prints READY when somebody should unbind the pool's
 * driver, while a thread has DISK write into the memory (TAP).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "selftest.h"
#include "../lab/guest/common/touch.h"

#define PATIENCE_MS 60000

static const char *disk_name;
static uint64_t available(void)
{
	struct p2pdma_pool_status status = P2PDMA_POOL_STATUS_INIT;
	int r = p2pdma_pool_query(selftest.context, selftest.provider, &status);

	if (r)
		tap_ok(false, "pool_query", r);
	return status.available_bytes;
}

/* One transfer between DISK and memory, as a -errno. */
static int disk_io(bool is_write, void *memory, size_t bytes, off_t at)
{
	int fd = open(disk_name, O_RDWR | O_DIRECT | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = is_write ? pwrite(fd, memory, bytes, at) : pread(fd, memory, bytes, at);
	if (n < 0)
		n = -errno;
	close(fd);
	return n < 0 ? (int)n : (size_t)n == bytes ? 0 : -EIO;
}

static void test_memory(struct p2pdma_buffer *buffer, char *memory)
{
	uint8_t *host = aligned_alloc(PAGE, SLICE);
	struct p2pdma_mr *mr;
	int r;

	story_fill(host, SLICE, 3);
	r = disk_io(true, host, SLICE, 0);
	tap_ok(!r, "disk_is_prepared", r);
	memset(memory, 0, SLICE);
	r = disk_io(false, memory, SLICE, 0);
	tap_ok(!r && story_check((uint8_t *)memory, SLICE, 3) < 0, "disk_writes_into_it", r);
	story_fill((uint8_t *)memory, SLICE, 4);
	r = disk_io(true, memory, SLICE, SLICE);
	tap_ok(!r, "disk_reads_from_it", r);
	r = disk_io(false, host, SLICE, SLICE);
	tap_ok(!r && story_check(host, SLICE, 4) < 0, "and_has_read_it_right", r);
	/* Parts of it, from where they lie. */
	r = disk_io(false, memory + PAGE, PAGE, SLICE + 2 * PAGE);
	tap_ok(!r && !memcmp(memory + PAGE, host + 2 * PAGE, PAGE) && !memcmp(memory, host, PAGE),
	       "a_page_of_it_alone", r);
	free(host);
	r = p2pdma_buffer_fd(buffer);
	tap_ok(r == -EOPNOTSUPP, "it_has_no_dmabuf", r);
	r = p2pdma_mr_register(selftest.pair.pd, buffer, 0, SLICE, 0, ACCESS, &mr);
	tap_ok(r == -EOPNOTSUPP, "register_eopnotsupp", r);
	tap_ok(strstr(p2pdma_context_error(selftest.context), "O_DIRECT"),
	       "and_says_what_it_is_for", 0);
	tap_ok(!ibv_reg_mr(selftest.pair.pd, memory, SLICE, IBV_ACCESS_LOCAL_WRITE),
	       "as_the_kernel_does", 0);
}

/* Runs in a child: takes what there is, tells it, and holds it until told to end. */
static void take_all(int ready, int end)
{
	struct p2pdma_range range = {0, available()};
	struct p2pdma_buffer *buffer;
	char byte = 1;

	byte = !p2pdma_buffer_new(selftest.context, selftest.provider, &range, 1, NULL, &buffer);
	if (write(ready, &byte, 1) == 1 && read(end, &byte, 1) < 0)
		_exit(2);
	_exit(0);
}

static struct p2pdma_buffer *take(uint64_t length_bytes)
{
	struct p2pdma_range range = {0, length_bytes};
	struct p2pdma_buffer *buffer = NULL;

	p2pdma_buffer_new(selftest.context, selftest.provider, &range, 1, NULL, &buffer);
	return buffer;
}

/* Two pages are free, with one between them. */
static void test_pieces(void)
{
	struct p2pdma_buffer *pages[3], *rest, *two;

	for (int i = 0; i < 3; i++)
		pages[i] = take(PAGE);
	rest = take(available());
	p2pdma_buffer_free(pages[0]);
	p2pdma_buffer_free(pages[2]);
	two = take(2 * PAGE);
	tap_ok(rest && !two && strstr(p2pdma_context_error(selftest.context), "in one piece"),
	       "two_pages_apart_are_said_to_be_in_pieces", 0);
	p2pdma_buffer_free(two);
	p2pdma_buffer_free(rest);
	p2pdma_buffer_free(pages[1]);
}

static void test_contention(void)
{
	uint64_t before = available();
	struct p2pdma_range range = {0, PAGE};
	struct p2pdma_buffer *buffer = NULL;
	int ready[2], end[2], r;
	char byte = 0;
	pid_t pid;

	if (pipe2(ready, O_CLOEXEC) || pipe2(end, O_CLOEXEC))
		exit(1);
	pid = fork();
	if (!pid)
		take_all(ready[1], end[0]);
	tap_ok(read(ready[0], &byte, 1) == 1 && byte == 1, "another_process_takes_all", byte);
	tap_ok(!available(), "the_pool_is_empty", (long)available());
	r = p2pdma_buffer_new(selftest.context, selftest.provider, &range, 1, NULL, &buffer);
	tap_ok(r == -ENOMEM, "new_of_an_empty_pool_enomem", r);
	tap_ok(strstr(p2pdma_context_error(selftest.context), " 0x0 of 0x"), "with_its_figures", 0);
	/* However it ends. */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	tap_ok(available() == before, "its_death_gives_all_back", (long)available());
	r = p2pdma_buffer_new(selftest.context, selftest.provider, &range, 1, NULL, &buffer);
	tap_ok(!r, "new_works_again", r);
	p2pdma_buffer_free(buffer);
	close(ready[0]);
	close(ready[1]);
	close(end[0]);
	close(end[1]);
}

/* What a child that writes to it gets: 0, or the signal. */
static int child_writes(char *memory)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		status = touch(memory);
		if (!status)
			memory[9] = 77;
		_exit(status);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

static void test_sharing(char *memory)
{
	struct p2pdma_buffer *shared = new_buffer(0, SLICE, P2PDMA_BUFFER_INHERIT);
	char *inherited = shared ? new_map(shared) : NULL;
	int r;

	if (!inherited)
		return;
	r = child_writes(memory);
	tap_ok(r == SIGSEGV, "children_dont_have_it", r);
	r = child_writes(inherited);
	tap_ok(!r && inherited[9] == 77, "unless_it_is_to_be_inherited", r);
	p2pdma_buffer_free(shared);
}

static void test_revoke(void)
{
	struct p2pdma_buffer *buffer = new_buffer(0, SLICE, 0);
	uint64_t before = available();
	char *memory = buffer ? new_map(buffer) : NULL;
	void *address;
	int r;

	if (!memory)
		return;
	memory[0] = 1;
	r = p2pdma_buffer_revoke(buffer, 0, 1000, NULL);
	tap_ok(!r, "revoke_succeeds", r);
	r = touch(memory);
	tap_ok(r == SIGBUS, "touch_after_revoke_sigbus", r);
	tap_ok(available() == before + SLICE, "revoke_gives_it_back", (long)available());
	r = disk_io(false, memory, SLICE, 0);
	tap_ok(r == -EFAULT, "disk_after_revoke_efault", r);
	r = p2pdma_buffer_map(buffer, 0, SLICE, P2PDMA_MAP_READ, &address);
	tap_ok(r == -ESTALE, "map_after_revoke_estale", r);
	p2pdma_buffer_free(buffer);
	drain_events();
}

static char *busy_memory;
static atomic_int busy_error; /* what ended the traffic */
static atomic_int busy_count;

static void *traffic(void *unused)
{
	int r;

	(void)unused;
	do {
		r = disk_io(false, busy_memory, SLICE, 0);
		atomic_fetch_add(&busy_count, !r);
	} while (!r);
	atomic_store(&busy_error, r);
	return NULL;
}

static pid_t child_waits(char *memory)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* Until touching it kills. */
	signal(SIGBUS, SIG_DFL);
	for (;;) {
		(void)*(volatile char *)memory;
		usleep(10000);
	}
}

static void test_unbind(struct p2pdma_buffer *buffer, char *memory)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	struct p2pdma_event event = P2PDMA_EVENT_INIT;
	struct p2pdma_buffer *other;
	int r, child_status = 0;
	pthread_t thread;
	void *address;
	pid_t child;

	child = child_waits(memory);
	busy_memory = memory;
	if (pthread_create(&thread, NULL, traffic, NULL))
		exit(1);
	while (!atomic_load(&busy_count) && !atomic_load(&busy_error))
		usleep(1000);
	printf("# READY\n");
	tap_ok(wait_event(P2PDMA_EVENT_REVOKED, PATIENCE_MS, &event) && event.buffer == buffer &&
		       event.reason == P2PDMA_REASON_REMOVE,
	       "event_revoked_by_removal", (long)event.reason);
	tap_ok(wait_event(P2PDMA_EVENT_DEVICE_GONE, 5000, &event), "event_device_gone", 0);
	pthread_join(thread, NULL);
	r = atomic_load(&busy_error);
	tap_ok(atomic_load(&busy_count) && r == -EFAULT, "traffic_ends_with_efault", r);
	r = touch(memory);
	tap_ok(r == SIGBUS, "touch_after_unbind_sigbus", r);
	waitpid(child, &child_status, 0);
	tap_ok(WIFSIGNALED(child_status) && WTERMSIG(child_status) == SIGBUS,
	       "a_child_gets_sigbus_too", child_status);
	r = p2pdma_buffer_map(buffer, 0, SLICE, P2PDMA_MAP_READ, &address);
	tap_ok(r == -ENODEV, "map_after_unbind_enodev", r);
	r = p2pdma_buffer_query(buffer, &status);
	tap_ok(!r && status.state == P2PDMA_BUFFER_GONE, "query_after_unbind", (long)status.state);
	r = p2pdma_buffer_revoke(buffer, 0, 1000, NULL);
	tap_ok(!r, "revoke_after_unbind_succeeds", r);
	r = p2pdma_buffer_new(selftest.context, selftest.provider, NULL, 0, NULL, &other);
	/* Without a driver, and where that was a hot unplug without a function. */
	tap_ok(r == -EOPNOTSUPP || r == -ENODEV, "new_after_unbind_fails", r);
}

int main(int argc, char **argv)
{
	struct p2pdma_buffer *buffer, *shared;
	uint64_t before;
	char *memory;
	int fds;

	if (argc != 4) {
		story_tell("usage: p2pdma_p2pmem PROVIDER RDMADEV DISK");
		return 2;
	}
	disk_name = argv[3];
	selftest_open(argv[1], argv[2], P2PDMA_BACKEND_AUTO);
	/* The context opens some for itself with the first. */
	p2pdma_buffer_free(new_buffer(0, SLICE, 0));
	fds = count_fds();
	before = available();
	buffer = new_buffer(0, SLICE, 0);
	memory = buffer ? new_map(buffer) : NULL;
	if (!memory)
		return 1;
	tap_ok(available() == before - SLICE, "new_takes_from_the_pool", (long)available());
	test_memory(buffer, memory);
	test_contention();
	test_pieces();
	test_sharing(memory);
	test_revoke();
	p2pdma_buffer_free(buffer);
	tap_ok(available() == before, "free_gives_it_back", (long)available());
	tap_ok(count_fds() == fds, "no_descriptor_is_left", count_fds() - fds);
	shared = new_buffer(0, SLICE, P2PDMA_BUFFER_INHERIT);
	memory = shared ? new_map(shared) : NULL;
	if (!memory)
		return 1;
	test_unbind(shared, memory);
	p2pdma_buffer_free(shared);
	tap_ok(count_fds() == fds, "no_descriptor_is_left_in_the_end", count_fds() - fds);
	selftest_close();
	return tap_done();
}
