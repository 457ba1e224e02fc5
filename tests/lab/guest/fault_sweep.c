/* SPDX-License-Identifier: MIT */
/*
 * fault_sweep EXPORTER EDU RXE: fail each allocation and each copy from or to
 * user memory inside an operation, one by one, until the operation runs through
 * without one being left to fail.
 *
 * The kernel's systematic fault injection (/proc/thread-self/fail-nth) fails the
 * Nth chance in the next calls of this thread. For each N: the operation says 0 or
 * a sane errno, a failed one leaves the exporter as it was, and the same call
 * without a fault works afterwards. Leaks are found by kmemleak and the slab
 * counts of the scenario around it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uapi/linux/p2pdma_export.h>

#include "../../../kernel/edu/p2pdma_edu.h"
#include "common/labtest.h"
#include "common/pair.h"

#define MAX_POINTS 2000

static const struct p2pdma_export_range ranges[] = {
	{.offset = 0x4000, .length = 0x2000},
	{.offset = 0x0000, .length = 0x1000},
	{.offset = 0x100000, .length = 0x10000},
};

/* Everything that an operation may work on. */
struct stage {
	const char *node;
	struct pair *pair;
	int exporter;
	int edu;
	int dmabuf;
	uint32_t id;
	int opened;
	struct dmabuf_mr mr;
};

/**
 * struct operation - what is swept
 * @name: for the report
 * @begin: makes what @run needs; no faults here
 * @run: the call under test: 0 or -errno
 * @end: undoes @begin and @run, whatever @run said; true where all is as it should be
 */
struct operation {
	const char *name;
	void (*begin)(struct stage *stage);
	int (*run)(struct stage *stage);
	bool (*end)(struct stage *stage, int result);
};

static int fail_nth = -1;

static void fault_arm(unsigned int n)
{
	char text[16];
	int length = snprintf(text, sizeof(text), "%u", n);

	must(pwrite(fail_nth, text, (size_t)length, 0) == length ? 0 : -errno, "arm fail-nth");
}

/*
 * Whether the operation met the fault. One that it left over may hit the copies
 * of these two calls instead, which says the same.
 */
static bool fault_disarm(void)
{
	char text[16] = "";
	bool was_hit = pread(fail_nth, text, sizeof(text) - 1, 0) > 0 && atoi(text) == 0;

	while (pwrite(fail_nth, "0", 1, 0) != 1)
		must(errno == EFAULT ? 0 : -errno, "disarm fail-nth");
	return was_hit;
}

static uint32_t count_exports(struct stage *stage)
{
	struct p2pdma_export_info info = {.argsz = sizeof(info)};

	must(call(stage->exporter, P2PDMA_EXPORT_INFO, &info), "INFO");
	return info.nr_exports;
}

static int export_slices(struct stage *stage)
{
	struct p2pdma_export_export arg = {
		.argsz = sizeof(arg),
		.bar = 2,
		.nr_ranges = sizeof(ranges) / sizeof(ranges[0]),
		.ranges = (uintptr_t)ranges,
		.open_flags = O_RDWR | O_CLOEXEC,
	};
	int ret = call(stage->exporter, P2PDMA_EXPORT_EXPORT, &arg);

	if (!ret) {
		stage->dmabuf = arg.fd;
		stage->id = arg.export_id;
	}
	return ret;
}

static void begin_nothing(struct stage *stage)
{
	(void)stage;
}

static void begin_export(struct stage *stage)
{
	must(export_slices(stage), "EXPORT");
}

static int attach_edu(struct stage *stage)
{
	struct p2pdma_edu_attach arg = {
		.argsz = sizeof(arg),
		.fd = stage->dmabuf,
		.access = P2PDMA_EDU_READ | P2PDMA_EDU_WRITE,
	};

	return call(stage->edu, P2PDMA_EDU_ATTACH, &arg);
}

static int register_mr(struct stage *stage)
{
	const struct mr_request request = {
		.fd = stage->dmabuf,
		.length = 0x13000,
		.access = MR_ALL_ACCESS,
	};

	return dmabuf_mr_register(stage->pair, MR_IOCTL, &request, &stage->mr);
}

static void begin_mapped(struct stage *stage)
{
	begin_export(stage);
	must(attach_edu(stage), "edu ATTACH");
	must(register_mr(stage), "register the MR");
}

static bool drop_export(struct stage *stage)
{
	close(stage->dmabuf);
	stage->dmabuf = -1;
	return count_exports(stage) == 0;
}

static bool is_sane(int result)
{
	return result == 0 || result == -ENOMEM || result == -EFAULT || result == -EINTR ||
	       result == -EMFILE || result == -ENFILE;
}

static int run_open(struct stage *stage)
{
	stage->opened = open(stage->node, O_RDWR | O_CLOEXEC);
	return stage->opened < 0 ? -errno : 0;
}

static bool end_open(struct stage *stage, int result)
{
	if (!result)
		close(stage->opened);
	return is_sane(result);
}

static bool end_export(struct stage *stage, int result)
{
	if (!result)
		return drop_export(stage);
	return is_sane(result) && count_exports(stage) == 0;
}

static bool end_edu(struct stage *stage, int result)
{
	/* The edu driver stays attached when it can't say so. */
	int detached = call(stage->edu, P2PDMA_EDU_DETACH, NULL);

	return drop_export(stage) && is_sane(result) &&
	       (!detached || (result && detached == -ENOENT));
}

static bool end_mr(struct stage *stage, int result)
{
	/* The kernel made the region and could not say so: uverbs takes it back itself. */
	if (!result)
		must(dmabuf_mr_deregister(stage->pair, &stage->mr), "deregister");
	return drop_export(stage) && is_sane(result);
}

static int run_revoke(struct stage *stage)
{
	struct p2pdma_export_revoke arg = {.argsz = sizeof(arg), .export_id = stage->id};

	return call(stage->exporter, P2PDMA_EXPORT_REVOKE, &arg);
}

static bool end_revoke(struct stage *stage, int result)
{
	struct p2pdma_export_status status = {.argsz = sizeof(status), .export_id = stage->id};
	bool is_good = is_sane(result) && run_revoke(stage) == 0;

	must(call(stage->exporter, P2PDMA_EXPORT_STATUS, &status), "STATUS");
	is_good = is_good && status.state == P2PDMA_EXPORT_STATE_REVOKED && !status.nr_mappings;
	call(stage->edu, P2PDMA_EDU_DETACH, NULL);
	must(dmabuf_mr_deregister(stage->pair, &stage->mr), "deregister");
	return drop_export(stage) && is_good;
}

static int run_status(struct stage *stage)
{
	struct p2pdma_export_status status = {.argsz = sizeof(status), .export_id = stage->id};

	return call(stage->exporter, P2PDMA_EXPORT_STATUS, &status);
}

static bool end_status(struct stage *stage, int result)
{
	return drop_export(stage) && is_sane(result);
}

static const struct operation operations[] = {
	{"open", begin_nothing, run_open, end_open},
	{"export", begin_nothing, export_slices, end_export},
	{"status", begin_export, run_status, end_status},
	{"map by edu", begin_export, attach_edu, end_edu},
	{"map by rxe", begin_export, register_mr, end_mr},
	{"revoke", begin_mapped, run_revoke, end_revoke},
};

static void sweep(struct stage *stage, const struct operation *op)
{
	unsigned int nr_failed = 0;
	char name[128];
	unsigned int n;

	for (n = 1; n <= MAX_POINTS; n++) {
		bool was_hit, is_good;
		int result;

		op->begin(stage);
		fault_arm(n);
		result = op->run(stage);
		was_hit = fault_disarm();
		is_good = op->end(stage, result);
		if (!was_hit) {
			snprintf(name, sizeof(name), "%s works when no fault is left", op->name);
			tap_ok(is_good && !result, name, result);
			break;
		}
		nr_failed += result != 0;
		snprintf(name, sizeof(name), "%s with fault %u", op->name, n);
		tap_ok(is_good, name, result);
	}
	snprintf(name, sizeof(name), "%s was swept to its end, and faults were felt", op->name);
	tap_ok(n > 1 && n <= MAX_POINTS && nr_failed > 0, name, n);
	snprintf(name, sizeof(name), "fault_points_%s",
		 op->run == attach_edu	? "map_edu" :
		 op->run == register_mr ? "map_rxe" :
					  op->name);
	tap_figure(name, n - 1, "points");
}

int main(int argc, char **argv)
{
	struct stage stage = {.dmabuf = -1};
	struct pair pair;

	if (argc != 4) {
		fprintf(stderr, "usage: fault_sweep EXPORTER_NODE EDU_NODE RDMA_DEVICE\n");
		return 2;
	}
	stage.node = argv[1];
	stage.pair = &pair;
	stage.exporter = open(argv[1], O_RDWR | O_CLOEXEC);
	must(stage.exporter < 0 ? -errno : 0, "open the exporter");
	stage.edu = open(argv[2], O_RDWR | O_CLOEXEC);
	must(stage.edu < 0 ? -errno : 0, "open the edu device");
	must(pair_open(argv[3], &pair), "open the RDMA device");
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	must(fail_nth < 0 ? -errno : 0, "open fail-nth");

	for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
		sweep(&stage, &operations[i]);
	pair_close(&pair);
	close(stage.edu);
	close(stage.exporter);
	return tap_done();
}
