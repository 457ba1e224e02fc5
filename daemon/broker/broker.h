/* SPDX-License-Identifier: MIT */
#ifndef BROKER_H
#define BROKER_H

#include "account.h"
#include "common/cause.h"
#include "common/message.h"
#include "deadlines.h"
#include "state/journal.h"
#include "lease.h"
#include "lease_table.h"
#include "policy/policy.h"
#include "provider/provider.h"
#include "policy/selector.h"

struct client;
struct event;
struct server;

/*
 * The process that leases are granted to, as long as any of them or a connection of it is
 * there. It is known by the connection that asked: whoever else writes to that socket
 * (a forked child, a process it was passed to) acts for it, and its death ends the leases.
 */
struct holder {
	struct list leases;
	uint32_t nr_leases; /* and publications: what it lives for */
	struct list publications;
	struct client *client; /* NULL: the connection is lost */
	struct account *account;
	struct policy_subject subject; /* as it was when it connected, see client/holder.c */
	struct server *server;
	pid_t pid;
	int pidfd;	     /* -1: not needed yet */
	struct event *death; /* on pidfd */
};

/* What the broker tells the world. The broker's own state is consistent when they are called. */
struct broker_ops {
	/* To the holder's connection, if there is one. */
	void (*tell_requested)(void *data, const struct lease *lease);
	void (*tell_ended)(void *data, const struct lease *lease,
			   const struct source_result *result);
	/* Has its connection broken, though nobody has heard of that yet? */
	bool (*is_broken)(void *data, const struct holder *holder);
	/* The holder has no connection and no lease any more. */
	void (*holder_idle)(void *data, struct holder *holder);
	/* For monitors, and for the audit log. */
	void (*happened)(void *data, const struct wire_event_monitor *event,
			 const struct policy_decision *decision);
	/* The first of all deadlines has changed. 0: none. */
	void (*wake_at)(void *data, uint64_t time_ns);
};

struct broker_counters {
	uint64_t granted, denied, released, expired, revoked, renewed, attached, deaths;
	uint64_t policies_refused;
	uint64_t kernel_revoke_ns;
};

#define BROKER_NONCES 4096 /* a power of two */
#define BROKER_TOKENS 16   /* 256 bytes, which getrandom() gives whole or not at all */

/* Random numbers that no lease has yet. */
struct tokens {
	size_t count;
	uint8_t bytes[BROKER_TOKENS][WIRE_TOKEN_SIZE];
};

struct broker {
	const struct broker_ops *ops;
	void *data;
	uint64_t (*now_ns)(void);

	struct accounts accounts;
	struct policy *policy;
	uint64_t policy_generation;
	uint32_t policy_refused; /* since that one */
	struct journal *journal;
	struct list providers;
	uint32_t nr_providers;
	uint64_t next_serial;
	struct lease_table leases;
	struct list by_nonce[BROKER_NONCES];
	uint64_t nonce_key[2];
	uint64_t next_lease_id;
	struct tokens tokens;
	struct deadlines deadlines;
	uint64_t leased_bytes;
	struct broker_counters counters;
};

/* Takes over the policy and the journal, whose leases broker_restore() has brought. */
int broker_init(struct broker *broker, const struct broker_ops *ops, void *data,
		uint64_t (*now_ns)(void), struct policy *policy);
/* The next daemon goes on from the journal. */
void broker_done(struct broker *broker);

/* -- providers (provider.c) -- */

/*
 * Adds a provider, or finds the one that restored leases wait on. -ENOMEM. The caller sets what
 * it is made of (device, driver, cause) and then calls broker_provider_ready().
 */
int broker_provider_add(struct broker *broker, const struct identity *identity, uint64_t size_bytes,
			struct provider **ret_provider);
/* @is_kept: its device is the one that its leases were made from, not opened again. */
void broker_provider_ready(struct broker *broker, struct provider *provider, bool is_kept);
/* What is behind it has gone, or was bound to another driver. Its leases end. */
void broker_provider_remove(struct broker *broker, struct provider *provider, uint32_t reason);
/* The kernel waits to have it back: no new leases, and those there are end gracefully. */
void broker_device_wanted(struct broker *broker, struct device *device);
/* By its whole name. NULL: none. */
struct provider *broker_provider_find(struct broker *broker, const char *name);
void broker_provider_tell(struct broker *broker, const struct provider *provider, uint32_t type);
/* Without leases. */
void provider_free(struct broker *broker, struct provider *provider);

/* -- leases (acquire.c, hold.c) -- */

struct acquire_request {
	const struct wire_acquire *wire; /* checked */
	const struct wire_range *ranges;
	struct policy_subject subject;
	struct holder *holder;
	const struct pci_address *importer; /* NULL: any */
};

/*
 * -EINPROGRESS: nothing has changed, and the answer depends on a device that is settling; ask again
 * when it has settled.
 */
int broker_acquire(struct broker *broker, const struct acquire_request *request,
		   struct lease **ret_lease, int *ret_fd, struct cause *cause);
/* An id that was given out once and is over is -ESTALE; one that never was, -ENOENT. */
int broker_lease_missing(const struct broker *broker, uint64_t id, struct cause *cause);
/* The lease, if this holder has it; else one of the two. */
int broker_lease_of(struct broker *broker, const struct holder *holder, uint64_t id,
		    struct lease **ret_lease, struct cause *cause);
/* May free the lease. */
void broker_release(struct broker *broker, struct lease *lease);
void broker_ack(struct broker *broker, struct lease *lease);
int broker_renew(struct broker *broker, struct lease *lease, const struct policy_subject *subject,
		 uint64_t ttl_ms, struct cause *cause);
/* Is there such a lease of this user's, and is this its token? */
int broker_attach_check(struct broker *broker, const struct holder *holder,
			const struct wire_attach *attach, struct lease **ret_lease,
			struct cause *cause);
int broker_attach(struct broker *broker, struct holder *holder, const struct wire_attach *attach,
		  struct lease **ret_lease, struct cause *cause);

/* It has a nonce now, or another one. */
void broker_nonce_set(struct broker *broker, struct lease *lease, uint64_t nonce);
/* The lease that this very request was granted before, and that may be taken up; NULL: none. */
struct lease *broker_nonce_find(struct broker *broker, const struct acquire_request *request);
/*
 * The lease becomes the holder's, whose request was repeated, with its export made anew. Where
 * that fails it may have ended.
 */
int broker_grant_again(struct broker *broker, struct lease *lease,
		       const struct acquire_request *request, int *ret_fd, struct cause *cause);

/* Has it a connection that may be alive? Then nobody takes a lease from it. */
bool broker_holder_is_there(const struct broker *broker, const struct holder *holder);
/* The connection is lost; the process lives as far as we know. */
void broker_holder_lost(struct broker *broker, struct holder *holder);
/* The process has ended: its leases end now. */
void broker_holder_died(struct broker *broker, struct holder *holder);

/* Writes the lease down as it stands; @nr_live as in journal_append(). */
int broker_journal_lease(struct broker *broker, struct lease *lease, size_t nr_live);
/* The same of a lease that is written down already: what has changed, if anything. */
int broker_journal_state(struct broker *broker, struct lease *lease, size_t nr_live);
/* From whoever had it, if anybody. */
void broker_lease_move(struct broker *broker, struct lease *lease, struct holder *holder);
/* All leases and providers; nothing is taken back. */
void broker_forget_all(struct broker *broker);
/* Slices, account and object; neither the kernel nor the journal hears of it. */
void lease_forget(struct broker *broker, struct lease *lease);
void broker_happened(struct broker *broker, uint32_t type, const struct lease *lease,
		     const struct policy_decision *decision);
/* Lets the loop know of the first deadline. */
void broker_wake(struct broker *broker);
/*
 * Of one revocation the leases are marked (LEASE_TELL), and written down all at once, before the
 * first holder is told of it, and all of them before any of that is for monitors and the log.
 */
void broker_mark(struct broker *broker, struct lease *lease, struct list *marked);
void broker_tell(struct broker *broker, struct list *marked);
/* After a change of its state: its deadline, its journal entry, its next step. May free it. */
void broker_step(struct broker *broker, struct lease *lease, enum lease_step step);
/* Everything that is due. */
void broker_tick(struct broker *broker);
/* Of its leases those end that the kernel's step was under way for. */
void broker_device_settled(struct broker *broker, struct device *device);
/* The kernel did it by itself, and says why. */
void broker_kernel_revoked(struct broker *broker, struct lease *lease, uint32_t reason);

/* -- administrators (revoke.c) -- */

struct revoke_scope {
	uint32_t scope; /* enum wire_scope */
	uint64_t lease_id;
	uint32_t uid;
	struct selector selector;
	/* Where the kernel can only force a function as a whole: all its leases. */
	bool is_function;
};

void broker_revoke(struct broker *broker, const struct revoke_scope *scope, uint32_t reason,
		   uint64_t deadline_ms, struct wire_revoke_reply *ret_reply);
/*
 * At the end of this p2pd: leases of devices that nobody keeps end, and their holders are told.
 * Without @is_journal_kept that is all of them.
 */
void broker_end_unkept(struct broker *broker, bool is_journal_kept);
void broker_drain(struct broker *broker, const struct selector *selector, bool is_on,
		  uint64_t deadline_ms, struct wire_revoke_reply *ret_reply);
/* What policy is asked about a lease that is there. */
static inline struct policy_request broker_request_of(const struct lease *lease)
{
	return (struct policy_request){
		.provider = &lease->provider->identity,
		.mode = lease->mode,
		.access = lease->access,
		.flags = lease->flags,
		.size_bytes = lease->size_bytes,
	};
}
/* Would policy grant it now? What one user holds in all is for new leases only. */
bool broker_is_allowed(struct broker *broker, const struct lease *lease);
/*
 * Takes over the policy; what it forbids ends gracefully. Who hasn't come back since a restart is
 * judged then: only by its connection is known which groups and units it belongs to.
 */
void broker_policy_replace(struct broker *broker, struct policy *policy);
/* A new one had faults, or wasn't there: the one in use stays, and that is told. */
void broker_policy_refused(struct broker *broker, int error);

/* -- across restarts (restore.c) -- */

/*
 * Goes on from the journal in @journal_fd (consumed), or begins a new one where it is -1. Its
 * leases wait for their providers and their holders. Where it can't be believed: an error, and
 * a new one is begun; then everything that devices still export must be revoked.
 */
int broker_restore(struct broker *broker, int journal_fd, struct cause *cause);
/* All devices have been looked at: leases whose provider didn't come back end. */
void broker_restored(struct broker *broker);
/* Rewrites it where it has grown. */
void broker_journal_compact(struct broker *broker);

#endif /* BROKER_H */
