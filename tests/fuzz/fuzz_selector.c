// SPDX-License-Identifier: MIT
/* Selectors, from peers, rules and command lines. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "selector.h"

static const struct identity bar = {
	.name = "0000:41:00.0/2@77",
	.backend = WIRE_BACKEND_EXPORT,
	.address = {0, 0x41, 0},
	.bar = 2,
	.generation = 77,
	.vendor_id = 0x10ee,
	.device_id = 0x903f,
	.pci_class = 0x030200,
};

static const struct identity published = {
	.name = "frames-1", .is_published = true, .backend = WIRE_BACKEND_PUBLISHED};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size);
	struct selector selector;

	memset(&selector, 0xee, sizeof(selector));
	if (!selector_parse(text, &selector)) {
		bool is_bar = selector_matches(&selector, &bar);
		bool is_published = selector_matches(&selector, &published);

		fuzz_require(selector.kind <= SELECTOR_PUBLISHED);
		fuzz_require((selector.kind == SELECTOR_ALL) == !strcmp(text, "*"));
		fuzz_require(selector.kind != SELECTOR_ALL || (is_bar && is_published));
		/* Nothing but * is both. */
		fuzz_require(selector.kind == SELECTOR_ALL || !is_bar || !is_published);
		fuzz_require(!is_bar || !selector_is_stale(&selector, &bar));
		fuzz_require(!selector_is_stale(&selector, &published));
		fuzz_require(memchr(selector.published, '\0', sizeof(selector.published)));
		fuzz_require(!(selector.pci_class & ~selector.class_mask));
	}
	free(text);
	return 0;
}
