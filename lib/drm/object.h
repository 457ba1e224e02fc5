/* SPDX-License-Identifier: MIT */
#ifndef DRM_OBJECT_H
#define DRM_OBJECT_H

#include <stdbool.h>
#include <stdint.h>

struct drm_driver;
struct p2pdma_context;

/* What the kernel tells of the memory that the objects of a file have. */
struct drm_usage {
	bool is_known;
	bool is_new;	       /* by the names that kernels have used since 6.5 */
	uint64_t device_bytes; /* resident in memory of the device */
	uint64_t system_bytes; /* resident in system memory */
};

/* Where the bytes of an object are now. */
enum drm_place {
	DRM_PLACE_UNKNOWN,
	DRM_PLACE_DEVICE,
	DRM_PLACE_SYSTEM,
};

/*
 * One GEM object in a DRM file that holds no other, so that what the kernel tells of the file
 * is told of the object.
 */
struct drm_object {
	struct p2pdma_context *context;
	const struct drm_driver *driver;
	int fd;			/* the file; -1: none */
	struct drm_usage empty; /* of the file, before the object was there */
	uint32_t handle;	/* 0: none */
	uint64_t size_bytes;	/* of the object; set once it is there */
	bool is_fixed;		/* made for device memory alone, and the kernel keeps it there */
};

/* What differs from driver to driver. All return 0 or -errno with the cause told. */
struct drm_driver {
	const char *name;  /* as DRM_IOCTL_VERSION says it; NULL: any other */
	const char *bound; /* what its functions are bound to, where that is another; or NULL */
	/* Why objects of it are never in memory of a device; NULL: they may be. */
	const char *system_cause;
	const char *caveat; /* what to know before; NULL: nothing */
	/* Why it maps no memory of other devices: what follows its name; NULL: it may. */
	const char *no_peer;
	/* @length_bytes: whole pages. Sets handle, and is_fixed. NULL: there is no way. */
	int (*allocate)(struct drm_object *object, uint64_t length_bytes, bool is_system_allowed);
	int (*place)(const struct drm_object *object, enum drm_place *ret_place);
	/* How much memory the device has; 0: none. NULL: it has none, or doesn't tell. */
	int (*memory)(const struct drm_object *object, uint64_t *ret_size_bytes);
};

extern const struct drm_driver drm_amdgpu;
extern const struct drm_driver drm_i915;
extern const struct drm_driver drm_nouveau;
extern const struct drm_driver drm_other;
extern const struct drm_driver drm_vgem;
extern const struct drm_driver drm_virtio;
extern const struct drm_driver drm_xe;

/* An ioctl on the object's file, again as long as a signal or the driver cuts it short. */
int drm_ioctl(struct p2pdma_context *context, int fd, unsigned long request, void *argument);

/* Of a DRM node; -EINVAL for any other descriptor. */
int drm_driver_query(struct p2pdma_context *context, int fd, const struct drm_driver **ret_driver);
/* The name that the driver of a DRM node gives itself. Tells no cause. */
int drm_name_query(struct p2pdma_context *context, int fd, char *ret_name, size_t size);
/* By that name. Never NULL: drm_other. */
const struct drm_driver *drm_driver_find(const char *name);

/* An object of @object's driver couldn't be made: tells the cause and returns the error. */
int drm_allocate_failed(const struct drm_object *object, uint64_t length_bytes, int error);
/* The driver didn't answer a question; @what: "how much vram it has". */
int drm_query_failed(const struct drm_object *object, const char *what, int error);
/* By the driver that a function is bound to. Never NULL: drm_other. */
const struct drm_driver *drm_driver_of(const char *bound);

/* Takes @fd over, of a DRM device, also where it fails; asks for its driver. */
int drm_object_init(struct drm_object *object, struct p2pdma_context *context, int fd);
/* Closes the handle and the file; idempotent. */
void drm_object_done(struct drm_object *object);

/* A file of its own for the device behind the caller's @drm_fd. */
int drm_file_reopen(struct p2pdma_context *context, int drm_fd, int *ret_fd);

int drm_object_allocate(struct drm_object *object, uint64_t length_bytes, uint32_t flags);
/* The object's DMABUF, read-only where P2PDMA_BUFFER_READ_ONLY is set in @flags. */
int drm_object_export(struct drm_object *object, uint32_t flags, int *ret_fd);
/* The object behind a DMABUF, for an object without one. */
int drm_object_import(struct drm_object *object, int dmabuf_fd);
/* 0, or -EOPNOTSUPP for system memory without P2PDMA_BUFFER_ALLOW_SYSTEM in @flags. */
int drm_object_check(const struct drm_object *object, uint32_t flags);
int drm_object_place(const struct drm_object *object, enum drm_place *ret_place);

/* Of the object's file; unknown where the driver tells nothing. */
int drm_usage_query(const struct drm_object *object, struct drm_usage *ret_usage);
/* Adds what one line of fdinfo tells to a struct drm_usage, which begins as zeroes. */
bool drm_usage_take(void *usage, const char *line);
/* By what the kernel tells; where it doesn't, by what was asked for, or unknown. */
int drm_usage_place(const struct drm_object *object, enum drm_place *ret_place);

#endif /* DRM_OBJECT_H */
