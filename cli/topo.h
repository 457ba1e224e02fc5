/* SPDX-License-Identifier: MIT */
#ifndef TOPO_H
#define TOPO_H

#include "cli.h"

/*
 * The PCI tree as `topo` shows it: which functions are its rows (providers) and its columns
 * (importers), and what is above them. Everything else of the machine is left out.
 */
struct topo {
	struct p2pdma_topology *topology;
	struct p2pdma_node *nodes;
	bool *is_shown;
	size_t nr_nodes;
	size_t *providers;
	size_t nr_providers;
	size_t *importers;
	size_t nr_importers;
};

/* @is_all: every function with a memory BAR, to every function. No memory ends the program. */
int topo_open(struct cli *cli, bool is_all, struct topo *ret_topo);
void topo_close(struct topo *topo);

void topo_path(const struct topo *topo, size_t provider, size_t importer,
	       struct p2pdma_path *ret_path);
/* By its address; NULL: isn't there. */
const struct p2pdma_node *topo_find(const struct topo *topo, const char *name);
/* "mlx5_0", or the function's address. */
const char *topo_importer_name(const struct topo *topo, size_t importer);
/* "0000:41:00.0/2" */
void topo_provider_name(const struct topo *topo, size_t provider, char *text, size_t size);

/* A path in a few letters, its colour in pictures, and what the letters mean. */
enum topo_code {
	TOPO_SAME,
	TOPO_DEVICE,
	TOPO_PORT,
	TOPO_HOST,
	TOPO_HOSTS,
	TOPO_ACS,
	TOPO_NO,
	TOPO_WORKS,
	TOPO_UNKNOWN,
	TOPO_NR_CODES
};

enum topo_code topo_code(const struct p2pdma_path *path);
extern const struct topo_legend {
	const char *letters;
	const char *colour; /* "#rrggbb" */
	const char *shade;  /* for terminals: "green", "yellow", "red", NULL */
	const char *meaning;
} topo_legend[TOPO_NR_CODES];

/* "5.0 x16" */
void link_format(uint32_t generation, uint32_t width, char *text, size_t size);
const char *iommu_name(uint32_t iommu);
const char *kind_name(uint32_t kind);

/* Nodes and paths, as `topo --json`. */
void topo_print_json(const struct cli *cli, const struct topo *topo);
void topo_print_dot(const struct topo *topo);
void topo_print_svg(const struct topo *topo);

#endif /* TOPO_H */
