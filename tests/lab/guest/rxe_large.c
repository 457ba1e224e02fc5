// SPDX-License-Identifier: MIT
/*
 * rxe_large RDMADEV udmabuf PAGES: a memory region of many physical pieces.
 * rxe_large RDMADEV export BDF BAR GIBIBYTES: one that no single entry of a
 * scatterlist can hold.
 *
 * Bytes are compared at the edges and in between, above all where a 32 bit length
 * would wrap. Finding the piece must not take longer the more there are: a
 * transfer far into the memory region is timed against one on a small region.
 */
#include "rxe_buffer.h"

#define IOVA   0x8000000000ULL
#define CHUNK  (256U << 10)
#define ROUNDS 16

static struct rig rig;

static double milliseconds(int64_t start)
{
	return (now_ns() - start) / 1e6;
}

static void many_pages_init(struct buffer *buf, unsigned int count)
{
	int limit = open_or_die("/sys/module/udmabuf/parameters/list_limit");
	int memfd;

	if (write(limit, "1000000", 7) != 7)
		die(-errno, "list_limit");
	*buf = (struct buffer){
		.fd = udmabuf_create(count, &memfd), .size = count * PAGE, .owner = -1};
	buf->cpu = map_cpu(buf->fd, buf->size, 0);
	close(limit);
	close(memfd);
}

static void big_export_init(struct buffer *buf, const char *bdf, unsigned int bar, uint64_t size)
{
	struct p2pdma_export_range range = {.length = size};
	struct p2pdma_export_export arg = {
		.argsz = sizeof(arg),
		.bar = bar,
		.nr_ranges = 1,
		.ranges = (uintptr_t)&range,
		.open_flags = O_RDWR | O_CLOEXEC,
	};

	*buf = (struct buffer){.owner = export_open(bdf), .size = size};
	if (ioctl(buf->owner, P2PDMA_EXPORT_EXPORT, &arg))
		die(-errno, "export");
	buf->fd = arg.fd;
	buf->cpu = map_cpu(buf->fd, size, 0);
}

static struct dmabuf_mr reg_or_die(const struct buffer *buf, uint64_t offset, uint64_t length)
{
	struct mr_request range = {.fd = buf->fd,
				   .offset = offset,
				   .length = length,
				   .iova = IOVA + offset,
				   .access = MR_ALL_ACCESS};

	return rig_register(&rig, &range);
}

static bool write_works(const struct buffer *buf, const struct dmabuf_mr *mr, uint64_t offset,
			uint32_t length)
{
	pattern_fill(rig.host, offset >> 12, length);
	return !rig_do(&rig, IBV_WR_RDMA_WRITE, host_at(&rig, 0),
		       (struct place){IOVA + offset, mr->rkey}, length) &&
	       buffer_differs(buf, offset, rig.host, length) < 0;
}

static double write_time(const struct dmabuf_mr *mr, uint64_t offset)
{
	int64_t start = now_ns();
	int i;

	for (i = 0; i < ROUNDS; i++)
		if (rig_do(&rig, IBV_WR_RDMA_WRITE, host_at(&rig, 0),
			   (struct place){IOVA + offset, mr->rkey}, CHUNK))
			die(0, "a write fails");
	return milliseconds(start) / ROUNDS;
}

static void test_places(const struct buffer *buf, const struct dmabuf_mr *mr)
{
	const uint64_t wrap = 1ULL << 32;
	unsigned int i, failures = 0;

	tap_ok(write_works(buf, mr, 0, CHUNK), "write_start", 0);
	tap_ok(write_works(buf, mr, buf->size - CHUNK, CHUNK), "write_end", 0);
	for (i = 1; i < 64; i++)
		failures += !write_works(buf, mr, buf->size / 64 * i - 2000, 4000 + i);
	tap_is(failures, 0, "write_63_places");
	if (buf->size > wrap) {
		tap_ok(write_works(buf, mr, wrap - CHUNK / 2, CHUNK), "write_across_4_gib", 0);
		tap_ok(write_works(buf, mr, wrap - PAGE - 100, 200), "write_across_entry", 0);
	}
}

int main(int argc, char **argv)
{
	double far_ms, near_ms, reg_ms;
	struct dmabuf_mr mr, small;
	struct buffer buf;
	int64_t start;

	if (argc == 4 && !strcmp(argv[2], "udmabuf"))
		many_pages_init(&buf, atoi(argv[3]));
	else if (argc == 6 && !strcmp(argv[2], "export"))
		big_export_init(&buf, argv[3], atoi(argv[4]), strtoull(argv[5], NULL, 0) << 30);
	else
		die(0, "usage: rxe_large RDMADEV udmabuf PAGES | export BDF BAR GIBIBYTES");
	rig_init(&rig, argv[1]);

	start = now_ns();
	mr = reg_or_die(&buf, 0, buf.size);
	reg_ms = milliseconds(start);
	test_places(&buf, &mr);

	small = reg_or_die(&buf, buf.size - CHUNK, CHUNK);
	write_time(&small, buf.size - CHUNK);
	near_ms = write_time(&small, buf.size - CHUNK);
	far_ms = write_time(&mr, buf.size - CHUNK);
	printf("# %llu MiB registered in %.1f ms; %u KiB: %.2f ms, in a small region %.2f ms\n",
	       (unsigned long long)buf.size >> 20, reg_ms, CHUNK >> 10, far_ms, near_ms);
	tap_ok(far_ms < 3 * near_ms + 5, "write_time_is_that_of_a_small_region", far_ms);

	tap_is(dmabuf_mr_deregister(&rig.pair, &small), 0, "deregister_small");
	start = now_ns();
	tap_is(dmabuf_mr_deregister(&rig.pair, &mr), 0, "deregister_large");
	printf("# deregistered in %.1f ms\n", milliseconds(start));
	rig_done(&rig);
	return tap_done();
}
