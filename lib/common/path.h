/* SPDX-License-Identifier: MIT */
#ifndef COMMON_PATH_H
#define COMMON_PATH_H

#include "pci_tree.h"

/* Numbers of enum p2pdma_export_map_type. */
enum path_map {
	PATH_MAP_UNKNOWN = 0,
	PATH_MAP_NOT_SUPPORTED = 1,
	PATH_MAP_BUS_ADDR = 2,
	PATH_MAP_THRU_HOST_BRIDGE = 3,
};

/* Numbers of enum p2pdma_path_reason. */
enum path_reason {
	PATH_REASON_SAME_FUNCTION = 1,
	PATH_REASON_SAME_DEVICE = 2,	 /* two functions of one device */
	PATH_REASON_COMMON_PORT = 3,	 /* a port is above both */
	PATH_REASON_ACS = 4,		 /* one is, but ACS redirects; the host bridge forwards */
	PATH_REASON_HOST_BRIDGE = 5,	 /* none is; the host bridge forwards, or both do */
	PATH_REASON_NOT_FORWARDED = 6,	 /* none is, and the host bridge doesn't */
	PATH_REASON_DIFFERENT_HOSTS = 7, /* it does, but not to another one */
	PATH_REASON_ACS_BLOCKED = 8,	 /* ACS redirects, and the host bridge doesn't forward */
	PATH_REASON_ACS_UNKNOWN = 9,	 /* one is, but who asks may not see ACS */
	PATH_REASON_HOST_UNKNOWN = 10,	 /* nor what the host bridge or the processor is */
};

enum path_answer {
	PATH_NO = 0,
	PATH_YES = 1,
	PATH_MAYBE = 2
};

/* Does the processor forward whatever its host bridge is? Where the kernel asks that at all. */
enum path_answer path_cpu_parse(const char *text);
/* @file: as /proc/cpuinfo */
enum path_answer path_cpu_query(const char *file);
/* Of this machine. */
enum path_answer path_cpu_here(void);

#define PATH_MAX_HOPS (2 * PCI_TREE_MAX_DEPTH + 2)

struct path {
	enum path_map map;
	enum path_reason reason;
	enum path_reason direct;      /* what it would be without ACS; 0: no port is above both */
	enum path_answer is_possible; /* YES or NO where only the map type is unknown */
	int32_t distance;	      /* as the kernel counts; -1: it doesn't map */

	/* Indices into the tree, from the provider to the importer, as requests go. */
	size_t nr_hops;
	int32_t hops[PATH_MAX_HOPS];
	int32_t common; /* the port above both; -1 */

	size_t nr_redirects; /* ports whose ACS redirects */
	int32_t redirects[PATH_MAX_HOPS];
	size_t nr_hidden; /* functions whose ACS can't be seen */
	int32_t hidden[PATH_MAX_HOPS];

	int32_t host; /* the host bridge that decided; -1: none, or several (path_join()) */
	int32_t provider_host;	   /* -1: of several (path_join()) */
	bool is_by_cpu;		   /* the processor did */
	bool is_mixed;		   /* ACS blocks some of them and not others (path_join()) */
	int32_t narrowest;	   /* the hop with the least; -1: no link is known */
	struct pci_link link;	   /* its link */
	uint64_t bytes_per_second; /* a bound, of what is known; 0: nothing is */
};

/* Any two functions of a tree. */
void path_compute(const struct pci_tree *tree, enum path_answer cpu, int32_t provider,
		  int32_t importer, struct path *ret_path);

/* Where its reason is: the port above both, or the host bridge that decided. */
int32_t path_place(const struct path *path);

/*
 * Another pair with the same reason at the same place, or both have ports that redirect, wherever and with
 * whatever outcome: @path is the first's still, and has what redirects or is hidden on the way of either.
 * False, and untouched: it has another reason or place.
 */
bool path_join(const struct path *other, struct path *path);

/*
 * The distance alone; -1: it doesn't map. -ENODEV: no provider; -ENXIO: no importer; -EOPNOTSUPP:
 * whether it maps can't be seen; -EIO, -ENOMEM. Of what is in @tree already sysfs isn't asked.
 */
int path_distance_in(struct pci_tree *tree, int sysfs_fd, enum path_answer cpu,
		     const struct pci_address *provider, const struct pci_address *importer,
		     int32_t *ret_distance);
/* The same, by what sysfs says now. */
int path_distance_query(int sysfs_fd, enum path_answer cpu, const struct pci_address *provider,
			const struct pci_address *importer, int32_t *ret_distance);

/* One sentence without a full stop. */
void path_explain(const struct pci_tree *tree, const struct path *path, char *ret_text,
		  size_t size);

#define PATH_BOOT_SIZE 4096

/* What the kernel was booted with that says of ACS. */
struct path_boot {
	bool is_known;		   /* its command line could be read */
	bool has_config;	   /* pci=config_acs=, which is applied last */
	char list[PATH_BOOT_SIZE]; /* of the last pci=disable_acs_redir=; "" */
};

/* @command_line: as /proc/cmdline */
void path_boot_parse(const char *command_line, struct path_boot *ret_boot);
/* @root: "/", below which is proc */
void path_boot_query(const char *root, struct path_boot *ret_boot);

/* How these ports are kept from redirecting. */
void path_advise_acs(const struct path_boot *boot, const char *const *ports, size_t nr_ports,
		     char *ret_text, size_t size);

/* What to change; "" where nothing must be. @boot: asked where ACS redirects. */
void path_advise(const struct pci_tree *tree, const struct path *path, const struct path_boot *boot,
		 char *ret_text, size_t size);

/* The version of the kernel whose rules these are. */
extern const char *const path_kernel;

#endif /* COMMON_PATH_H */
