// SPDX-License-Identifier: MIT
/*
 * Charges that are given back by number.
 *
 * Who has peers' descriptors instead of us knows no accounts; it is told a number, and says it again.
 * Numbers are places in an array, the free ones in a list through it. A charge refers to its
 * account, which may have nothing else left.
 */
#include <errno.h>
#include <stdlib.h>

#include "charges.h"

#define NO_SLOT	    UINT32_MAX
#define FIRST_SLOTS 16

/* Free: its count is 0, and it is in the list. */
struct charge {
	struct account *account;
	enum account_kind kind;
	uint32_t count;
	uint32_t next_free;
};

void charges_init(struct charges *charges, struct accounts *accounts)
{
	*charges = (struct charges){.free = NO_SLOT, .accounts = accounts};
}

static int grow(struct charges *charges)
{
	uint32_t count = charges->nr_slots ? charges->nr_slots * 2 : FIRST_SLOTS;
	struct charge *slots = reallocarray(charges->slots, count, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	charges->slots = slots;
	for (uint32_t i = charges->nr_slots; i < count; i++) {
		slots[i] = (struct charge){.next_free = charges->free};
		charges->free = i;
	}
	charges->nr_slots = count;
	return 0;
}

int charges_add(struct charges *charges, struct account *account, enum account_kind kind,
		uint32_t *ret_slot)
{
	struct charge *charge;

	if (charges->free == NO_SLOT && grow(charges))
		return -ENOMEM;
	*ret_slot = charges->free;
	charge = &charges->slots[charges->free];
	charges->free = charge->next_free;
	*charge = (struct charge){.kind = kind, .count = 1};
	if (account)
		charge->account = account_ref(account);
	return 0;
}

bool charges_has(const struct charges *charges, uint32_t slot)
{
	return slot < charges->nr_slots && charges->slots[slot].count;
}

static void take_off(struct charges *charges, uint32_t slot, uint32_t count)
{
	struct charge *charge = &charges->slots[slot];

	charge->count -= count;
	if (charge->account)
		account_discharge(charge->account, charge->kind, count);
	if (charge->count)
		return;
	if (charge->account)
		account_put(charges->accounts, charge->account);
	*charge = (struct charge){.next_free = charges->free};
	charges->free = slot;
}

void charges_settle(struct charges *charges, uint32_t slot, uint32_t count)
{
	struct charge *charge = &charges->slots[slot];

	if (!count) {
		take_off(charges, slot, charge->count);
		return;
	}
	if (charge->account)
		account_charge_anyway(charge->account, charge->kind, count - charge->count);
	charge->count = count;
}

void charges_give_back(struct charges *charges, uint32_t slot)
{
	take_off(charges, slot, 1);
}

void charges_done(struct charges *charges)
{
	for (uint32_t i = 0; i < charges->nr_slots; i++)
		if (charges->slots[i].count)
			take_off(charges, i, charges->slots[i].count);
	free(charges->slots);
	charges_init(charges, charges->accounts);
}
