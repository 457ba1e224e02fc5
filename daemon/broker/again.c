// SPDX-License-Identifier: MIT
/*
 * A grant whose answer was lost: the same ACQUIRE comes again, on another connection.
 *
 * The client chose a nonce and says it again. The lease that has it is its own as far as anybody
 * can tell: of the same user, and waiting for a holder. Its DMABUF's only descriptor went with the
 * answer, so the export is made anew; whoever did get the first one finds it revoked.
 * That order bears a death at any point: the next repetition revokes what is there once more.
 *
 * Nonces are looked up in a hash whose key nobody outside knows. A nonce of
 * somebody else's says nothing: users are compared first.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "choose.h"
#include "common/sys.h"

static struct list *bucket_of(struct broker *broker, uint64_t nonce)
{
	uint64_t hash = (nonce ^ broker->nonce_key[0]) * (broker->nonce_key[1] | 1);

	return &broker->by_nonce[(hash >> 40) & (BROKER_NONCES - 1)];
}

void broker_nonce_set(struct broker *broker, struct lease *lease, uint64_t nonce)
{
	list_remove(&lease->link_of_nonce);
	lease->nonce = nonce;
	if (nonce)
		list_append(bucket_of(broker, nonce), &lease->link_of_nonce);
}

struct lease *broker_nonce_find(struct broker *broker, const struct acquire_request *request)
{
	const struct holder *holder = request->holder;
	uint64_t nonce = request->wire->nonce;

	if (!nonce)
		return NULL;
	list_for_each_entry(lease, bucket_of(broker, nonce), struct lease, link_of_nonce)
		if (lease->nonce == nonce && lease->account == holder->account &&
		    lease->state == WIRE_LEASE_ACTIVE &&
		    (lease->holder == holder || !broker_holder_is_there(broker, lease->holder)))
			return lease;
	return NULL;
}

static bool is_same(const struct lease *lease, const struct acquire_request *request)
{
	const struct wire_acquire *wire = request->wire;

	return lease->mode == wire->mode && lease->access == wire->access &&
	       lease->flags == wire->flags &&
	       lease->size_bytes == broker_leased_bytes(request, lease->provider);
}

/* The holder has nothing of it, and gets nothing. */
static int give_up(struct broker *broker, struct lease *lease, int error, uint32_t reason)
{
	broker_step(broker, lease, lease_revoke(lease, broker->now_ns(), reason, 0));
	return error;
}

int broker_grant_again(struct broker *broker, struct lease *lease,
		       const struct acquire_request *request, int *ret_fd, struct cause *cause)
{
	struct device *device = lease->provider->device;
	struct source_grant grant = {.fd = -1};
	struct source_result result = {0};
	int r;

	if (!is_same(lease, request))
		return cause_fail(cause, -EINVAL,
				  "lease %" PRIu64 " was granted to this nonce, and is another",
				  lease->id);
	if (!device)
		return cause_fail(cause, -ENODEV, "%s isn't there", lease->provider->identity.name);
	if (device->is_settling)
		return -EINPROGRESS;
	/* -EAGAIN: only with the whole function, and then the first one goes with the second. */
	r = device->ops->revoke(device, lease, &result);
	if (r == -EINPROGRESS)
		return r;
	if (r && r != -EAGAIN)
		return cause_fail(cause, r, "lease %" PRIu64 " of this nonce is in use: %s",
				  lease->id, error_name(r));
	if (lease->holder != request->holder)
		broker_lease_move(broker, lease, request->holder);
	if (!broker_is_allowed(broker, lease)) {
		cause_fail(cause, -EACCES, "policy doesn't allow lease %" PRIu64 " any more",
			   lease->id);
		return give_up(broker, lease, -EACCES, WIRE_REASON_POLICY);
	}
	r = device->ops->export(device, lease, &grant);
	if (r == -EINPROGRESS)
		return r;
	if (r) {
		cause_fail(cause, r, "the kernel doesn't export the slice of %s again: %s",
			   lease->provider->identity.name,
			   *grant.why.text ? grant.why.text : error_name(r));
		return give_up(broker, lease, r, WIRE_REASON_KERNEL);
	}
	lease->export_id = grant.export_id;
	r = broker_journal_lease(broker, lease, broker->leases.count);
	if (r) {
		close(grant.fd);
		cause_fail(cause, r, "no room to write down the lease");
		return give_up(broker, lease, r, WIRE_REASON_KERNEL);
	}
	broker_step(broker, lease, LEASE_NOTHING);
	*ret_fd = grant.fd;
	return 0;
}
