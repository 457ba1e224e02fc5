/* SPDX-License-Identifier: MIT */
#ifndef AUDIT_H
#define AUDIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * What about a user gets a line of its own. Each has a burst of AUDIT_BURST for its leases, one
 * of AUDIT_TALK_BURST for what it is denied and what its connections do, and then AUDIT_PER_SECOND
 * of each; what is beyond is counted, and told in sum. No clock, no log.
 */
struct audit;

#define AUDIT_BURST	 100
#define AUDIT_TALK_BURST 20
#define AUDIT_PER_SECOND 2
#define AUDIT_SUM_NS	 10000000000ULL /* sums are told this often */
/* So many users at a time; those beyond share what one has, and are told as AUDIT_OTHERS. */
#define AUDIT_MOST_USERS 16384
#define AUDIT_OTHERS	 ((uid_t)-1)

enum audit_kind {
	AUDIT_GRANTED,
	AUDIT_REVOKING,
	AUDIT_ENDED,
	AUDIT_DENIED,
	AUDIT_LINE, /* any other about a connection */
	AUDIT_NR_KINDS,
};

/* What was left out of one user's. */
struct audit_sum {
	uid_t uid;
	uint64_t count[AUDIT_NR_KINDS];
	uint64_t bytes[AUDIT_NR_KINDS];
};

/* -ENOMEM. */
int audit_new(struct audit **ret_audit);
/* NULL is allowed. */
void audit_free(struct audit *audit);

/* True: it gets its line. Root always does, and so does everybody where there is no memory. */
bool audit_admit(struct audit *audit, uid_t uid, uint64_t now_ns, enum audit_kind kind,
		 uint64_t size_bytes);

/* Is there anything to come back for, after AUDIT_SUM_NS? */
bool audit_is_busy(const struct audit *audit);

/* Tells each sum to @tell, and forgets who would have their burst again. */
void audit_sums(struct audit *audit, uint64_t now_ns,
		void (*tell)(void *data, const struct audit_sum *sum), void *data);

#endif /* AUDIT_H */
