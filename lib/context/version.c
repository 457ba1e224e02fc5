// SPDX-License-Identifier: MIT
/*
 * The version of the library that was loaded, as opposed to the one compiled
 * against. Constants, no state, no locks.
 */
#include <p2pdma/version.h>

#define TEXT_OF(x)	#x
#define VERSION_TEXT(x) TEXT_OF(x)

uint32_t p2pdma_version_number(void)
{
	return P2PDMA_VERSION_NUMBER;
}

const char *p2pdma_version_string(void)
{
	return VERSION_TEXT(P2PDMA_VERSION_MAJOR) "." VERSION_TEXT(
		P2PDMA_VERSION_MINOR) "." VERSION_TEXT(P2PDMA_VERSION_PATCH);
}
