// SPDX-License-Identifier: MIT
/*
 * Between the protocol's words and the API's: reasons, flags, backends, leases.
 *
 * Pure functions on what came in. A text is passed on only if it ends within its field, a
 * number that means something here only if it is one we know; modes and forces that a newer
 * p2pd may have go through as the numbers they are. No state, no locks.
 */
#include <errno.h>
#include <string.h>

#include "broker.h"

uint32_t broker_reason(uint32_t wire_reason)
{
	static const uint8_t reasons[] = {
		[WIRE_REASON_NONE] = P2PDMA_REASON_NONE,
		[WIRE_REASON_HOLDER] = P2PDMA_REASON_OWNER,
		[WIRE_REASON_DEATH] = P2PDMA_REASON_DEATH,
		[WIRE_REASON_EXPIRED] = P2PDMA_REASON_EXPIRED,
		[WIRE_REASON_ADMIN] = P2PDMA_REASON_ADMIN,
		[WIRE_REASON_DRAIN] = P2PDMA_REASON_DRAIN,
		[WIRE_REASON_POLICY] = P2PDMA_REASON_POLICY,
		[WIRE_REASON_REMOVAL] = P2PDMA_REASON_REMOVE,
		[WIRE_REASON_GONE] = P2PDMA_REASON_REMOVE,
		[WIRE_REASON_KERNEL] = P2PDMA_REASON_KERNEL,
		[WIRE_REASON_SHUTDOWN] = P2PDMA_REASON_BROKER,
		[WIRE_REASON_PUBLISHER] = P2PDMA_REASON_PUBLISHER,
		[WIRE_REASON_MISBEHAVED] = P2PDMA_REASON_MISBEHAVED,
	};

	if (wire_reason >= sizeof(reasons) / sizeof(reasons[0]))
		return P2PDMA_REASON_BROKER;
	return reasons[wire_reason];
}

uint32_t broker_backend(uint32_t wire_backend)
{
	static const uint8_t numbers[] = {
		[0] = P2PDMA_BACKEND_AUTO,
		[WIRE_BACKEND_EXPORT] = P2PDMA_BACKEND_EXPORT,
		[WIRE_BACKEND_VFIO] = P2PDMA_BACKEND_VFIO,
		[WIRE_BACKEND_DRM] = P2PDMA_BACKEND_DRM,
		[WIRE_BACKEND_P2PMEM] = P2PDMA_BACKEND_P2PMEM,
		[WIRE_BACKEND_PUBLISHED] = P2PDMA_BACKEND_PUBLISHED,
	};

	return wire_backend < sizeof(numbers) ? numbers[wire_backend] : P2PDMA_BACKEND_AUTO;
}

uint32_t broker_access(uint32_t buffer_flags)
{
	return buffer_flags & P2PDMA_BUFFER_READ_ONLY ? WIRE_ACCESS_READ :
							WIRE_ACCESS_READ | WIRE_ACCESS_WRITE;
}

uint32_t broker_acquire_flags(uint32_t buffer_flags)
{
	return (buffer_flags & P2PDMA_BUFFER_MMAP_WC ? WIRE_ACQUIRE_MMAP_WC : 0) |
	       (buffer_flags & P2PDMA_BUFFER_ALLOW_UNREVOCABLE ? WIRE_ACQUIRE_ALLOW_UNREVOCABLE :
								 0);
}

static uint32_t buffer_flags(uint32_t access, uint32_t flags)
{
	return (access & WIRE_ACCESS_WRITE ? 0 : P2PDMA_BUFFER_READ_ONLY) |
	       (flags & WIRE_ACQUIRE_MMAP_WC ? P2PDMA_BUFFER_MMAP_WC : 0) |
	       (flags & WIRE_ACQUIRE_ALLOW_UNREVOCABLE ? P2PDMA_BUFFER_ALLOW_UNREVOCABLE : 0);
}

bool broker_lease_is_sound(const struct wire_lease *wire)
{
	return wire->id && wire->size_bytes && wire->nr_ranges &&
	       wire->state <= WIRE_LEASE_RELEASED && wire->provider[0] &&
	       wire_text_is_sound(wire->provider, sizeof(wire->provider)) &&
	       wire_text_is_sound(wire->label, sizeof(wire->label));
}

void broker_lease_info(const struct wire_lease *wire, struct p2pdma_lease_info *ret_info)
{
	struct p2pdma_lease_info info = P2PDMA_LEASE_INFO_INIT;

	/* The numbers of states, modes and forces are the same on both sides. */
	info.state = wire->state;
	info.id = wire->id;
	info.reason = broker_reason(wire->reason);
	info.mode = wire->mode;
	info.flags = buffer_flags(wire->access, wire->flags);
	info.force = wire->force;
	info.backend = broker_backend(wire->backend);
	info.uid = wire->uid;
	info.pid = wire->pid;
	info.nr_ranges = wire->nr_ranges;
	info.length_bytes = wire->size_bytes;
	info.offset_bytes = wire->first.offset_bytes;
	info.granted_ns = wire->granted_ns;
	info.expires_ns = wire->expires_ns;
	info.deadline_ns = wire->deadline_ns;
	memcpy(info.provider, wire->provider, sizeof(info.provider));
	memcpy(info.label, wire->label, sizeof(info.label));
	*ret_info = info;
}

int broker_set_text(const struct p2pdma_context *context, char *field, size_t size,
		    const char *text, const char *what)
{
	if (!text)
		text = "";
	if (strlen(text) >= size)
		return context_fail(context, -EINVAL, "the %s has more than %zu bytes", what,
				    size - 1);
	wire_text_set(field, size, text);
	if (!wire_text_is_sound(field, size))
		return context_fail(context, -EINVAL,
				    "the %s has control characters or isn't UTF-8", what);
	return 0;
}
