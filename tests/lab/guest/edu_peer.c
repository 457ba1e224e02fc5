/* SPDX-License-Identifier: MIT */
/*
 * edu_peer [-e bus|phys|iova|none] EXPORTER-NODE BAR EDU-NODE
 *
 * A device writes and reads another device's memory: the edu function's DMA
 * engine reaches into the BAR through a DMABUF of p2pdma_export. The CPU checks
 * every byte through mmap() of the same DMABUF, and through a second export of
 * the plain BAR, so that an address that is wrong by a range is seen.
 *
 * How the engine was told to reach the memory is worked out from the DMA address
 * and the BAR's physical one: "iova" if they differ, "bus" or "phys" if they are
 * equal, by what P2PDMA_EXPORT_PATH says of the route. -e says which it must be;
 * "none": that the kernel must refuse.
 *
 * QEMU (7.2) has no peer-to-peer routing in its switches: while the IOMMU translates
 * for a device, all its accesses go there, and bus addresses fault. What needs
 * the engine to reach the BAR is skipped in that one case.
 *
 * Output is TAP; a line "# map type" tells what was found.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "edu_common.h"

#define KIB	   1024UL
#define WINDOW	   (128 * KIB)
#define BACKGROUND 0xa5
#define QUIET	   0x5a

/* The export under test: two pieces of the window, the later one first. */
static const struct p2pdma_export_range pieces[] = {
	{.offset = 64 * KIB, .length = 8 * KIB},
	{.offset = 16 * KIB, .length = 4 * KIB},
};
#define PIECES_SIZE (12 * KIB)
/* Within it: from the middle of the first page over the seam into the second piece. */
#define SPAN_OFFSET 100
#define SPAN_SIZE   9000

static struct setup {
	const char *expected;
	int exporter;
	int edu;
	uint32_t bar;
	uint64_t bar_address;
	uint32_t path_type;
	bool is_translated;
	uint8_t *window;
} setup;

/* Where byte @i of the export under test lies in the window. */
static size_t piece_place(size_t i)
{
	return i < pieces[0].length ? pieces[0].offset + i :
				      pieces[1].offset + i - pieces[0].length;
}

static struct p2pdma_export_export make_export(uint32_t flags)
{
	struct p2pdma_export_export arg = {.flags = flags, .open_flags = O_RDWR};

	must(export_bar(setup.exporter, setup.bar, pieces, 2, &arg), "P2PDMA_EXPORT_EXPORT");
	return arg;
}

static void *map_dmabuf(int fd, size_t size)
{
	void *mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (mem == MAP_FAILED)
		die(-errno, "mmap of a DMABUF");
	return mem;
}

static void read_bar_address(const char *node)
{
	char path[256], line[128];
	unsigned int i;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource", strrchr(node, '/') + 1);
	file = fopen(path, "re");
	if (!file)
		die(-errno, "%s", path);
	for (i = 0; i <= setup.bar; i++)
		if (!fgets(line, sizeof(line), file))
			die(-errno, "%s", path);
	fclose(file);
	setup.bar_address = strtoull(line, NULL, 16);
}

/* Whether the IOMMU translates for the device, as "identity" and no group say it doesn't. */
static bool read_is_translated(const char *node)
{
	char path[256], type[16] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/iommu_group/type",
		 strrchr(node, '/') + 1);
	file = fopen(path, "re");
	if (!file)
		return false;
	if (!fgets(type, sizeof(type), file))
		die(-errno, "%s", path);
	fclose(file);
	return !strncmp(type, "DMA", 3);
}

/* Whether the engine reaches the BAR in this machine; if not, @name is skipped. */
static bool can_dma(const char *name)
{
	if (!setup.is_translated || setup.path_type != P2PDMA_EXPORT_MAP_BUS_ADDR)
		return true;
	tap_skip(name, "QEMU translates bus addresses, too");
	return false;
}

static void set_up(const char *exporter, const char *bar, const char *edu)
{
	struct p2pdma_export_range whole = {.length = WINDOW};
	struct p2pdma_export_export arg = {.open_flags = O_RDWR};
	struct p2pdma_export_path path = {.argsz = sizeof(path)};

	setup.exporter = open_node(exporter);
	setup.edu = open_node(edu);
	setup.bar = atoi(bar);
	read_bar_address(exporter);
	must(export_bar(setup.exporter, setup.bar, &whole, 1, &arg), "export of the window");
	setup.window = map_dmabuf(arg.fd, WINDOW);
	node_address(edu, &path.client_domain, &path.client_bus, &path.client_devfn);
	must(call(setup.exporter, P2PDMA_EXPORT_PATH, &path), "P2PDMA_EXPORT_PATH");
	setup.path_type = path.map_type;
	setup.is_translated = read_is_translated(edu);
}

static void test_refusal(void)
{
	struct p2pdma_export_export export = make_export(0);
	int ret = edu_attach(setup.edu, export.fd, P2PDMA_EDU_WRITE, 0);

	tap_ok(setup.path_type == P2PDMA_EXPORT_MAP_NOT_SUPPORTED, "path_unmappable_not_supported",
	       setup.path_type);
	tap_ok(ret == -EINVAL, "attach_unmappable_einval", ret);
	tap_ok(edu_status(setup.edu, 0).flags == 0, "attach_unmappable_leaves_nothing",
	       edu_status(setup.edu, 0).flags);
	close(export.fd);
}

static const char *map_type(uint64_t dma_addr)
{
	if (dma_addr != setup.bar_address + pieces[0].offset)
		return "iova";
	return setup.path_type == P2PDMA_EXPORT_MAP_BUS_ADDR ? "bus" : "phys";
}

static void test_map_type(void)
{
	struct p2pdma_edu_status first = edu_status(setup.edu, 0);
	struct p2pdma_edu_status last = edu_status(setup.edu, first.nr_entries - 1);
	const char *type = map_type(first.dma_addr);
	bool is_flat = strcmp(type, "iova") != 0;

	printf("# map type %s: BAR at %#llx, DMA address %#llx, %u entries\n", type,
	       (unsigned long long)setup.bar_address, (unsigned long long)first.dma_addr,
	       first.nr_entries);
	tap_ok(first.flags == (P2PDMA_EDU_STATUS_ATTACHED | P2PDMA_EDU_STATUS_MAPPED),
	       "attach_revocable_is_mapped", first.flags);
	if (setup.expected)
		tap_ok(!strcmp(type, setup.expected), "map_type_is_the_expected_one",
		       first.dma_addr);
	tap_ok(!is_flat || last.dma_addr == setup.bar_address + pieces[1].offset,
	       "map_ranges_each_has_its_own_address", last.dma_addr);
	tap_ok(setup.path_type >= P2PDMA_EXPORT_MAP_BUS_ADDR, "path_mappable_says_so",
	       setup.path_type);
	tap_ok(setup.path_type != P2PDMA_EXPORT_MAP_BUS_ADDR || is_flat, "path_bus_address_is_one",
	       setup.path_type);
}

/* The first byte of the window that isn't right after a DMA of @seed; -1: none. */
static long wrong_byte(unsigned int seed)
{
	static uint8_t wanted[WINDOW];
	size_t i;

	memset(wanted, BACKGROUND, WINDOW);
	for (i = 0; i < SPAN_SIZE; i++)
		wanted[piece_place(SPAN_OFFSET + i)] = pattern_byte(seed, i);
	for (i = 0; i < WINDOW; i++)
		if (setup.window[i] != wanted[i])
			return i;
	return -1;
}

static void test_data(int dmabuf)
{
	static uint8_t buffer[SPAN_SIZE];
	uint8_t *view;
	int64_t wrong;
	int ret;

	if (!can_dma("dma_write_and_read"))
		return;
	view = map_dmabuf(dmabuf, PIECES_SIZE);
	memset(setup.window, BACKGROUND, WINDOW);
	pattern_fill(buffer, 1, SPAN_SIZE);
	ret = edu_dma(setup.edu, P2PDMA_EDU_WRITE, SPAN_OFFSET, buffer, SPAN_SIZE);
	tap_ok(ret == 0, "dma_write_succeeds", ret);
	tap_ok(wrong_byte(1) < 0, "dma_write_lands_there_and_nowhere_else", wrong_byte(1));
	ret = memcmp(view + SPAN_OFFSET, buffer, SPAN_SIZE);
	tap_ok(ret == 0, "mmap_after_dma_write_shows_it", ret);

	pattern_fill(view + SPAN_OFFSET, 2, SPAN_SIZE);
	memset(buffer, 0, SPAN_SIZE);
	ret = edu_dma(setup.edu, P2PDMA_EDU_READ, SPAN_OFFSET, buffer, SPAN_SIZE);
	tap_ok(ret == 0, "dma_read_succeeds", ret);
	wrong = pattern_check(buffer, 2, SPAN_SIZE);
	tap_ok(wrong < 0, "dma_read_returns_what_the_cpu_wrote", wrong);
	munmap(view, PIECES_SIZE);
}

static void test_access(void)
{
	struct p2pdma_export_export export = make_export(0);
	struct p2pdma_export_export read_only = {.open_flags = O_RDONLY};
	uint8_t byte = 0;
	int ret;

	ret = edu_attach(setup.edu, export.fd, P2PDMA_EDU_WRITE, P2PDMA_EDU_ATTACH_PIN);
	tap_ok(ret == -EOPNOTSUPP, "attach_unrevocable_eopnotsupp", ret);

	must(export_bar(setup.exporter, setup.bar, pieces, 2, &read_only), "read-only export");
	ret = edu_attach(setup.edu, read_only.fd, P2PDMA_EDU_WRITE | P2PDMA_EDU_READ, 0);
	tap_ok(ret == -EACCES, "attach_read_only_for_writing_eacces", ret);
	ret = edu_attach(setup.edu, read_only.fd, P2PDMA_EDU_READ, 0);
	tap_ok(ret == 0, "attach_read_only_for_reading_succeeds", ret);
	if (can_dma("dma_read_of_read_only_succeeds")) {
		ret = edu_dma(setup.edu, P2PDMA_EDU_READ, 0, &byte, 1);
		tap_ok(ret == 0 && byte == setup.window[pieces[0].offset],
		       "dma_read_of_read_only_succeeds", ret);
	}
	edu_detach(setup.edu);
	close(read_only.fd);
	close(export.fd);
}

static void test_revoke_idle(void)
{
	struct p2pdma_export_export export = make_export(0);
	struct p2pdma_export_revoke revoke;
	struct p2pdma_edu_status status;
	uint8_t byte = 1;
	int ret;

	must(edu_attach(setup.edu, export.fd, P2PDMA_EDU_WRITE, 0), "attach");
	memset(setup.window, QUIET, WINDOW);
	ret = export_revoke(setup.exporter, export.export_id, &revoke);
	tap_ok(ret == 0 && revoke.nr_mappings == 1 && revoke.nr_remaining == 0,
	       "revoke_idle_undoes_the_mapping", ret ? ret : (int)revoke.nr_mappings);
	status = edu_status(setup.edu, 0);
	tap_ok(status.flags == (P2PDMA_EDU_STATUS_ATTACHED | P2PDMA_EDU_STATUS_REVOKED),
	       "status_after_revoke_is_revoked", status.flags);
	ret = edu_dma(setup.edu, P2PDMA_EDU_WRITE, 0, &byte, 1);
	tap_ok(ret == -ENODEV && setup.window[pieces[0].offset] == QUIET, "dma_after_revoke_enodev",
	       ret);
	ret = edu_detach(setup.edu);
	tap_ok(ret == 0, "detach_after_revoke_succeeds", ret);
	ret = edu_attach(setup.edu, export.fd, P2PDMA_EDU_WRITE, 0);
	tap_ok(ret == -ENODEV, "attach_after_revoke_enodev", ret);
	close(export.fd);
}

static atomic_int traffic_steps;

/* Writes without end; the result is what ended it. */
static void *traffic(void *unused)
{
	static uint8_t data[256];
	long ret;

	(void)unused;
	memset(data, 0x11, sizeof(data));
	do {
		ret = edu_dma(setup.edu, P2PDMA_EDU_WRITE, 0, data, sizeof(data));
		if (!ret)
			atomic_fetch_add(&traffic_steps, 1);
	} while (!ret);
	return (void *)ret;
}

static void test_revoke_traffic(void)
{
	struct p2pdma_export_export export = make_export(0);
	struct p2pdma_export_revoke revoke;
	size_t i, changed = 0;
	pthread_t thread;
	void *result;
	int ret;

	if (!can_dma("revoke_under_traffic")) {
		close(export.fd);
		return;
	}
	must(edu_attach(setup.edu, export.fd, P2PDMA_EDU_WRITE, 0), "attach");
	atomic_store(&traffic_steps, 0);
	must(-pthread_create(&thread, NULL, traffic, NULL), "pthread_create");
	while (atomic_load(&traffic_steps) < 2)
		usleep(5000);
	usleep(50000);
	ret = export_revoke(setup.exporter, export.export_id, &revoke);
	memset(setup.window, QUIET, WINDOW);
	tap_ok(ret == 0 && revoke.nr_remaining == 0, "revoke_under_traffic_succeeds", ret);
	tap_figure("edu_revoke_traffic", revoke.duration_ns / 1e6, "ms");
	pthread_join(thread, &result);
	tap_ok((long)result == -ENODEV, "dma_during_revoke_enodev", (long)result);
	/* Longer than a step takes: nothing that was under way may still arrive. */
	usleep(400000);
	for (i = 0; i < WINDOW; i++)
		changed += setup.window[i] != QUIET;
	tap_ok(changed == 0, "revoke_under_traffic_nothing_arrives_later", changed);
	edu_detach(setup.edu);
	close(export.fd);
}

static void test_revoke_pinned(void)
{
	struct p2pdma_export_export export = make_export(P2PDMA_EXPORT_F_ALLOW_UNREVOCABLE);
	struct p2pdma_export_revoke revoke;
	uint8_t byte = 0x77;
	int ret;

	ret = edu_attach(setup.edu, export.fd, P2PDMA_EDU_WRITE, P2PDMA_EDU_ATTACH_PIN);
	tap_ok(ret == 0, "attach_unrevocable_where_allowed_succeeds", ret);
	ret = export_revoke(setup.exporter, export.export_id, &revoke);
	tap_ok(ret == -EBUSY && revoke.nr_remaining == 2, "revoke_pinned_ebusy",
	       ret == -EBUSY ? (int)revoke.nr_remaining : ret);
	if (can_dma("dma_while_pinned_succeeds")) {
		ret = edu_dma(setup.edu, P2PDMA_EDU_WRITE, 0, &byte, 1);
		tap_ok(ret == 0 && setup.window[pieces[0].offset] == byte,
		       "dma_while_pinned_succeeds", ret);
	}
	edu_detach(setup.edu);
	ret = export_revoke(setup.exporter, export.export_id, &revoke);
	tap_ok(ret == 0 && revoke.nr_remaining == 0, "revoke_after_unpin_succeeds", ret);
	close(export.fd);
}

static void test_close(const char *exporter)
{
	struct p2pdma_export_export arg = {.open_flags = O_RDWR};
	int owner = open_node(exporter);
	uint8_t byte = 1;
	int ret;

	must(export_bar(owner, setup.bar, pieces, 2, &arg), "P2PDMA_EXPORT_EXPORT");
	must(edu_attach(setup.edu, arg.fd, P2PDMA_EDU_WRITE, 0), "attach");
	close(owner);
	ret = edu_dma(setup.edu, P2PDMA_EDU_WRITE, 0, &byte, 1);
	tap_ok(ret == -ENODEV, "dma_after_owner_closed_enodev", ret);
	close(arg.fd);
	/* The attachment holds the DMABUF now. */
	ret = edu_detach(setup.edu);
	tap_ok(ret == 0, "detach_as_last_user_succeeds", ret);
}

int main(int argc, char **argv)
{
	struct p2pdma_export_export export;
	int opt, ret;

	while ((opt = getopt(argc, argv, "e:")) == 'e')
		setup.expected = optarg;
	if (opt != -1 || argc - optind != 3) {
		fprintf(stderr, "usage: edu_peer [-e TYPE] EXPORTER-NODE BAR EDU-NODE\n");
		return 2;
	}
	argv += optind;
	set_up(argv[0], argv[1], argv[2]);
	if (setup.expected && !strcmp(setup.expected, "none")) {
		test_refusal();
		return tap_done();
	}

	export = make_export(0);
	ret = edu_attach(setup.edu, export.fd, P2PDMA_EDU_READ | P2PDMA_EDU_WRITE, 0);
	if (tap_ok(ret == 0, "attach_revocable_succeeds", ret)) {
		test_map_type();
		test_data(export.fd);
		edu_detach(setup.edu);
	}
	close(export.fd);
	test_access();
	test_revoke_idle();
	test_revoke_traffic();
	test_revoke_pinned();
	test_close(argv[0]);
	return tap_done();
}
