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

#include "rxe_buffer.h"

#define IOVA	0x6000000000ULL
#define WAIT_NS 40000000000ULL

static struct rig rig;
static struct dmabuf_mr mr;
static atomic_bool stop;

/* A device that is gone may not answer, so nothing waits for this thread. */
static void *move(void *unused)
{
	(void)unused;
	while (!atomic_load(&stop) && !rig_do(&rig, IBV_WR_RDMA_WRITE, host_at(&rig, 0),
					      (struct place){IOVA, mr.rkey}, BUFFER_SIZE))
		;
	return NULL;
}

static struct p2pdma_export_status status_of(const struct buffer *buf)
{
	struct p2pdma_export_status arg = {.argsz = sizeof(arg), .export_id = buf->export_id};

	if (ioctl(buf->owner, P2PDMA_EXPORT_STATUS, &arg))
		die(-errno, "status");
	return arg;
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
	struct mr_request range;
	struct buffer buf;
	pthread_t thread;
	int err;

	if (argc != 4 && !is_idle)
		die(0, "usage: rxe_hold RDMADEV BDF BAR [idle]");
	rig_init(&rig, argv[1]);
	err = export_make(&buf, export_open(argv[2]), atoi(argv[3]), O_RDWR, 0);
	if (err)
		die(err, "export");
	buf.cpu = export_cpu(argv[2], atoi(argv[3]));
	range = (struct mr_request){
		.fd = buf.fd, .length = buf.size, .iova = IOVA, .access = MR_ALL_ACCESS};
	err = dmabuf_mr_register(&rig.pair, MR_IOCTL, &range, &mr);
	if (err)
		die(err, "registration");
	if (!is_idle && pthread_create(&thread, NULL, move, NULL))
		die(0, "pthread_create");
	printf("# READY\n");
	fflush(stdout);

	tap_ok(wait_until_unused(&buf, false), "lose_mapping", 0);
	pattern_fill(marks, 1, buf.size);
	buffer_write(&buf, 0, marks, buf.size);
	tap_ok(wait_until_unused(&buf, true), "lose_attachment", 0);
	usleep(200000);
	tap_is(buffer_differs(&buf, 0, marks, buf.size), -1, "lose_leaves_bytes");
	atomic_store(&stop, true);
	return tap_done();
}
