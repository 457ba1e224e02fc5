// SPDX-License-Identifier: MIT
/*
 * Adoption: a DMABUF that another context made, and one of system memory, as any
 * other exporter's would be.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "selftest.h"

static void write_and_compare(struct p2pdma_buffer *buffer, const char *name)
{
	struct p2pdma_mr *mr = new_mr(buffer);
	uint8_t *window;
	int r;

	if (!mr)
		return;
	story_fill(selftest.pair.host, SLICE, 11);
	r = transfer(IBV_WR_RDMA_WRITE, 0, SLICE, 0, p2pdma_mr_rkey(mr));
	window = !r ? new_map(buffer) : NULL;
	tap_ok(window && story_check(window, SLICE, 11) < 0, name, r);
	tap_ok(!p2pdma_mr_deregister(mr), "deregister_adopted", 0);
}

static void adopt_ours(void)
{
	struct p2pdma_buffer *owned = new_buffer(0, SLICE, 0), *adopted = NULL;
	struct p2pdma_context *other = NULL;
	struct p2pdma_mr *mr = NULL;
	int r;

	if (!owned || p2pdma_context_open(NULL, &other))
		return;
	r = p2pdma_buffer_adopt(other, p2pdma_buffer_fd(owned), NULL, &adopted);
	if (!tap_ok(!r && p2pdma_buffer_size_bytes(adopted) == SLICE, "adopt_takes_the_size", r))
		return;
	tap_ok(p2pdma_buffer_inode(adopted) == p2pdma_buffer_inode(owned), "adopt_same_inode", 0);
	/* VFIO's DMABUF itself has no mmap, so only an export can be looked at here. */
	if (selftest.backend == P2PDMA_BACKEND_EXPORT)
		write_and_compare(adopted, "adopted_buffer_carries_bytes");
	tap_ok(p2pdma_buffer_revoke(adopted, 0, 0, NULL) == -EOPNOTSUPP,
	       "adopted_buffer_is_not_ours_to_revoke", 0);
	/* Its owner revokes: what the adopter does next fails. */
	r = p2pdma_buffer_revoke(owned, 0, 1000, NULL);
	tap_ok(!r, "owner_revokes", r);
	r = p2pdma_mr_register(selftest.pair.pd, adopted, 0, SLICE, 0, ACCESS, &mr);
	tap_ok(r == -ENODEV, "register_after_owner_revoked_enodev", r);
	p2pdma_buffer_free(adopted);
	p2pdma_context_close(other);
	p2pdma_buffer_free(owned);
}

static int open_udmabuf(int *ret_fd)
{
	struct udmabuf_create create = {.flags = UDMABUF_FLAGS_CLOEXEC, .size = SLICE};
	int device = open("/dev/udmabuf", O_RDWR | O_CLOEXEC);
	int memory = memfd_create("selftest", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int fd = -1;

	if (device >= 0 && memory >= 0 && !ftruncate(memory, SLICE) &&
	    !fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK)) {
		create.memfd = (uint32_t)memory;
		fd = ioctl(device, UDMABUF_CREATE, &create);
	}
	if (device >= 0)
		close(device);
	if (memory >= 0)
		close(memory);
	*ret_fd = fd;
	return fd >= 0;
}

static void adopt_system_memory(void)
{
	struct p2pdma_buffer *buffer = NULL;
	int fd, r;

	if (!open_udmabuf(&fd)) {
		tap_skip("adopt_system_memory", "no /dev/udmabuf");
		return;
	}
	r = p2pdma_buffer_adopt(selftest.context, fd, NULL, &buffer);
	close(fd);
	if (!tap_ok(!r, "adopt_udmabuf", r))
		return;
	tap_ok(!strcmp(p2pdma_buffer_exporter(buffer), "udmabuf"), "adopted_exporter_is_named", 0);
	write_and_compare(buffer, "adopted_system_memory_carries_bytes");
	p2pdma_buffer_free(buffer);
}

static void adopt_nonsense(void)
{
	struct p2pdma_buffer *buffer = NULL;

	tap_ok(p2pdma_buffer_adopt(selftest.context, 0, NULL, &buffer) == -EINVAL,
	       "adopt_standard_input_einval", 0);
	tap_ok(p2pdma_buffer_adopt(selftest.context, 9999, NULL, &buffer) == -EBADF,
	       "adopt_no_descriptor_ebadf", 0);
}

void test_adoption(void)
{
	adopt_ours();
	adopt_system_memory();
	adopt_nonsense();
}
