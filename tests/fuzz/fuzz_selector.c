// SPDX-License-Identifier: MIT
/* Selectors, from peers, rules and command lines. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "identities.h"
#include "policy/selector.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_string(data, size);
	struct selector selector;

	memset(&selector, 0xee, sizeof(selector));
	if (!selector_parse(text, &selector)) {
		bool is_bar = selector_matches(&selector, &some_bar);
		bool is_published = selector_matches(&selector, &some_publication);

		fuzz_require(selector.kind <= SELECTOR_PUBLISHED);
		fuzz_require((selector.kind == SELECTOR_ALL) == !strcmp(text, "*"));
		fuzz_require(selector.kind != SELECTOR_ALL || (is_bar && is_published));
		/* Nothing but * is both. */
		fuzz_require(selector.kind == SELECTOR_ALL || !is_bar || !is_published);
		fuzz_require(!is_bar || !selector_is_stale(&selector, &some_bar));
		fuzz_require(!selector_is_stale(&selector, &some_publication));
		fuzz_require(memchr(selector.published, '\0', sizeof(selector.published)));
		fuzz_require(!(selector.pci_class & ~selector.class_mask));
	}
	free(text);
	return 0;
}
