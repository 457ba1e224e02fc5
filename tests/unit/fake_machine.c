// SPDX-License-Identifier: MIT
/*
 * PCI trees of any shape, as files. What the kernel would put into an attribute is put there,
 * configuration spaces byte by byte; nothing of the code under test is used to make them.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_machine.h"

#define EXPRESS_AT   0x60
#define POWER_AT     0x40
#define ERRORS_AT    0x100
#define ACS_AT	     0x148
#define RESIZABLE_AT 0x180
#define SPACE_SIZE   4096
#define LEGACY_SIZE  256

static void put_16(uint8_t *space, size_t at, unsigned int value)
{
	space[at] = (uint8_t)value;
	space[at + 1] = (uint8_t)(value >> 8);
}

static void put_32(uint8_t *space, size_t at, uint32_t value)
{
	put_16(space, at, value & 0xffff);
	put_16(space, at + 2, value >> 16);
}

static bool is_port(const struct fake_pci *function)
{
	return function->type >= PCI_CONFIG_ROOT_PORT && function->type <= 8;
}

static void put_express(uint8_t *space, const struct fake_pci *function)
{
	unsigned int generation = function->link_generation ? function->link_generation : 5;
	unsigned int width = function->link_width ? function->link_width : 16;

	/* Power management first, as on real devices. */
	space[0x06] |= 0x10;
	space[0x34] = POWER_AT;
	put_16(space, POWER_AT, 0x01 | EXPRESS_AT << 8);
	put_16(space, EXPRESS_AT, 0x10);
	put_16(space, EXPRESS_AT + 2, 2U | (unsigned int)function->type << 4);
	put_16(space, EXPRESS_AT + 8, function->is_relaxed ? 0x2810 : 0x2800);
	put_32(space, EXPRESS_AT + 0x0c, 5 | 16 << 4);
	if (width != 255)
		put_16(space, EXPRESS_AT + 0x12, generation | width << 4);
}

/* Error reporting, then ACS, then the sizes of BAR 2, which has 16 GiB. */
static void put_extended(uint8_t *space, const struct fake_pci *function)
{
	uint32_t resizable_at = function->resizable ? RESIZABLE_AT : 0;

	put_32(space, ERRORS_AT,
	       0x0001 | 1 << 16 | (function->has_acs ? ACS_AT : resizable_at) << 20);
	if (function->has_acs) {
		put_32(space, ACS_AT, 0x000d | 1 << 16 | resizable_at << 20);
		put_16(space, ACS_AT + 4, 0x001f);
		put_16(space, ACS_AT + 6, function->acs_control);
	}
	if (function->resizable) {
		put_32(space, RESIZABLE_AT, 0x0015 | 1 << 16);
		put_32(space, RESIZABLE_AT + 4, function->resizable << 4);
		put_32(space, RESIZABLE_AT + 8, 2 | 1 << 5 | 14 << 8);
	}
}

static size_t make_space(const struct fake_pci *function, uint8_t *space)
{
	memset(space, 0, SPACE_SIZE);
	put_16(space, 0x00, function->vendor_id ? function->vendor_id : 0x1af4);
	put_16(space, 0x02, function->device_id ? function->device_id : 0x1110);
	put_32(space, 0x08,
	       (is_port(function)    ? 0x060400U :
		function->class_code ? function->class_code :
				       0x020000U)
			       << 8 |
		       1);
	if (!function->is_conventional)
		put_express(space, function);
	put_extended(space, function);
	return function->is_hidden ? 64 : function->is_short ? LEGACY_SIZE : SPACE_SIZE;
}

static void full_path(char *path, size_t size, const char *address, const char *file)
{
	snprintf(path, size, "%s/sys/bus/pci/devices/%s%s%s", fake.root, address, *file ? "/" : "",
		 file);
}

static void write_file(const char *address, const char *file, const void *data, size_t size)
{
	char path[256];
	int fd;

	full_path(path, sizeof(path), address, file);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	close(fd);
}

static void write_line(const char *address, const char *file, const char *format,
		       unsigned int value)
{
	char line[64];

	snprintf(line, sizeof(line), format, value);
	write_file(address, file, line, strlen(line));
}

/* "devices/pci0000:00/0000:00:01.0" of what is there. */
static void place_of(const char *name, char *place, size_t size)
{
	char path[256], link[320];
	ssize_t length;

	/* A host bridge by its directory. */
	if (!strncmp(name, "pci", 3)) {
		snprintf(place, size, "devices/%s", name);
		return;
	}
	full_path(path, sizeof(path), name, "");
	length = readlink(path, link, sizeof(link) - 1);
	assert_true(length > 9);
	link[length] = '\0';
	assert_true((size_t)length < size);
	strcpy(place, link + strlen("../../../"));
}

static void write_links(const struct fake_pci *function)
{
	static const char *const speeds[] = {"0",    "2.5",  "5.0",  "8.0",
					     "16.0", "32.0", "64.0", "128.0"};
	unsigned int generation = function->link_generation ? function->link_generation : 5;
	char line[64];

	snprintf(line, sizeof(line), "%s GT/s PCIe\n", speeds[generation]);
	write_file(function->address, "current_link_speed", line, strlen(line));
	write_line(function->address, "current_link_width", "%u\n",
		   function->link_width ? function->link_width : 16);
	write_file(function->address, "max_link_speed", "32.0 GT/s PCIe\n", 15);
	write_line(function->address, "max_link_width", "%u\n", 16);
}

static void write_resource(const struct fake_pci *function)
{
	static const char none[] = "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
	static const char bar[] = "0x00000fc000000000 0x00000fc3ffffffff 0x000000000014220c\n";
	char text[512] = "";

	for (int i = 0; i < 6; i++)
		strcat(text, i == 2 && !is_port(function) ? bar : none);
	write_file(function->address, "resource", text, strlen(text));
}

void fake_pci_add(const struct fake_pci *function)
{
	static uint8_t space[SPACE_SIZE];
	char above[256], place[320], link[128], target[360];

	place_of(function->above, above, sizeof(above));
	snprintf(place, sizeof(place), "sys/%s/%s", above, function->address);
	fake_mkdir(place);
	snprintf(target, sizeof(target), "../../../%s", place + strlen("sys/"));
	snprintf(link, sizeof(link), "sys/bus/pci/devices/%s", function->address);
	fake_link(target, link);
	write_file(function->address, "config", space, make_space(function, space));
	write_line(function->address, "vendor", "0x%04x\n",
		   function->vendor_id ? function->vendor_id : 0x1af4);
	write_line(function->address, "device", "0x%04x\n",
		   function->device_id ? function->device_id : 0x1110);
	write_line(function->address, "numa_node", "%u\n", (unsigned int)function->numa_node);
	write_resource(function);
	if (!function->is_conventional && function->link_width != 255)
		write_links(function);
	if (!function->driver)
		return;
	snprintf(link, sizeof(link), "sys/bus/pci/devices/%s/driver", function->address);
	snprintf(target, sizeof(target), "../../../../bus/pci/drivers/%s", function->driver);
	fake_link(target, link);
}

void fake_host_add(const char *name, uint16_t vendor_id, uint16_t device_id)
{
	struct fake_pci first = {
		.above = name,
		.vendor_id = vendor_id,
		.device_id = device_id,
		.is_conventional = true,
		.is_short = true,
	};
	char address[PCI_ADDRESS_SIZE], place[64];

	snprintf(place, sizeof(place), "sys/devices/%s", name);
	fake_mkdir(place);
	snprintf(address, sizeof(address), "%s:00.0", name + strlen("pci"));
	first.address = address;
	fake_pci_add(&first);
}

void fake_acs_set(const char *address, uint16_t control)
{
	uint8_t bytes[2];
	char path[256];
	int fd;

	put_16(bytes, 0, control);
	full_path(path, sizeof(path), address, "config");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, bytes, 2, ACS_AT + 6), 2);
	close(fd);
}

void fake_cpu_set(const char *vendor, int family)
{
	char text[160];

	snprintf(text, sizeof(text),
		 "processor\t: 0\nvendor_id\t: %s\ncpu family\t: %d\nmodel\t\t: 1\n", vendor,
		 family);
	fake_write("cpuinfo", text);
}

void fake_rdma_add(const char *name, const char *address)
{
	char place[256], path[320], target[360];

	place_of(address, place, sizeof(place));
	fake_mkdir("sys/class/infiniband");
	snprintf(path, sizeof(path), "sys/%s/infiniband/%s", place, name);
	fake_mkdir(path);
	snprintf(target, sizeof(target), "../../%s/infiniband/%s", place, name);
	snprintf(path, sizeof(path), "sys/class/infiniband/%s", name);
	fake_link(target, path);
}

void fake_iommu_set(const char *address, int group, const char *type)
{
	char path[128], target[128];

	snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%d", group);
	fake_mkdir(path);
	snprintf(path, sizeof(path), "sys/kernel/iommu_groups/%d/type", group);
	fake_write(path, type);
	snprintf(path, sizeof(path), "sys/bus/pci/devices/%s/iommu_group", address);
	snprintf(target, sizeof(target), "../../kernel/iommu_groups/%d", group);
	fake_link(target, path);
}

/* Switch @index is below root port XX:01.0; its buses follow. */
static const uint8_t server_bus[] = {0x16, 0x40, 0x80, 0xc0};

static void add_switch(unsigned int index, uint16_t host_vendor_id, uint16_t host_device_id)
{
	static const char *const drivers[] = {"nvidia", "nvidia", "mlx5_core", "mlx5_core"};
	unsigned int bus = server_bus[index];
	char host[16], root[16], up[16], down[16], leaf[16], device[16];
	int numa_node = index >= 2;

	snprintf(host, sizeof(host), "pci0000:%02x", bus);
	fake_host_add(host, host_vendor_id, host_device_id);
	snprintf(root, sizeof(root), "0000:%02x:01.0", bus);
	fake_pci_add(&(struct fake_pci){.address = root,
					.above = host,
					.type = PCI_CONFIG_ROOT_PORT,
					.has_acs = true,
					.numa_node = numa_node});
	snprintf(up, sizeof(up), "0000:%02x:00.0", bus + 1);
	fake_pci_add(&(struct fake_pci){.address = up,
					.above = root,
					.type = PCI_CONFIG_UPSTREAM_PORT,
					.numa_node = numa_node});
	for (unsigned int i = 0; i < 4; i++) {
		snprintf(down, sizeof(down), "0000:%02x:%02x.0", bus + 2, i);
		fake_pci_add(&(struct fake_pci){.address = down,
						.above = up,
						.type = PCI_CONFIG_DOWNSTREAM_PORT,
						.has_acs = true,
						.numa_node = numa_node});
		snprintf(leaf, sizeof(leaf), "0000:%02x:00.0", bus + 3 + i);
		fake_pci_add(&(struct fake_pci){.address = leaf,
						.above = down,
						.driver = drivers[i],
						.numa_node = numa_node});
		if (i < 2)
			continue;
		snprintf(device, sizeof(device), "mlx5_%u", index * 2 + i - 2);
		fake_rdma_add(device, leaf);
	}
}

void fake_server_add(uint16_t host_vendor_id, uint16_t host_device_id)
{
	for (unsigned int i = 0; i < 4; i++)
		add_switch(i, host_vendor_id, host_device_id);
}

const char *fake_server_gpu(unsigned int index)
{
	static char address[16];

	snprintf(address, sizeof(address), "0000:%02x:00.0",
		 server_bus[index / 2] + 3U + index % 2);
	return address;
}

const char *fake_server_nic(unsigned int index)
{
	static char address[16];

	snprintf(address, sizeof(address), "0000:%02x:00.0",
		 server_bus[index / 2] + 5U + index % 2);
	return address;
}
