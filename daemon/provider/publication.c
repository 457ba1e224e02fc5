// SPDX-License-Identifier: MIT
/*
 * Published DMABUFs: somebody else's memory under a name.
 *
 * The daemon can't force such memory out of anybody's hands; only its exporter can. So
 * taking back tells every holder, and the publisher (who hears of it as any
 * monitor does) does the rest by its own means.
 *
 * A publication lives as long as its publisher's process. A publisher whose connection
 * broke publishes the same DMABUF under the same name again and goes on, with what it says then
 * about mode, access and for whom; after a restart of p2pd the leases wait for that, as long as
 * leases wait for their holders, and however often p2pd is started in that time
 * (publications_due()).
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <linux/magic.h>

#include "publication_state.h"

static bool is_for(const struct device *device, const struct policy_subject *subject, uint32_t mode,
		   uint32_t access)
{
	const struct publication *p = publication_of(device);

	if (p->ends_ns || p->mode != mode || access & ~p->access)
		return false;
	if (p->uid == UINT32_MAX && p->gid == UINT32_MAX)
		return true;
	return (p->uid != UINT32_MAX && p->uid == subject->uid) ||
	       (p->gid != UINT32_MAX && policy_is_member(subject, p->gid));
}

static int export(struct device *device, const struct lease *lease, struct source_grant *ret)
{
	/* A DMABUF can't be cut: the whole or nothing. */
	if (lease->nr_ranges != 1 || lease->ranges[0].offset_bytes ||
	    lease->size_bytes != lease->provider->slices.size_bytes)
		return -EINVAL;
	ret->fd = fcntl(device->fd, F_DUPFD_CLOEXEC, 0);
	return ret->fd < 0 ? -errno : 0;
}

static int take_back(struct device *device, const struct lease *lease,
		     struct source_result *ret_result)
{
	(void)device;
	(void)lease;
	(void)ret_result;
	return 0;
}

static int revoke_all(struct device *device)
{
	(void)device;
	return 0;
}

static void close_device(struct device *device)
{
	struct publication *publication = publication_of(device);

	close(device->fd);
	free(publication);
}

static const struct source_ops ops = {
	.backend = WIRE_BACKEND_PUBLISHED,
	.force = WIRE_FORCE_NONE,
	.is_for = is_for,
	.export = export,
	.revoke = take_back,
	.revoke_all = revoke_all,
	.close = close_device,
};

int publication_check_name(const char *name, struct cause *cause)
{
	for (const char *c = name; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("._-", *c))
			return cause_fail(cause, -EINVAL,
					  "\"%s\": a name is made of letters, digits, . _ and -",
					  name);
	return *name ? 0 : cause_fail(cause, -EINVAL, "a publication needs a name");
}

/* Is it a DMABUF, and how large? */
static int check_fd(int fd, uint64_t *ret_size_bytes, uint64_t *ret_inode, struct cause *cause)
{
	struct statfs filesystem;
	struct stat status;
	off_t end;

	if (fd < 0)
		return cause_fail(cause, -EBADF, "no descriptor came with the request");
	if (fstatfs(fd, &filesystem) < 0 || filesystem.f_type != DMA_BUF_MAGIC ||
	    fstat(fd, &status) < 0)
		return cause_fail(cause, -EINVAL, "the descriptor is no DMABUF");
	end = lseek(fd, 0, SEEK_END);
	if (end <= 0)
		return cause_fail(cause, -EINVAL, "the DMABUF has no size");
	*ret_size_bytes = (uint64_t)end;
	*ret_inode = status.st_ino;
	return 0;
}

void publication_end_one(struct publication *publication, uint32_t reason)
{
	struct holder *publisher = publication->publisher;
	struct broker *broker = &publisher->server->broker;

	list_remove(&publication->link);
	publisher->nr_leases--;
	account_discharge(publisher->account, ACCOUNT_PUBLISHED, 1);
	broker_provider_remove(broker, publication->provider, reason);
	publication->device.ops->close(&publication->device);
}

static void set_terms(struct publication *publication, const struct wire_publish *publish)
{
	publication->mode = publish->mode;
	publication->access = publish->access;
	publication->uid = publish->uid;
	publication->gid = publish->gid;
}

/*
 * The terms count for the leases that are there already, too: who isn't among those it is for any
 * more is asked to let go. A holder that hasn't come back since a restart is judged then
 * (broker_attach()).
 */
static void apply_terms(struct broker *broker, struct publication *publication)
{
	uint64_t deadline_ms = policy_settings(broker->policy)->revoke_deadline_ms;

	list_for_each_entry_safe(lease, &publication->provider->leases, struct lease,
				 link_of_provider)
		if (lease->state == WIRE_LEASE_ACTIVE && lease->holder &&
		    !is_for(&publication->device, &lease->holder->subject, lease->mode,
			    lease->access))
			broker_step(broker, lease,
				    lease_revoke(lease, broker->now_ns(), WIRE_REASON_PUBLISHER,
						 deadline_ms));
}

/* The same DMABUF of the same user under the same name, whose publisher lost its connection. */
static bool take_over(struct client *client, const struct wire_publish *publish,
		      struct provider *provider, uint64_t inode)
{
	struct publication *publication = publication_of(provider->device);
	struct holder *before = publication->publisher, *holder = client->holder;

	if (before->client || provider->publisher_uid != holder->subject.uid ||
	    publication->inode != inode)
		return false;
	list_remove(&publication->link);
	list_append(&holder->publications, &publication->link);
	publication->publisher = holder;
	holder->nr_leases++;
	if (--before->nr_leases == 0)
		client->server->broker.ops->holder_idle(client->server, before);
	set_terms(publication, publish);
	apply_terms(&client->server->broker, publication);
	return true;
}

/* Also in the eyes of the next p2pd, to which the last record of any of its leases says so. */
static void is_back(struct broker *broker, struct provider *provider)
{
	if (!provider->publisher_until_ns)
		return;
	provider->publisher_until_ns = 0;
	if (!list_is_empty(&provider->leases))
		broker_journal_lease(
			broker, list_entry(provider->leases.next, struct lease, link_of_provider),
			0);
}

static int create(struct client *client, const struct wire_publish *publish, int fd,
		  uint64_t size_bytes, uint64_t inode, struct provider *provider)
{
	struct publication *publication = calloc(1, sizeof(*publication));
	struct holder *holder = client->holder;

	if (!publication)
		return -ENOMEM;
	publication->device.ops = &ops;
	publication->device.fd = fd;
	/* Not here: its publisher publishes it again. */
	publication->device.is_kept = true;
	list_init(&publication->device.link);
	list_init(&publication->device.providers);
	publication->publisher = holder;
	publication->provider = provider;
	publication->inode = inode;
	set_terms(publication, publish);
	list_append(&holder->publications, &publication->link);
	holder->nr_leases++;
	provider->device = &publication->device;
	provider->publisher_uid = holder->subject.uid;
	list_append(&publication->device.providers, &provider->link_of_device);
	is_back(&client->server->broker, provider);
	broker_provider_ready(&client->server->broker, provider,
			      provider->slices.size_bytes == size_bytes);
	apply_terms(&client->server->broker, publication);
	return 0;
}

int publication_new(struct client *client, const struct wire_publish *publish, int fd,
		    struct wire_publish_reply *ret_reply, struct cause *cause)
{
	struct broker *broker = &client->server->broker;
	struct identity identity = {.is_published = true, .backend = WIRE_BACKEND_PUBLISHED};
	struct provider *provider;
	uint64_t size_bytes = 0, inode = 0;
	int r;

	r = check_fd(fd, &size_bytes, &inode, cause);
	if (r)
		goto err_close;
	wire_text_set(identity.name, sizeof(identity.name), publish->name);
	provider = broker_provider_find(broker, identity.name);
	r = -EBUSY;
	if (provider && provider->device) {
		close(fd);
		if (!take_over(client, publish, provider, inode))
			return cause_fail(cause, r, "\"%s\" is published already", publish->name);
		fd = -1;
	} else if (provider && (provider->publisher_uid != client->holder->subject.uid ||
				provider->slices.size_bytes != size_bytes)) {
		cause_fail(cause, r, "leases of an earlier \"%s\" are still there", publish->name);
		goto err_close;
	} else {
		r = account_charge(&broker->accounts, client->holder->account, ACCOUNT_PUBLISHED,
				   1);
		if (r) {
			cause_fail(cause, r, "this user publishes as much as one may");
			goto err_close;
		}
		r = broker_provider_add(broker, &identity, size_bytes, &provider);
		if (!r)
			r = create(client, publish, fd, size_bytes, inode, provider);
		if (r) {
			account_discharge(client->holder->account, ACCOUNT_PUBLISHED, 1);
			cause_fail(cause, r, "no memory for a publication");
			goto err_close;
		}
	}
	ret_reply->id = provider->serial;
	ret_reply->size_bytes = size_bytes;
	ret_reply->inode = inode;
	return 0;

err_close:
	if (fd >= 0)
		close(fd);
	return r;
}

int publication_end(struct holder *holder, uint64_t id)
{
	list_for_each_entry(publication, &holder->publications, struct publication, link) {
		if (publication->provider->serial != id)
			continue;
		publication_end_one(publication, WIRE_REASON_PUBLISHER);
		return 0;
	}
	return -ENOENT;
}

void publications_end(struct holder *holder)
{
	list_for_each_entry_safe(publication, &holder->publications, struct publication, link)
		publication_end_one(publication, WIRE_REASON_PUBLISHER);
}

void publications_forget(struct server *server)
{
	list_for_each_entry(provider, &server->broker.providers, struct provider, link) {
		struct publication *publication;

		if (!provider->identity.is_published || !provider->device)
			continue;
		publication = publication_of(provider->device);
		list_remove(&provider->link_of_device);
		provider->device = NULL;
		list_remove(&publication->link);
		account_discharge(publication->publisher->account, ACCOUNT_PUBLISHED, 1);
		if (--publication->publisher->nr_leases == 0)
			holder_free(server, publication->publisher);
		publication->device.ops->close(&publication->device);
	}
}
