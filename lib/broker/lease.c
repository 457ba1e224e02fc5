// SPDX-License-Identifier: MIT
/*
 * Leases: buffers whose DMABUF p2pd made.
 *
 * To the rest of the library a lease is a device with one buffer, so that marking, waiting for
 * posts, mapping and memory regions work as they do for any other. What differs is the last step: the
 * slice is given back by RELEASE, and p2pd has the kernel invalidate it before it answers.
 *
 * p2pd may speak about a lease from the moment it has granted it, when this side doesn't have it in its
 * list yet; what is said then is kept (struct broker_early) and applied when it is linked. Linking, events
 * and restoring run under context->lock.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "broker.h"
#include "buffer/buffer.h"
#include "event/queue.h"

static struct p2pdma_buffer *buffer_of(struct broker_lease *lease)
{
	struct list *buffers = &lease->device.buffers;

	return list_is_empty(buffers) ? NULL :
					list_entry(buffers->next, struct p2pdma_buffer, link);
}

struct broker_lease *broker_lease_find(struct broker *broker, uint64_t id)
{
	list_for_each_entry(lease, &broker->by_id[id % BROKER_BUCKETS], struct broker_lease,
			    id_link) {
		if (lease->wire.id == id)
			return lease;
	}
	return NULL;
}

int broker_lease_query(const struct p2pdma_buffer *buffer, struct broker_lease **ret_lease)
{
	if (!buffer)
		return -EINVAL;
	if (buffer->backend != &backend_broker)
		return context_fail(buffer->context, -EOPNOTSUPP, "%s is no lease of p2pd",
				    buffer->name);
	*ret_lease = broker_lease_of(buffer->device);
	return 0;
}

static void tell_requested(struct broker_lease *lease, uint32_t reason, uint64_t deadline_ns,
			   uint64_t time_ns)
{
	struct p2pdma_buffer *buffer = buffer_of(lease);
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	bool is_again = lease->wire.state == WIRE_LEASE_REVOKING;

	if (lease->wire.state >= WIRE_LEASE_REVOKED)
		return;
	/* ATTACH's reply says it, and then an event does. */
	if (is_again && lease->wire.reason == reason && lease->wire.deadline_ns == deadline_ns)
		return;
	lease->wire.state = WIRE_LEASE_REVOKING;
	lease->wire.reason = reason;
	lease->wire.deadline_ns = deadline_ns;
	if (!buffer || buffer->is_freed)
		return;
	event.type = P2PDMA_EVENT_REVOKE_REQUESTED;
	event.buffer = buffer;
	event.reason = broker_reason(reason);
	event.deadline_ns = deadline_ns;
	event.time_ns = time_ns;
	memcpy(event.function, lease->device.name, sizeof(event.function));
	/* One is enough, with what was said last. */
	if (is_again)
		event_queue_forget(lease->broker->context, buffer, event.type);
	event_queue_push(lease->broker->context, &event);
}

void broker_lease_ended(struct broker_lease *lease, uint32_t reason, uint64_t time_ns)
{
	struct p2pdma_buffer *buffer = buffer_of(lease);
	bool is_first = lease->wire.state < WIRE_LEASE_REVOKED;

	lease->wire.state = WIRE_LEASE_REVOKED;
	if (buffer)
		buffer_revoked(buffer, reason, time_ns);
	if (is_first)
		broker_function_lease_ended(lease, reason == P2PDMA_REASON_REMOVE);
}

static void apply(struct broker_lease *lease, uint16_t opcode, const struct wire_event_lease *event)
{
	if (opcode == WIRE_EVENT_REVOKE_REQUESTED) {
		tell_requested(lease, event->reason, event->deadline_ns, event->time_ns);
		return;
	}
	lease->wire.reason = event->reason;
	broker_lease_ended(lease, broker_reason(event->reason), event->time_ns);
}

static void keep_early(struct broker *broker, uint16_t opcode, const struct wire_event_lease *event)
{
	const struct broker_request *request = &broker->request;

	if (!request->serial || request->opcode != WIRE_ACQUIRE || !request->is_answered)
		return;
	if (opcode == WIRE_EVENT_REVOKED) {
		broker->early.has_revoked = true;
		broker->early.revoked = *event;
	} else {
		broker->early.has_requested = true;
		broker->early.requested = *event;
	}
}

void broker_lease_event(struct broker *broker, const struct message *message)
{
	uint16_t opcode = message->header.opcode;
	struct broker_lease *lease;
	struct wire_event_lease event;

	/* Events of later versions are none of ours. */
	if (opcode != WIRE_EVENT_REVOKE_REQUESTED && opcode != WIRE_EVENT_REVOKED)
		return;
	if (wire_load(message, &event, sizeof(event), sizeof(event), 0)) {
		broker_break(broker, -EPROTO, "p2pd's event is too short");
		return;
	}
	lease = broker_lease_find(broker, event.lease_id);
	if (lease)
		apply(lease, opcode, &event);
	else
		keep_early(broker, opcode, &event);
}

void broker_lease_attached(struct broker_lease *lease, const struct wire_lease *wire)
{
	lease->wire.expires_ns = wire->expires_ns;
	if (wire->state == WIRE_LEASE_REVOKED || wire->state == WIRE_LEASE_RELEASED) {
		lease->wire.reason = wire->reason;
		broker_lease_ended(lease, broker_reason(wire->reason), 0);
	} else if (wire->state == WIRE_LEASE_REVOKING) {
		tell_requested(lease, wire->reason, wire->deadline_ns, 0);
	}
}

static void set_device(struct broker_lease *lease, struct broker *broker,
		       const struct wire_lease *wire)
{
	struct pci_function function = {.numa_node = -1};
	struct pci_provider_name name;
	bool is_function = !pci_provider_name_parse(wire->provider, &name);

	if (is_function) {
		function.address = name.address;
		function.generation = name.generation;
	}
	device_init(&lease->device, broker->context, &backend_broker, &function);
	if (!is_function)
		memset(lease->device.name, 0, sizeof(lease->device.name));
	lease->broker = broker;
	list_init(&lease->id_link);
	lease->wire = *wire;
	lease->is_attached = true;
}

/* While the request is this thread's: events that came early are still there. */
static void publish(struct broker_lease *lease, struct p2pdma_buffer *buffer, uint32_t connection,
		    struct broker_function **spare)
{
	struct broker *broker = lease->broker;

	pthread_mutex_lock(&broker->context->lock);
	list_append(&lease->device.buffers, &buffer->link);
	list_append(&broker->by_id[lease->wire.id % BROKER_BUCKETS], &lease->id_link);
	if (lease->device.name[0])
		broker_function_join(lease, spare);
	lease->is_attached = broker->connection == connection && broker->state != BROKER_CLOSED;
	broker_lease_linked(broker, lease);
	if (broker->early.has_requested && broker->early.requested.lease_id == lease->wire.id)
		apply(lease, WIRE_EVENT_REVOKE_REQUESTED, &broker->early.requested);
	if (broker->early.has_revoked && broker->early.revoked.lease_id == lease->wire.id)
		apply(lease, WIRE_EVENT_REVOKED, &broker->early.revoked);
	pthread_mutex_unlock(&broker->context->lock);
}

/* The descriptor of the reply is the buffer's from here on. */
static int make_buffer(struct broker *broker, const struct wire_lease *wire,
		       const struct wire_acquire *wanted, struct message *reply, void *user_data,
		       struct p2pdma_buffer **ret_buffer)
{
	struct p2pdma_context *context = broker->context;
	struct export_request request = {.nr_ranges = 0};
	bool is_pool = wire->backend == WIRE_BACKEND_P2PMEM;
	struct export_result result = {
		.fd = is_pool ? -1 : reply->fd,
		.size_bytes = is_pool ? broker_pool_wanted(wanted) : wire->size_bytes,
	};
	struct broker_function *spare = broker_function_new();
	struct broker_lease *lease = calloc(1, sizeof(*lease));
	struct p2pdma_buffer *buffer;
	uint32_t connection;
	int r;

	if (!lease || !spare) {
		free(lease);
		broker_function_free(spare);
		return context_fail(context, -ENOMEM, "no memory for a lease");
	}
	if (!(wanted->access & WIRE_ACCESS_WRITE))
		request.flags |= P2PDMA_BUFFER_READ_ONLY;
	r = buffer_create(context, &backend_broker, &request, &result, &buffer);
	if (r) {
		free(lease);
		broker_function_free(spare);
		return r;
	}
	if (!is_pool)
		reply->fd = -1;
	memcpy(buffer->name, wire->provider, sizeof(wire->provider));
	buffer->user_data = user_data;
	set_device(lease, broker, wire);
	buffer->device = &lease->device;
	pthread_mutex_lock(&context->lock);
	connection = broker->request.connection;
	pthread_mutex_unlock(&context->lock);
	publish(lease, buffer, connection, &spare);
	broker_function_free(spare);
	*ret_buffer = buffer;
	return 0;
}

/* Is it what was asked for, and is its descriptor what it says? */
static int check_reply(struct broker *broker, const struct message *reply,
		       struct wire_lease *ret_wire)
{
	const struct sys_ops *sys = broker->context->sys;
	uint64_t type, size;

	if (wire_load(reply, ret_wire, sizeof(*ret_wire), sizeof(*ret_wire), 0) ||
	    !broker_lease_is_sound(ret_wire))
		return broker_lied(broker, "it describes no lease");
	if (reply->fd < 0)
		return broker_lied(broker, "a lease without its descriptor");
	if (ret_wire->backend == WIRE_BACKEND_P2PMEM)
		return broker_pool_check(broker, reply->fd);
	if (sys->fs_type(reply->fd, &type) || type != DMA_BUF_MAGIC || sys->size(reply->fd, &size))
		return broker_lied(broker, "the descriptor is no DMABUF");
	if (size != ret_wire->size_bytes)
		return broker_lied(broker, "the DMABUF has another size than the lease");
	return 0;
}

int broker_acquire(struct p2pdma_context *context, const struct wire_acquire *request,
		   void *user_data, struct p2pdma_buffer **ret_buffer)
{
	struct wire_header header = {
		.opcode = WIRE_ACQUIRE,
		.size_bytes = (uint32_t)(sizeof(*request) +
					 request->nr_ranges * sizeof(struct wire_range)),
	};
	struct p2pdma_buffer *buffer = NULL;
	struct message reply;
	struct wire_lease wire;
	struct broker *broker;
	int r;

	r = broker_of(context, &broker);
	if (!r)
		r = broker_ask(broker, &header, request, -1, &reply);
	if (r)
		return r;
	r = check_reply(broker, &reply, &wire);
	if (!r)
		r = make_buffer(broker, &wire, request, &reply, user_data, &buffer);
	broker_end(broker);
	if (!r && wire.backend == WIRE_BACKEND_P2PMEM)
		r = broker_pool_allocate(buffer, reply.fd);
	message_done(&reply);
	if (!r)
		*ret_buffer = buffer;
	else if (buffer)
		p2pdma_buffer_free(buffer);
	return r;
}

static void close_lease(struct device *device)
{
	free(broker_lease_of(device));
}

/* Its events come over the broker's connection: nothing to do but to forget it. */
static void unwatch(struct device *device)
{
	struct broker_lease *lease = broker_lease_of(device);
	struct wire_lease_id id = {.lease_id = lease->wire.id};

	list_remove(&lease->id_link);
	/* RELEASE failed in time, and yet this connection has it: at least say so. */
	if (lease->is_attached && lease->wire.state < WIRE_LEASE_REVOKED)
		broker_send(lease->broker, WIRE_RELEASE, &id, sizeof(id), -1, NULL);
	if (lease->wire.state < WIRE_LEASE_REVOKED)
		broker_function_lease_ended(lease, false);
	broker_function_leave(lease);
}

/*
 * A lease that is let go of and that no connection has isn't taken up again, and so ends by
 * itself; if its ATTACH is under way, the reply finds nobody and is answered by RELEASE.
 */
static bool must_ask(const struct broker_lease *lease, const struct p2pdma_buffer *buffer)
{
	struct p2pdma_context *context = lease->broker->context;
	bool must;

	pthread_mutex_lock(&context->lock);
	must = lease->is_attached || !buffer->is_freed;
	pthread_mutex_unlock(&context->lock);
	return must;
}

static int revoke(struct p2pdma_buffer *buffer, uint32_t timeout_ms,
		  struct p2pdma_revoke_result *result)
{
	struct broker_lease *lease = broker_lease_of(buffer->device);
	struct wire_lease_id id = {.lease_id = lease->wire.id};
	struct p2pdma_context *context = buffer->context;
	int r;

	(void)timeout_ms;
	(void)result;
	if (buffer->memory)
		mappings_cover(buffer);
	if (!must_ask(lease, buffer))
		return 0;
	r = broker_call(context, WIRE_RELEASE, &id, sizeof(id), NULL, 0);
	if (r && r != -ENOENT && r != -ESTALE && r != -ENODEV)
		return r;
	pthread_mutex_lock(&context->lock);
	broker_lease_ended(lease, P2PDMA_REASON_OWNER, 0);
	lease->wire.state = WIRE_LEASE_RELEASED;
	pthread_mutex_unlock(&context->lock);
	return 0;
}

static void query(struct p2pdma_buffer *buffer, struct p2pdma_buffer_status *status)
{
	struct broker *broker = broker_lease_of(buffer->device)->broker;

	/* What p2pd has said already; it isn't asked. */
	(void)status;
	pthread_mutex_lock(&buffer->context->lock);
	broker_read(broker, 64);
	pthread_mutex_unlock(&buffer->context->lock);
}

const struct backend backend_broker = {
	.name = "broker",
	.id = P2PDMA_BACKEND_BROKER,
	.flags = P2PDMA_BUFFER_READ_ONLY | P2PDMA_BUFFER_MMAP_WC | P2PDMA_BUFFER_ALLOW_UNREVOCABLE,
	.close = close_lease,
	.unwatch = unwatch,
	.revoke = revoke,
	.query = query,
	.map = buffer_map_dmabuf,
};
