// SPDX-License-Identifier: MIT
/*
 * p2pdma_selftest [--backend export|vfio] PROVIDER RDMADEV: everything the
 * library promises of a buffer and its memory regions, on a real kernel, one
 * case a line (TAP). Exits 0 when all passed.
 */
#include <stdio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "selftest.h"

static void test_discovery(const char *name)
{
	struct p2pdma_provider_list *list = NULL;
	struct p2pdma_provider *again = NULL;
	const char *why = NULL;
	bool is_listed = false;
	int r;

	r = p2pdma_provider_list_query(selftest.context, &list);
	for (size_t i = 0; i < p2pdma_provider_list_count(list); i++)
		is_listed |= !strcmp(p2pdma_provider_name(p2pdma_provider_list_at(list, i)), name);
	tap_ok(!r && is_listed, "list_has_the_provider", r);
	p2pdma_provider_list_free(list);
	r = p2pdma_provider_find(selftest.context, p2pdma_provider_unique_name(selftest.provider),
				 &again);
	tap_ok(!r, "find_by_unique_name", r);
	p2pdma_provider_unref(again);
	r = p2pdma_provider_can_export(selftest.provider, (enum p2pdma_backend)selftest.backend,
				       &why);
	tap_ok(r == 1 && why, "can_export_says_yes", r);
	printf("# %s\n", why);
}

int main(int argc, char **argv)
{
	uint32_t backend = P2PDMA_BACKEND_EXPORT;
	int fds = count_fds(), left;

	if (argc > 2 && !strcmp(argv[1], "--backend")) {
		backend = strcmp(argv[2], "vfio") ? P2PDMA_BACKEND_EXPORT : P2PDMA_BACKEND_VFIO;
		argv += 2;
		argc -= 2;
	}
	if (argc != 3) {
		story_tell("usage: p2pdma_selftest [--backend export|vfio] PROVIDER RDMADEV");
		return 2;
	}
	selftest_open(argv[1], argv[2], backend);
	test_discovery(argv[1]);
	test_data();
	test_registration();
	test_revocation();
	test_adoption();
	selftest_close();
	left = count_fds() - fds;
	tap_ok(left == 0, "no_descriptor_is_left", left);
	return tap_done();
}
