// SPDX-License-Identifier: MIT
/*
 * A new connection takes up what the one before had, so that a restart of p2pd is noticed by
 * nobody: leases by ATTACH with their token, publications by publishing the same DMABUF again, a
 * monitor by asking for events.
 *
 * One after the other, each when the reply to the one before is there; nothing else is sent
 * meanwhile. p2pd's word is final: a lease that it doesn't know, or can't give back, is revoked here
 * too, guards and all. Only "still held by the connection before" (-EBUSY, -EAGAIN) is a
 * reason to try again later.
 *
 * All of it runs under context->lock and never blocks.
 */
#include <errno.h>
#include <string.h>

#include "broker.h"
#include "common/clock.h"

#define MAX_REFUSED 5

void broker_lost_all(struct broker *broker)
{
	list_for_each_entry(lease, &broker->leases, struct broker_lease, device.link)
		lease->is_attached = false;
	list_for_each_entry(publication, &broker->publications, struct p2pdma_publication, link)
		publication->is_attached = false;
}

/* Those that wait stand first, so that many leases are taken up in as many steps. */
static void is_done(struct broker *broker, struct broker_lease *lease)
{
	lease->is_attached = true;
	list_remove(&lease->device.link);
	list_append(&broker->leases, &lease->device.link);
}

static struct broker_lease *next_lease(struct broker *broker)
{
	while (!list_is_empty(&broker->leases)) {
		struct broker_lease *lease =
			list_entry(broker->leases.next, struct broker_lease, device.link);

		if (lease->is_attached)
			return NULL;
		if (lease->wire.state < WIRE_LEASE_REVOKED)
			return lease;
		is_done(broker, lease);
	}
	return NULL;
}

void broker_lease_linked(struct broker *broker, struct broker_lease *lease)
{
	/* In front of the first, or behind the last. */
	list_append(lease->is_attached ? &broker->leases : broker->leases.next,
		    &lease->device.link);
	if (!lease->is_attached)
		broker_resume(broker);
}

static struct p2pdma_publication *next_publication(struct broker *broker)
{
	list_for_each_entry(publication, &broker->publications, struct p2pdma_publication, link) {
		if (!publication->is_attached)
			return publication;
	}
	return NULL;
}

static int send_attach(struct broker *broker, const struct broker_lease *lease)
{
	struct wire_attach attach = {.lease_id = lease->wire.id};

	memcpy(attach.token, lease->wire.token, sizeof(attach.token));
	broker->restoring_id = attach.lease_id;
	return broker_send(broker, WIRE_ATTACH, &attach, sizeof(attach), -1,
			   &broker->restoring_serial);
}

static int send_monitor(struct broker *broker)
{
	struct wire_monitor monitor = {.is_on = 1};

	return broker_send(broker, WIRE_MONITOR, &monitor, sizeof(monitor), -1,
			   &broker->restoring_serial);
}

static void is_up(struct broker *broker)
{
	if (broker->is_established && broker->failures)
		context_log(broker->context, P2PDMA_LOG_INFO, "connected to p2pd again");
	broker->state = BROKER_UP;
	broker->is_established = true;
	broker->failures = 0;
	broker->retry_ns = 0;
	broker_tick(broker);
	broker_wake(broker);
}

void broker_restore(struct broker *broker)
{
	struct broker_lease *lease = next_lease(broker);
	struct p2pdma_publication *publication;
	int r;

	broker->restoring_id = 0;
	/* Each answer is waited for as long; the timer finds the new time by itself. */
	broker->deadline_ns = clock_now_ns() + broker->timeout_ms * NS_PER_MS;
	if (lease) {
		r = send_attach(broker, lease);
	} else if ((publication = next_publication(broker))) {
		broker->restoring_id = publication->key;
		r = broker_send(broker, WIRE_PUBLISH, &publication->wire, sizeof(publication->wire),
				publication->fd, &broker->restoring_serial);
	} else if (broker->monitor) {
		r = send_monitor(broker);
	} else {
		is_up(broker);
		return;
	}
	if (r && broker->state != BROKER_CLOSED)
		broker_break(broker, r, "can't take up what p2pd had granted: %s", error_name(r));
}

void broker_resume(struct broker *broker)
{
	if (broker->state == BROKER_UP && (next_lease(broker) || next_publication(broker))) {
		broker->state = BROKER_RESTORING;
		broker_restore(broker);
	}
	broker_tick(broker);
}

/* False: the connection has ended. */
static bool attach_reply(struct broker *broker, const struct message *reply)
{
	struct broker_lease *lease = broker_lease_find(broker, broker->restoring_id);
	struct wire_lease_id id = {.lease_id = broker->restoring_id};
	int error = reply->header.error;
	struct wire_lease wire;

	if (error == -EBUSY || error == -EAGAIN) {
		broker_break(broker, error, "p2pd hasn't noticed yet that the connection was lost");
		return false;
	}
	if (!error && (wire_load(reply, &wire, sizeof(wire), sizeof(wire), 0) ||
		       wire.id != broker->restoring_id || !broker_lease_is_sound(&wire))) {
		broker_break(broker, -EPROTO, "p2pd's answer to ATTACH makes no sense");
		return false;
	}
	if (!lease) /* Freed meanwhile. */
		return error || !broker_send(broker, WIRE_RELEASE, &id, sizeof(id), -1, NULL);
	if (error)
		broker_lease_ended(
			lease, error == -ENODEV ? P2PDMA_REASON_REMOVE : P2PDMA_REASON_BROKER, 0);
	else
		broker_lease_attached(lease, &wire);
	is_done(broker, lease);
	return true;
}

static struct p2pdma_publication *find_publication(struct broker *broker, uint64_t key)
{
	list_for_each_entry(publication, &broker->publications, struct p2pdma_publication, link) {
		if (publication->key == key)
			return publication;
	}
	return NULL;
}

/* False: the connection has ended. */
static bool publish_reply(struct broker *broker, const struct message *reply)
{
	struct p2pdma_publication *publication = find_publication(broker, broker->restoring_id);
	struct wire_publish_reply body = {.id = 0};
	int error = reply->header.error;
	struct wire_lease_id id;

	if (!error && wire_load(reply, &body, sizeof(body), sizeof(body), 0)) {
		broker_break(broker, -EPROTO, "p2pd's answer to PUBLISH makes no sense");
		return false;
	}
	id.lease_id = body.id;
	if (!publication) /* Withdrawn meanwhile. */
		return error || !broker_send(broker, WIRE_UNPUBLISH, &id, sizeof(id), -1, NULL);
	/* Ours of before, or somebody else's by now: the first passes. */
	if (error == -EBUSY && publication->nr_refused++ < MAX_REFUSED) {
		broker_break(broker, error, "p2pd hasn't noticed yet that the connection was lost");
		return false;
	}
	if (error)
		context_log(broker->context, P2PDMA_LOG_WARNING, "p2pd no longer publishes %s: %s",
			    publication->wire.name, error_name(error));
	publication->is_attached = true;
	publication->nr_refused = 0;
	publication->id = body.id;
	return true;
}

void broker_refused(struct broker *broker, const struct message *reply)
{
	int error = reply->header.error;
	struct wire_failure failure;

	if (wire_load(reply, &failure, sizeof(failure), sizeof(failure), 0) ||
	    !wire_text_is_sound(failure.cause, sizeof(failure.cause)))
		failure.cause[0] = '\0';
	broker_break(broker, error, "p2pd refuses this program: %s",
		     failure.cause[0] ? failure.cause : error_name(error));
}

void broker_restore_reply(struct broker *broker, const struct message *reply)
{
	uint16_t opcode = reply->header.opcode & (uint16_t)~WIRE_REPLY;

	if (opcode == WIRE_ATTACH) {
		if (!attach_reply(broker, reply))
			return;
	} else if (opcode == WIRE_PUBLISH) {
		if (!publish_reply(broker, reply))
			return;
	} else if (opcode == WIRE_MONITOR && broker->monitor && !reply->header.error) {
		is_up(broker);
		broker_monitor_up(broker->monitor);
		return;
	} else if (reply->header.error) {
		broker_refused(broker, reply);
		return;
	} else {
		broker_break(broker, -EPROTO, "p2pd's answer makes no sense");
		return;
	}
	broker_restore(broker);
}
