// SPDX-License-Identifier: MIT
/*
 * nvme_cmb PROVIDER FROM TO [KIB]: a copy from disk to disk through an NVMe controller's
 * memory buffer, without system memory in between.
 *
 *	nvme_cmb 0000:42:00.0/p2pmem /dev/nvme0n1 /dev/nvme1n1 256
 *
 * The controller at 0000:42:00.0 has a memory buffer (CMB) of struct pages; a piece of it is
 * the buffer of an O_DIRECT read, into which the drive FROM writes by itself, and then of an
 * O_DIRECT write, from which TO reads by itself. The beginning of TO is overwritten. Both
 * have to be block devices whose driver takes such memory: NVMe drives do.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/story.h"

#define MEMORY (1U << 20) /* of the pool; a copy goes in pieces of this size */

static struct p2pdma_context *context;
static struct p2pdma_provider *provider;
static struct p2pdma_buffer *buffer;
static uint8_t *memory;

/* Will a drive reach it? What the kernel would otherwise say is a bare errno. */
static int check_path(const char *disk)
{
	struct p2pdma_path path = P2PDMA_PATH_INIT;
	const char *name = strrchr(disk, '/') ? strrchr(disk, '/') + 1 : disk;
	int r;

	r = p2pdma_path_query(context, provider, name, &path);
	if (r)
		return story_fail(context, disk, r);
	story_tell("%s: %s, %s", disk, p2pdma_map_type_name(path.map_type), path.why);
	return path.map_type == P2PDMA_MAP_NOT_SUPPORTED;
}

static int allocate(void)
{
	struct p2pdma_pool_status before = P2PDMA_POOL_STATUS_INIT;
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_range range = {0, MEMORY};
	void *address;
	int r;

	/* Where p2pd has the pool: we know that it can't take this back by force. */
	options.flags = P2PDMA_BUFFER_ALLOW_UNREVOCABLE;
	r = p2pdma_pool_query(context, provider, &before);
	if (r)
		return story_fail(context, "looking at the pool", r);
	r = p2pdma_buffer_new(context, provider, &range, 1, &options, &buffer);
	if (r)
		return story_fail(context, "allocating", r);
	r = p2pdma_buffer_map(buffer, 0, MEMORY, P2PDMA_MAP_READ | P2PDMA_MAP_WRITE, &address);
	if (r)
		return story_fail(context, "mapping", r);
	memory = address;
	story_tell("%s of the pool, which had %.1f of %.1f MiB free", story_size(MEMORY),
		   (double)before.available_bytes / MEMORY, (double)before.total_bytes / MEMORY);
	return 0;
}

/* One piece: 0 or -errno. The kernel pins the pages until the drive is done, and no longer. */
static int copy_piece(int from, int to, size_t bytes, off_t at)
{
	ssize_t n = pread(from, memory, bytes, at);

	if (n < 0)
		return -errno;
	if ((size_t)n != bytes)
		return -EIO;
	n = pwrite(to, memory, bytes, at);
	if (n < 0)
		return -errno;
	return (size_t)n == bytes ? 0 : -EIO;
}

static int copy(const char *from_name, const char *to_name, size_t bytes)
{
	int from = open(from_name, O_RDONLY | O_DIRECT | O_CLOEXEC);
	int to = open(to_name, O_WRONLY | O_DIRECT | O_CLOEXEC);
	double start = story_now_us();
	int r = from < 0 || to < 0 ? -errno : 0;

	for (size_t done = 0; !r && done < bytes; done += MEMORY) {
		size_t piece = bytes - done < MEMORY ? bytes - done : MEMORY;

		r = copy_piece(from, to, piece, (off_t)done);
	}
	if (from >= 0)
		close(from);
	if (to >= 0)
		close(to);
	if (r == -EREMOTEIO)
		story_tell("the driver of one of the disks takes no peer memory");
	if (r)
		return story_fail(NULL, "copying", r);
	story_tell("%s from %s to %s in %.0f us", story_size(bytes), from_name, to_name,
		   story_now_us() - start);
	return 0;
}

int main(int argc, char **argv)
{
	size_t bytes;
	int rc;

	if (argc < 4)
		return story_tell("usage: nvme_cmb PROVIDER FROM TO [KIB]"), 2;
	bytes = (argc > 4 ? strtoul(argv[4], NULL, 0) : 256) << 10;
	rc = story_open(argv[1], &context, &provider) || check_path(argv[2]) ||
	     check_path(argv[3]) || allocate() || copy(argv[2], argv[3], bytes);
	p2pdma_buffer_free(buffer);
	p2pdma_provider_unref(provider);
	p2pdma_context_close(context);
	if (!rc)
		story_tell("done: no byte of it was in system memory");
	return rc;
}
