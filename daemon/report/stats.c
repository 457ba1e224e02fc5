// SPDX-License-Identifier: MIT
/*
 * What can be watched: counters and gauges as Prometheus text, and the whole state
 * as JSON for whoever looks for a fault.
 *
 * Labels are provider names and uids; both come from the kernel or were checked, so the
 * only characters that need care are the backslash and the quote. Tokens are in neither.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "client/server.h"
#include "stats.h"

#define SAME_FOR_NS 100000000ULL
/* The others are told as one: somebody's subordinate uids are enough for a text of megabytes. */
#define MOST_USERS  256
#define OTHERS	    UINT32_MAX

static void put_escaped(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP p2pd_%s %s\n# TYPE p2pd_%s %s\n", name, help, name, type);
}

static void put_one(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
	head(out, name, type, help);
	fprintf(out, "p2pd_%s %" PRIu64 "\n", name, value);
}

enum provider_gauge {
	SIZE,
	FREE,
	LARGEST,
	EXTENTS,
	LEASES,
	DRAINING,
	TROUBLED,
	NR_GAUGES
};

static void put_providers(FILE *out, const struct broker *broker, enum provider_gauge gauge,
			  const char *name, const char *help)
{
	head(out, name, "gauge", help);
	list_for_each_entry(provider, &broker->providers, struct provider, link) {
		struct slices_summary summary;
		uint64_t values[NR_GAUGES];

		slices_summarize(&provider->slices, &summary);
		values[SIZE] = provider->slices.size_bytes;
		values[FREE] = summary.free_bytes;
		values[LARGEST] = summary.largest_free_bytes;
		values[EXTENTS] = summary.nr_free_extents;
		values[LEASES] = provider->nr_leases;
		values[DRAINING] = provider->is_draining;
		values[TROUBLED] = provider->device && *provider->device->trouble;
		fprintf(out, "p2pd_%s{provider=", name);
		put_escaped(out, provider->identity.name);
		fprintf(out, ",backend=\"%s\"} %" PRIu64 "\n",
			backend_name(provider->identity.backend), values[gauge]);
	}
}

static void put_used(FILE *out, uint32_t uid, const uint64_t *used)
{
	for (int kind = 0; kind < ACCOUNT_NR_KINDS; kind++)
		fprintf(out, "p2pd_user_used{uid=\"%" PRIu32 "\",kind=\"%s\"} %" PRIu64 "\n", uid,
			account_kind_name((enum account_kind)kind), used[kind]);
}

static void put_accounts(FILE *out, const struct accounts *accounts)
{
	uint64_t of_others[ACCOUNT_NR_KINDS] = {0};
	size_t count = 0;

	head(out, "user_used", "gauge", "What one user has, by kind");
	for (size_t i = 0; i < accounts->nr_buckets; i++) {
		for (const struct account *a = accounts->buckets[i]; a; a = a->next) {
			if (count++ < MOST_USERS) {
				put_used(out, (uint32_t)a->uid, a->used);
				continue;
			}
			for (int kind = 0; kind < ACCOUNT_NR_KINDS; kind++)
				of_others[kind] += a->used[kind];
		}
	}
	if (count > MOST_USERS)
		put_used(out, OTHERS, of_others);
}

static void put_room(FILE *out, const struct room *room)
{
	put_one(out, "descriptors_most", "gauge", "Descriptors that p2pd may have",
		(uint64_t)room->nofile);
	put_one(out, "descriptors_unread", "gauge", "Descriptors on their way to clients",
		room->nr_unread);
	put_one(out, "descriptors_unread_most", "gauge", "How many may be, of users",
		room->most_unread);
	head(out, "refused_for_room_total", "counter",
	     "Requests of users that p2pd as a whole had no room for");
	for (int kind = 0; kind < ROOM_NR_KINDS; kind++)
		fprintf(out, "p2pd_refused_for_room_total{kind=\"%s\"} %" PRIu64 "\n",
			room_kind_name((enum room_kind)kind), room->nr_refused[kind]);
}

static void write_metrics(FILE *out, const struct server *server)
{
	const struct broker *broker = &server->broker;
	const struct broker_counters *c = &broker->counters;

	put_one(out, "clients", "gauge", "Open connections", server->nr_clients);
	put_one(out, "clients_dropped_total", "counter", "Connections that ended",
		server->nr_dropped);
	put_one(out, "requests_total", "counter", "Requests read", server->nr_requests);
	put_one(out, "leases", "gauge", "Leases there are", broker->leases.count);
	put_one(out, "leased_bytes", "gauge", "Bytes leased", broker->leased_bytes);
	put_one(out, "granted_total", "counter", "Leases granted", c->granted);
	put_one(out, "denied_total", "counter", "Requests for a lease denied", c->denied);
	put_one(out, "released_total", "counter", "Leases given back", c->released);
	put_one(out, "expired_total", "counter", "Leases whose time was over", c->expired);
	put_one(out, "revoked_total", "counter", "Leases taken back", c->revoked);
	put_one(out, "renewed_total", "counter", "Renewals", c->renewed);
	put_one(out, "attached_total", "counter", "Leases taken up on a new connection",
		c->attached);
	put_one(out, "deaths_total", "counter", "Holders that died", c->deaths);
	put_one(out, "kernel_revoke_nanoseconds_total", "counter",
		"Time that the kernel took to revoke", c->kernel_revoke_ns);
	put_one(out, "policy_generation", "gauge", "Policies loaded since the start",
		broker->policy_generation);
	put_one(out, "policy_reload_failed", "gauge",
		"1 while the policy in use is older than a reload that had faults",
		broker->policy_refused != 0);
	put_one(out, "policy_reloads_failed_total", "counter", "Reloads that had faults",
		c->policies_refused);
	put_room(out, &server->room);
	put_providers(out, broker, SIZE, "provider_bytes", "Size of a provider");
	put_providers(out, broker, FREE, "provider_free_bytes", "Free bytes of a provider");
	put_providers(out, broker, LARGEST, "provider_largest_free_bytes",
		      "Largest lease that would fit");
	put_providers(out, broker, EXTENTS, "provider_free_extents",
		      "Pieces that the free bytes are in");
	put_providers(out, broker, LEASES, "provider_leases", "Leases of a provider");
	put_providers(out, broker, DRAINING, "provider_draining", "1 while it is drained");
	put_providers(out, broker, TROUBLED, "provider_troubled",
		      "1 while its leases wait for what it is listed with");
}

static void write_all_metrics(FILE *out, const struct server *server)
{
	write_metrics(out, server);
	put_accounts(out, &server->broker.accounts);
}

static void write_dump(FILE *out, const struct server *server)
{
	const struct broker *broker = &server->broker;
	const char *comma = "";

	fprintf(out,
		"{\"schema\":\"p2pd-dump\",\"version\":1,\"now_ns\":%" PRIu64
		",\"clients\":%" PRIu32 ",\"providers\":[",
		clock_now_ns(), server->nr_clients);
	list_for_each_entry(provider, &broker->providers, struct provider, link) {
		fprintf(out, "%s\n{\"name\":", comma);
		put_escaped(out, provider->identity.name);
		fprintf(out,
			",\"backend\":\"%s\",\"bytes\":%" PRIu64 ",\"leases\":%" PRIu32
			",\"available\":%s,\"draining\":%s,\"gone\":%s,\"cause\":",
			backend_name(provider->identity.backend), provider->slices.size_bytes,
			provider->nr_leases, provider->device ? "true" : "false",
			provider->is_draining ? "true" : "false",
			provider->is_gone ? "true" : "false");
		put_escaped(out, provider->cause);
		fputc('}', out);
		comma = ",";
	}
	fputs("],\"leases\":[", out);
	comma = "";
	for (const struct lease *lease = lease_table_after(&broker->leases, 0); lease;
	     lease = lease_table_after(&broker->leases, lease->id)) {
		fprintf(out, "%s\n{\"id\":%" PRIu64 ",\"provider\":", comma, lease->id);
		put_escaped(out, lease->provider->identity.name);
		fprintf(out,
			",\"offset\":%" PRIu64 ",\"bytes\":%" PRIu64
			",\"state\":\"%s\",\"reason\":\"%s\",\"uid\":%" PRIu32
			",\"pid\":%d,\"connected\":%s,\"export\":%" PRIu32
			",\"expires_ns\":%" PRIu64 ",\"deadline_ns\":%" PRIu64 ",\"label\":",
			lease->ranges[0].offset_bytes, lease->size_bytes,
			lease_state_name(lease->state), lease_reason_name(lease->reason),
			(uint32_t)lease->uid, (int)lease->pid,
			lease->holder && lease->holder->client ? "true" : "false", lease->export_id,
			lease->expires_ns, lease->deadline_ns);
		put_escaped(out, lease->label);
		fputc('}', out);
		comma = ",";
	}
	fputs("]}\n", out);
}

static int to_memfd(const struct server *server, void (*write)(FILE *, const struct server *),
		    int *ret_fd, uint64_t *ret_size_bytes)
{
	cleanup_fd int fd = memfd_create("p2pd-text", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	FILE *out = copy < 0 ? NULL : fdopen(copy, "w");
	off_t end;

	if (!out) {
		if (copy >= 0)
			close(copy);
		return -EMFILE;
	}
	write(out, server);
	if (fclose(out) || (end = lseek(fd, 0, SEEK_END)) < 0)
		return -ENOSPC;
	lseek(fd, 0, SEEK_SET);
	fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	*ret_size_bytes = (uint64_t)end;
	*ret_fd = take_fd(&fd);
	return 0;
}

/*
 * The text is p2pd's memory for as long as anybody has a descriptor of it, so that of a moment is
 * the same for all users, and nobody's own; each gets an open file, and with it a position, of its own.
 */
int stats_metrics(struct server *server, bool has_users, int *ret_fd, uint64_t *ret_size_bytes)
{
	struct told *told = &server->told;
	uint64_t now_ns = clock_now_ns(), size_bytes;
	char path[40];
	int fd, r;

	if (told->fd < 0 || told->has_users != has_users ||
	    now_ns - told->written_ns >= SAME_FOR_NS) {
		r = to_memfd(server, has_users ? write_all_metrics : write_metrics, &fd,
			     &size_bytes);
		if (r)
			return r;
		if (told->fd >= 0)
			close(told->fd);
		*told = (struct told){.fd = fd,
				      .has_users = has_users,
				      .size_bytes = size_bytes,
				      .written_ns = now_ns};
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", told->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_size_bytes = told->size_bytes;
	*ret_fd = fd;
	return 0;
}

int stats_dump(const struct server *server, int *ret_fd, uint64_t *ret_size_bytes)
{
	return to_memfd(server, write_dump, ret_fd, ret_size_bytes);
}
