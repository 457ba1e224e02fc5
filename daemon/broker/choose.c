// SPDX-License-Identifier: MIT
/*
 * Choosing the provider of a new lease.
 *
 * Every provider that the selector means is a candidate. Those that policy, state or
 * room rule out fall away, each with its reason; of the rest the one with the
 * shortest path to the importer wins, then the one with the most free memory. When
 * none is left the answer is the reason of the candidate that came furthest: "held by others"
 * says more than "not allowed elsewhere". Where one of them may yet have room, because it is just being
 * taken back, there is no answer before that is over. Nothing is changed by it.
 */
#include <errno.h>
#include <inttypes.h>

#include "choose.h"
#include "policy/selector.h"

/* How far a candidate came before it was ruled out. */
static int rank_of(int error)
{
	static const int order[] = {-ENODEV,	 -ESTALE, -EACCES,     -EDQUOT,
				    -EOPNOTSUPP, -EBUSY,  -EINPROGRESS};

	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		if (order[i] == error)
			return (int)i;
	return 0;
}

uint64_t broker_wanted_bytes(const struct acquire_request *request)
{
	uint64_t sum = 0;

	if (!request->wire->nr_ranges)
		return request->wire->length_bytes;
	for (uint32_t i = 0; i < request->wire->nr_ranges; i++)
		if (__builtin_add_overflow(sum, request->ranges[i].length_bytes, &sum))
			return UINT64_MAX;
	return sum;
}

uint64_t broker_leased_bytes(const struct acquire_request *request, const struct provider *provider)
{
	/* The descriptor of a pool is for any amount of it. */
	return provider->identity.backend == WIRE_BACKEND_P2PMEM ? provider->slices.size_bytes :
								   broker_wanted_bytes(request);
}

static int check_policy(struct broker *broker, const struct acquire_request *request,
			struct candidate *candidate, struct cause *cause)
{
	const struct account *account = request->holder->account;
	const struct device *device = candidate->provider->device;
	struct policy_request asked = {
		.provider = &candidate->provider->identity,
		.mode = request->wire->mode,
		.access = request->wire->access,
		.flags = request->wire->flags,
		.size_bytes = broker_leased_bytes(request, candidate->provider),
		.ttl_ms = request->wire->ttl_ms,
		.held_leases = account->used[ACCOUNT_LEASES],
		.held_bytes = account->used[ACCOUNT_BYTES],
	};

	policy_decide(broker->policy, &request->subject, &asked, &candidate->decision);
	/* What it has given back counts until that is over. */
	if (candidate->decision.error == -EDQUOT && account->nr_under_way)
		return cause_fail(cause, -EINPROGRESS, "leases of this user are ending");
	if (candidate->decision.error)
		return cause_fail(cause, candidate->decision.error, "%s",
				  candidate->decision.because);
	if (device && device->ops->is_for &&
	    !device->ops->is_for(device, &request->subject, asked.mode, asked.access))
		return cause_fail(cause, -EACCES, "\"%s\" was not published for this",
				  candidate->provider->identity.name);
	return 0;
}

static int check_path(const struct acquire_request *request, struct candidate *candidate,
		      struct cause *cause)
{
	const struct provider *provider = candidate->provider;
	struct device *device = provider->device;
	int r;

	candidate->distance = 0;
	if (!request->importer)
		return 0;
	if (!device->ops->distance)
		return cause_fail(cause, -EOPNOTSUPP, "the path to %s isn't known",
				  provider->identity.name);
	r = device->ops->distance(device, request->importer, &candidate->distance);
	if (r == -ENXIO)
		return cause_fail(cause, -ENODEV, "there is no PCI function behind importer \"%s\"",
				  request->wire->importer);
	if (r)
		return cause_fail(cause, -EOPNOTSUPP, "the path from %s to %s can't be asked for",
				  provider->identity.name, request->wire->importer);
	if (candidate->distance < 0)
		return cause_fail(cause, -EOPNOTSUPP, "%s and %s have no peer-to-peer path",
				  provider->identity.name, request->wire->importer);
	return 0;
}

/* A DMABUF can't be cut: the whole or nothing, and to share it is to have the same bytes. */
static int check_published(const struct acquire_request *request, struct candidate *candidate,
			   struct cause *cause)
{
	const struct provider *provider = candidate->provider;
	uint64_t size_bytes = provider->slices.size_bytes;

	if (broker_wanted_bytes(request) != size_bytes || request->wire->nr_ranges > 1)
		return cause_fail(cause, -EOPNOTSUPP,
				  "\"%s\" can only be had as a whole: %" PRIu64 " bytes",
				  provider->identity.name, size_bytes);
	candidate->offset_bytes = 0;
	return 0;
}

/*
 * A pool of p2pmem: its holder gets the file that everything is allocated through, and that nobody
 * can take back. So it is for one at a time, and for those who say that they know.
 */
static int check_pool(const struct acquire_request *request, struct candidate *candidate,
		      struct cause *cause)
{
	const struct provider *provider = candidate->provider;
	const struct wire_acquire *wire = request->wire;
	const char *name = provider->identity.name;

	if (!(wire->flags & WIRE_ACQUIRE_ALLOW_UNREVOCABLE))
		return cause_fail(cause, -EOPNOTSUPP,
				  "what is leased of %s can't be taken back before its driver "
				  "leaves: ask for it with P2PDMA_BUFFER_ALLOW_UNREVOCABLE",
				  name);
	if (wire->mode != WIRE_MODE_EXCLUSIVE || !(wire->access & WIRE_ACCESS_WRITE))
		return cause_fail(cause, -EOPNOTSUPP,
				  "%s can only be had exclusively, to read and write", name);
	if (wire->nr_ranges > 1 || (wire->nr_ranges && request->ranges[0].offset_bytes))
		return cause_fail(cause, -EOPNOTSUPP,
				  "the kernel chooses where in %s memory lies: one range at 0",
				  name);
	if (broker_wanted_bytes(request) > provider->slices.size_bytes)
		return cause_fail(cause, -EOPNOTSUPP, "%s has only %" PRIu64 " bytes", name,
				  provider->slices.size_bytes);
	if (candidate->free_bytes < provider->slices.size_bytes)
		return cause_fail(cause, -EBUSY, "%s is held by somebody else", name);
	candidate->offset_bytes = 0;
	return 0;
}

static int check_room(const struct acquire_request *request, struct candidate *candidate,
		      struct cause *cause)
{
	const struct wire_acquire *wire = request->wire;
	struct provider *provider = candidate->provider;
	struct slices_summary summary;
	int r;

	slices_summarize(&provider->slices, &summary);
	candidate->free_bytes = summary.free_bytes;
	if (provider->identity.is_published)
		return check_published(request, candidate, cause);
	if (provider->identity.backend == WIRE_BACKEND_P2PMEM)
		return check_pool(request, candidate, cause);
	if (wire->nr_ranges)
		return 0;
	if (wire->length_bytes > provider->slices.size_bytes)
		return cause_fail(cause, -EOPNOTSUPP, "%s has only %" PRIu64 " bytes",
				  provider->identity.name, provider->slices.size_bytes);
	r = slices_find(&provider->slices, wire->length_bytes, wire->align_bytes,
			&candidate->offset_bytes);
	if (r && provider->device->is_settling)
		return cause_fail(cause, -EINPROGRESS, "leases of %s may be ending",
				  provider->identity.name);
	if (r)
		return cause_fail(cause, -EBUSY,
				  "%s has no room: %" PRIu64 " bytes free in %" PRIu32
				  " pieces, the largest of %" PRIu64,
				  provider->identity.name, summary.free_bytes,
				  summary.nr_free_extents, summary.largest_free_bytes);
	return 0;
}

static int consider(struct broker *broker, const struct acquire_request *request,
		    struct candidate *candidate, struct cause *cause)
{
	const struct provider *provider = candidate->provider;
	int r;

	/* Policy first: who may not have it learns nothing else about it. */
	r = check_policy(broker, request, candidate, cause);
	if (r)
		return r;
	if (provider->is_gone)
		return cause_fail(cause, -ENODEV, "%s has gone", provider->identity.name);
	if (!provider->device)
		return cause_fail(cause, -EOPNOTSUPP, "%s: %.180s", provider->identity.name,
				  provider->cause);
	if (provider->is_draining)
		return cause_fail(cause, -EBUSY, "%s is being drained: no new leases",
				  provider->identity.name);
	r = check_path(request, candidate, cause);
	return r ? r : check_room(request, candidate, cause);
}

static bool is_better(const struct candidate *a, const struct candidate *b)
{
	if (a->distance != b->distance)
		return a->distance < b->distance;
	return a->free_bytes > b->free_bytes;
}

/*
 * What was published is somebody's memory under a name of their choice, and of a pool there is no
 * DMABUF. Who wants a piece of a device and doesn't mind which must not get one of these instead.
 */
static bool is_meant(const struct selector *selector, const struct identity *identity)
{
	bool is_special = identity->is_published || identity->backend == WIRE_BACKEND_P2PMEM;

	return selector_matches(selector, identity) &&
	       (!is_special || selector->kind != SELECTOR_ALL);
}

int broker_choose(struct broker *broker, const struct acquire_request *request,
		  struct candidate *ret_best, struct cause *cause)
{
	struct selector selector;
	int error = -ENODEV;

	if (selector_parse(request->wire->selector, &selector))
		return cause_fail(cause, -EINVAL, "\"%s\" selects nothing: see p2pd(8)",
				  request->wire->selector);
	ret_best->provider = NULL;
	cause_fail(cause, error, "no provider matches \"%s\"", request->wire->selector);
	list_for_each_entry(provider, &broker->providers, struct provider, link) {
		struct candidate candidate = {.provider = provider};
		struct cause why;
		int r;

		if (is_meant(&selector, &provider->identity))
			r = consider(broker, request, &candidate, &why);
		else if (selector_is_stale(&selector, &provider->identity))
			r = cause_fail(&why, -ESTALE, "%s is there instead of %s",
				       provider->identity.name, request->wire->selector);
		else
			continue;
		if (!r && (!ret_best->provider || is_better(&candidate, ret_best)))
			*ret_best = candidate;
		if (r && rank_of(r) >= rank_of(error)) {
			error = r;
			*cause = why;
		}
	}
	return ret_best->provider ? 0 : error;
}
