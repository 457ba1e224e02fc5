// SPDX-License-Identifier: MIT
/*
 * rxe_hold RDMADEV BDF BAR [idle]: what becomes of a memory region when the RDMA
 * device or the function it imports for goes away.
 *
 * Registers an export, moves data over it (or not: idle) and says READY. Then
 * somebody else takes something away. Passes when the export loses its mapping
 * and its attachment without this program's doing, after which the marks that
 * the CPU leaves stay. Nothing says that the verbs still answer by then.
 */
#include <stdatomic.h>

#include "rxe_export.h"

#define WAIT_NS 40000000000ULL

static struct rig rig;
static struct dmabuf_mr mr;
static atomic_bool stop;

/* A device that is gone may not answer, so nothing waits for this thread. */
static void *move(void *unused)
{
	(void)unused;
	while (!atomic_load(&stop) && !write_to(&rig, &mr, BUFFER_SIZE))
		;
	return NULL;
}

static bool wait_until_unused(const struct buffer *buf, bool is_attachment)
{
	int64_t end = now_ns() + WAIT_NS;

	do {
		struct p2pdma_export_status status = status_of(buf);

		if (!(is_attachment ? status.nr_attachments : status.nr_mappings))
			return true;
		usleep(10000);
	} while (now_ns() < end);
	return false;
}

int main(int argc, char **argv)
{
	static uint8_t marks[BUFFER_SIZE];
	bool is_idle = argc == 5 && !strcmp(argv[4], "idle");
	struct source source;
	struct buffer buf;
	pthread_t thread;

	if (argc != 4 && !is_idle)
		die(0, "usage: rxe_hold RDMADEV BDF BAR [idle]");
	rig_init(&rig, argv[1]);
	source = source_open(argv[2], atoi(argv[3]));
	buf = export_or_die(&source, O_RDWR, 0);
	mr = reg_or_die(&rig, &buf);
	if (!is_idle && pthread_create(&thread, NULL, move, NULL))
		die(0, "pthread_create");
	printf("# READY\n");
	fflush(stdout);

	tap_ok(wait_until_unused(&buf, false), "lose_mapping", 0);
	mark(&buf, 1, marks);
	tap_ok(wait_until_unused(&buf, true), "lose_attachment", 0);
	usleep(200000);
	tap_is(buffer_differs(&buf, 0, marks, buf.size), -1, "lose_leaves_bytes");
	atomic_store(&stop, true);
	return tap_done();
}
