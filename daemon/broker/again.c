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
 * somebody else's says nothing: it is another one. Of a user's leases that are active one has a
 * nonce, the first, so that there is one to look at, however many are asked for with the same.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "choose.h"
#include "common/sys.h"

static struct list *bucket_of(struct broker *broker, const struct account *account, uint64_t nonce)
{
	const uint64_t *key = broker->nonce_key;
	uint64_t hash = ((nonce ^ key[0]) * (key[1] | 1) + account->uid) * (key[0] | 1);

	return &broker->by_nonce[(hash >> 40) & (BROKER_NONCES - 1)];
}

static struct lease *find(struct broker *broker, const struct account *account, uint64_t nonce)
{
	list_for_each_entry(lease, bucket_of(broker, account, nonce), struct lease, link_of_nonce)
		if (lease->nonce == nonce && lease->account == account)
			return lease;
	return NULL;
}

void broker_nonce_set(struct broker *broker, struct lease *lease, uint64_t nonce)
{
	struct lease *before = nonce ? find(broker, lease->account, nonce) : NULL;

	list_remove(&lease->link_of_nonce);
	lease->nonce = 0;
	if (!nonce || (before && before != lease && before->state == WIRE_LEASE_ACTIVE))
		return;
	if (before) {
		list_remove(&before->link_of_nonce);
		before->nonce = 0;
	}
	lease->nonce = nonce;
	list_append(bucket_of(broker, lease->account, nonce), &lease->link_of_nonce);
}

struct lease *broker_nonce_find(struct broker *broker, const struct acquire_request *request)
{
	const struct holder *holder = request->holder;
	uint64_t nonce = request->wire->nonce;
	struct lease *lease = nonce ? find(broker, holder->account, nonce) : NULL;

	if (!lease || lease->state != WIRE_LEASE_ACTIVE ||
	    (lease->holder != holder && broker_holder_is_there(broker, lease->holder)))
		return NULL;
	return lease;
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
