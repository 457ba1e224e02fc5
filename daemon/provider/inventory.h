/* SPDX-License-Identifier: MIT */
#ifndef INVENTORY_H
#define INVENTORY_H

#include "broker/broker.h"
#include "function.h"

/* What was seen of a function when it was looked at. */
struct sighting {
	const struct pci_function *function;
	struct offer offers[FUNCTION_OFFERS];
	size_t nr_offers;
};

/*
 * Lists what was seen. @device: what leases are made from, or NULL and @cause, "" for the offer's
 * own. @is_kept: as in broker_provider_ready(). What is listed like this already is left alone.
 * -ENOMEM.
 */
int inventory_add(struct broker *broker, const struct sighting *seen, struct device *device,
		  bool is_kept, const char *cause);

/* Of a function that can't be seen any more: what restored leases wait on has this device. */
void inventory_take_up(struct broker *broker, struct device *device);

/* Drops what couldn't be leased from at this address and was not seen now. */
void inventory_forget(struct broker *broker, const struct pci_address *address,
		      const struct sighting *seen);

/* The next that is listed but can't be leased from, after this serial; NULL: none. */
const struct provider *inventory_unavailable_after(const struct broker *broker, uint64_t serial);

#endif /* INVENTORY_H */
