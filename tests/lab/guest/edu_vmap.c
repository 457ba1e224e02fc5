/* SPDX-License-Identifier: MIT */
/*
 * edu_vmap [-w | -x] EXPORTER-NODE BAR EDU-NODE
 *
 * The kernel maps a DMABUF of p2pdma_export for itself (vmap), by way of the edu
 * driver. Nobody can take such a mapping back: it has to be allowed, it is counted,
 * a revocation says that it is there, and whoever takes the function away waits.
 *
 * -w: the refusals upon which dma_buf_vmap() makes a kernel warning.
 * -x: writes MARK by vmap to the first page at EXTERNAL of the BAR, says "# WRITTEN",
 *     and waits until the host has put ANSWER there.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "edu_common.h"

#define KIB	 1024UL
#define OFFSET	 (64 * KIB)
#define LENGTH	 (16 * KIB)
#define EXTERNAL (256 * KIB)
#define MARK	 0x3c
#define ANSWER	 0x99
#define WAIT_NS	 (30 * 1000000000LL)

static struct {
	const char *node;
	int exporter;
	uint32_t bar;
	int edu;
} lab;

static struct p2pdma_export_export make_export(uint64_t offset, uint32_t flags)
{
	struct p2pdma_export_range range = {.offset = offset, .length = LENGTH};
	struct p2pdma_export_export arg = {.flags = flags, .open_flags = O_RDWR};

	must(export_bar(lab.exporter, lab.bar, &range, 1, &arg), "P2PDMA_EXPORT_EXPORT");
	return arg;
}

static int vmap(int dmabuf)
{
	struct p2pdma_edu_vmap arg = {.argsz = sizeof(arg), .fd = dmabuf};

	return call(lab.edu, P2PDMA_EDU_VMAP, &arg);
}

static int vunmap(void)
{
	return call(lab.edu, P2PDMA_EDU_VUNMAP, NULL);
}

static int copy(uint32_t access, uint64_t offset, void *user, uint64_t length)
{
	struct p2pdma_edu_vmap_copy arg = {
		.argsz = sizeof(arg),
		.access = access,
		.offset = offset,
		.length = length,
		.user = (uintptr_t)user,
	};

	return call(lab.edu, P2PDMA_EDU_VMAP_COPY, &arg);
}

static struct p2pdma_export_status status_of(uint32_t id)
{
	struct p2pdma_export_status arg = {.argsz = sizeof(arg), .export_id = id};

	must(call(lab.exporter, P2PDMA_EXPORT_STATUS, &arg), "P2PDMA_EXPORT_STATUS");
	return arg;
}

static int take_back(uint32_t id, uint32_t timeout_ms, struct p2pdma_export_revoke *ret_arg)
{
	*ret_arg = (struct p2pdma_export_revoke){
		.argsz = sizeof(*ret_arg),
		.export_id = id,
		.timeout_ms = timeout_ms,
	};
	return call(lab.exporter, P2PDMA_EXPORT_REVOKE, ret_arg);
}

/* 0, or what mmap() of the DMABUF says. */
static int map(int dmabuf, uint8_t **ret_view)
{
	void *view = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, MAP_SHARED, dmabuf, 0);

	if (view == MAP_FAILED)
		return -errno;
	*ret_view = view;
	return 0;
}

static void test_refusals(void)
{
	struct p2pdma_export_range two[] = {{OFFSET, LENGTH}, {OFFSET + 2 * LENGTH, LENGTH}};
	struct p2pdma_export_range one = {OFFSET, LENGTH};
	struct p2pdma_export_export pieces = {
		.flags = P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE,
		.open_flags = O_RDWR,
	};
	struct p2pdma_export_export read_only = {
		.flags = P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE,
		.open_flags = O_RDONLY,
	};
	struct p2pdma_export_export plain = make_export(OFFSET, 0);
	struct p2pdma_export_revoke taken;
	uint8_t byte;
	int ret;

	must(export_bar(lab.exporter, lab.bar, two, 2, &pieces), "two ranges");
	must(export_bar(lab.exporter, lab.bar, &one, 1, &read_only), "read only");
	ret = vmap(plain.fd);
	tap_ok(ret == -EINVAL, "vmap_not_allowed_einval", ret);
	tap_ok(status_of(plain.export_id).nr_vmaps == 0, "vmap_refused_is_not_counted", 0);
	ret = take_back(plain.export_id, 0, &taken);
	tap_ok(ret == 0 && taken.nr_mappings == 0, "revoke_after_refused_vmap_succeeds", ret);
	ret = vmap(pieces.fd);
	tap_ok(ret == -EINVAL, "vmap_of_two_ranges_einval", ret);
	ret = vmap(read_only.fd);
	tap_ok(ret == -EINVAL, "vmap_of_read_only_einval", ret);
	ret = copy(P2PDMA_EDU_READ, 0, &byte, 1);
	tap_ok(ret == -ENOENT, "copy_without_vmap_enoent", ret);
	close(plain.fd);
	close(pieces.fd);
	close(read_only.fd);
}

static void test_data(void)
{
	struct p2pdma_export_export whole = make_export(OFFSET, 0);
	struct p2pdma_export_export export = make_export(OFFSET, P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE);
	static uint8_t buffer[LENGTH];
	uint8_t *view;
	int ret;

	must(map(whole.fd, &view), "mmap of a DMABUF");
	memset(view, 0, LENGTH);
	ret = vmap(export.fd);
	tap_ok(ret == 0, "vmap_allowed_succeeds", ret);
	pattern_fill(buffer, 1, LENGTH);
	ret = copy(P2PDMA_EDU_WRITE, 3, buffer, LENGTH - 5);
	tap_ok(ret == 0 && pattern_check(view + 3, 1, LENGTH - 5) < 0, "mmap_shows_vmap_write",
	       ret ? ret : pattern_check(view + 3, 1, LENGTH - 5));
	tap_ok(!view[0] && !view[2] && !view[LENGTH - 2] && !view[LENGTH - 1],
	       "vmap_write_touches_nothing_else", view[2]);
	pattern_fill(view, 2, LENGTH);
	ret = copy(P2PDMA_EDU_READ, 0, buffer, LENGTH);
	tap_ok(ret == 0 && pattern_check(buffer, 2, LENGTH) < 0, "vmap_reads_mmap_write",
	       ret ? ret : pattern_check(buffer, 2, LENGTH));
	/* User memory that is itself a mapping of the DMABUF faults under the driver's lock. */
	munmap(view, LENGTH);
	must(map(export.fd, &view), "mmap of a vmapped DMABUF");
	ret = copy(P2PDMA_EDU_READ, 0, view + LENGTH / 2, LENGTH / 2);
	tap_ok(ret == 0 && pattern_check(view + LENGTH / 2, 2, LENGTH / 2) < 0,
	       "vmap_copies_into_its_own_mmap", ret);
	tap_ok(copy(P2PDMA_EDU_READ, LENGTH, buffer, 1) == -EINVAL, "copy_behind_the_end_einval",
	       0);
	must(vunmap(), "P2PDMA_EDU_VUNMAP");
	munmap(view, LENGTH);
	close(export.fd);
	close(whole.fd);
}

static void test_revoke(void)
{
	struct p2pdma_export_export export = make_export(OFFSET, P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE);
	struct p2pdma_export_status status;
	struct p2pdma_export_revoke arg;
	uint8_t byte = 0x42;
	uint8_t got = 0;
	int ret;

	must(vmap(export.fd), "P2PDMA_EDU_VMAP");
	status = status_of(export.export_id);
	tap_ok(status.nr_vmaps == 1 && status.nr_unrevocable == 1, "status_vmapped_counts_it",
	       status.nr_vmaps);
	tap_ok(status.nr_mappings == 0 && status.nr_pins == 0 && status.nr_attachments == 0,
	       "status_vmapped_counts_nothing_else", status.nr_mappings);
	ret = take_back(export.export_id, 50, &arg);
	tap_ok(ret == -EBUSY && arg.nr_revoked == 1 && arg.nr_remaining == 1,
	       "revoke_vmapped_ebusy", ret == -EBUSY ? (int)arg.nr_remaining : ret);
	tap_ok(arg.duration_ns >= 49000000, "revoke_vmapped_waits_its_time", arg.duration_ns);
	status = status_of(export.export_id);
	tap_ok(status.state == P2PDMA_EXPORT_STATE_REVOKING && status.nr_vmaps == 1,
	       "status_revoked_vmapped_is_revoking", status.state);
	ret = copy(P2PDMA_EDU_WRITE, 0, &byte, 1);
	tap_ok(ret == 0, "vmap_outlasts_revocation", ret);
	ret = copy(P2PDMA_EDU_READ, 0, &got, 1);
	tap_ok(ret == 0 && got == byte, "vmap_outlasts_revocation_with_its_bytes", got);
	must(vunmap(), "P2PDMA_EDU_VUNMAP");
	status = status_of(export.export_id);
	tap_ok(status.state == P2PDMA_EXPORT_STATE_REVOKED && !status.nr_vmaps && status.revoke_ns,
	       "status_after_vunmap_is_revoked", status.state);
	ret = take_back(export.export_id, 0, &arg);
	tap_ok(ret == 0 && arg.nr_remaining == 0 && arg.nr_revoked == 0,
	       "revoke_after_vunmap_succeeds", ret);
	close(export.fd);
}

/* What is mapped uncached by the kernel can't be mapped write-combining by the CPU. */
static void test_attribute(void)
{
	struct p2pdma_export_export export = make_export(OFFSET, P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE);
	struct p2pdma_export_export combining = make_export(OFFSET, P2PDMA_EXPORT_F_MMAP_WC);
	struct p2pdma_export_revoke arg;
	uint8_t *view;
	int ret;

	must(vmap(export.fd), "P2PDMA_EDU_VMAP");
	ret = map(combining.fd, &view);
	tap_ok(ret == -EBUSY, "mmap_wc_of_vmapped_pages_ebusy", ret);
	ret = take_back(export.export_id, 0, &arg);
	tap_ok(ret == -EBUSY, "revoke_vmapped_without_timeout_ebusy", ret);
	ret = map(combining.fd, &view);
	tap_ok(ret == -EBUSY, "mmap_wc_while_revoked_vmap_lives_ebusy", ret);
	must(vunmap(), "P2PDMA_EDU_VUNMAP");
	ret = map(combining.fd, &view);
	if (tap_ok(ret == 0, "mmap_wc_after_vunmap_succeeds", ret))
		munmap(view, LENGTH);
	close(combining.fd);
	close(export.fd);
}

static void test_wc(void)
{
	struct p2pdma_export_export export =
		make_export(OFFSET, P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE | P2PDMA_EXPORT_F_MMAP_WC);
	uint8_t byte = 0x17;
	uint8_t *view;
	int ret;

	ret = vmap(export.fd);
	tap_ok(ret == 0, "vmap_wc_succeeds", ret);
	must(map(export.fd, &view), "mmap of a DMABUF");
	ret = copy(P2PDMA_EDU_WRITE, 9, &byte, 1);
	tap_ok(ret == 0 && view[9] == byte, "vmap_wc_write_is_seen", view[9]);
	munmap(view, LENGTH);
	must(vunmap(), "P2PDMA_EDU_VUNMAP");
	close(export.fd);
}

/* Whoever only closes everything leaves no mapping behind. */
static void test_close(const char *edu)
{
	struct p2pdma_export_export export = make_export(OFFSET, P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE);
	struct p2pdma_export_revoke arg;
	int ret;

	must(vmap(export.fd), "P2PDMA_EDU_VMAP");
	close(lab.edu);
	lab.edu = open_node(edu);
	tap_ok(status_of(export.export_id).nr_vmaps == 0, "close_undoes_the_vmap",
	       status_of(export.export_id).nr_vmaps);
	ret = take_back(export.export_id, 0, &arg);
	tap_ok(ret == 0, "revoke_after_close_succeeds", ret);
	close(export.fd);
}

static atomic_bool is_unbound;

static void *unbind(void *unused)
{
	const char *bdf = strrchr(lab.node, '/') + 1;
	char path[128];
	int ret;

	(void)unused;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver/unbind", bdf);
	ret = write_file(path, bdf);
	atomic_store(&is_unbound, true);
	return (void *)(long)ret;
}

static void test_removal(void)
{
	struct p2pdma_export_export export = make_export(OFFSET, P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE);
	int64_t deadline = now_ns() + WAIT_NS;
	struct p2pdma_export_event event = {0};
	uint8_t byte;
	pthread_t thread;
	void *result;
	int ret;

	must(vmap(export.fd), "P2PDMA_EDU_VMAP");
	must(-pthread_create(&thread, NULL, unbind, NULL), "pthread_create");
	if (!tap_ok(wait_event(lab.exporter, P2PDMA_EXPORT_EVENT_REMOVAL_PENDING, deadline,
			       &event) &&
			    event.export_id == export.export_id &&
			    event.reason == P2PDMA_EXPORT_REASON_REMOVE,
		    "event_vmapped_removal_pending", event.export_id))
		return;
	usleep(300000);
	tap_ok(!atomic_load(&is_unbound), "removal_waits_for_the_vmap", 0);
	ret = copy(P2PDMA_EDU_READ, 0, &byte, 1);
	tap_ok(ret == 0, "vmap_outlasts_removal", ret);
	must(vunmap(), "P2PDMA_EDU_VUNMAP");
	tap_ok(wait_event(lab.exporter, P2PDMA_EXPORT_EVENT_REVOKED, deadline, &event) &&
		       event.export_id == export.export_id,
	       "event_after_vunmap_revoked", event.export_id);
	tap_ok(wait_event(lab.exporter, P2PDMA_EXPORT_EVENT_GONE, deadline, &event),
	       "event_after_vunmap_gone", 0);
	pthread_join(thread, &result);
	tap_ok(!result, "removal_ends_after_vunmap", (long)result);
	close(export.fd);
}

static void test_warned(void)
{
	struct p2pdma_export_export export = make_export(OFFSET, P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE);
	struct p2pdma_export_export combining = make_export(OFFSET, P2PDMA_EXPORT_F_MMAP_WC);
	struct p2pdma_export_revoke arg;
	uint8_t *view;
	int ret;

	must(map(combining.fd, &view), "mmap of a DMABUF");
	ret = vmap(export.fd);
	tap_ok(ret == -EBUSY, "vmap_of_pages_mapped_wc_ebusy", ret);
	tap_ok(status_of(export.export_id).nr_vmaps == 0, "vmap_busy_is_not_counted", 0);
	must(take_back(export.export_id, 0, &arg), "P2PDMA_EXPORT_REVOKE");
	ret = vmap(export.fd);
	tap_ok(ret == -ENODEV, "vmap_after_revoke_enodev", ret);
	munmap(view, LENGTH);
	close(combining.fd);
	close(export.fd);
}

static void test_external(void)
{
	struct p2pdma_export_export export =
		make_export(EXTERNAL, P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE);
	int64_t deadline = now_ns() + WAIT_NS;
	uint8_t page[4096];
	size_t i;
	int ret;

	must(vmap(export.fd), "P2PDMA_EDU_VMAP");
	memset(page, MARK, sizeof(page));
	ret = copy(P2PDMA_EDU_WRITE, 0, page, sizeof(page));
	tap_ok(ret == 0, "vmap_write_succeeds", ret);
	printf("# WRITTEN\n");
	fflush(stdout);
	do {
		usleep(20000);
		must(copy(P2PDMA_EDU_READ, 0, page, sizeof(page)), "P2PDMA_EDU_VMAP_COPY");
		for (i = 0; i < sizeof(page) && page[i] == ANSWER; i++)
			;
	} while (i < sizeof(page) && now_ns() < deadline);
	tap_ok(i == sizeof(page), "vmap_reads_what_the_host_wrote", i);
	must(vunmap(), "P2PDMA_EDU_VUNMAP");
	close(export.fd);
}

int main(int argc, char **argv)
{
	int opt = getopt(argc, argv, "wx");

	if (argc - optind != 3 || opt == '?') {
		fprintf(stderr, "usage: edu_vmap [-w | -x] EXPORTER-NODE BAR EDU-NODE\n");
		return 2;
	}
	argv += optind;
	lab.node = argv[0];
	lab.exporter = open_node(argv[0]);
	lab.bar = atoi(argv[1]);
	lab.edu = open_node(argv[2]);
	if (opt == 'w') {
		test_warned();
	} else if (opt == 'x') {
		test_external();
	} else {
		test_refusals();
		test_data();
		test_revoke();
		test_attribute();
		test_wc();
		test_close(argv[2]);
		test_removal();
	}
	close(lab.edu);
	close(lab.exporter);
	return tap_done();
}
