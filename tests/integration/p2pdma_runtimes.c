// SPDX-License-Identifier: MIT
/*
 * p2pdma_runtimes PROVIDER RDMADEV: memory that is no slice of a provider, on a real kernel and
 * NIC (TAP). System memory from a heap and from udmabuf; and pointers of GPU runtimes, whose
 * libraries are stand-ins (tests/runtime) that this program is linked with, and whose device
 * memory is the provider's BAR. Every byte that the NIC moves is compared through another DMABUF
 * of the same BAR, the bytes around it included: a wrong base would move the right number of
 * wrong bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/cuda_abi.h"
#include "runtime/hsa_abi.h"
#include "runtime/ze_abi.h"
#include "selftest.h"
#include "standin.h"

#define ROOM	 (64U << 10) /* what is looked at on both sides of a transfer */
#define GUARD	 0xe5
#define ALLOC_AT (96U << 10) /* of an allocation in the BAR */

/* What the stand-ins export: slices of the BAR, or system memory. */
static bool is_falling_back;

/* Slices are revoked when they are freed, so they are held until a runtime is done with. */
static struct p2pdma_buffer *kept[256];
static size_t nr_kept;

static int make(uint64_t offset, uint64_t size)
{
	struct p2pdma_buffer *buffer = NULL;

	if (nr_kept == sizeof(kept) / sizeof(kept[0]))
		return -1;
	if (is_falling_back)
		p2pdma_buffer_new_system(selftest.context, size, NULL, &buffer);
	else
		buffer = new_buffer(offset, size, 0);
	kept[nr_kept++] = buffer;
	return buffer ? fcntl(p2pdma_buffer_fd(buffer), F_DUPFD_CLOEXEC, 0) : -1;
}

static void free_kept(void)
{
	while (nr_kept)
		p2pdma_buffer_free(kept[--nr_kept]);
}

/* Nothing but the @bytes at @window has changed. */
static bool is_untouched_around(const uint8_t *window, uint32_t bytes)
{
	for (uint32_t i = 0; i < ROOM; i++) {
		if (window[bytes + i] != GUARD || *(window - 1 - i) != GUARD)
			return false;
	}
	return true;
}

/* RDMA write and read of @bytes at @offset of @buffer, which @window has to show. */
static int move(struct p2pdma_buffer *buffer, uint64_t offset, uint32_t bytes, uint64_t iova,
		uint8_t *window)
{
	uint8_t *host = selftest.pair.host;
	struct p2pdma_mr *mr = NULL;
	int r;

	memset(window - ROOM, GUARD, (size_t)bytes + 2 * ROOM);
	r = p2pdma_mr_register(selftest.pair.pd, buffer, offset, bytes, iova, ACCESS, &mr);
	if (r)
		return r;
	story_fill(host, bytes, 5);
	r = transfer(IBV_WR_RDMA_WRITE, 0, bytes, iova, p2pdma_mr_rkey(mr));
	if (!r && (story_check(window, bytes, 5) >= 0 || !is_untouched_around(window, bytes)))
		r = -EILSEQ;
	story_fill(window, bytes, 9);
	memset(host, 0, bytes);
	if (!r)
		r = transfer(IBV_WR_RDMA_READ, 0, bytes, iova, p2pdma_mr_rkey(mr));
	if (!r && story_check(host, bytes, 9) >= 0)
		r = -EILSEQ;
	return p2pdma_mr_deregister(mr) ? -EBUSY : r;
}

static void test_system(enum p2pdma_backend backend, const char *exporter)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_buffer *buffer = NULL;
	struct p2pdma_mr *mr = NULL;
	const char *why = NULL;
	uint8_t *window;
	char name[64];
	int r;

	snprintf(name, sizeof(name), "%s_is_there", exporter);
	tap_ok(p2pdma_backend_query(selftest.context, backend, &why) == 1, name, 0);
	printf("# %s\n", why);
	options.backend = backend;
	r = p2pdma_buffer_new_system(selftest.context, SLICE, &options, &buffer);
	snprintf(name, sizeof(name), "%s_makes_memory", exporter);
	if (!tap_ok(!r && !strcmp(p2pdma_buffer_exporter(buffer), exporter), name, r))
		return;
	window = new_map(buffer);
	snprintf(name, sizeof(name), "%s_is_zeroed", exporter);
	tap_ok(window && !window[0] && !memcmp(window, window + 1, SLICE - 1), name, 0);
	if (window)
		r = move(buffer, ROOM, SLICE - 2 * ROOM, ROOM, window + ROOM);
	snprintf(name, sizeof(name), "%s_carries_bytes", exporter);
	tap_ok(!r, name, r);
	r = p2pdma_buffer_revoke(buffer, 0, 0, NULL);
	snprintf(name, sizeof(name), "%s_cannot_be_revoked", exporter);
	tap_ok(r == -EOPNOTSUPP, name, r);
	/* A NIC keeps it beyond the program's own end of it. */
	r = p2pdma_mr_register(selftest.pair.pd, buffer, 0, SLICE, 0, ACCESS, &mr);
	p2pdma_buffer_free(buffer);
	if (!r)
		r = transfer(IBV_WR_RDMA_READ, 0, SLICE, 0, p2pdma_mr_rkey(mr));
	snprintf(name, sizeof(name), "%s_lives_as_long_as_its_region", exporter);
	tap_ok(!r && !p2pdma_mr_deregister(mr), name, r);
}

#define LIMIT "/sys/module/udmabuf/parameters/size_limit_mb"

static void read_limit(char *text, size_t size)
{
	int fd = open(LIMIT, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

	text[n > 0 ? n : 0] = '\0';
	close(fd);
}

static int write_limit(const char *text)
{
	int fd = open(LIMIT, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));

	close(fd);
	return n < 0 ? -errno : 0;
}

/* What the kernel or a runtime refuses, in words. */
static void test_refusals(void)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_buffer *buffer = NULL;
	uint64_t offset = 0;
	char before[32];
	int r;

	options.backend = P2PDMA_BACKEND_UDMABUF;
	read_limit(before, sizeof(before));
	if (!tap_ok(!write_limit("1"), "udmabuf_has_a_limit", errno))
		return;
	r = p2pdma_buffer_new_system(selftest.context, 2ULL << 20, &options, &buffer);
	tap_ok(r == -EINVAL &&
		       strstr(p2pdma_context_error(selftest.context), "buffers of at most 1 MiB"),
	       "udmabuf_says_its_limit", r);
	write_limit(before);
	p2pdma_buffer_free(buffer);
	r = p2pdma_buffer_new_pointer(selftest.context, selftest.pair.host, 4096, NULL, &buffer,
				      &offset);
	tap_ok(r == -ENOENT && strstr(p2pdma_context_error(selftest.context),
				      "is memory of this program, and no address of"),
	       "an_address_of_the_program_is_known_as_such", r);
}

struct gpu {
	enum p2pdma_backend backend;
	const char *name;
	struct standin *standin;
	int type;
	void *context;
};

static int new_pointer(const struct gpu *gpu, uint64_t address, uint64_t bytes, uint32_t flags,
		       struct p2pdma_buffer **ret_buffer, uint64_t *ret_offset)
{
	struct p2pdma_pointer_options options = P2PDMA_POINTER_OPTIONS_INIT;

	options.flags = flags;
	options.runtime_context = gpu->context;
	return p2pdma_buffer_new_pointer(selftest.context, (const void *)(uintptr_t)address, bytes,
					 &options, ret_buffer, ret_offset);
}

/* At another address for each runtime, as there is one address space. */
static uint64_t allocate(const struct gpu *gpu)
{
	uint64_t where = 0x7f1200000000ULL + ((uint64_t)gpu->backend << 36);
	struct standin *standin = gpu->standin;

	*standin = (struct standin){
		.device_bytes = ALLOC_AT + SLICE + ROOM,
		.is_initialized = true,
		.make = make,
		.kept_fd = -1,
		.nr_memories = 1,
		.memories[0] =
			{
				.base = where,
				.size_bytes = SLICE,
				.offset_bytes = ALLOC_AT,
				.type = gpu->type,
				.has_owner = true,
			},
	};
	return where;
}

/* @device: the CPU's view of all the BAR that is used. */
static void test_places(const struct gpu *gpu, uint8_t *device)
{
	static const struct {
		const char *name;
		uint32_t offset, bytes;
	} places[] = {
		{"page", 8192, 4096},	    {"start", 0, 5000},	       {"inside_a_page", 777, 99},
		{"over_a_page", 4000, 200}, {"middle", 100001, 50001}, {"end", SLICE - 6000, 6000},
	};
	uint64_t base = allocate(gpu);
	char name[64];

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint64_t address = base + places[i].offset, offset = 0;
		struct p2pdma_buffer *buffer = NULL;
		int r;

		r = new_pointer(gpu, address, places[i].bytes, 0, &buffer, &offset);
		/* The address itself is the iova, as programs have it. */
		if (!r)
			r = move(buffer, offset, places[i].bytes, address,
				 device + ALLOC_AT + places[i].offset);
		snprintf(name, sizeof(name), "%s_%s_moves_its_bytes", gpu->name, places[i].name);
		tap_ok(!r && p2pdma_buffer_backend(buffer) == gpu->backend, name, r);
		p2pdma_buffer_free(buffer);
	}
}

/* The control: where the offset is forgotten, other bytes move, and it is seen. */
static void test_wrong_base(const struct gpu *gpu, uint8_t *device)
{
	uint64_t base = allocate(gpu), offset = 0;
	struct p2pdma_buffer *buffer = NULL;
	char name[64];
	int r;

	r = new_pointer(gpu, base + 4096 + 777, 3000, 0, &buffer, &offset);
	if (!r)
		r = move(buffer, 0, 3000, 0, device + ALLOC_AT + 4096 + 777);
	snprintf(name, sizeof(name), "%s_wrong_base_is_seen", gpu->name);
	tap_ok(r == -EILSEQ && offset, name, r);
	p2pdma_buffer_free(buffer);
}

static void test_fallback(const struct gpu *gpu)
{
	uint64_t base = allocate(gpu), offset = 0;
	struct p2pdma_buffer *buffer = NULL;
	char name[64];
	int r;

	is_falling_back = true;
	r = new_pointer(gpu, base, 4096, 0, &buffer, &offset);
	snprintf(name, sizeof(name), "%s_fallback_to_system_memory_refused", gpu->name);
	tap_ok(r == -EOPNOTSUPP && strstr(p2pdma_context_error(selftest.context), "fell back"),
	       name, r);
	r = new_pointer(gpu, base, 4096, P2PDMA_BUFFER_ALLOW_SYSTEM, &buffer, &offset);
	snprintf(name, sizeof(name), "%s_fallback_allowed", gpu->name);
	tap_ok(!r, name, r);
	p2pdma_buffer_free(buffer);
	is_falling_back = false;
}

static void test_gpu(const struct gpu *gpu)
{
	struct p2pdma_buffer *whole = new_buffer(0, ALLOC_AT + SLICE + ROOM, 0);
	uint8_t *device = whole ? new_map(whole) : NULL;
	const char *why = NULL;

	tap_ok(p2pdma_backend_query(selftest.context, gpu->backend, &why) == 1, gpu->name, 0);
	printf("# %s\n", why);
	if (device) {
		test_places(gpu, device);
		test_wrong_base(gpu, device);
	}
	test_fallback(gpu);
	free_kept();
	p2pdma_buffer_free(whole);
}

int main(int argc, char **argv)
{
	const struct gpu gpus[] = {
		{P2PDMA_BACKEND_CUDA, "cuda", standin_cuda(), CUDA_MEMORY_DEVICE, NULL},
		{P2PDMA_BACKEND_HSA, "hsa", standin_hsa(), HSA_POINTER_HSA, NULL},
		{P2PDMA_BACKEND_ZE, "ze", standin_ze(), ZE_MEMORY_DEVICE, standin_ze_context()},
	};
	int fds = count_fds(), left;

	if (argc != 3) {
		story_tell("usage: p2pdma_runtimes PROVIDER RDMADEV");
		return 2;
	}
	selftest_open(argv[1], argv[2], P2PDMA_BACKEND_EXPORT);
	test_system(P2PDMA_BACKEND_HEAP, "system");
	test_system(P2PDMA_BACKEND_UDMABUF, "udmabuf");
	for (size_t i = 0; i < sizeof(gpus) / sizeof(gpus[0]); i++)
		test_gpu(&gpus[i]);
	test_refusals();
	selftest_close();
	left = count_fds() - fds;
	tap_ok(left == 0, "no_descriptor_is_left", left);
	return tap_done();
}
