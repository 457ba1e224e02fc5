/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_EXPLAIN_H
#define P2PDMA_EXPLAIN_H

#include <stdint.h>

#include <p2pdma/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ibv_pd;
struct p2pdma_buffer;
struct p2pdma_context;

/* Which call has failed. */
enum p2pdma_operation {
	P2PDMA_OPERATION_REGISTER = 1, /* a DMABUF: ibv_reg_dmabuf_mr(), the kernel's own method */
	P2PDMA_OPERATION_REGISTER_MEMORY = 2, /* memory by its address: ibv_reg_mr() */
	P2PDMA_OPERATION_EXPORT = 3,	     /* P2PDMA_EXPORT_EXPORT, VFIO_DEVICE_FEATURE_DMA_BUF */
	P2PDMA_OPERATION_MAP = 4,	     /* mmap() of a DMABUF */
	P2PDMA_OPERATION_ADOPT = 5,	     /* taking a descriptor for a DMABUF */
	P2PDMA_OPERATION_OPEN = 6,	     /* opening a device node, or a file of sysfs */
	P2PDMA_OPERATION_IOMMUFD_MAP = 7,    /* IOMMU_IOAS_MAP_FILE of a DMABUF */
	P2PDMA_OPERATION_GEM_QUERY = 8,	     /* a question to a DRM driver */
	P2PDMA_OPERATION_GEM_ALLOCATE = 9,   /* an object, by its DRM driver's own call */
	P2PDMA_OPERATION_GEM_EXPORT = 10,    /* DRM_IOCTL_PRIME_HANDLE_TO_FD */
	P2PDMA_OPERATION_GEM_IMPORT = 11,    /* DRM_IOCTL_PRIME_FD_TO_HANDLE */
	P2PDMA_OPERATION_POOL_ALLOCATE = 12, /* mmap() of p2pmem/allocate */
	P2PDMA_OPERATION_MEMORY_ALLOCATE = 13, /* DMA_HEAP_IOCTL_ALLOC, UDMABUF_CREATE */
	P2PDMA_OPERATION_RUNTIME_EXPORT = 14,  /* memory of a GPU runtime, by its address */
};

enum p2pdma_cause {
	P2PDMA_CAUSE_UNKNOWN = 0,

	/* What was asked for. */
	P2PDMA_CAUSE_BAD_FD = 1,     /* no open descriptor */
	P2PDMA_CAUSE_NOT_DMABUF = 2, /* a descriptor of something else */
	P2PDMA_CAUSE_RANGE = 3,	     /* empty, beyond the end, not aligned */
	P2PDMA_CAUSE_IOVA = 4,	     /* iova and offset differ below the page size */
	P2PDMA_CAUSE_ACCESS = 5,     /* access flags that can't be */
	P2PDMA_CAUSE_READ_ONLY = 6,  /* writing to what is read-only */
	P2PDMA_CAUSE_NOT_DEVICE = 7, /* a descriptor of another device than such a call is for */
	P2PDMA_CAUSE_NO_OBJECT = 8,  /* no such address space, no such GEM handle */
	P2PDMA_CAUSE_IOVA_TAKEN = 9, /* these I/O addresses are in use, or none are left */
	P2PDMA_CAUSE_ADDRESS = 10,   /* no memory of a GPU runtime that is used here */

	/* The memory. */
	P2PDMA_CAUSE_REVOKED = 16,
	P2PDMA_CAUSE_DEVICE_GONE = 17,	  /* unplugged, or without its driver */
	P2PDMA_CAUSE_DECODE_OFF = 18,	  /* VFIO's revocation: the function's memory decode */
	P2PDMA_CAUSE_ENDED = 19,	  /* one of these three: nothing says which */
	P2PDMA_CAUSE_NOT_EXPORTABLE = 20, /* this BAR can't be exported */
	P2PDMA_CAUSE_BUSY = 21,		  /* being reset, suspended, or held by somebody else */
	P2PDMA_CAUSE_NO_MMAP = 22,	  /* its exporter has no mmap */
	P2PDMA_CAUSE_CACHING = 23,	  /* mapped elsewhere with another caching */
	P2PDMA_CAUSE_DEVICE_MAPPING =
		24,		      /* a CPU mapping of device memory: it has no pages to pin */
	P2PDMA_CAUSE_NOT_MAPPED = 25, /* nothing is mapped there, or not for writing */
	P2PDMA_CAUSE_NO_ROOM = 26,    /* the device or the pool hasn't that much left */
	P2PDMA_CAUSE_FRAGMENTED = 27, /* it has, but not in one piece */
	P2PDMA_CAUSE_MAKER_REFUSES = 28, /* what its driver or runtime says, nothing says why */

	/* The way from one to the other. */
	P2PDMA_CAUSE_PATH = 32,	       /* the map type is NOT_SUPPORTED */
	P2PDMA_CAUSE_UNREVOCABLE = 33, /* the importer can't be revoked, and the exporter insists */
	P2PDMA_CAUSE_IOMMU_RANGES = 34, /* several ranges through an IOMMU */

	/* The importer. */
	P2PDMA_CAUSE_NIC_GONE = 48,
	P2PDMA_CAUSE_NIC_DRIVER = 49,	/* its driver can't register DMABUFs */
	P2PDMA_CAUSE_NIC_LIBRARY = 50,	/* its provider library can't, but the kernel can */
	P2PDMA_CAUSE_NIC_ODP = 51,	/* on-demand paging is off, which its driver builds on */
	P2PDMA_CAUSE_NIC_FUNCTION = 52, /* no PCI function to import for, or it has no driver */
	P2PDMA_CAUSE_NIC_LIMIT = 53,	/* more than the NIC can do */
	P2PDMA_CAUSE_NIC_REFUSES = 54,	/* what its driver says, and nothing says why */
	P2PDMA_CAUSE_DMA_HANDLE = 55,	/* no ibv_reg_mr_ex() */
	P2PDMA_CAUSE_EXPORTER = 56,	/* it takes DMABUFs of another exporter only */
	P2PDMA_CAUSE_RANGES = 57,	/* it takes DMABUFs of one range only */
	P2PDMA_CAUSE_NO_PEER = 58,	/* its driver maps no memory of other devices */
	P2PDMA_CAUSE_IMPORTER_REFUSES = 59, /* what it says, and nothing says why */

	/* The system, and what this process may do. */
	P2PDMA_CAUSE_NO_METHOD = 64,	 /* a kernel without the method */
	P2PDMA_CAUSE_PERMISSION = 65,	 /* a privilege is missing */
	P2PDMA_CAUSE_SANDBOX = 66,	 /* something in front of the driver: seccomp, an LSM */
	P2PDMA_CAUSE_MEMLOCK = 67,	 /* RLIMIT_MEMLOCK */
	P2PDMA_CAUSE_OPEN_FILES = 68,	 /* RLIMIT_NOFILE */
	P2PDMA_CAUSE_SYSTEM_FILES = 69,	 /* fs.file-max */
	P2PDMA_CAUSE_MAPPINGS = 70,	 /* vm.max_map_count */
	P2PDMA_CAUSE_ADDRESS_SPACE = 71, /* RLIMIT_AS */
	P2PDMA_CAUSE_CGROUP = 72,	 /* rdma.max */
	P2PDMA_CAUSE_NO_MEMORY = 73,
	P2PDMA_CAUSE_SIZE_LIMIT = 74,	 /* udmabuf's size_limit_mb, RLIMIT_FSIZE */
	P2PDMA_CAUSE_CLOSED_DRIVER = 75, /* kernel modules of NVIDIA's that export nothing */
};

/* P2PDMA_OPERATION_REGISTER was asked for with a DMA handle. */
#define P2PDMA_EXPLAIN_DMA_HANDLE (1U << 0)
/* The kernel's own method was called, and not the provider library. */
#define P2PDMA_EXPLAIN_UVERBS	  (1U << 1)

/**
 * struct p2pdma_explain_request - the call that has failed
 * @size_bytes:   sizeof(struct p2pdma_explain_request)
 * @operation:    enum p2pdma_operation
 * @flags:        P2PDMA_EXPLAIN_*
 * @fd:           the DMABUF; -1: none, or that of @buffer
 * @offset_bytes: from the start of the DMABUF, or of the BAR to export
 * @length_bytes: of what was asked for; 0 is an empty range, which is a cause of -EINVAL
 * @iova:         of REGISTER and IOMMUFD_MAP; the address of REGISTER_MEMORY and RUNTIME_EXPORT
 * @access:       IBV_ACCESS_*; of MAP P2PDMA_MAP_*; of IOMMUFD_MAP P2PDMA_IOMMUFD_*
 * @bar:          of EXPORT
 * @pd:           borrowed; NULL: no RDMA device took part, or it isn't looked at
 * @buffer:       borrowed; NULL: the DMABUF isn't one of this library
 * @provider:     whose memory it is: "0000:41:00.0/2". NULL: that of @buffer, or nobody knows
 * @device_fd:    the descriptor that was called: /dev/iommu, a DRM node, a heap, p2pmem/allocate.
 *                -1: none, or it isn't looked at
 * @object:       of @device_fd: an I/O address space, a GEM handle; of RUNTIME_EXPORT enum
 *                p2pdma_backend
 * @importer:     borrowed; of IOMMUFD_MAP: the function "0000:81:00.0" that is attached; or NULL
 * @node:         borrowed; of OPEN: the whole path, "/dev/dri/renderD128"; or NULL
 */
struct p2pdma_explain_request {
	uint32_t size_bytes;
	uint32_t operation;
	uint32_t flags;
	int32_t fd;
	uint64_t offset_bytes;
	uint64_t length_bytes;
	uint64_t iova;
	uint32_t access;
	uint32_t bar;
	struct ibv_pd *pd;
	struct p2pdma_buffer *buffer;
	const char *provider;
	int32_t device_fd;
	uint32_t object;
	const char *importer;
	const char *node;
};

#define P2PDMA_EXPLAIN_REQUEST_INIT                                                                \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_explain_request), 0, 0, -1, 0, 0, 0, 0, 0, 0, 0, 0, \
			-1, 0, 0, 0                                                                \
	}

/* The cause was seen. Without it: what is known of such devices leaves no other. */
#define P2PDMA_EXPLANATION_SEEN		 (1U << 0)
/* The DMABUF is memory of the machine: its exporter is a dma-heap or udmabuf. */
#define P2PDMA_EXPLANATION_SYSTEM_MEMORY (1U << 1)

/**
 * struct p2pdma_explanation - why a call has failed
 * @size_bytes: in: sizeof(struct p2pdma_explanation)
 * @cause:      enum p2pdma_cause
 * @error:      the error, negative
 * @flags:      P2PDMA_EXPLANATION_*
 * @exporter:   who made the DMABUF, as p2pdma_buffer_exporter(); "" where unknown
 * @driver:     the RDMA device's kernel driver: "mlx5", "rxe"; "" where unknown
 * @sentence:   the cause in one sentence without a full stop
 * @remedy:     what to change; "" where nothing helps
 * @section:    where the manual says more: a section of p2pdma_explain(3)
 */
struct p2pdma_explanation {
	uint32_t size_bytes;
	uint32_t cause;
	int32_t error;
	uint32_t flags;
	char exporter[32];
	char driver[32];
	char sentence[512];
	char remedy[1024];
	char section[48];
};

#define P2PDMA_EXPLANATION_INIT                                                                    \
	{                                                                                          \
		(uint32_t)sizeof(struct p2pdma_explanation), 0, 0, 0, {0}, {0}, {0}, {0},          \
		{                                                                                  \
			0                                                                          \
		}                                                                                  \
	}

/**
 * p2pdma_explain() - why did this call fail?
 * @context:         borrowed
 * @error:           what the call said: an errno value, positive or negative
 * @request:         borrowed; the call. What isn't known of it may be left out
 * @ret_explanation: size_bytes set by the caller
 *
 * One errno stands for ten causes. This looks which of them is true: at the descriptor, the range,
 * the path from provider to importer, the importer's driver, limits, and by asking the kernel once
 * more in ways that change nothing. For P2PDMA_OPERATION_REGISTER that may be the registration
 * itself, by the kernel's own method and undone at once where it succeeds: then the
 * provider library was the cause. The library's own calls have asked already: what
 * p2pdma_context_error() says of them is this explanation.
 *
 * Call it soon after the failure: what it looks at is the state of now.
 *
 * Blocking: as long as a registration takes
 * Threads:  any; not in a forked child
 * Kernel:   fdinfo, sysfs, procfs, UVERBS_METHOD_REG_DMABUF_MR, IOMMU_IOAS_IOVA_RANGES,
 *           DRM_IOCTL_VERSION
 * Since:    0.1
 *
 * Return: 0, also where the cause stays unknown; -EINVAL for NULL, a wrong size, or an unknown
 * operation or flag; -E2BIG for a request from the future
 */
P2PDMA_API int p2pdma_explain(struct p2pdma_context *context, int error,
			      const struct p2pdma_explain_request *request,
			      struct p2pdma_explanation *ret_explanation);

/**
 * p2pdma_cause_name() - a cause in words
 * @cause: enum p2pdma_cause
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: such as "iova" or "nic-driver"; "unknown" for any other number
 */
P2PDMA_API const char *p2pdma_cause_name(uint32_t cause);

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_EXPLAIN_H */
