// SPDX-License-Identifier: MIT
/*
 * Publications: DMABUFs of this program that others acquire from p2pd by name.
 *
 * The library keeps a duplicate of the descriptor, because publishing again is how a
 * publication is taken up after p2pd was away: the same DMABUF under the same name by the same
 * user. A publication is linked under context->lock; one whose connection went between its reply
 * and that is taken up like the others.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "buffer/buffer.h"
#include "context/options.h"

static int load_options(const struct p2pdma_context *context,
			const struct p2pdma_publish_options *options, struct wire_publish *ret_wire)
{
	struct p2pdma_publish_options known;
	int r;

	r = options_load(&known, sizeof(known), sizeof(known), options);
	if (r)
		return context_fail(context, r, "the publish options have a wrong size");
	if (known.flags & ~P2PDMA_BUFFER_READ_ONLY || known.reserved)
		return context_fail(context, -EINVAL, "unknown publish flags 0x%" PRIx32,
				    known.flags);
	if (known.mode != P2PDMA_LEASE_EXCLUSIVE && known.mode != P2PDMA_LEASE_SHARED)
		return context_fail(context, -EINVAL, "unknown lease mode %" PRIu32, known.mode);
	if (!known.name || !*known.name)
		return context_fail(context, -EINVAL, "a publication needs a name");
	if (known.name[strspn(known.name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
					  "0123456789._-")])
		return context_fail(context, -EINVAL,
				    "the name of a publication is letters, digits and \"._-\"");
	memset(ret_wire, 0, sizeof(*ret_wire));
	ret_wire->mode = known.mode;
	ret_wire->access = broker_access(known.flags);
	ret_wire->uid = known.uid;
	ret_wire->gid = known.gid;
	return broker_set_text(context, ret_wire->name, sizeof(ret_wire->name), known.name,
			       "name of the publication");
}

/* While the request is this thread's. */
static void publish(struct p2pdma_publication *publication, uint64_t id, uint32_t connection)
{
	struct broker *broker = publication->broker;

	pthread_mutex_lock(&broker->context->lock);
	publication->id = id;
	publication->key = ++broker->next_key;
	publication->is_attached =
		broker->connection == connection && broker->state != BROKER_CLOSED;
	list_append(&broker->publications, &publication->link);
	if (!publication->is_attached)
		broker_resume(broker);
	pthread_mutex_unlock(&broker->context->lock);
}

static int ask(struct broker *broker, struct p2pdma_publication *publication)
{
	struct wire_header header = {.opcode = WIRE_PUBLISH,
				     .size_bytes = sizeof(publication->wire)};
	struct wire_publish_reply body;
	struct message reply;
	int r;

	r = broker_ask(broker, &header, &publication->wire, publication->fd, &reply);
	if (r)
		return r;
	r = broker_load(broker, &reply, &body, sizeof(body));
	if (!r)
		publish(publication, body.id, broker->request.connection);
	broker_answered(broker, &reply);
	return r;
}

int p2pdma_publish(struct p2pdma_context *context, int fd,
		   const struct p2pdma_publish_options *options,
		   struct p2pdma_publication **ret_publication)
{
	struct p2pdma_publication *publication;
	struct export_result dmabuf;
	struct wire_publish wire;
	struct broker *broker;
	int r;

	if (!context)
		return -EINVAL;
	if (!options || !ret_publication)
		return context_fail(context, -EINVAL,
				    "no options, or no place for the publication");
	r = load_options(context, options, &wire);
	if (r)
		return r;
	r = broker_of(context, &broker);
	if (r)
		return r;
	r = dmabuf_query(context, fd, &dmabuf);
	if (r)
		return r;
	publication = calloc(1, sizeof(*publication));
	if (!publication)
		return context_fail(context, -ENOMEM, "no memory for a publication");
	list_init(&publication->link);
	publication->broker = broker;
	publication->wire = wire;
	publication->fd = context->sys->dup(fd);
	if (publication->fd < 0) {
		r = context_fail(context, publication->fd, "can't duplicate the DMABUF: %s",
				 error_name(publication->fd));
		free(publication);
		return r;
	}
	r = ask(broker, publication);
	if (r) {
		context->sys->close(publication->fd);
		free(publication);
		return r;
	}
	context_ref(context);
	*ret_publication = publication;
	return 0;
}

void p2pdma_publication_free(struct p2pdma_publication *publication)
{
	struct p2pdma_context *context;
	struct wire_lease_id id;
	bool is_known;

	if (!publication)
		return;
	context = publication->broker->context;
	pthread_mutex_lock(&context->lock);
	list_remove(&publication->link);
	id.lease_id = publication->id;
	is_known = publication->is_attached && publication->id;
	pthread_mutex_unlock(&context->lock);
	/* Without a connection it isn't taken up again, and so ends by itself. */
	if (is_known)
		broker_call(context, WIRE_UNPUBLISH, &id, sizeof(id), NULL, 0);
	context->sys->close(publication->fd);
	free(publication);
	context_unref(context);
}
