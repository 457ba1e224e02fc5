/* SPDX-License-Identifier: MIT */
#ifndef FAKE_DRM_H
#define FAKE_DRM_H

#include <stdbool.h>
#include <stdint.h>

#include "fake.h"

/*
 * A GPU for unit tests: the calls of each DRM driver, with the checks that the kernel's own makes,
 * and the ways in which it puts memory elsewhere than it was asked to.
 */

#define FAKE_DRM_FUNCTION "0000:43:00.0"
#define FAKE_DRM_RENDER	  "dri/renderD128"
#define FAKE_DRM_PRIMARY  "dri/card0"
#define FAKE_DRM_VRAM	  (256 * MIB)

#define FAKE_DRM_MAX	  16

#define FAKE_PLACE_DEVICE 1U
#define FAKE_PLACE_SYSTEM 2U

struct fake_gem {
	uint64_t size_bytes;
	uint32_t allowed; /* FAKE_PLACE_* */
	uint32_t place;
	uint32_t blob_mem;
	bool is_made;	     /* it has pages */
	bool is_unshareable; /* EPERM */
	uint64_t inode;	     /* of its DMABUF; 0: none yet */
	bool is_read_only;   /* its DMABUF, by who exported it first */
	uint32_t nr_handles;
};

struct fake_drm {
	const char *driver;
	bool is_silent;	    /* fdinfo tells of no memory */
	bool is_full;	    /* no room in memory of the device */
	bool is_integrated; /* no memory of the device at all */
	bool has_blob;
	bool has_3d;
	uint64_t empty_bytes; /* of system memory that each file has from the start */

	struct fake_gem objects[FAKE_DRM_MAX];
	uint32_t nr_objects;
	struct {
		int fd;
		uint32_t handle; /* 0: free */
		struct fake_gem *object;
	} handles[2 * FAKE_DRM_MAX];
	uint32_t last_handle;
	int nr_files;
	bool is_primary[FAKE_MAX_FDS]; /* files of the primary node */
	int master_fd;		       /* 0: the device has no master */
	uint64_t last_width;	       /* virtio-gpu: of the resource */
	uint32_t last_target;
};

extern struct fake_drm fake_drm;

/* A GPU with this driver and a render node; vgem is no PCI function. */
void fake_drm_add(const char *driver);
/* A descriptor of a node, as a program has it. */
int fake_drm_node(const char *path);

/* An importer attaches that reaches the device or doesn't: what moves, moves. */
void fake_drm_attach(bool can_reach);
struct fake_gem *fake_drm_last(void);
uint32_t fake_drm_nr_handles(void);

/* For the fake kernel. */
bool fake_drm_is_node(const char *path);
int fake_drm_open(const char *path);
int fake_drm_ioctl(int fd, unsigned long request, void *argument);
int fake_drm_stat(struct stat *ret_status);
void fake_drm_close(int fd);

/* Between the two files of it. */
struct fake_gem *fake_drm_find(int fd, uint32_t handle);
/* -ENOSPC; a handle in *ret_handle. @wanted: FAKE_PLACE_*, the first that has room is taken. */
int fake_drm_make(int fd, uint64_t size_bytes, uint32_t wanted, uint32_t *ret_handle);
int fake_drm_driver_ioctl(int fd, unsigned long request, void *argument);

#endif /* FAKE_DRM_H */
