// SPDX-License-Identifier: MIT
/*
 * The log: for people, one line an event, and for programs the same as fields of the
 * system journal where that reads our standard error ($JOURNAL_STREAM).
 *
 * Text that a peer chose is quoted and has no control characters (it was refused
 * otherwise). Lines about one user are limited to a burst and then a few a second, so that nobody can
 * fill a disk or hide what others did.
 */
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>

#include "client.h"
#include "log.h"

#define BURST	    20
#define PER_SECOND  2
#define NR_SUSPECTS 64

static bool is_journal;
static uint32_t most_verbose = P2PD_LOG_INFO;

/* A few users at a time; who shares a place with another shares its limit. */
static struct suspect {
	uid_t uid;
	uint32_t left;
	uint32_t suppressed;
	uint64_t since_ns;
} suspects[NR_SUSPECTS];

void log_open(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long device, inode;
	struct stat status;

	is_journal = stream && sscanf(stream, "%lu:%lu", &device, &inode) == 2 &&
		     fstat(2, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

void log_set_level(uint32_t level)
{
	most_verbose = level;
}

/* As syslog counts. */
static int priority_of(int level)
{
	static const int priorities[] = {3, 4, 6, 7};

	return priorities[level];
}

static void put(int level, const char *text)
{
	if (is_journal)
		sd_journal_send("MESSAGE=%s", text, "PRIORITY=%d", priority_of(level), NULL);
	else
		fprintf(stderr, "p2pd: %s\n", text);
}

void log_event(int level, const char *format, ...)
{
	va_list arguments;
	char text[512];

	if ((uint32_t)level > most_verbose)
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	put(level, text);
}

static bool may_speak(uid_t uid)
{
	struct suspect *suspect = &suspects[uid % NR_SUSPECTS];
	uint64_t now_ns = clock_now_ns();
	uint64_t earned = (now_ns - suspect->since_ns) * PER_SECOND / 1000000000;

	if (earned || suspect->uid != uid) {
		if (suspect->suppressed && earned)
			log_event(P2PD_LOG_WARNING, "%u lines about uid %u left out",
				  suspect->suppressed, (unsigned int)suspect->uid);
		suspect->left =
			earned + suspect->left > BURST ? BURST : suspect->left + (uint32_t)earned;
		if (suspect->uid != uid)
			suspect->left = BURST;
		suspect->uid = uid;
		suspect->suppressed = 0;
		suspect->since_ns = now_ns;
	}
	if (!suspect->left) {
		suspect->suppressed++;
		return false;
	}
	suspect->left--;
	return true;
}

void log_client(const struct client *client, int level, const char *format, ...)
{
	const struct holder *holder = client->holder;
	va_list arguments;
	char text[400];

	if ((uint32_t)level > most_verbose || !may_speak(holder->subject.uid))
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (is_journal)
		sd_journal_send("MESSAGE=uid %u pid %d: %s", holder->subject.uid, holder->pid, text,
				"PRIORITY=%d", priority_of(level), "P2PD_UID=%u",
				holder->subject.uid, "P2PD_PID=%d", holder->pid, NULL);
	else
		fprintf(stderr, "p2pd: uid %u pid %d: %s\n", holder->subject.uid, holder->pid,
			text);
}

void log_audit(const struct wire_event_monitor *event, const struct policy_decision *decision)
{
	static const char *const words[] = {
		[WIRE_MONITOR_LEASE_GRANTED] = "granted",
		[WIRE_MONITOR_LEASE_REVOKING] = "revoking",
		[WIRE_MONITOR_LEASE_ENDED] = "ended",
		[WIRE_MONITOR_LEASE_DENIED] = "denied",
	};
	const char *rule = decision && decision->rule ? decision->rule : "";
	const char *source = decision && decision->source ? decision->source : "";
	const char *error = event->error ? strerrorname_np(-event->error) : "";
	const char *reason = lease_reason_name(event->reason);
	const char *word;

	if (event->type >= sizeof(words) / sizeof(words[0]) || !words[event->type])
		return;
	word = words[event->type];
	if (event->type == WIRE_MONITOR_LEASE_DENIED && !may_speak(event->uid))
		return;
	if (is_journal) {
		sd_journal_send("MESSAGE=audit: %s lease %llu of \"%s\", %llu bytes, uid %u "
				"pid %d, label \"%s\"%s%s%s%s",
				word, (unsigned long long)event->lease_id, event->provider,
				(unsigned long long)event->size_bytes, event->uid, event->pid,
				event->label, event->reason ? ", " : "",
				event->reason ? reason : "", *error ? ", " : "", error,
				"PRIORITY=5", "P2PD_AUDIT=%s", word, "P2PD_LEASE=%llu",
				(unsigned long long)event->lease_id, "P2PD_PROVIDER=%s",
				event->provider, "P2PD_BYTES=%llu",
				(unsigned long long)event->size_bytes, "P2PD_UID=%u", event->uid,
				"P2PD_PID=%d", event->pid, "P2PD_LABEL=%s", event->label,
				"P2PD_REASON=%s", reason, "P2PD_RULE=%s", rule,
				"P2PD_RULE_SOURCE=%s", source, NULL);
		return;
	}
	fprintf(stderr,
		"p2pd: audit %s lease=%llu provider=\"%s\" bytes=%llu uid=%u pid=%d "
		"label=\"%s\" reason=%s error=%s rule=\"%s\" at=\"%s\"\n",
		word, (unsigned long long)event->lease_id, event->provider,
		(unsigned long long)event->size_bytes, event->uid, event->pid, event->label, reason,
		error, rule, source);
}
