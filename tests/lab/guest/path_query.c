/* SPDX-License-Identifier: MIT */
/* path_query EXPORTER CLIENT-BDF: prints the kernel's map type and distance. */
#include <stdio.h>

#include "common/exporter.h"
#include "common/labtest.h"

int main(int argc, char **argv)
{
	struct exporter exporter;
	uint32_t map_type = 0;
	int32_t distance = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: path_query EXPORTER CLIENT-BDF\n");
		return 2;
	}
	must(exporter_open(argv[1], &exporter), argv[1]);
	must(exporter_path(&exporter, argv[2], &map_type, &distance), argv[2]);
	printf("%s distance %d\n", map_type_name(map_type), distance);
	exporter_close(&exporter);
	return 0;
}
