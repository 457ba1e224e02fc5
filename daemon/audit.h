/* SPDX-License-Identifier: MIT */
#ifndef AUDIT_H
#define AUDIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Which grants and ends get a line of their own. Each user has a burst of AUDIT_BURST and then
 * AUDIT_PER_SECOND; what is beyond is counted, and told in sum. No clock, no log.
 */
struct audit;

#define AUDIT_BURST	 100
#define AUDIT_PER_SECOND 2
#define AUDIT_SUM_NS	 10000000000ULL /* sums are told this often */

enum audit_kind {
	AUDIT_GRANTED,
	AUDIT_REVOKING,
	AUDIT_ENDED,
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
