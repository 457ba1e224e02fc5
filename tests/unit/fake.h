/* SPDX-License-Identifier: MIT */
#ifndef FAKE_H
#define FAKE_H

#include <linux/p2pdma_export.h>

#include "buffer/buffer.h"
#include "context/context.h"
#include "iommufd/abi.h"
#include "unit.h"

/*
 * A kernel for unit tests: the other side of struct sys_ops and struct verbs_ops.
 * It keeps what a real one keeps (device files, exports, memory regions), on real
 * descriptors, so that epoll, close and leak checks are real, and fails on demand.
 * The real kernel is what the lab tests with; this one is for what a real one
 * does rarely or never.
 */

enum fake_kind {
	FAKE_NONE,
	FAKE_EXPORT,
	FAKE_DMABUF,
	FAKE_IOMMUFD,
	FAKE_CDEV,
	FAKE_GROUP,
	FAKE_CONTAINER,
	FAKE_VFIO,
	FAKE_UVERBS,
	FAKE_HEAP,
	FAKE_UDMABUF,
	FAKE_P2PMEM,
	FAKE_DRM,
};

#define FAKE_MAX_FDS	 256
#define FAKE_MAX_EXPORTS 64

struct fake_export {
	uint32_t state;
	uint32_t reason;
	uint32_t flags;
	uint32_t nr_mappings;
	uint32_t nr_remaining; /* what a revocation leaves */
	uint64_t size;
	uint32_t nr_ranges;
};

struct fake_failure {
	unsigned long request;
	int error;
	int countdown;	       /* fails when it reaches 0 */
	void (*happens)(void); /* instead of an error */
};

struct fake {
	char root[64]; /* a directory with sys/ and dev/ */
	enum fake_kind kinds[FAKE_MAX_FDS];

	/* p2pdma_export */
	int event_fd; /* the writing end of the open device's events; -1 */
	int nr_opens; /* of device nodes */
	bool is_gone;
	uint64_t features;
	uint32_t info_bus; /* what INFO says the bus is */
	struct fake_export exports[FAKE_MAX_EXPORTS];
	uint32_t nr_exports;
	uint32_t last_timeout_ms;
	uint32_t path_map_type; /* what PATH answers, once has_path is set */
	int32_t path_distance;
	bool has_path;
	struct p2pdma_export_path last_path;
	uint32_t nr_revokes;

	/* verbs */
	uint32_t driver_id;
	int verbs_error;	 /* of ibv_reg_dmabuf_mr() */
	int probe_error;	 /* of the kernel's method, before it looks at the descriptor */
	int uverbs_error;	 /* of the kernel's method, once it has the DMABUF */
	uint32_t refused_access; /* flags that the driver answers EOPNOTSUPP to */
	uint64_t max_mr_bytes;	 /* 0: any */
	bool has_odp;
	int dereg_error;
	unsigned int dereg_us; /* how long deregistering takes */
	int nr_mrs;
	uint32_t last_access;
	int open_error;	       /* of an RDMA device "mlx5_0", the only one that libibverbs knows */
	void (*on_open)(void); /* as that is opened; NULL: nothing happens */
	int pd_error;
	int nr_verbs; /* devices and protection domains that are open */
	int limits_error;
	bool has_dmah;
	const char *data_direct; /* NULL: none */
	void (*on_register)(void *data);
	void *on_register_data;

	/* VFIO */
	uint8_t config[64];
	bool is_viable;
	bool has_dma_buf;
	bool is_decode_stuck;
	int req_fd; /* the library's eventfds; -1 */
	int err_fd;
	int bar_fd; /* a memfd that stands for the BAR */
	struct iommufd_abi_ioas_map_file last_map;
	int nr_iommu_mappings;

	/* What fdinfo says of every DMABUF; NULL: there is no such file. */
	const char *exporter;

	uint64_t limits[16]; /* RLIMIT_*, plus one; 0: none */
	uint32_t groups[4];  /* that the process is in; 0: none */
	int rlimit_error;    /* of asking for them */

	int access_errors; /* of access_at() for every node, a -errno */
	uint64_t fs_type;  /* of a descriptor that isn't a DMABUF */
	struct fake_failure failures[8];
};

extern struct fake fake;
extern const struct sys_ops fake_sys;
extern const struct verbs_ops fake_verbs;

/* The next-but-@countdown call of this ioctl (or FAKE_OPEN, ...) answers @error. */
void fake_fail(unsigned long request, int error, int countdown);
/* During that call @happens is called. */
void fake_happen(unsigned long request, void (*happens)(void), int countdown);
#define FAKE_OPEN      1UL
#define FAKE_MAP       2UL
#define FAKE_STAT      3UL
#define FAKE_SIZE      4UL
#define FAKE_DUP       5UL
#define FAKE_MODE      6UL
#define FAKE_MEMORY    7UL
#define FAKE_OPEN_PROC 8UL /* of procfs; FAKE_OPEN: of anything else */

/* A function with BAR 2 of 64 MiB (and a small BAR 0), bound to @driver or NULL for none. */
void fake_add_function(const char *address, const char *driver);
void fake_remove_function(const char *address);
/* The same slot, another arrival. */
void fake_replace_function(const char *address, const char *driver);
void fake_write(const char *path, const char *text);
void fake_mkdir(const char *path);
void fake_link(const char *target, const char *path);
void fake_unlink(const char *path);

/* An event of the open export device. */
void fake_event(uint32_t type, uint32_t export_id, uint32_t reason);
void fake_event_record(const struct p2pdma_export_event *record);
/* The function leaves: REVOKED for each export, GONE, end of file. */
void fake_leave(void);

/* cmocka fixtures: an empty machine with a context; every descriptor must be gone at the end. */
int fake_setup(void **state);
int fake_teardown(void **state);

/* The context of the fixture, and a provider and buffers on 0000:01:00.0/2. */
struct p2pdma_context *fake_context(void);
struct p2pdma_context *fake_open_context(uint32_t flags);
struct p2pdma_provider *fake_provider(void);
struct p2pdma_buffer *fake_buffer(uint64_t offset, uint64_t length, uint32_t flags);
struct ibv_pd *fake_pd(void);

/* Takes one event; fails the test when there is none. */
struct p2pdma_event fake_next_event(void);
void fake_no_event(void);

/* The cause of the last failure must contain @text. */
void assert_cause(const char *text);

#endif /* FAKE_H */
