/* SPDX-License-Identifier: MIT */
#ifndef BROKER_CHOOSE_H
#define BROKER_CHOOSE_H

#include "broker.h"

/* A provider that a lease may come from. */
struct candidate {
	struct provider *provider;
	int32_t distance;
	uint64_t free_bytes;
	uint64_t offset_bytes; /* without ranges: where */
	struct policy_decision decision;
};

/* UINT64_MAX where it is more than there are numbers for. */
uint64_t broker_wanted_bytes(const struct acquire_request *request);

/* What a lease of it is charged with: the same, but of a pool all there is. */
uint64_t broker_leased_bytes(const struct acquire_request *request,
			     const struct provider *provider);

/* -errno with the cause where there is none. */
int broker_choose(struct broker *broker, const struct acquire_request *request,
		  struct candidate *ret_best, struct cause *cause);

#endif /* BROKER_CHOOSE_H */
