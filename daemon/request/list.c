// SPDX-License-Identifier: MIT
/*
 * Requests for lists: as many records as fit into one packet, and where to go on.
 *
 * The cursor is the serial of a provider or the id of a lease, the last one told. Both only
 * grow, so a list that changes under the reader leaves nothing out that was there all the
 * time and tells nothing twice.
 */
#include <errno.h>
#include <string.h>

#include "request.h"

/* A reply being filled. */
struct page {
	struct wire_list_reply head;
	uint8_t records[WIRE_MESSAGE_MAX - sizeof(struct wire_header) -
			sizeof(struct wire_list_reply)];
};

static bool page_is_full(const struct page *page)
{
	return (page->head.nr_records + 1) * page->head.record_bytes > sizeof(page->records);
}

static void page_add(struct page *page, const void *record)
{
	memcpy(page->records + page->head.nr_records * page->head.record_bytes, record,
	       page->head.record_bytes);
	page->head.nr_records++;
}

static void page_send(struct request *request, const struct page *page)
{
	client_reply(request->client, &request->header, page,
		     sizeof(page->head) + page->head.nr_records * page->head.record_bytes, -1);
}

static bool list_is_sound(struct request *request, struct selector *ret_selector)
{
	if (!request_selector(request, request->body.list.selector, ret_selector))
		return false;
	if (!request->body.list.reserved)
		return true;
	request_refuse(request, -EINVAL, "a reserved field is set");
	return false;
}

/* What is wrong with it, as far as this user may know whose fault that is; "": nothing. */
static const char *trouble_of(const struct provider *provider, bool is_admin)
{
	const struct device *device = provider->device;

	if (!device || !*device->trouble)
		return "";
	return is_admin || !device->trouble_for_users ? device->trouble : device->trouble_for_users;
}

static void fill_provider(struct wire_provider *ret_record, const struct provider *provider,
			  bool is_admin)
{
	const struct identity *identity = &provider->identity;
	const char *trouble = trouble_of(provider, is_admin);
	struct slices_summary summary;

	slices_summarize(&provider->slices, &summary);
	memset(ret_record, 0, sizeof(*ret_record));
	wire_text_set(ret_record->name, sizeof(ret_record->name), identity->name);
	wire_text_set(ret_record->driver, sizeof(ret_record->driver), provider->driver);
	wire_text_set(ret_record->cause, sizeof(ret_record->cause),
		      *trouble ? trouble : provider->cause);
	ret_record->backend = identity->backend;
	ret_record->force = provider->device ? provider->device->ops->force : 0;
	if (provider->is_draining)
		ret_record->flags |= WIRE_PROVIDER_DRAINING;
	if (!provider->device || provider->is_gone || *trouble)
		ret_record->flags |= WIRE_PROVIDER_UNAVAILABLE;
	ret_record->nr_leases = provider->nr_leases;
	ret_record->size_bytes = provider->slices.size_bytes;
	ret_record->free_bytes = summary.free_bytes;
	ret_record->largest_free_bytes = summary.largest_free_bytes;
	ret_record->nr_free_extents = summary.nr_free_extents;
	ret_record->pci_class = identity->pci_class;
	ret_record->vendor_id = identity->vendor_id;
	ret_record->device_id = identity->device_id;
	ret_record->numa_node = provider->numa_node;
}

void request_providers(struct request *request)
{
	struct page page = {.head.record_bytes = sizeof(struct wire_provider)};
	struct broker *broker = &request->server->broker;
	bool is_admin = policy_is_admin(broker->policy, &request->client->holder->subject);
	struct wire_provider record;
	struct selector selector;
	uint64_t last = 0;

	if (!list_is_sound(request, &selector))
		return;
	list_for_each_entry(provider, &broker->providers, struct provider, link) {
		if (provider->serial <= request->body.list.cursor ||
		    !selector_matches(&selector, &provider->identity))
			continue;
		if (page_is_full(&page)) {
			page.head.next_cursor = last;
			break;
		}
		fill_provider(&record, provider, is_admin);
		page_add(&page, &record);
		last = provider->serial;
	}
	page_send(request, &page);
}

void request_fill_lease(struct wire_lease *ret_record, const struct lease *lease,
			bool is_for_holder)
{
	memset(ret_record, 0, sizeof(*ret_record));
	ret_record->id = lease->id;
	if (is_for_holder)
		memcpy(ret_record->token, lease->token, sizeof(lease->token));
	wire_text_set(ret_record->provider, sizeof(ret_record->provider),
		      lease->provider->identity.name);
	wire_text_set(ret_record->label, sizeof(ret_record->label), lease->label);
	ret_record->state = lease->state;
	ret_record->reason = lease->reason;
	ret_record->mode = lease->mode;
	ret_record->access = lease->access;
	ret_record->flags = lease->flags;
	ret_record->force = lease->force;
	ret_record->backend = lease->provider->identity.backend;
	ret_record->uid = lease->uid;
	ret_record->pid = lease->pid;
	ret_record->nr_ranges = lease->nr_ranges;
	ret_record->size_bytes = lease->size_bytes;
	ret_record->granted_ns = lease->granted_ns;
	ret_record->expires_ns = lease->expires_ns;
	ret_record->deadline_ns = lease->deadline_ns;
	ret_record->first = lease->ranges[0];
}

/* One user's. */
static const struct lease_table *leases_of(const struct broker *broker, uid_t uid)
{
	static const struct lease_table none;
	const struct account *account = account_peek(&broker->accounts, uid);

	return account ? &account->leases : &none;
}

void request_leases(struct request *request)
{
	struct page page = {.head.record_bytes = sizeof(struct wire_lease)};
	const struct holder *holder = request->client->holder;
	struct broker *broker = &request->server->broker;
	const struct lease_table *table = &broker->leases;
	uint32_t uid = request->body.list.uid;
	struct wire_lease record;
	struct selector selector;
	struct lease *lease;

	if (!list_is_sound(request, &selector))
		return;
	if (!policy_is_admin(broker->policy, &holder->subject)) {
		if (uid != UINT32_MAX && uid != holder->subject.uid) {
			request_refuse(request, -EPERM,
				       "the leases of others are for administrators");
			return;
		}
		uid = holder->subject.uid;
	}
	if (uid != UINT32_MAX)
		table = leases_of(broker, uid);
	for (uint64_t id = request->body.list.cursor; (lease = lease_table_after(table, id));) {
		if (selector_matches(&selector, &lease->provider->identity)) {
			if (page_is_full(&page)) {
				page.head.next_cursor = id;
				break;
			}
			request_fill_lease(&record, lease, false);
			page_add(&page, &record);
		}
		id = lease->id;
	}
	page_send(request, &page);
}
