/* SPDX-License-Identifier: MIT */
/*
 * event_flood EXPORTER_NODE EDU_NODE: an importer attaches and detaches without
 * end while the owner doesn't read. The owner must still get what matters, know how
 * much it has missed, and find the queue in order afterwards.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <uapi/linux/p2pdma_export.h>

#include "../../../kernel/edu/p2pdma_edu.h"
#include "common/labtest.h"

#define ROUNDS 400

static int open_node(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	must(fd < 0 ? -errno : 0, path);
	return fd;
}

static void flood(int edu, int dmabuf)
{
	for (int i = 0; i < ROUNDS; i++) {
		struct p2pdma_edu_attach attach = {
			.argsz = sizeof(attach),
			.fd = dmabuf,
			.access = P2PDMA_EDU_READ | P2PDMA_EDU_WRITE,
		};

		must(call(edu, P2PDMA_EDU_ATTACH, &attach), "edu ATTACH");
		must(call(edu, P2PDMA_EDU_DETACH, NULL), "edu DETACH");
	}
}

static void check_events(int exporter, uint32_t id)
{
	struct p2pdma_export_event event;
	uint64_t seen = 0, lost = 0, last_ns = 0;
	unsigned int nr_revoked = 0;
	bool is_ordered = true;
	ssize_t n;

	while ((n = read(exporter, &event, sizeof(event))) == sizeof(event)) {
		seen++;
		lost += event.lost;
		is_ordered = is_ordered && event.time_ns >= last_ns;
		last_ns = event.time_ns;
		nr_revoked += event.type == P2PDMA_EXPORT_EVENT_REVOKED && event.export_id == id;
	}
	tap_ok(n < 0 && errno == EAGAIN, "the queue is empty in the end", errno);
	tap_ok(nr_revoked == 1, "the flood did not push the revocation out", nr_revoked);
	tap_ok(lost > 0, "the owner hears that it has missed events", (long long)lost);
	tap_ok(seen + lost == 2 * ROUNDS + 1, "seen and missed are all that happened",
	       (long long)(seen + lost));
	tap_ok(is_ordered, "what it sees is in order", 0);
}

int main(int argc, char **argv)
{
	static const struct p2pdma_export_range range = {.length = 0x1000};
	struct p2pdma_export_export export = {
		.argsz = sizeof(export),
		.bar = 2,
		.nr_ranges = 1,
		.ranges = (uintptr_t)&range,
		.open_flags = O_RDWR | O_CLOEXEC,
	};
	struct p2pdma_export_revoke revoke = {.argsz = sizeof(revoke)};
	struct p2pdma_export_event event;
	int exporter, edu;

	if (argc != 3) {
		fprintf(stderr, "usage: event_flood EXPORTER_NODE EDU_NODE\n");
		return 2;
	}
	exporter = open_node(argv[1]);
	edu = open_node(argv[2]);
	must(call(exporter, P2PDMA_EXPORT_EXPORT, &export), "EXPORT");
	flood(edu, export.fd);
	revoke.export_id = export.export_id;
	must(call(exporter, P2PDMA_EXPORT_REVOKE, &revoke), "REVOKE");
	check_events(exporter, export.export_id);

	must(call(exporter, P2PDMA_EXPORT_EXPORT, &export), "EXPORT again");
	flood(edu, export.fd);
	tap_ok(read(exporter, &event, sizeof(event)) == sizeof(event) && !event.lost,
	       "a queue that was read to its end begins anew", event.lost);
	return tap_done();
}
