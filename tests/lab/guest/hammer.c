/* SPDX-License-Identifier: MIT */
/*
 * hammer SECONDS NODE BAR: many threads do everything at once, much of it wrong.
 *
 * Half of the threads share one open file, the others open and close their
 * own. Each picks a call at random, with arguments that are good, slightly
 * wrong or garbage. The function may be unbound and bound meanwhile: then the
 * threads open it again. No answer is wrong here but a crash, a hang, or an errno
 * that the header doesn't know.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <linux/p2pdma_export.h>

#include "common/labtest.h"

#define NR_THREADS 8
#define NR_SLICES  4
#define PAGE	   4096ULL

static struct {
	const char *node;
	uint32_t bar;
	int64_t end_ns;
	/* Never closed while a thread may use it: it is only replaced under the lock. */
	pthread_rwlock_t lock;
	int shared;
	atomic_long calls;
	atomic_long successes;
	atomic_int bad_errno;
} lab = {.lock = PTHREAD_RWLOCK_INITIALIZER, .shared = -1};

struct worker {
	pthread_t thread;
	uint64_t seed;
	int own;
	int slices[NR_SLICES];
	uint32_t ids[NR_SLICES];
};

static uint64_t dice(struct worker *worker)
{
	worker->seed ^= worker->seed << 13;
	worker->seed ^= worker->seed >> 7;
	worker->seed ^= worker->seed << 17;
	return worker->seed;
}

/* Mostly a sensible value, sometimes rubbish. */
static uint32_t choose(struct worker *worker, uint32_t sensible)
{
	uint64_t roll = dice(worker);

	return roll % 8 ? sensible : (uint32_t)(roll >> 16);
}

static void judge(long long ret)
{
	static const int known[] = {ENOTTY, EOPNOTSUPP, E2BIG,	EINVAL, ENOENT, EACCES,
				    EPERM,  EBUSY,	ENODEV, EFAULT, EMFILE, ENFILE,
				    ENOMEM, ENXIO,	EINTR,	EBADF,	EAGAIN};
	size_t i;

	atomic_fetch_add(&lab.calls, 1);
	if (ret >= 0) {
		atomic_fetch_add(&lab.successes, 1);
		return;
	}
	for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (ret == -known[i])
			return;
	atomic_store(&lab.bad_errno, (int)-ret);
}

static void do_export(struct worker *worker, int fd)
{
	struct p2pdma_export_range ranges[3];
	struct p2pdma_export_export arg = {
		.argsz = choose(worker, sizeof(arg)),
		.flags = choose(worker, 0),
		.bar = choose(worker, lab.bar),
		.nr_ranges = choose(worker, 1 + (uint32_t)(dice(worker) % 3)),
		.ranges = (uintptr_t)ranges,
		.open_flags = choose(worker, O_CLOEXEC | O_RDWR),
	};
	unsigned int slot = dice(worker) % NR_SLICES, i;
	long long ret;

	for (i = 0; i < 3; i++)
		ranges[i] = (struct p2pdma_export_range){
			(i * 64 + dice(worker) % 64) * PAGE,
			(1 + dice(worker) % 32) * PAGE,
		};
	ret = call(fd, P2PDMA_EXPORT_EXPORT, &arg);
	judge(ret);
	if (ret < 0)
		return;
	if (worker->slices[slot] >= 0)
		close(worker->slices[slot]);
	worker->slices[slot] = arg.fd;
	worker->ids[slot] = arg.export_id;
}

static void do_revoke(struct worker *worker, int fd)
{
	bool is_all = dice(worker) % 16 == 0;
	struct p2pdma_export_revoke arg = {
		.argsz = choose(worker, sizeof(arg)),
		.flags = choose(worker, is_all ? P2PDMA_EXPORT_REVOKE_ALL : 0),
		.export_id = choose(worker, is_all ? 0 : worker->ids[dice(worker) % NR_SLICES]),
		.timeout_ms = (uint32_t)(dice(worker) % 3),
	};

	judge(call(fd, P2PDMA_EXPORT_REVOKE, &arg));
}

static void do_status(struct worker *worker, int fd)
{
	struct p2pdma_export_status arg = {
		.argsz = choose(worker, sizeof(arg)),
		.export_id = choose(worker, worker->ids[dice(worker) % NR_SLICES]),
	};

	judge(call(fd, P2PDMA_EXPORT_STATUS, &arg));
}

static void do_queries(struct worker *worker, int fd)
{
	struct p2pdma_export_info info = {.argsz = choose(worker, sizeof(info))};
	struct p2pdma_export_path path = {
		.argsz = choose(worker, sizeof(path)),
		.client_bus = choose(worker, (uint32_t)(dice(worker) % 4)),
	};

	judge(call(fd, P2PDMA_EXPORT_INFO, &info));
	judge(call(fd, P2PDMA_EXPORT_PATH, &path));
}

static void do_events(struct worker *worker, int fd)
{
	int event = eventfd(0, EFD_CLOEXEC);
	struct p2pdma_export_eventfd arg = {
		.argsz = choose(worker, sizeof(arg)),
		.fd = dice(worker) % 4 ? event : (int)dice(worker),
	};
	uint8_t buffer[512];
	long long ret;

	judge(call(fd, P2PDMA_EXPORT_SET_EVENTFD, &arg));
	ret = read(fd, buffer, dice(worker) % sizeof(buffer));
	judge(ret < 0 ? -errno : ret);
	close(event);
}

/* Map, look without touching what may be gone, unmap; or a fork-like dup and close. */
static void do_slice(struct worker *worker)
{
	unsigned int slot = dice(worker) % NR_SLICES;
	void *memory;

	if (worker->slices[slot] < 0)
		return;
	memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, worker->slices[slot],
		      (off_t)(dice(worker) % 4 * PAGE));
	judge(memory == MAP_FAILED ? -errno : 0);
	if (memory != MAP_FAILED)
		munmap(memory, PAGE);
	if (dice(worker) % 2) {
		close(worker->slices[slot]);
		worker->slices[slot] = -1;
	}
}

static void one_call(struct worker *worker, int fd)
{
	switch (dice(worker) % 8) {
	case 0:
	case 1:
		do_export(worker, fd);
		break;
	case 2:
		do_revoke(worker, fd);
		break;
	case 3:
		do_status(worker, fd);
		break;
	case 4:
		do_queries(worker, fd);
		break;
	case 5:
		do_events(worker, fd);
		break;
	case 6:
		do_slice(worker);
		break;
	default:
		judge(call(fd, dice(worker), (void *)(uintptr_t)dice(worker)));
	}
}

static void reopen(int *fd, bool always)
{
	struct p2pdma_export_info info = {.argsz = sizeof(info)};

	if (*fd >= 0 && !always && call(*fd, P2PDMA_EXPORT_INFO, &info) != -ENODEV)
		return;
	if (*fd >= 0)
		close(*fd);
	*fd = open(lab.node, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (*fd < 0)
		usleep(1000);
}

static void *work(void *data)
{
	struct worker *worker = data;
	bool is_shared = worker->seed & 1;

	while (now_ns() < lab.end_ns) {
		if (dice(worker) % 64 == 0 && is_shared) {
			pthread_rwlock_wrlock(&lab.lock);
			reopen(&lab.shared, dice(worker) % 8 == 0);
			pthread_rwlock_unlock(&lab.lock);
		} else if (!is_shared && dice(worker) % 32 == 0) {
			reopen(&worker->own, true);
		}
		pthread_rwlock_rdlock(&lab.lock);
		one_call(worker, is_shared ? lab.shared : worker->own);
		pthread_rwlock_unlock(&lab.lock);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	static struct worker workers[NR_THREADS];
	unsigned int i, slot;

	if (argc != 4) {
		fprintf(stderr, "usage: hammer SECONDS NODE BAR\n");
		return 2;
	}
	lab.node = argv[2];
	lab.bar = (uint32_t)strtoul(argv[3], NULL, 0);
	lab.end_ns = now_ns() + atoi(argv[1]) * 1000000000LL;
	for (i = 0; i < NR_THREADS; i++) {
		workers[i].seed = 0x9E3779B97F4A7C15ULL * (i + 1) << 1 | (i & 1);
		workers[i].own = -1;
		for (slot = 0; slot < NR_SLICES; slot++)
			workers[i].slices[slot] = -1;
		if (pthread_create(&workers[i].thread, NULL, work, &workers[i]))
			die(-EAGAIN, "starting a thread");
	}
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	printf("# %ld calls, %ld of them succeeded\n", lab.calls, lab.successes);
	tap_ok(lab.calls > 1000, "hammer_made_calls", lab.calls);
	tap_ok(lab.successes > 100 && lab.successes < lab.calls, "hammer_calls_succeed_and_fail",
	       lab.successes);
	tap_ok(lab.bad_errno == 0, "hammer_every_errno_is_a_known_one", -lab.bad_errno);
	return tap_done();
}
