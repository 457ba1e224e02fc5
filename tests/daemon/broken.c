// SPDX-License-Identifier: MIT
/*
 * Ways in which p2pd could be wrong, for the kill harness to notice: built into p2pd-broken alone, by
 * the linker's --wrap. $P2PD_BROKEN says which:
 *
 *	lost		a new lease is written down after its answer, not before it
 *	shortened	a renewal is never written down
 *	forgotten	holders are told of a revocation that isn't written down
 *	doubled		a restored lease doesn't take its slice
 *	leaked		the descriptor of a holder's process is forgotten, not closed
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/client.h"

#define PAGE  4096
#define PAGES 65536

/* The linker makes these names. */
/* NOLINTBEGIN(bugprone-reserved-identifier) */
int __real_journal_append(struct journal *journal, uint16_t type, const void *body,
			  size_t size_bytes, size_t nr_live);
int __wrap_journal_append(struct journal *journal, uint16_t type, const void *body,
			  size_t size_bytes, size_t nr_live);
int __real_journal_hold(struct journal *journal, uint16_t type, const void *body, size_t size_bytes,
			size_t nr_live);
int __wrap_journal_hold(struct journal *journal, uint16_t type, const void *body, size_t size_bytes,
			size_t nr_live);
int __real_slices_take(struct slices *slices, uint64_t offset_bytes, uint64_t length_bytes,
		       bool is_shared);
int __wrap_slices_take(struct slices *slices, uint64_t offset_bytes, uint64_t length_bytes,
		       bool is_shared);
void __real_slices_give(struct slices *slices, uint64_t offset_bytes, uint64_t length_bytes,
			bool is_shared);
void __wrap_slices_give(struct slices *slices, uint64_t offset_bytes, uint64_t length_bytes,
			bool is_shared);
void __real_holder_free(struct server *server, struct holder *holder);
void __wrap_holder_free(struct server *server, struct holder *holder);
int __real_server_listen(struct server *server, int fd, const char *unlink_path);
int __wrap_server_listen(struct server *server, int fd, const char *unlink_path);
/* NOLINTEND(bugprone-reserved-identifier) */

static uint64_t newest_id;
static bool is_restored;
static uint8_t untaken[PAGES];
static struct {
	uint8_t body[4096];
	size_t size_bytes;
} late;

static bool is_broken(const char *how)
{
	const char *wanted = getenv("P2PD_BROKEN");

	return wanted && !strcmp(wanted, how);
}

int __wrap_journal_append(struct journal *journal, uint16_t type, const void *body,
			  size_t size_bytes, size_t nr_live)
{
	uint64_t id = 0;
	bool is_new;

	if (type == JOURNAL_LEASE)
		memcpy(&id, (const char *)body + offsetof(struct journal_lease, id), sizeof(id));
	is_new = id > newest_id;
	if (is_new)
		newest_id = id;
	if (is_broken("lost") && late.size_bytes) {
		__real_journal_append(journal, JOURNAL_LEASE, late.body, late.size_bytes, nr_live);
		late.size_bytes = 0;
	}
	if (is_broken("lost") && is_new) {
		memcpy(late.body, body, size_bytes);
		late.size_bytes = size_bytes;
		return 0;
	}
	return __real_journal_append(journal, type, body, size_bytes, nr_live);
}

int __wrap_journal_hold(struct journal *journal, uint16_t type, const void *body, size_t size_bytes,
			size_t nr_live)
{
	struct journal_lease_state state;

	if (type == JOURNAL_LEASE_STATE) {
		memcpy(&state, body, sizeof(state));
		if (is_broken("shortened") && nr_live)
			return 0;
		if (is_broken("forgotten") && state.state == WIRE_LEASE_REVOKING)
			return 0;
	}
	return __real_journal_hold(journal, type, body, size_bytes, nr_live);
}

int __wrap_slices_take(struct slices *slices, uint64_t offset_bytes, uint64_t length_bytes,
		       bool is_shared)
{
	if (is_restored || !is_broken("doubled") || offset_bytes / PAGE >= PAGES)
		return __real_slices_take(slices, offset_bytes, length_bytes, is_shared);
	untaken[offset_bytes / PAGE]++;
	return 0;
}

void __wrap_slices_give(struct slices *slices, uint64_t offset_bytes, uint64_t length_bytes,
			bool is_shared)
{
	if (offset_bytes / PAGE < PAGES && untaken[offset_bytes / PAGE])
		untaken[offset_bytes / PAGE]--;
	else
		__real_slices_give(slices, offset_bytes, length_bytes, is_shared);
}

void __wrap_holder_free(struct server *server, struct holder *holder)
{
	if (is_broken("leaked") && holder->pidfd >= 0 && dup(holder->pidfd) < 0)
		abort();
	__real_holder_free(server, holder);
}

int __wrap_server_listen(struct server *server, int fd, const char *unlink_path)
{
	is_restored = true;
	return __real_server_listen(server, fd, unlink_path);
}
