/* SPDX-License-Identifier: MIT */
#ifndef PROVIDER_H
#define PROVIDER_H

#include "common/cause.h"
#include "common/list.h"
#include "client/identity.h"
#include "broker/slices.h"

struct device;
struct event;
struct lease;
struct policy_subject;
struct service_question;

/* What a backend made of a lease. */
struct source_grant {
	int fd; /* the DMABUF, owned by whoever asked */
	uint32_t export_id;
	struct cause why; /* where it failed: a sentence, or "" where the errno is all there is */
};

/* What taking it back did. */
struct source_result {
	uint32_t nr_mappings;
	uint32_t nr_remaining; /* of importers that can't be revoked */
};

/*
 * How a backend makes DMABUFs and takes them back. Nothing here waits for anybody's
 * goodwill. Returns are 0 or -errno; -EINPROGRESS: not yet, and device.is_settling says until when.
 */
struct source_ops {
	uint32_t backend; /* enum wire_backend */
	uint32_t force;	  /* enum wire_force of a plain lease */

	/* May this user have it at all, whatever policy says? NULL: yes. */
	bool (*is_for)(const struct device *device, const struct policy_subject *subject,
		       uint32_t mode, uint32_t access);
	int (*export)(struct device *device, const struct lease *lease, struct source_grant *ret);
	/*
	 * Idempotent; after a restart, too. -EBUSY: revoked, but @ret_result->nr_remaining
	 * mappings are still there, ask again. -ENODEV: the function has gone, and with it all.
	 */
	int (*revoke)(struct device *device, const struct lease *lease,
		      struct source_result *ret_result);
	/* Everything that was ever made from this device. */
	int (*revoke_all)(struct device *device);
	/* The distance to an importer, by the kernel or by its rules; -1: it would not map. */
	int (*distance)(struct device *device, const struct pci_address *importer,
			int32_t *ret_distance);
	void (*close)(struct device *device);
};

/* A function that the daemon has open, or a DMABUF that was published. */
struct device {
	struct list link;
	const struct source_ops *ops;
	struct pci_address address;
	uint64_t generation;
	int fd;
	struct event *watch;
	struct service_question *keeping; /* NULL: it isn't asked for */
	void *owner;			  /* whoever listens to it */
	bool is_drawn_in;		  /* by a revocation under way */
	bool is_settling; /* what its leases depend on isn't there yet: whoever wants one waits */
	bool is_kept;	  /* beyond this process, as far as is known */
	/* Why it settles for so long that somebody may have to do something; "": nobody has. */
	char trouble[WIRE_TEXT_SIZE];
	const char *trouble_for_users; /* the same where it names somebody; NULL: it doesn't */
	struct list providers;
};

/* One thing that leases are carved from. */
struct provider {
	struct list link;	    /* in the broker, by serial */
	struct list link_of_device; /* alone where there is no device */
	uint64_t serial;	    /* grows; the cursor of lists */
	struct identity identity;
	struct device *device; /* NULL: can't be exported now, see cause */
	struct slices slices;
	struct list leases;
	uint32_t nr_leases;
	int32_t numa_node;
	uint32_t publisher_uid;	     /* published ones */
	uint64_t publisher_until_ns; /* it has until then to come back; 0: it is there */
	bool is_announced;	     /* monitors have heard of it */
	bool is_draining;
	bool is_gone; /* no new leases; freed with the last one */
	char driver[WIRE_NAME_SIZE];
	char cause[WIRE_TEXT_SIZE];
};

#endif /* PROVIDER_H */
