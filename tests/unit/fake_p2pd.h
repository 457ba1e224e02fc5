/* SPDX-License-Identifier: MIT */
#ifndef FAKE_P2PD_H
#define FAKE_P2PD_H

#include <p2pdma/lease.h>

#include "common/message.h"
#include "fake.h"

/*
 * A p2pd for unit tests: a thread behind a real socket in the fake machine's folder. It grants
 * everything and keeps leases across its own restarts, unless it is told to misbehave.
 */

enum fake_twist {
	TWIST_NONE,
	TWIST_ERROR,	    /* answers @value */
	TWIST_DROP,	    /* closes the connection instead */
	TWIST_SILENT,	    /* never answers */
	TWIST_LATE,	    /* answers after @value ms */
	TWIST_SHORT,	    /* a header without a body */
	TWIST_LONG,	    /* 64 more bytes, not zero */
	TWIST_TRUNCATED,    /* half a header */
	TWIST_SIZE,	    /* says another size */
	TWIST_SERIAL,	    /* of another request */
	TWIST_OPCODE,	    /* of another request */
	TWIST_NO_FD,	    /* no descriptor where one must come */
	TWIST_FD,	    /* a descriptor where none may come, or no DMABUF */
	TWIST_TWO_FDS,	    /* two of them */
	TWIST_BODY,	    /* all ones in the body */
	TWIST_FULL,	    /* before it comes, this process has no room for a descriptor */
	TWIST_EVENT_BEFORE, /* EVENT_REVOKED of the lease before the reply */
	TWIST_EVENT_AFTER,  /* and right behind it */
};

/* The next @count requests with this opcode are answered like that. */
void p2pd_twist(uint16_t opcode, enum fake_twist twist, int value, unsigned int count);

/* Listens; fails the test when that can't be. Leases that were granted before are known. */
void p2pd_start(void);
/* Like SIGKILL: every connection ends, nobody listens, the socket's file stays. */
void p2pd_stop(void);
/* Forgets every lease. */
void p2pd_forget(void);
/* Takes the requests' side of the socket away, as if somebody else had made it. */
void p2pd_remove_socket(void);

/* An event to every connection. */
void p2pd_send_event(uint16_t opcode, const void *body, size_t size_bytes);
void p2pd_send_lease_event(uint16_t opcode, uint64_t lease_id, uint32_t reason,
			   uint64_t deadline_ns);
/* Bytes as they are. */
void p2pd_send_raw(const void *bytes, size_t size_bytes);

/* How often it was asked that. */
unsigned int p2pd_count(uint16_t opcode);
/* The last request with this opcode, without its header. */
size_t p2pd_last(uint16_t opcode, void *ret_body, size_t size_bytes);
/* What state ATTACH answers. */
void p2pd_set_state(uint64_t lease_id, uint32_t state, uint32_t reason, uint64_t deadline_ns);

/* What the lists have. */
void p2pd_set_records(uint32_t nr_records, uint32_t per_page);
/* So many providers can't be leased; and no reload was ever refused. */
void p2pd_set_health(uint32_t nr_unavailable, bool has_good_policy);

/* Waits until the condition holds, at most 5 s, else fails the test. */
#define p2pd_wait_for(condition)                                                                   \
	do {                                                                                       \
		int tries_ = 0;                                                                    \
                                                                                                   \
		while (!(condition) && tries_++ < 5000)                                            \
			usleep(1000);                                                              \
		assert_true(tries_ < 5000);                                                        \
	} while (0)

/* cmocka fixtures: those of the fake machine with a p2pd in it, and a context that waits 1 s. */
int p2pd_setup(void **state);
int p2pd_teardown(void **state);
struct p2pdma_context *p2pd_context(void);
/* A MiB of "0000:01:00.0/2@77", labelled "a test". */
struct p2pdma_buffer *p2pd_acquire(void);
struct p2pdma_lease_info p2pd_lease_info(struct p2pdma_buffer *buffer);
/* Waits for it. */
struct p2pdma_event p2pd_next_event(void);
void assert_p2pd_cause(const char *text);

#endif /* FAKE_P2PD_H */
