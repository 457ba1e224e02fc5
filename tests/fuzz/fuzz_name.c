// SPDX-License-Identifier: MIT
/*
 * Names of providers, from command lines and peers. What is accepted must come
 * back the same when it is printed and read again.
 */
#include <stdlib.h>
#include <string.h>

#include "common/pci.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size);
	struct pci_provider_name name, again;
	char printed[PCI_PROVIDER_NAME_SIZE];
	struct pci_address address;

	if (!pci_provider_name_parse(text, &name)) {
		fuzz_require(name.bar < PCI_NR_BARS || name.bar == PCI_MEMORY_P2PMEM ||
			     name.bar == PCI_MEMORY_VRAM);
		pci_provider_name_format(&name, printed);
		fuzz_require(!pci_provider_name_parse(printed, &again));
		fuzz_require(again.bar == name.bar && again.generation == name.generation &&
			     again.has_generation == name.has_generation);
		fuzz_require(!pci_address_compare(&again.address, &name.address));
		/* A provider's name is never a function's. */
		fuzz_require(pci_address_parse(text, &address));
	}
	if (!pci_address_parse(text, &address)) {
		pci_address_format(&address, printed);
		fuzz_require(strlen(printed) < PCI_ADDRESS_SIZE);
		fuzz_require(!pci_address_parse(printed, &name.address));
		fuzz_require(!pci_address_compare(&address, &name.address));
	}
	free(text);
	return 0;
}
