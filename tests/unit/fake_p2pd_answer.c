// SPDX-License-Identifier: MIT
/* The fake p2pd's answers, as an honest one gives them. Under its lock. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fake_p2pd_state.h"

struct wire_lease *p2pd_find_lease(uint64_t id)
{
	for (size_t i = 0; i < p2pd.nr_leases; i++) {
		if (p2pd.leases[i].id == id)
			return &p2pd.leases[i];
	}
	return NULL;
}

int p2pd_make_memfd(const char *name, uint64_t size)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (ftruncate(fd, (off_t)size))
		abort();
	return fd;
}

void p2pd_fail_with(struct reply *reply, int error, const char *cause)
{
	struct wire_failure failure;

	reply->header.error = error;
	wire_text_set(failure.cause, sizeof(failure.cause), cause);
	memcpy(reply->body, &failure, sizeof(failure));
	reply->body_bytes = sizeof(failure);
}

static void set_body(struct reply *reply, const void *body, size_t size)
{
	memcpy(reply->body, body, size);
	reply->body_bytes = size;
}

static void acquire(const struct message *message, struct reply *reply)
{
	const uint8_t *body = message->bytes + sizeof(struct wire_header);
	struct wire_lease lease = {.state = WIRE_LEASE_ACTIVE, .force = WIRE_FORCE_LEASE};
	struct wire_acquire wire;

	if (p2pd.nr_leases == MAX_LEASES)
		p2pd.nr_leases = 0;
	memcpy(&wire, body, sizeof(wire));
	lease.id = ++p2pd.next_id;
	memset(lease.token, (int)lease.id & 0xff, sizeof(lease.token));
	memcpy(lease.provider, wire.selector, sizeof(lease.provider) - 1);
	if (!strchr(lease.provider, '/') && strncmp(lease.provider, "published:", 10))
		strcpy(lease.provider, "0000:01:00.0/2@77");
	memcpy(lease.label, wire.label, sizeof(lease.label));
	lease.mode = wire.mode;
	lease.access = wire.access;
	lease.flags = wire.flags;
	lease.backend = WIRE_BACKEND_EXPORT;
	lease.pid = getpid();
	lease.nr_ranges = wire.nr_ranges ? wire.nr_ranges : 1;
	lease.size_bytes = wire.length_bytes;
	for (uint32_t i = 0; i < wire.nr_ranges; i++) {
		struct wire_range range;

		memcpy(&range, body + wire.ranges_at + i * sizeof(range), sizeof(range));
		lease.size_bytes += range.length_bytes;
		if (!i)
			lease.first = range;
	}
	lease.expires_ns = wire.ttl_ms * 1000000;
	p2pd.leases[p2pd.nr_leases++] = lease;
	reply->lease_id = lease.id;
	/* Of a pool all is leased, and it isn't a DMABUF. */
	if (strstr(lease.provider, "/p2pmem")) {
		lease.backend = WIRE_BACKEND_P2PMEM;
		lease.force = WIRE_FORCE_NONE;
		lease.size_bytes = 16 * MIB;
		p2pd.leases[p2pd.nr_leases - 1] = lease;
	}
	reply->fd = p2pd_make_memfd(lease.backend == WIRE_BACKEND_P2PMEM ? "allocate" : "dmabuf",
				    lease.size_bytes);
	set_body(reply, &lease, sizeof(lease));
}

static void attach(const struct message *message, struct reply *reply)
{
	struct wire_attach wire;
	struct wire_lease *lease;

	memcpy(&wire, message->bytes + sizeof(struct wire_header), sizeof(wire));
	lease = p2pd_find_lease(wire.lease_id);
	if (!lease || memcmp(lease->token, wire.token, sizeof(wire.token)))
		p2pd_fail_with(reply, -ENOENT, "no such lease");
	else
		set_body(reply, lease, sizeof(*lease));
}

static void release(const struct message *message, struct reply *reply)
{
	struct wire_lease_id wire;
	struct wire_lease *lease;

	memcpy(&wire, message->bytes + sizeof(struct wire_header), sizeof(wire));
	lease = p2pd_find_lease(wire.lease_id);
	if (lease)
		*lease = p2pd.leases[--p2pd.nr_leases];
	else
		p2pd_fail_with(reply, -ENOENT, "no such lease");
}

static void list(const struct message *message, struct reply *reply)
{
	bool is_leases = message->header.opcode == WIRE_LEASES;
	struct wire_list_reply page = {
		.record_bytes =
			is_leases ? sizeof(struct wire_lease) : sizeof(struct wire_provider),
	};
	struct wire_list wire;

	memcpy(&wire, message->bytes + sizeof(struct wire_header), sizeof(wire));
	reply->body_bytes = sizeof(page);
	while (wire.cursor < p2pd.nr_records && page.nr_records < p2pd.per_page) {
		struct wire_provider provider = {.backend = WIRE_BACKEND_VFIO, .numa_node = -1};
		struct wire_lease lease = {
			.id = wire.cursor + 1, .size_bytes = 4096, .nr_ranges = 1};

		snprintf(provider.name, sizeof(provider.name), "0000:01:00.0/%u@1",
			 (unsigned int)wire.cursor);
		if (wire.cursor < p2pd.nr_unavailable) {
			provider.flags = WIRE_PROVIDER_UNAVAILABLE;
			strcpy(provider.cause, "bound to nobody");
		}
		strcpy(lease.provider, "0000:01:00.0/2@1");
		memcpy(reply->body + reply->body_bytes,
		       is_leases ? (const void *)&lease : (const void *)&provider,
		       page.record_bytes);
		reply->body_bytes += page.record_bytes;
		page.nr_records++;
		wire.cursor++;
	}
	/* Pages with nothing on them go on forever. */
	page.next_cursor = wire.cursor < p2pd.nr_records ? wire.cursor + !p2pd.per_page : 0;
	memcpy(reply->body, &page, sizeof(page));
}

static void stats(struct reply *reply)
{
	static const char text[] = "p2pd_leases 3\n";
	struct wire_stats_reply wire = {.size_bytes = sizeof(text) - 1};

	reply->fd = p2pd_make_memfd("stats", 0);
	if (write(reply->fd, text, sizeof(text) - 1) != sizeof(text) - 1)
		abort();
	set_body(reply, &wire, sizeof(wire));
}

void p2pd_answer(const struct message *message, struct reply *reply)
{
	struct wire_hello_reply hello = {.version = 1, .flags = WIRE_HELLO_IS_ADMIN, .instance = 1};
	struct wire_status_reply status = {.version = "0.1.0",
					   .pid = 7,
					   .nr_leases = 3,
					   .policy_refused = p2pd.has_good_policy ? 0 : 2};
	struct wire_policy_test_reply policy = {.error = -EACCES,
						.rule = "nobody",
						.source = "p2pd.conf:3",
						.because = "It says so."};
	struct wire_renew_reply renew = {.expires_ns = 4242};
	struct wire_revoke_reply revoke = {.nr_leases = 2, .nr_busy = 1};
	struct wire_publish_reply publish = {.id = 9, .size_bytes = MIB};

	switch (message->header.opcode) {
	case WIRE_HELLO:
		set_body(reply, &hello, sizeof(hello));
		break;
	case WIRE_ACQUIRE:
		acquire(message, reply);
		break;
	case WIRE_ATTACH:
		attach(message, reply);
		break;
	case WIRE_RELEASE:
		release(message, reply);
		break;
	case WIRE_RENEW:
		set_body(reply, &renew, sizeof(renew));
		break;
	case WIRE_PROVIDERS:
	case WIRE_LEASES:
		list(message, reply);
		break;
	case WIRE_REVOKE:
	case WIRE_DRAIN:
		set_body(reply, &revoke, sizeof(revoke));
		break;
	case WIRE_STATS:
		stats(reply);
		break;
	case WIRE_POLICY_TEST:
		set_body(reply, &policy, sizeof(policy));
		break;
	case WIRE_PUBLISH:
		set_body(reply, &publish, sizeof(publish));
		break;
	case WIRE_STATUS:
		set_body(reply, &status, sizeof(status));
		break;
	default:
		break;
	}
}
