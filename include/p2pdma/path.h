/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_PATH_H
#define P2PDMA_PATH_H

#include <stddef.h>
#include <stdint.h>

#include <p2pdma/provider.h>
#include <p2pdma/version.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What the kernel decides for a provider and an importer. */
enum p2pdma_map_type {
	P2PDMA_MAP_UNKNOWN = 0,		 /* it depends on what may not be seen: see the reason */
	P2PDMA_MAP_NOT_SUPPORTED = 1,	 /* registration fails with -EINVAL */
	P2PDMA_MAP_BUS_ADDR = 2,	 /* straight from peer to peer, below a common port */
	P2PDMA_MAP_THRU_HOST_BRIDGE = 3, /* up to the host bridge and down again */
};

enum p2pdma_path_reason {
	P2PDMA_PATH_SAME_FUNCTION = 1,
	P2PDMA_PATH_SAME_DEVICE = 2,	 /* two functions of one device */
	P2PDMA_PATH_COMMON_PORT = 3,	 /* a port is above both, and no ACS redirects */
	P2PDMA_PATH_ACS = 4,		 /* ACS redirects, and the host bridge forwards */
	P2PDMA_PATH_HOST_BRIDGE = 5,	 /* no port is above both; the host bridges forward */
	P2PDMA_PATH_NOT_FORWARDED = 6,	 /* none is, and a host bridge doesn't forward */
	P2PDMA_PATH_DIFFERENT_HOSTS = 7, /* it does, but not to another host bridge */
	P2PDMA_PATH_ACS_BLOCKED = 8,	 /* ACS redirects, and the host bridge doesn't forward */
	P2PDMA_PATH_ACS_UNKNOWN = 9,	 /* ACS can only be seen with CAP_SYS_ADMIN */
	P2PDMA_PATH_HOST_UNKNOWN = 10,	 /* so can what the host bridge is */
	P2PDMA_PATH_KERNEL = 11,	 /* only the kernel module could tell */
	P2PDMA_PATH_NOT_PCI = 12,	 /* the importer is on no PCI function */
};

/* Who translates the addresses that an importer sends. */
enum p2pdma_iommu {
	P2PDMA_IOMMU_UNKNOWN = 0,
	P2PDMA_IOMMU_NONE = 1,
	P2PDMA_IOMMU_IDENTITY = 2,   /* it passes them through */
	P2PDMA_IOMMU_TRANSLATED = 3, /* by the kernel's mappings */
	P2PDMA_IOMMU_UNMANAGED = 4,  /* by VFIO's */
	P2PDMA_IOMMU_BLOCKED = 5,
};

enum p2pdma_node_kind {
	P2PDMA_NODE_HOST_BRIDGE = 1,
	P2PDMA_NODE_ROOT_PORT = 2,
	P2PDMA_NODE_UPSTREAM_PORT = 3, /* of a switch, as the next */
	P2PDMA_NODE_DOWNSTREAM_PORT = 4,
	P2PDMA_NODE_BRIDGE = 5, /* to or of conventional PCI */
	P2PDMA_NODE_FUNCTION = 6,
};

/* Bits of acs_control by which a function sends requests between peers upwards. */
#define P2PDMA_ACS_REQUEST_REDIRECT    0x0004U
#define P2PDMA_ACS_COMPLETION_REDIRECT 0x0008U
#define P2PDMA_ACS_EGRESS_CONTROL      0x0020U

/* It has an ACS capability: acs_capability and acs_control say what it has. */
#define P2PDMA_NODE_HAS_ACS	       (1U << 0)
/* Whether it has one can't be seen. */
#define P2PDMA_NODE_ACS_UNKNOWN	       (1U << 1)
/* One of the three bits is set. */
#define P2PDMA_NODE_REDIRECTS	       (1U << 2)
/* The kernel's module p2pdma_export, vfio-pci, ... may export its BARs: it has one. */
#define P2PDMA_NODE_PROVIDER	       (1U << 3)
/* An RDMA or DRM device, or a function that VFIO holds: it can import. */
#define P2PDMA_NODE_IMPORTER	       (1U << 4)

/**
 * struct p2pdma_path_hop - one step of a path
 * @name:           "0000:41:00.0", or "pci0000:40" for a host bridge
 * @kind:           enum p2pdma_node_kind
 * @flags:          P2PDMA_NODE_HAS_ACS, _ACS_UNKNOWN, _REDIRECTS
 * @acs_control:    the ACS control register
 * @link_generation: of its PCIe link as it is trained (1: 2.5 GT/s); 0: none, or unknown
 * @link_width:     lanes
 * @reserved:       zero
 */
struct p2pdma_path_hop {
	char name[24];
	uint32_t kind;
	uint32_t flags;
	uint32_t acs_control;
	uint32_t link_generation;
	uint32_t link_width;
	uint32_t reserved;
};

#define P2PDMA_PATH_MAX_HOPS  24

/* The kernel module was asked and has answered: its answer is map_type and distance. */
#define P2PDMA_PATH_ASKED     (1U << 0)
/* And it isn't what was computed. Please report that. */
#define P2PDMA_PATH_DISAGREES (1U << 1)
/* There are more hops than P2PDMA_PATH_MAX_HOPS. */
#define P2PDMA_PATH_CUT	      (1U << 2)
/* It works, even where the map type isn't known. */
#define P2PDMA_PATH_POSSIBLE  (1U << 3)

/**
 * struct p2pdma_path - what lies between a provider and an importer
 * @size_bytes:        sizeof(struct p2pdma_path)
 * @flags:             P2PDMA_PATH_*
 * @map_type:          enum p2pdma_map_type: the kernel's answer, or what its rules come to
 * @reason:            enum p2pdma_path_reason
 * @distance:          hops as the kernel counts them; -1 where it doesn't map
 * @computed_map_type: what its rules come to by sysfs and configuration space
 * @computed_distance: the same of the distance
 * @iommu:             enum p2pdma_iommu of the importer; it never changes the map type
 * @link_generation:   of the narrowest link on the way; 0: none is known
 * @link_width:        its lanes
 * @nr_hops:           of @hops
 * @reserved:          zero
 * @bytes_per_second:  what that link carries at most, its encoding taken off: no transfer is
 *                     faster. 0: no link is known
 * @provider:          the function "0000:41:00.0"
 * @importer:          the function; "" where it is on none
 * @narrowest:         the hop with that link
 * @place:             where the reason is: the port above both ("0000:41:00.0"), or the host bridge
 *                     that decided ("pci0000:40"). Pairs with the same reason at the same place
 *                     have one remedy: p2pdma_topology_advise()
 * @why:               the reason in one sentence
 * @advice:            what to change: a parameter, a slot; "" where there is nothing. A parameter
 *                     of the kernel has in it what the running kernel was booted with
 * @hops:              from the provider to the importer
 */
struct p2pdma_path {
	uint32_t size_bytes;
	uint32_t flags;
	uint32_t map_type;
	uint32_t reason;
	int32_t distance;
	uint32_t computed_map_type;
	int32_t computed_distance;
	uint32_t iommu;
	uint32_t link_generation;
	uint32_t link_width;
	uint32_t nr_hops;
	uint32_t reserved;
	uint64_t bytes_per_second;
	char provider[24];
	char importer[24];
	char narrowest[24];
	char place[24];
	char why[384];
	char advice[1024];
	struct p2pdma_path_hop hops[P2PDMA_PATH_MAX_HOPS];
};

#define P2PDMA_PATH_INIT                                                                           \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_path), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {0},     \
			{0}, {0}, {0}, {0}, {0},                                                   \
		{                                                                                  \
			{                                                                          \
				{0}, 0, 0, 0, 0, 0, 0                                              \
			}                                                                          \
		}                                                                                  \
	}

/**
 * p2pdma_path_query() - can this importer reach this provider, how, and why?
 * @context:  borrowed
 * @provider: borrowed
 * @importer: an RDMA device ("mlx5_0"), a DRM device ("card1"), a disk ("nvme0n1") or a PCI function
 *            ("0000:81:00.0"). Soft-RoCE means the function that its module's parameter
 *            dmabuf_device names, else that of its network card.
 * @ret_path: size_bytes set by the caller
 *
 * Computes what the kernel will decide, by its own rules. Where the provider is bound to
 * p2pdma_export and its node may be opened, the kernel is asked, too, and its answer wins.
 * Capabilities in configuration space are only shown to CAP_SYS_ADMIN: without it and without the
 * module a map type may be P2PDMA_MAP_UNKNOWN, and the path says what is unknown. An importer that is on no
 * PCI function (soft-RoCE on a dummy interface, a loop device) is P2PDMA_MAP_NOT_SUPPORTED: the kernel
 * maps peer memory for PCI functions only.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   sysfs, /proc/cpuinfo, /proc/cmdline, P2PDMA_EXPORT_PATH
 * Since:    0.1
 *
 * Return: 0, also where the answer is "no"; -EINVAL when @importer is no name or an argument is
 * NULL; -ENODEV when there is no such importer, or one of the functions has gone; -ESTALE when
 * another function is in the provider's slot; -EIO when sysfs can't be made sense of; -EMFILE,
 * -ENFILE, -ENOMEM
 */
P2PDMA_API int p2pdma_path_query(struct p2pdma_context *context,
				 const struct p2pdma_provider *provider, const char *importer,
				 struct p2pdma_path *ret_path);

/* The PCI tree of a machine at one moment. It never changes: any thread may use it. */
struct p2pdma_topology;

/**
 * struct p2pdma_node - a host bridge, a port or a function
 * @size_bytes:          sizeof(struct p2pdma_node)
 * @flags:               P2PDMA_NODE_*
 * @kind:                enum p2pdma_node_kind
 * @parent:              index of the node above; -1: a host bridge
 * @host:                index of its host bridge
 * @vendor_id:           PCI; of a host bridge that of its first function, by which the kernel knows it
 * @device_id:           the same
 * @class_code:          0xCCSSPP
 * @acs_capability:      the register
 * @acs_control:         the register
 * @link_generation:     of its PCIe link as it is trained; 0: none, or unknown
 * @link_width:          lanes
 * @max_link_generation: what this end of it can do
 * @max_link_width:      the same
 * @numa_node:           of a function or a host bridge; -1 where unknown
 * @iommu:               enum p2pdma_iommu
 * @bar:                 of a provider: its largest memory BAR
 * @bar_bytes:           its size
 * @reserved:            zero
 * @name:                "0000:41:00.0" or "pci0000:40"
 * @driver:              of a function; "" for none
 * @device:              of an importer: "mlx5_0", "card1"; "" for one that VFIO holds
 * @devices:             all such names, an RDMA device's first, with a blank between them:
 *                       "mlx5_0 rxe0 card1 renderD128"; those that don't fit are left out
 */
struct p2pdma_node {
	uint32_t size_bytes;
	uint32_t flags;
	uint32_t kind;
	int32_t parent;
	int32_t host;
	uint32_t vendor_id;
	uint32_t device_id;
	uint32_t class_code;
	uint32_t acs_capability;
	uint32_t acs_control;
	uint32_t link_generation;
	uint32_t link_width;
	uint32_t max_link_generation;
	uint32_t max_link_width;
	int32_t numa_node;
	uint32_t iommu;
	uint64_t bar_bytes;
	uint32_t bar;
	uint32_t reserved;
	char name[24];
	char driver[32];
	char device[64];
	char devices[192];
};

#define P2PDMA_NODE_INIT                                                                           \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_node), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
			0, 0, 0, {0}, {0}, {0},                                                    \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}

/**
 * p2pdma_topology_query() - look at the whole PCI tree
 * @context:      borrowed
 * @ret_topology: owned by the caller; p2pdma_topology_free()
 *
 * A function that goes away while it is looked at is left out.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   sysfs, /proc/cpuinfo, /proc/cmdline
 * Since:    0.1
 *
 * Return: 0, or -EINVAL for NULL; -ENOENT when the machine has no PCI; -EMFILE, -ENFILE, -ENOMEM
 */
P2PDMA_API int p2pdma_topology_query(struct p2pdma_context *context,
				     struct p2pdma_topology **ret_topology);

/**
 * p2pdma_topology_count() - how many nodes it has
 * @topology: borrowed; NULL counts 0
 *
 * Each stands behind the one that is above it.
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the number
 */
P2PDMA_API size_t p2pdma_topology_count(const struct p2pdma_topology *topology);

/**
 * p2pdma_topology_node() - one of its nodes
 * @topology: borrowed
 * @index:    0 .. count - 1
 * @ret_node: size_bytes set by the caller
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: 0, or -EINVAL for NULL, a wrong size_bytes, or an index beyond the end
 */
P2PDMA_API int p2pdma_topology_node(const struct p2pdma_topology *topology, size_t index,
				    struct p2pdma_node *ret_node);

/**
 * p2pdma_topology_path() - the path between two of its functions
 * @topology: borrowed
 * @provider: index of a function
 * @importer: index of a function
 * @ret_path: size_bytes set by the caller
 *
 * As p2pdma_path_query(), of the tree as it was, without asking the kernel.
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: 0, or -EINVAL for NULL, a wrong size_bytes, or an index that isn't a function's
 */
P2PDMA_API int p2pdma_topology_path(const struct p2pdma_topology *topology, size_t provider,
				    size_t importer, struct p2pdma_path *ret_path);

/* Indices of a provider and an importer in a topology. */
struct p2pdma_pair {
	size_t provider;
	size_t importer;
};

/**
 * p2pdma_topology_advise() - one reason and one remedy for several pairs
 * @topology: borrowed
 * @pairs:    of functions, whose paths have the same reason at the same place, or all P2PDMA_PATH_ACS or
 *            P2PDMA_PATH_ACS_BLOCKED at any; borrowed
 * @nr_pairs: one or more
 * @ret_path: size_bytes set by the caller
 *
 * As p2pdma_topology_path() of the first pair, but why and advice speak of all: where ports redirect
 * by ACS they name every port that is in the way of one of them, so that one parameter of the
 * kernel helps them all. Of several such parameters the kernel takes the last alone: whoever has pairs below
 * different switches asks for all of them together; their place is "".
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: 0, or -EINVAL for NULL, a wrong size_bytes, no pairs, an index that isn't a function's, or
 * pairs that don't go together
 */
P2PDMA_API int p2pdma_topology_advise(const struct p2pdma_topology *topology,
				      const struct p2pdma_pair *pairs, size_t nr_pairs,
				      struct p2pdma_path *ret_path);

/**
 * p2pdma_topology_free() - release it
 * @topology: consumed; NULL is allowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 */
P2PDMA_API void p2pdma_topology_free(struct p2pdma_topology *topology);

/**
 * p2pdma_map_type_name() - a map type in words
 * @map_type: enum p2pdma_map_type
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: "BUS_ADDR", "THRU_HOST_BRIDGE", "NOT_SUPPORTED" or "UNKNOWN"
 */
P2PDMA_API const char *p2pdma_map_type_name(uint32_t map_type);

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_PATH_H */
