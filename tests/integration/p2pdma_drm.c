// SPDX-License-Identifier: MIT
/*
 * p2pdma_drm PROVIDER RDMADEV NODE...: memory of DRM devices, on a real kernel, one case a line
 * (TAP). The nodes are of devices whose objects are system memory (vgem, virtio-gpu), and the
 * provider is a BAR that they may import. Exits 0 when all passed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "selftest.h"

#define MAX_NODES 8

static struct node {
	const char *path;
	int fd;
	struct p2pdma_buffer *buffer;
} nodes[MAX_NODES];
static size_t nr_nodes;

/* "cases of /dev/dri/card0: NAME" */
static bool node_ok(const struct node *node, bool is_good, const char *name, long detail)
{
	char text[128];

	snprintf(text, sizeof(text), "%s: %s", node->path, name);
	return tap_ok(is_good, text, detail);
}

static int allocate(const struct node *node, uint32_t flags, struct p2pdma_buffer **ret_buffer)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;

	options.flags = flags;
	return p2pdma_buffer_new_drm(selftest.context, node->fd, SLICE, &options, ret_buffer);
}

static bool says(const char *text)
{
	return strstr(p2pdma_context_error(selftest.context), text);
}

static bool make(struct node *node)
{
	struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;
	int r;

	r = allocate(node, 0, &node->buffer);
	node_ok(node, r == -EOPNOTSUPP && says("system memory"), "system_memory_is_an_error", r);
	r = allocate(node, P2PDMA_BUFFER_ALLOW_SYSTEM, &node->buffer);
	if (!node_ok(node, !r, "allocate_system_memory_where_allowed", r))
		return false;
	printf("# %s is %s\n", node->path, p2pdma_buffer_name(node->buffer));
	r = p2pdma_buffer_query(node->buffer, &status);
	node_ok(node,
		!r && status.flags & P2PDMA_STATUS_PLACED && status.flags & P2PDMA_STATUS_SYSTEM,
		"status_says_system_memory", status.flags);
	return node_ok(node, p2pdma_buffer_size_bytes(node->buffer) == SLICE, "size_as_asked", 0);
}

/* RDMA writes and the CPU sees it; the CPU writes and RDMA reads it; a part touches nothing else. */
static void move(const struct node *node)
{
	struct p2pdma_mr *mr = new_mr(node->buffer);
	uint8_t *host = selftest.pair.host;
	uint8_t *window = mr ? new_map(node->buffer) : NULL;
	uint32_t rkey = p2pdma_mr_rkey(mr);
	long wrong;
	int r;

	if (!window)
		return;
	story_fill(host, SLICE, 1);
	r = transfer(IBV_WR_RDMA_WRITE, 0, SLICE, 0, rkey);
	wrong = story_check(window, SLICE, 1);
	node_ok(node, !r && wrong < 0, "cpu_sees_what_rdma_wrote", r ? r : wrong);
	story_fill(window, SLICE, 2);
	memset(host + SLICE, 0, SLICE);
	r = transfer(IBV_WR_RDMA_READ, SLICE, SLICE, 0, rkey);
	wrong = story_check(host + SLICE, SLICE, 2);
	node_ok(node, !r && wrong < 0, "rdma_reads_what_cpu_wrote", r ? r : wrong);
	story_fill(host, 5 * PAGE, 3);
	memcpy(host + SLICE + PAGE + 7, host, 3 * PAGE);
	r = transfer(IBV_WR_RDMA_WRITE, 0, 3 * PAGE, PAGE + 7, rkey);
	node_ok(node, !r && !memcmp(window, host + SLICE, SLICE), "a_part_touches_nothing_else", r);
	node_ok(node, !p2pdma_buffer_unmap(node->buffer, window), "unmap", 0);
	node_ok(node, !p2pdma_mr_deregister(mr), "deregister", 0);
}

/* The device's own handle of the object becomes a buffer that is the same memory. */
static void adopt(const struct node *node)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_buffer *other = NULL;
	uint32_t handle = 0;
	uint8_t *a, *b;
	int r;

	r = p2pdma_gem_import(node->buffer, node->fd, &handle);
	if (!node_ok(node, !r, "import_ones_own", r))
		return;
	r = p2pdma_buffer_new_gem(selftest.context, node->fd, handle, NULL, &other);
	node_ok(node, r == -EOPNOTSUPP && !other, "new_gem_of_system_memory_is_an_error", r);
	options.flags = P2PDMA_BUFFER_ALLOW_SYSTEM;
	r = p2pdma_buffer_new_gem(selftest.context, node->fd, handle, &options, &other);
	node_ok(node, !r && p2pdma_buffer_inode(other) == p2pdma_buffer_inode(node->buffer),
		"new_gem_is_the_same_object", r);
	node_ok(node, !p2pdma_gem_close(selftest.context, node->fd, handle), "close_handle", 0);
	node_ok(node, p2pdma_gem_close(selftest.context, node->fd, handle) == -EINVAL,
		"close_handle_again_einval", 0);
	a = new_map(node->buffer);
	b = other ? new_map(other) : NULL;
	if (a && b) {
		story_fill(a, SLICE, 4);
		node_ok(node, story_check(b, SLICE, 4) < 0, "new_gem_outlives_the_handle",
			story_check(b, SLICE, 4));
	}
	p2pdma_buffer_free(other);
	r = p2pdma_buffer_new_gem(selftest.context, node->fd, 9999, &options, &other);
	node_ok(node, r == -ENOENT && says("has no GEM handle 9999"),
		"new_gem_without_handle_enoent", r);
}

/* Peer memory: whoever can't reach it or be revoked is refused; who can loses it with the buffer. */
static void import_bar(const struct node *node)
{
	struct p2pdma_buffer *bar = new_buffer(0, SLICE, 0);
	uint32_t handle = 0;
	int r;

	if (!bar)
		return;
	r = p2pdma_gem_import(bar, node->fd, &handle);
	node_ok(node, r ? r == -EOPNOTSUPP || r == -ENODEV : handle != 0, "import_a_bar_or_say_why",
		r);
	printf("# %s: %s\n", node->path, r ? p2pdma_context_error(selftest.context) : "imported");
	if (strstr(p2pdma_buffer_name(node->buffer), "vgem"))
		node_ok(node, r == -EOPNOTSUPP && says("vgem maps no memory of other devices"),
			"import_a_bar_by_vgem_no_peer", r);
	node_ok(node, !p2pdma_buffer_revoke(bar, 0, 1000, NULL), "revoke_the_bar", 0);
	if (!r)
		node_ok(node, !p2pdma_gem_close(selftest.context, node->fd, handle),
			"close_what_was_revoked", 0);
	r = p2pdma_gem_import(bar, node->fd, &handle);
	node_ok(node, r == -ESTALE, "import_after_revocation_estale", r);
	p2pdma_buffer_free(bar);
}

/* Descriptors that aren't what such calls are for. */
static void refuse_others(void)
{
	struct p2pdma_buffer *bar = new_buffer(0, SLICE, 0), *other = NULL;
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), r;
	uint32_t handle = 0;

	if (!bar)
		return;
	r = p2pdma_gem_import(bar, null_fd, &handle);
	tap_ok(r == -EINVAL && says("is no DRM device but null"), "import_by_another_device", r);
	r = p2pdma_buffer_new_drm(selftest.context, null_fd, SLICE, NULL, &other);
	tap_ok(r == -EINVAL && says("is no DRM device but null"), "new_drm_of_another_device", r);
	close(null_fd);
	r = p2pdma_gem_import(bar, null_fd, &handle);
	tap_ok(r == -EBADF && says("is no open one"), "import_by_a_closed_descriptor", r);
	p2pdma_buffer_free(bar);
}

/* Whoever maps system memory of others can have that of the other nodes. */
static void import_others(const struct node *node)
{
	for (size_t i = 0; i < nr_nodes; i++) {
		uint32_t handle = 0;
		int r;

		if (&nodes[i] == node || !nodes[i].buffer)
			continue;
		r = p2pdma_gem_import(nodes[i].buffer, node->fd, &handle);
		if (!r)
			r = p2pdma_gem_close(selftest.context, node->fd, handle);
		printf("# %s imports %s: %s\n", node->path, p2pdma_buffer_name(nodes[i].buffer),
		       r ? p2pdma_context_error(selftest.context) : "yes");
		node_ok(node, !r || (r == -ENODEV && says("imports no DMABUFs")),
			"import_system_memory_or_say_why", r);
	}
}

static void take_back(struct node *node)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	struct p2pdma_mr *mr = new_mr(node->buffer), *other = NULL;
	struct p2pdma_event event;
	int r;

	if (!mr)
		return;
	r = p2pdma_buffer_revoke(node->buffer, 0, 20, &result);
	node_ok(node, r == -EBUSY && result.nr_remaining == 1, "revoke_waits_for_its_holder", r);
	node_ok(node, p2pdma_mr_enter(mr) == -ESTALE, "posts_are_over", 0);
	node_ok(node, !p2pdma_mr_deregister(mr), "deregister_for_the_revocation", 0);
	r = p2pdma_buffer_revoke(node->buffer, 0, 0, &result);
	node_ok(node, !r, "revoke", r);
	node_ok(node,
		wait_event(P2PDMA_EVENT_REVOKED, 1000, &event) && event.buffer == node->buffer,
		"revocation_is_told", 0);
	r = p2pdma_mr_register(selftest.pair.pd, node->buffer, 0, SLICE, 0, ACCESS, &other);
	node_ok(node, r == -ESTALE, "register_after_revocation_estale", r);
	p2pdma_buffer_free(node->buffer);
	node->buffer = NULL;
}

int main(int argc, char **argv)
{
	int fds = count_fds(), left;

	if (argc < 4 || argc - 3 > MAX_NODES) {
		story_tell("usage: p2pdma_drm PROVIDER RDMADEV NODE...");
		return 2;
	}
	selftest_open(argv[1], argv[2], P2PDMA_BACKEND_EXPORT);
	for (int i = 3; i < argc; i++) {
		struct node *node = &nodes[nr_nodes++];

		node->path = argv[i];
		node->fd = open(argv[i], O_RDWR | O_CLOEXEC);
		if (!node_ok(node, node->fd >= 0, "open", errno) || !make(node))
			continue;
		move(node);
		adopt(node);
		import_bar(node);
	}
	refuse_others();
	for (size_t i = 0; i < nr_nodes; i++)
		import_others(&nodes[i]);
	for (size_t i = 0; i < nr_nodes; i++) {
		if (nodes[i].buffer)
			take_back(&nodes[i]);
		close(nodes[i].fd);
	}
	selftest_close();
	left = count_fds() - fds;
	tap_ok(left == 0, "no_descriptor_is_left", left);
	return tap_done();
}
