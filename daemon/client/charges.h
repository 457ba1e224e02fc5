/* SPDX-License-Identifier: MIT */
#ifndef CHARGES_H
#define CHARGES_H

#include "broker/account.h"

/* What users have in another process, until that gives it back by its number. */
struct charges {
	struct charge *slots;
	uint32_t nr_slots;
	uint32_t free; /* the first of a list */
	struct accounts *accounts;
};

void charges_init(struct charges *charges, struct accounts *accounts);
/* Discharges what is left. */
void charges_done(struct charges *charges);

/* One, charged already. @account: NULL is nobody. -ENOMEM: then it is still the caller's. */
int charges_add(struct charges *charges, struct account *account, enum account_kind kind,
		uint32_t *ret_slot);
bool charges_has(const struct charges *charges, uint32_t slot);
/* It turned out to be so many, also beyond the limit. 0: none, and its number is free. */
void charges_settle(struct charges *charges, uint32_t slot, uint32_t count);
/* One less; with the last one its number is free. */
void charges_give_back(struct charges *charges, uint32_t slot);

#endif /* CHARGES_H */
