/* SPDX-License-Identifier: MIT */
/*
 * edu_traffic [-p] [-t SECONDS] EXPORTER-NODE BAR EDU-NODE
 *
 * Keeps the edu device's engine writing to the BAR until someone takes it away:
 * the scenario unbinds, removes or unplugs the exporter or the edu device
 * meanwhile. Prints "# running" when that may begin. Passes when the engine was
 * stopped with -ENODEV and everything can be closed afterwards.
 *
 * -p: as an importer that can't be revoked. Then removal of the exporter has to
 * wait: on P2PDMA_EXPORT_EVENT_REMOVAL_PENDING the program makes sure that the
 * memory is still there, detaches, and expects P2PDMA_EXPORT_EVENT_GONE.
 */
#include <sys/mman.h>

#include "edu_common.h"

static void run_revocable(int edu, int64_t deadline)
{
	int steps = 0;
	int ret;

	do {
		ret = edu_dma(edu, P2PDMA_EDU_WRITE, 0, NULL, 256);
		if (steps++ == 0)
			printf("# running\n");
		fflush(stdout);
	} while (!ret && now_ns() < deadline);
	tap_ok(ret == -ENODEV, "dma_when_taken_away_enodev", ret);
}

static void run_pinned(int exporter, int edu, int64_t deadline)
{
	struct p2pdma_export_event event;
	int ret = edu_dma(edu, P2PDMA_EDU_WRITE, 0, NULL, 256);

	tap_ok(ret == 0, "dma_pinned_succeeds", ret);
	printf("# running\n");
	fflush(stdout);
	if (!tap_ok(wait_event(exporter, P2PDMA_EXPORT_EVENT_REMOVAL_PENDING, deadline, &event),
		    "event_pinned_removal_pending", 0))
		return;
	usleep(300000);
	ret = edu_dma(edu, P2PDMA_EDU_WRITE, 0, NULL, 256);
	tap_ok(ret == 0, "dma_pinned_outlasts_removal", ret);
	ret = edu_detach(edu);
	tap_ok(ret == 0, "detach_pinned_succeeds", ret);
	tap_ok(wait_event(exporter, P2PDMA_EXPORT_EVENT_GONE, deadline, &event),
	       "event_after_detach_gone", 0);
}

int main(int argc, char **argv)
{
	struct p2pdma_export_range range = {.length = 64 * 1024};
	struct p2pdma_export_export export = {.open_flags = O_RDWR};
	uint32_t flags = 0;
	int64_t deadline;
	int seconds = 30;
	int exporter, edu;
	int opt, ret;

	while ((opt = getopt(argc, argv, "pt:")) != -1) {
		if (opt == 'p')
			flags = P2PDMA_EDU_ATTACH_PIN;
		else if (opt == 't')
			seconds = atoi(optarg);
		else
			break;
	}
	if (opt != -1 || argc - optind != 3) {
		fprintf(stderr, "usage: edu_traffic [-p] [-t S] EXPORTER-NODE BAR EDU-NODE\n");
		return 2;
	}
	argv += optind;
	deadline = now_ns() + seconds * 1000000000LL;
	exporter = open_node(argv[0]);
	edu = open_node(argv[2]);
	if (flags)
		export.flags = P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE;
	must(export_bar(exporter, atoi(argv[1]), &range, 1, &export), "P2PDMA_EXPORT_EXPORT");
	ret = edu_attach(edu, export.fd, P2PDMA_EDU_WRITE, flags);
	if (!tap_ok(ret == 0, "attach_succeeds", ret))
		return tap_done();

	if (flags)
		run_pinned(exporter, edu, deadline);
	else
		run_revocable(edu, deadline);

	tap_ok(close(edu) == 0, "close_edu_succeeds", -errno);
	tap_ok(close(export.fd) == 0, "close_dmabuf_succeeds", -errno);
	tap_ok(close(exporter) == 0, "close_exporter_succeeds", -errno);
	return tap_done();
}
