// SPDX-License-Identifier: MIT
/* Lines and numbers of sysfs attributes. */
#include <stdlib.h>
#include <string.h>

#include "common/sysfs.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size ? size : 1);
	uint64_t value;
	int32_t number;
	char line[64];

	memcpy(text, data, size);
	if (!sysfs_parse_line(text, size, line, sizeof(line))) {
		fuzz_require(strlen(line) <= size);
		for (const char *c = line; *c; c++)
			fuzz_require((unsigned char)*c >= ' ' && *c != 0x7f);
		if (!sysfs_parse_s32(line, &number) && *line != '-')
			fuzz_require(!sysfs_parse_u64(line, &value) && value == (uint64_t)number);
	}
	free(text);
	return 0;
}
