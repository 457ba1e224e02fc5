/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_PROVIDER_H
#define P2PDMA_PROVIDER_H

#include <stddef.h>
#include <stdint.h>

#include <p2pdma/version.h>

#ifdef __cplusplus
extern "C" {
#endif

struct p2pdma_context;

/*
 * Memory of one PCI function that can be the target of peer DMA, as it was when it was
 * looked at: a memory BAR, named 0000:41:00.0/2 (function / BAR), or memory that the
 * function's driver divides up, named 0000:43:00.0/vram or 0000:42:00.0/p2pmem. The name
 * may end in @generation: then it means this arrival of the function and never another
 * device that is plugged into the same slot later.
 *
 * A provider holds no descriptor, belongs to no context and never changes:
 * every getter may be called from any thread, never blocks and never fails.
 * The strings it returns live as long as the provider.
 */
struct p2pdma_provider;

/* What p2pdma_provider_list_query() found, in order of the PCI address. */
struct p2pdma_provider_list;

/* What a provider is. */
enum p2pdma_provider_kind {
	P2PDMA_PROVIDER_KIND_BAR = 0,	 /* a memory BAR; slices of it by offset */
	P2PDMA_PROVIDER_KIND_VRAM = 1,	 /* of a DRM device with a render node */
	P2PDMA_PROVIDER_KIND_P2PMEM = 2, /* with struct pages: an NVMe controller's buffer, say */
};

/* What p2pdma_provider_bar() says of memory that isn't a BAR. */
#define P2PDMA_PROVIDER_NO_BAR UINT32_MAX

/* How a slice becomes a DMABUF. */
enum p2pdma_backend {
	P2PDMA_BACKEND_AUTO = 0,   /* what works here: see p2pdma_buffer_new() */
	P2PDMA_BACKEND_EXPORT = 1, /* the p2pdma_export kernel module */
	P2PDMA_BACKEND_VFIO = 2,   /* vfio-pci, by cdev and iommufd or by group */
	P2PDMA_BACKEND_ADOPT = 3,  /* somebody else's DMABUF */
	P2PDMA_BACKEND_BROKER = 4, /* a lease of p2pd */

	P2PDMA_BACKEND_DRM = 5,	   /* GPU memory, by its DRM driver */
	P2PDMA_BACKEND_P2PMEM = 6, /* memory with struct pages; no DMABUF */

	/* A lease of what somebody published; not to be asked for. */
	P2PDMA_BACKEND_PUBLISHED = 7,

	/* No provider's; see <p2pdma/memory.h>. */
	P2PDMA_BACKEND_HEAP = 8,    /* system memory of a DMA-BUF heap */
	P2PDMA_BACKEND_UDMABUF = 9, /* system memory of a memfd */
	P2PDMA_BACKEND_CUDA = 10,   /* memory of a GPU runtime: CUDA's driver library */
	P2PDMA_BACKEND_HSA = 11,    /* ROCm's HSA runtime */
	P2PDMA_BACKEND_ZE = 12,	    /* oneAPI's Level Zero */
};

/**
 * p2pdma_provider_list_query() - look at all peer memory of this machine
 * @context:  borrowed
 * @ret_list: the list, owned by the caller; p2pdma_provider_list_free()
 *
 * Of each function the memory BARs first, then its vram, then its p2pmem. A function that
 * goes away while it is looked at is left out.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   /sys/bus/pci/devices; opens no device node
 * Since:    0.1
 *
 * Return: 0, or -EINVAL for NULL; -ENOENT when the machine has no PCI; -EMFILE, -ENFILE, -ENOMEM
 */
P2PDMA_API int p2pdma_provider_list_query(struct p2pdma_context *context,
					  struct p2pdma_provider_list **ret_list);

/**
 * p2pdma_provider_list_count() - how many providers a list has
 * @list: borrowed; NULL counts 0
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   none
 * Since:    0.1
 *
 * Return: the number
 */
P2PDMA_API size_t p2pdma_provider_list_count(const struct p2pdma_provider_list *list);

/**
 * p2pdma_provider_list_at() - one provider of a list
 * @list:  borrowed
 * @index: 0 .. count - 1
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   none
 * Since:    0.1
 *
 * Return: the provider, borrowed from the list (p2pdma_provider_ref() keeps
 * it), or NULL beyond the end
 */
P2PDMA_API struct p2pdma_provider *p2pdma_provider_list_at(const struct p2pdma_provider_list *list,
							   size_t index);

/**
 * p2pdma_provider_list_free() - release a list and its references
 * @list: consumed; NULL is allowed
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   none
 * Since:    0.1
 */
P2PDMA_API void p2pdma_provider_list_free(struct p2pdma_provider_list *list);

/**
 * p2pdma_provider_find() - look at one provider by name
 * @context:      borrowed
 * @name:         "0000:41:00.0/2", ".../vram" or ".../p2pmem", each with or without a
 *                generation: "0000:41:00.0/2@1234"
 * @ret_provider: new reference; p2pdma_provider_unref()
 *
 * How much vram there is, few drivers tell in sysfs. Others are asked on the render node, where it may
 * be opened, which wakes a GPU that sleeps; that is why a list doesn't.
 *
 * Blocking: until a GPU that sleeps is awake
 * Threads:  any
 * Kernel:   /sys/bus/pci/devices; the question of a GPU's driver for its memory
 * Since:    0.1
 *
 * Return: 0, or -EINVAL when @name isn't a name; -ENODEV when there is no such
 * function; -ENOENT when the function has no such memory; -ESTALE when the
 * name has a generation and the function in the slot is another one; -EIO when
 * sysfs can't be made sense of; -EMFILE, -ENFILE, -ENOMEM
 */
P2PDMA_API int p2pdma_provider_find(struct p2pdma_context *context, const char *name,
				    struct p2pdma_provider **ret_provider);

/**
 * p2pdma_provider_ref() - take one more reference
 * @provider: borrowed; NULL is allowed
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   none
 * Since:    0.1
 *
 * Return: @provider
 */
P2PDMA_API struct p2pdma_provider *p2pdma_provider_ref(struct p2pdma_provider *provider);

/**
 * p2pdma_provider_unref() - give a reference back
 * @provider: consumed; NULL is allowed
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   none
 * Since:    0.1
 */
P2PDMA_API void p2pdma_provider_unref(struct p2pdma_provider *provider);

/**
 * p2pdma_provider_can_export() - can this backend make a buffer of the provider?
 * @provider: borrowed
 * @backend:  one that p2pdma_buffer_new() takes; AUTO asks for any
 * @ret_why:  a sentence that says why, or why not and what to change; borrowed
 *            from the provider; NULL is allowed
 *
 * What sysfs and the device nodes said when the provider was looked at. Only
 * p2pdma_buffer_new() asks the kernel itself.
 *
 * Blocking: no
 * Threads:  any
 * Kernel:   none
 * Since:    0.1
 *
 * Return: 1 for yes; 0 for no; -EINVAL for an unknown backend or NULL
 */
P2PDMA_API int p2pdma_provider_can_export(const struct p2pdma_provider *provider,
					  enum p2pdma_backend backend, const char **ret_why);

/**
 * p2pdma_provider_name() - the name without a generation
 * @provider: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: "0000:41:00.0/2"
 */
P2PDMA_API const char *p2pdma_provider_name(const struct p2pdma_provider *provider);

/**
 * p2pdma_provider_unique_name() - the name with the generation
 * @provider: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: "0000:41:00.0/2@1234"
 */
P2PDMA_API const char *p2pdma_provider_unique_name(const struct p2pdma_provider *provider);

/**
 * p2pdma_provider_function() - the address of the PCI function
 * @provider: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: "0000:41:00.0"
 */
P2PDMA_API const char *p2pdma_provider_function(const struct p2pdma_provider *provider);

/**
 * p2pdma_provider_driver() - the kernel driver that the function was bound to
 * @provider: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: its name, "" for none
 */
P2PDMA_API const char *p2pdma_provider_driver(const struct p2pdma_provider *provider);

/**
 * p2pdma_provider_kind() - a BAR, vram or p2pmem?
 * @provider: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the kind
 */
P2PDMA_API enum p2pdma_provider_kind p2pdma_provider_kind(const struct p2pdma_provider *provider);

/**
 * p2pdma_provider_bar() - the number of the BAR
 * @provider: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: 0 .. 5; P2PDMA_PROVIDER_NO_BAR for vram and p2pmem, which their driver lays out
 */
P2PDMA_API uint32_t p2pdma_provider_bar(const struct p2pdma_provider *provider);

/**
 * p2pdma_provider_size_bytes() - the size of the BAR, or all of the vram or p2pmem
 * @provider: borrowed
 *
 * 0 of vram isn't that there is nothing: nobody told. p2pdma_provider_list_query() asks no driver, and
 * has the size of vram only where sysfs tells it (amdgpu). p2pdma_provider_find() asks (xe, i915,
 * nouveau), and leaves 0 where the render node may not be opened, and of a GPU whose driver doesn't tell
 * or that uses system memory alone.
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: bytes; 0 for vram whose size isn't known
 */
P2PDMA_API uint64_t p2pdma_provider_size_bytes(const struct p2pdma_provider *provider);

/**
 * p2pdma_provider_generation() - which arrival of a function this is
 * @provider: borrowed
 *
 * Grows from one arrival in the machine to the next. It is the number that
 * sysfs gave the function's directory, so it needs no driver and no daemon; it
 * means nothing across a reboot.
 *
 * Blocking: no. Threads: any. Kernel: st_ino of the sysfs directory. Since: 0.1
 *
 * Return: the generation
 */
P2PDMA_API uint64_t p2pdma_provider_generation(const struct p2pdma_provider *provider);

/**
 * p2pdma_provider_numa_node() - where the function is
 * @provider: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the NUMA node, -1 where unknown
 */
P2PDMA_API int32_t p2pdma_provider_numa_node(const struct p2pdma_provider *provider);

/**
 * p2pdma_provider_vendor_id() - PCI vendor id
 * @provider: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the id
 */
P2PDMA_API uint32_t p2pdma_provider_vendor_id(const struct p2pdma_provider *provider);

/**
 * p2pdma_provider_device_id() - PCI device id
 * @provider: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: the id
 */
P2PDMA_API uint32_t p2pdma_provider_device_id(const struct p2pdma_provider *provider);

/**
 * p2pdma_provider_is_64bit() - can the BAR lie above 4 GiB?
 * @provider: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: 1 or 0; 0 for what isn't a BAR
 */
P2PDMA_API int p2pdma_provider_is_64bit(const struct p2pdma_provider *provider);

/**
 * p2pdma_provider_is_prefetchable() - is reading the BAR free of side effects?
 * @provider: borrowed
 *
 * Blocking: no. Threads: any. Kernel: none. Since: 0.1
 *
 * Return: 1 or 0; 0 for what isn't a BAR
 */
P2PDMA_API int p2pdma_provider_is_prefetchable(const struct p2pdma_provider *provider);

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_PROVIDER_H */
