/* SPDX-License-Identifier: MIT */
#ifndef BACKEND_H
#define BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <p2pdma/buffer.h>

#include "common/pci.h"

struct p2pdma_context;
struct device;

#define BACKEND_WHY_SIZE 192

/* A checked request: ranges aligned, inside the BAR, disjoint. */
struct export_request {
	uint32_t bar;
	uint32_t flags; /* P2PDMA_BUFFER_* */
	size_t nr_ranges;
	const struct p2pdma_range *ranges;
};

/* What a backend made of it. */
struct export_result {
	int fd;	      /* -1: memory without a DMABUF */
	void *memory; /* where that is mapped, all of it; else NULL */
	uint32_t export_id;
	uint64_t size_bytes;
};

/*
 * A way to make DMABUFs. One file each; whatever else the library does goes
 * through this table. All functions return 0 or -errno with the cause told by
 * context_fail().
 */
struct backend {
	const char *name;
	enum p2pdma_backend id;
	uint32_t flags;			/* P2PDMA_BUFFER_* that it can honour */
	enum p2pdma_provider_kind kind; /* of the providers that it is for */

	/*
	 * A guess from sysfs and device nodes, with a sentence for either answer; of a
	 * provider of its kind. 0, or why not: -EACCES and -EPERM are of who asks, the others of
	 * the machine. See backend_check_export().
	 */
	int (*check_export)(const struct p2pdma_context *context,
			    const struct pci_function *function, uint32_t bar, char *ret_why,
			    size_t size);

	/* Under context->open_lock. open() leaves the device out of all lists. */
	int (*open)(struct p2pdma_context *context, const struct pci_function *function,
		    struct device **ret_device);
	void (*close)(struct device *device);
	int (*export)(struct device *device, const struct export_request *request,
		      struct export_result *ret_result);

	/*
	 * The sources of events of a device that is in the list; under context->lock. NULL: it
	 * has none, see has_left().
	 */
	int (*watch)(struct device *device);
	void (*unwatch)(struct device *device);

	/*
	 * The kernel's part of a revocation; no lock held, the buffer marked, all
	 * outputs of the result but nr_buffers and nr_posts.
	 */
	int (*revoke)(struct p2pdma_buffer *buffer, uint32_t timeout_ms,
		      struct p2pdma_revoke_result *result);
	const char *why_unrevocable; /* without revoke(): the end of a sentence */
	/*
	 * Has the function's driver let go of the device? Under context->lock; for a backend whose
	 * device doesn't tell by itself, else NULL.
	 */
	bool (*has_left)(const struct device *device);
	/* Must the whole function be revoked together? */
	bool is_function_wide;
	/* Does it reach only what this process has of the memory? */
	bool is_cooperative;

	/* Ask the kernel; fills what it knows and takes the state over. No lock held. */
	void (*query)(struct p2pdma_buffer *buffer, struct p2pdma_buffer_status *status);

	/* A CPU mapping; the range is checked. No lock held. Not asked of what is memory already. */
	int (*map)(struct p2pdma_buffer *buffer, uint64_t offset_bytes, uint64_t length_bytes,
		   int protection, void **ret_address);

	/*
	 * An importer has mapped the buffer: is it still what was asked for? No lock held.
	 * NULL: nothing that an importer does changes it.
	 */
	int (*check)(struct p2pdma_buffer *buffer);
};

extern const struct backend backend_export;
extern const struct backend backend_vfio;
extern const struct backend backend_drm;
extern const struct backend backend_p2pmem;
extern const struct backend backend_adopt;

/*
 * How much memory a GPU has, by its driver's own question on its render node: it wakes a GPU that
 * sleeps. 0 where the driver doesn't tell; an error where it can't be asked.
 */
int drm_memory_query(struct p2pdma_context *context, const struct pci_function *function,
		     uint64_t *ret_size_bytes);

/*
 * Why no other device gets at what the function's DRM driver exports, as far as its sources tell; NULL:
 * nothing is known against it. @ret_is_system: then, that it is no memory of the device at all.
 */
const char *drm_why_unreachable(const struct pci_function *function, bool *ret_is_system);

/* In the order in which AUTO tries them; ends with NULL. */
extern const struct backend *const backends[];

/* What a provider with this bar, or PCI_MEMORY_*, is. */
enum p2pdma_provider_kind backend_kind(uint32_t bar);

/* Asks the backend, if it is for such providers. */
int backend_check_export(const struct backend *backend, const struct p2pdma_context *context,
			 const struct pci_function *function, uint32_t bar,
			 char why[BACKEND_WHY_SIZE]);

/* NULL: AUTO, ADOPT or unknown. */
const struct backend *backend_find(uint32_t id);

#endif /* BACKEND_H */
