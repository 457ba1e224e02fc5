// SPDX-License-Identifier: MIT
/*
 * Looks at a call of a DRM device: allocating an object, exporting and importing one.
 *
 * Which driver it is the device says; what is known of each driver is in its own file (lib/drm), and
 * nothing is where this library was built without libdrm. Sysfs says whose function the device is, and
 * whether that has its driver still.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "common/pci_tree.h"
#include "drm/facts.h"
#include "explain.h"

/* Render nodes follow the primary ones in the numbers of nodes. */
#define FIRST_RENDER 128

static void query(const struct explain *explain, struct drm_facts *ret_facts)
{
	*ret_facts = (struct drm_facts){.name = ""};
	if (explain->is_drm)
		drm_facts_query(explain->context, explain->request->device_fd, ret_facts);
	if (!*ret_facts->name)
		snprintf(ret_facts->name, sizeof(ret_facts->name), "the DRM driver");
}

/* A node whose driver has let go has left sysfs before; its number isn't given again while it is open. */
static bool has_gone(const struct explain *explain, char *ret_name, size_t size)
{
	struct pci_function function;
	struct pci_address address;

	snprintf(ret_name, size, "of descriptor %" PRId32, explain->request->device_fd);
	if (!*explain->device_name)
		return true;
	return explain_device_importer(explain, ret_name, size) &&
	       !pci_address_parse(ret_name, &address) &&
	       (pci_function_query(explain->context->sysfs_fd, &address, &function) ||
		!*function.driver);
}

bool explain_gem_gone(struct explain *explain)
{
	char name[64];

	if (!explain->is_drm || !has_gone(explain, name, sizeof(name)))
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_DEVICE_GONE, P2PDMA_EXPLANATION_SEEN,
		    "the GPU %s was unplugged, or has lost its driver", name);
	explain_remedy(explain->out, "close the DRM device; when it is there again, open it anew");
	return true;
}

bool explain_gem_method(struct explain *explain)
{
	struct drm_facts facts;

	query(explain, &facts);
	explain_say(explain->out, P2PDMA_CAUSE_NO_METHOD, 0, "%s of this kernel has no such call",
		    facts.name);
	explain_remedy(explain->out, "a newer kernel, or another DRM device");
	return true;
}

bool explain_gem_node(struct explain *explain)
{
	struct drm_facts facts;

	if (!explain->is_drm || minor(explain->device) < FIRST_RENDER)
		return false;
	query(explain, &facts);
	explain_say(explain->out, P2PDMA_CAUSE_PERMISSION, P2PDMA_EXPLANATION_SEEN,
		    "%s allocates on its primary node (/dev/dri/card*) only, and this is a render "
		    "node",
		    facts.name);
	explain_remedy(explain->out, "open the primary node");
	return true;
}

bool explain_gem_room(struct explain *explain)
{
	uint64_t wanted = explain->request->length_bytes;
	struct drm_facts facts;

	query(explain, &facts);
	if (facts.memory_bytes && wanted > facts.memory_bytes) {
		explain_say(explain->out, P2PDMA_CAUSE_RANGE, P2PDMA_EXPLANATION_SEEN,
			    "0x%" PRIx64 " bytes are more than the memory of the device, of which "
			    "%s has 0x%" PRIx64,
			    wanted, facts.name, facts.memory_bytes);
		return true;
	}
	if (facts.system_cause) {
		explain_say(explain->out, P2PDMA_CAUSE_NO_MEMORY, 0,
			    "the machine has no 0x%" PRIx64 " bytes for %s: %s", wanted, facts.name,
			    facts.system_cause);
		return true;
	}
	explain_say(explain->out, P2PDMA_CAUSE_NO_ROOM, 0,
		    "%s has no 0x%" PRIx64 " bytes left in memory of the device that its BAR shows",
		    facts.name, wanted);
	explain_remedy(explain->out,
		       "release what isn't used, a resizable BAR as large as the memory, "
		       "or P2PDMA_BUFFER_ALLOW_SYSTEM");
	return true;
}

bool explain_gem_size(struct explain *explain)
{
	uint64_t page = explain->context->page_size_bytes;
	uint64_t wanted = explain->request->length_bytes;

	if (wanted && !(wanted % page))
		return false;
	return explain_say(explain->out, P2PDMA_CAUSE_RANGE, P2PDMA_EXPLANATION_SEEN,
			   "0x%" PRIx64 " bytes aren't a multiple of the page size %" PRIu64 ", or "
			   "none",
			   wanted, page);
}

bool explain_gem_handle(struct explain *explain)
{
	explain_say(explain->out, P2PDMA_CAUSE_NO_OBJECT, 0,
		    "descriptor %" PRId32 " has no GEM handle %" PRIu32,
		    explain->request->device_fd, explain->request->object);
	explain_remedy(explain->out, "a handle is good only in the file that it was made in");
	return true;
}

bool explain_gem_unshared(struct explain *explain)
{
	struct drm_facts facts;

	query(explain, &facts);
	explain_say(explain->out, P2PDMA_CAUSE_NOT_EXPORTABLE, 0,
		    "%s doesn't share this object: it is memory of a program, or was made for one "
		    "address space of the GPU",
		    facts.name);
	explain_remedy(explain->out, "allocate it without such a tie (amdgpu: "
				     "AMDGPU_GEM_CREATE_VM_ALWAYS_VALID, xe: vm_id)");
	return true;
}

bool explain_gem_peer(struct explain *explain)
{
	struct drm_facts facts;

	query(explain, &facts);
	if (!facts.no_peer)
		return false;
	explain_say(explain->out, P2PDMA_CAUSE_NO_PEER, 0, "%s %s", facts.name, facts.no_peer);
	explain_remedy(explain->out, "import with a device that reaches peers (amdgpu, xe)");
	return true;
}

/* The memory is there, or can't go, so that ENODEV is the importer's. */
bool explain_gem_none(struct explain *explain)
{
	const char *exporter = explain->out->exporter;
	struct drm_facts facts;

	/* What VFIO has revoked the library may not have heard of. */
	if (!dmabuf_exporter_is_system(exporter) &&
	    (!explain->request->buffer || !strcmp(exporter, EXPLAIN_VFIO_EXPORTER)))
		return false;
	query(explain, &facts);
	explain_say(explain->out, P2PDMA_CAUSE_NO_PEER, 0, "%s imports no DMABUFs of other devices",
		    facts.name);
	explain_remedy(explain->out, "import with a device that reaches peers (amdgpu, xe)");
	return true;
}

bool explain_gem_refuses(struct explain *explain)
{
	struct drm_facts facts;

	query(explain, &facts);
	explain_say(explain->out, P2PDMA_CAUSE_IMPORTER_REFUSES, 0,
		    "%s can't reach %s peer to peer, or can't be revoked and its exporter insists",
		    facts.name, explain->memory);
	explain_remedy(explain->out, "the kernel's log may say more");
	return true;
}
