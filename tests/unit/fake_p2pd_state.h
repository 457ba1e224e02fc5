/* SPDX-License-Identifier: MIT */
#ifndef FAKE_P2PD_STATE_H
#define FAKE_P2PD_STATE_H

#include <pthread.h>

#include "fake_p2pd.h"

/* What fake_p2pd.c (connections) and fake_p2pd_answer.c (answers) share; under its lock. */

#define MAX_CLIENTS 16
#define MAX_LEASES  256
#define MAX_TWISTS  8
#define NR_OPCODES  32

struct fake_p2pd {
	pthread_t thread;
	bool is_running;
	int listener;
	int stop_fd;
	int clients[MAX_CLIENTS];
	size_t nr_clients;

	struct {
		uint16_t opcode;
		enum fake_twist twist;
		int value;
		unsigned int count;
	} twists[MAX_TWISTS];

	struct wire_lease leases[MAX_LEASES];
	size_t nr_leases;
	uint64_t next_id;

	unsigned int counts[NR_OPCODES];
	uint8_t last[NR_OPCODES][1024];
	size_t last_bytes[NR_OPCODES];
	uint32_t nr_records;
	uint32_t per_page;
	uint32_t nr_unavailable; /* of the providers, the first */
	bool has_good_policy;
};

extern struct fake_p2pd p2pd;

struct reply {
	struct wire_header header;
	uint8_t body[WIRE_MESSAGE_MAX - sizeof(struct wire_header)];
	size_t body_bytes;
	int fd;
	uint64_t lease_id;
};

int p2pd_make_memfd(const char *name, uint64_t size);
struct wire_lease *p2pd_find_lease(uint64_t id);
/* What an honest daemon says. */
void p2pd_answer(const struct message *message, struct reply *reply);
void p2pd_fail_with(struct reply *reply, int error, const char *cause);

#endif /* FAKE_P2PD_STATE_H */
