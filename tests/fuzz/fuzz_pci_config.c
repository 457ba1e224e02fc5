// SPDX-License-Identifier: MIT
/*
 * Configuration spaces and links of sysfs, as devices and trees of any shape show them: bounded work,
 * no byte read that isn't there, and never an answer to what couldn't be seen.
 */
#include <string.h>

#include "common/path.h"
#include "fuzz.h"

struct space {
	const uint8_t *bytes;
	size_t size;
	unsigned int nr_reads;
};

static bool read_space(void *data, uint32_t offset, void *ret_bytes, size_t size)
{
	struct space *space = data;

	space->nr_reads++;
	fuzz_require(offset + size <= 4096);
	if (offset + size > space->size)
		return false;
	memcpy(ret_bytes, space->bytes + offset, size);
	return true;
}

static void fuzz_config(const uint8_t *data, size_t size)
{
	struct space space = {data, size, 0};
	struct pci_config_source source = {read_space, &space, size & 1 ? 256 : 4096};
	struct pci_config config;
	int r = pci_config_parse(&source, &config);

	fuzz_require(space.nr_reads <= 48 + 480 + 8);
	fuzz_require(!r == (size >= 64));
	if (r)
		return;
	fuzz_require(config.is_pcie_known || !config.is_pcie);
	fuzz_require(config.is_acs_known || !config.has_acs);
	fuzz_require(config.has_acs || !config.acs_control);
	fuzz_require(!config.link.generation == !config.link.width);
	/* 32 lanes of the newest generation. */
	fuzz_require(pci_link_bytes_per_second(config.link) <= 15125000000ULL * 32);
}

static void fuzz_extra(const uint8_t *data, size_t size)
{
	struct space space = {data, size, 0};
	struct pci_config_source source = {read_space, &space, size & 1 ? 256 : 4096};
	struct pci_extra extra;
	int r = pci_config_parse_extra(&source, &extra);

	fuzz_require(space.nr_reads <= 48 + 480 + 1 + 1 + 2 * 7);
	fuzz_require(!r == (size >= 64));
	for (unsigned int bar = 0; !r && bar < PCI_CONFIG_NR_BARS; bar++) {
		fuzz_require(extra.is_resizable_known || !extra.bars[bar].size_bytes);
		fuzz_require(pci_resizable_largest(&extra.bars[bar]) <= 1ULL << 63);
	}
}

static void fuzz_text(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size);
	struct pci_chain chain;

	if (!pci_chain_parse(text, &chain)) {
		fuzz_require(chain.count >= 1 && chain.count <= PCI_TREE_MAX_DEPTH);
		fuzz_require(chain.host_length <= strlen(text));
	}
	fuzz_require(path_cpu_parse(text) <= PATH_MAYBE);
	fuzz_require(pci_link_parse_speed(text) <= 7);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1) {
		fuzz_config(data + 1, size - 1);
		fuzz_extra(data + 1, size - 1);
	} else {
		fuzz_text(data + 1, size - 1);
	}
	return 0;
}
