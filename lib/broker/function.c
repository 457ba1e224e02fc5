// SPDX-License-Identifier: MIT
/*
 * The functions that leases are on.
 *
 * To an application that a function has gone is one event, told when the last of its leases here is
 * over, whichever way that one ended: its owner may have given it back in the meantime. So each function
 * counts its live leases, and remembers that one of them was lost with it. Looking through
 * all leases for each that ends would take the square of their number.
 *
 * A function that was plugged in again is another one. All under context->lock.
 */
#include <stdlib.h>
#include <string.h>

#include "broker.h"
#include "event/queue.h"

struct broker_function {
	struct list link; /* in broker->functions */
	struct pci_address address;
	uint64_t generation;
	unsigned int nr_leases; /* and references */
	unsigned int nr_live;
	bool is_gone; /* and that is to be told */
};

struct broker_function *broker_function_new(void)
{
	struct broker_function *function = calloc(1, sizeof(*function));

	if (function)
		list_init(&function->link);
	return function;
}

void broker_function_free(struct broker_function *function)
{
	if (!function)
		return;
	list_remove(&function->link);
	free(function);
}

static struct list *bucket_of(struct broker *broker, const struct pci_address *address)
{
	size_t number = (size_t)address->bus << 8U | address->devfn;

	return &broker->functions[(number ^ number >> 8U) % BROKER_BUCKETS];
}

void broker_function_join(struct broker_lease *lease, struct broker_function **spare)
{
	const struct pci_function *of = &lease->device.function;
	struct list *bucket = bucket_of(lease->broker, &of->address);
	struct broker_function *found = NULL;

	list_for_each_entry(function, bucket, struct broker_function, link) {
		if (function->generation == of->generation &&
		    !pci_address_compare(&function->address, &of->address))
			found = function;
	}
	if (!found) {
		found = *spare;
		*spare = NULL;
		found->address = of->address;
		found->generation = of->generation;
		list_append(bucket, &found->link);
	}
	found->nr_leases++;
	found->nr_live++;
	lease->function = found;
}

void broker_function_lease_ended(struct broker_lease *lease, bool is_gone)
{
	struct broker_function *function = lease->function;
	struct p2pdma_event event = P2PDMA_EVENT_INIT;

	if (!function)
		return;
	function->is_gone |= is_gone;
	if (--function->nr_live || !function->is_gone)
		return;
	function->is_gone = false;
	event.type = P2PDMA_EVENT_DEVICE_GONE;
	event.reason = P2PDMA_REASON_REMOVE;
	memcpy(event.function, lease->device.name, sizeof(event.function));
	event_queue_push(lease->broker->context, &event);
}

void broker_function_leave(struct broker_lease *lease)
{
	struct broker_function *function = lease->function;

	lease->function = NULL;
	if (function && !--function->nr_leases)
		broker_function_free(function);
}
