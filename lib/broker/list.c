// SPDX-License-Identifier: MIT
/*
 * Lists of providers and leases, as many packets as it takes.
 *
 * Records may be longer than those that this library knows, and are then cut; shorter ones, or more
 * than the packet holds, are no list. A list that doesn't come to its end is given up.
 * What was on the first page may have gone when the last one comes: each record was true when it
 * was sent. A list belongs to its caller; no locks.
 *
 * By such a list AUTO finds out whether memory that p2pd most likely doesn't lease is to be had from it.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <p2pdma/broker.h>

#include "broker.h"

#define MAX_RECORDS (1U << 22)

struct p2pdma_broker_list {
	bool is_leases;
	size_t count;
	size_t room;
	union {
		void *records;
		struct p2pdma_broker_provider *providers;
		struct p2pdma_lease_info *leases;
	};
};

static int reserve(struct p2pdma_broker_list *list, size_t more)
{
	size_t record = list->is_leases ? sizeof(*list->leases) : sizeof(*list->providers);
	size_t room = list->room ? list->room : 64;
	void *records;

	while (room < list->count + more)
		room *= 2;
	if (room == list->room)
		return 0;
	records = realloc(list->records, room * record);
	if (!records)
		return -ENOMEM;
	list->records = records;
	list->room = room;
	return 0;
}

static bool add_provider(struct p2pdma_broker_list *list, const uint8_t *bytes)
{
	struct p2pdma_broker_provider *provider = &list->providers[list->count];
	struct wire_provider wire;

	memcpy(&wire, bytes, sizeof(wire));
	if (!wire_text_is_sound(wire.name, sizeof(wire.name)) ||
	    !wire_text_is_sound(wire.driver, sizeof(wire.driver)) ||
	    !wire_text_is_sound(wire.cause, sizeof(wire.cause)))
		return false;
	*provider = (struct p2pdma_broker_provider){
		.size_bytes = sizeof(*provider),
		.flags = wire.flags & (WIRE_PROVIDER_DRAINING | WIRE_PROVIDER_UNAVAILABLE),
		.backend = broker_backend(wire.backend),
		.force = wire.force,
		.nr_leases = wire.nr_leases,
		.nr_free_extents = wire.nr_free_extents,
		.length_bytes = wire.size_bytes,
		.free_bytes = wire.free_bytes,
		.largest_free_bytes = wire.largest_free_bytes,
		.pci_class = wire.pci_class,
		.vendor_id = wire.vendor_id,
		.device_id = wire.device_id,
		.numa_node = wire.numa_node,
		.publisher_uid = wire.publisher_uid,
	};
	memcpy(provider->name, wire.name, sizeof(provider->name));
	memcpy(provider->driver, wire.driver, sizeof(provider->driver));
	memcpy(provider->cause, wire.cause, sizeof(provider->cause));
	list->count++;
	return true;
}

static bool add_lease(struct p2pdma_broker_list *list, const uint8_t *bytes)
{
	struct wire_lease wire;

	memcpy(&wire, bytes, sizeof(wire));
	if (!broker_lease_is_sound(&wire))
		return false;
	broker_lease_info(&wire, &list->leases[list->count++]);
	return true;
}

static int take_page(struct p2pdma_context *context, struct p2pdma_broker_list *list,
		     const struct message *reply, uint64_t *ret_cursor)
{
	size_t known = list->is_leases ? sizeof(struct wire_lease) : sizeof(struct wire_provider);
	size_t head = sizeof(struct wire_header) + sizeof(struct wire_list_reply);
	struct wire_list_reply page;
	int r;

	r = broker_load(context->broker, reply, &page, sizeof(page));
	if (r)
		return r;
	if (page.nr_records && (page.record_bytes < known ||
				page.nr_records > (reply->size_bytes - head) / page.record_bytes))
		return broker_lied(context->broker, "its records pass its end");
	/* A page with nothing on it that isn't the last would never end. */
	if ((page.next_cursor && (!page.nr_records || page.next_cursor == *ret_cursor)) ||
	    list->count + page.nr_records > MAX_RECORDS)
		return broker_lied(context->broker, "its list doesn't end");
	if (reserve(list, page.nr_records))
		return context_fail(context, -ENOMEM, "no memory for p2pd's list");
	for (uint32_t i = 0; i < page.nr_records; i++) {
		const uint8_t *record = reply->bytes + head + (size_t)i * page.record_bytes;

		if (!(list->is_leases ? add_lease(list, record) : add_provider(list, record)))
			return broker_lied(context->broker, "a record isn't one");
	}
	*ret_cursor = page.next_cursor;
	return 0;
}

static int ask_page(struct p2pdma_context *context, struct p2pdma_broker_list *list,
		    struct wire_list *wire)
{
	struct wire_header header = {
		.opcode = list->is_leases ? WIRE_LEASES : WIRE_PROVIDERS,
		.size_bytes = sizeof(*wire),
	};
	struct message reply;
	int r;

	r = broker_ask(context->broker, &header, wire, -1, &reply);
	if (r)
		return r;
	r = take_page(context, list, &reply, &wire->cursor);
	broker_answered(context->broker, &reply);
	return r;
}

static int ask(struct p2pdma_context *context, bool is_leases, const char *selector, uint32_t uid,
	       struct p2pdma_broker_list **ret_list)
{
	struct wire_list wire = {.uid = uid};
	struct p2pdma_broker_list *list;
	struct broker *broker;
	int r;

	if (!context)
		return -EINVAL;
	if (!ret_list)
		return context_fail(context, -EINVAL, "no place for the list was given");
	r = broker_of(context, &broker);
	if (!r)
		r = broker_set_text(context, wire.selector, sizeof(wire.selector), selector,
				    "selector");
	if (r)
		return r;
	list = calloc(1, sizeof(*list));
	if (!list)
		return context_fail(context, -ENOMEM, "no memory for p2pd's list");
	list->is_leases = is_leases;
	do {
		r = ask_page(context, list, &wire);
	} while (!r && wire.cursor);
	if (r) {
		p2pdma_broker_list_free(list);
		return r;
	}
	*ret_list = list;
	return 0;
}

int p2pdma_broker_list_providers(struct p2pdma_context *context, const char *selector,
				 struct p2pdma_broker_list **ret_list)
{
	return ask(context, false, selector, UINT32_MAX, ret_list);
}

int p2pdma_broker_list_leases(struct p2pdma_context *context, const char *selector, uint32_t uid,
			      struct p2pdma_broker_list **ret_list)
{
	return ask(context, true, selector, uid, ret_list);
}

bool broker_leases(struct p2pdma_context *context, const char *name)
{
	struct p2pdma_broker_list *list = NULL;
	bool is_leased = false;
	int r;

	r = broker_is_there(context);
	if (r > 0)
		r = ask(context, false, name, UINT32_MAX, &list);
	if (r)
		context_log(context, P2PDMA_LOG_INFO, "p2pd doesn't say whether it leases %s: %s",
			    name, error_name(r));
	for (size_t i = 0; i < p2pdma_broker_list_count(list); i++)
		is_leased |= !(list->providers[i].flags & P2PDMA_PROVIDER_UNAVAILABLE);
	p2pdma_broker_list_free(list);
	return is_leased;
}

size_t p2pdma_broker_list_count(const struct p2pdma_broker_list *list)
{
	return list ? list->count : 0;
}

const struct p2pdma_broker_provider *
p2pdma_broker_list_provider(const struct p2pdma_broker_list *list, size_t index)
{
	return list && !list->is_leases && index < list->count ? &list->providers[index] : NULL;
}

const struct p2pdma_lease_info *p2pdma_broker_list_lease(const struct p2pdma_broker_list *list,
							 size_t index)
{
	return list && list->is_leases && index < list->count ? &list->leases[index] : NULL;
}

void p2pdma_broker_list_free(struct p2pdma_broker_list *list)
{
	if (!list)
		return;
	free(list->records);
	free(list);
}
