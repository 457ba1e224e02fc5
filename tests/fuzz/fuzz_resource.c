// SPDX-License-Identifier: MIT
/* The `resource` attribute of sysfs: sizes never wrap, nothing without flags has one. */
#include <stdlib.h>
#include <string.h>

#include "common/pci.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Without a NUL behind it: the parser is told the length. */
	char *text = malloc(size ? size : 1);
	struct pci_bar bars[PCI_NR_BARS];

	memcpy(text, data, size);
	if (!pci_parse_resource(text, size, bars)) {
		for (int i = 0; i < PCI_NR_BARS; i++)
			fuzz_require(bars[i].size_bytes ||
				     (!bars[i].is_memory && !bars[i].is_64bit &&
				      !bars[i].is_prefetchable));
	}
	free(text);
	return 0;
}
