// SPDX-License-Identifier: MIT
/*
 * The log: for people, one line an event, and for programs the same as fields of the
 * system journal where that reads our standard error ($JOURNAL_STREAM).
 *
 * The journal is written to without waiting for it (sd_journal_send() would wait), and so is standard
 * error where it is a pipe or a terminal: when whoever reads is slower than some user is busy, or
 * hangs, lines are lost and counted, and nobody waits.
 *
 * Text that a peer chose is quoted, so that it can't pass for what follows it, and has no
 * control characters (it was refused otherwise). Lines about one user are limited to a burst and then
 * a few a second, so that nobody can fill a disk or hide what others did; of what had none the sums
 * are told (audit.h).
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "audit.h"
#include "client/client.h"
#include "common/sys.h"
#include "log.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

static int to_journal_fd = -1;
static int to_stderr_fd = STDERR_FILENO;
static bool is_stderr_socket;
static uint32_t nr_lost; /* lines that there was no room for */
static uint32_t most_verbose = P2PD_LOG_INFO;

/* Is our standard error a stream of the journal? */
static bool is_read_by_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long device, inode;
	struct stat status;

	return stream && sscanf(stream, "%lu:%lu", &device, &inode) == 2 &&
	       fstat(2, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

/* Opened once more: the open file that we have is others', too, and O_NONBLOCK would be for them all. */
static void open_stderr(void)
{
	struct stat status;
	int fd;

	if (fstat(STDERR_FILENO, &status) < 0)
		return;
	is_stderr_socket = S_ISSOCK(status.st_mode);
	if (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode))
		return;
	fd = open("/proc/self/fd/2", O_WRONLY | O_APPEND | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd >= 0)
		to_stderr_fd = fd;
}

void log_open(void)
{
	if (is_read_by_journal())
		to_journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (to_journal_fd < 0)
		open_stderr();
}

static bool is_journal(void)
{
	return to_journal_fd >= 0;
}

/* One entry: fields, each a line KEY=VALUE. */
static bool journal_takes(const char *fields, size_t length)
{
	static const struct sockaddr_un address = {.sun_family = AF_UNIX,
						   .sun_path = JOURNAL_SOCKET};

	return sendto(to_journal_fd, fields, length, MSG_NOSIGNAL, (const void *)&address,
		      sizeof(address)) >= 0;
}

__attribute__((format(printf, 1, 2))) static void journal_put(const char *format, ...)
{
	char fields[3072], lost[160];
	va_list arguments;
	int length;

	if (nr_lost) {
		length = snprintf(lost, sizeof(lost),
				  "SYSLOG_IDENTIFIER=p2pd\nPRIORITY=4\nP2PD_LOST=%u\n"
				  "MESSAGE=%u lines were lost, the journal didn't take them\n",
				  nr_lost, nr_lost);
		if (journal_takes(lost, (size_t)length))
			nr_lost = 0;
	}
	va_start(arguments, format);
	length = vsnprintf(fields, sizeof(fields), format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= sizeof(fields) ||
	    !journal_takes(fields, (size_t)length))
		nr_lost++;
}

/* One line, shorter than PIPE_BUF: whole or not at all. */
static bool stderr_takes(const char *line, size_t length)
{
	ssize_t n = is_stderr_socket ?
			    send(STDERR_FILENO, line, length, MSG_DONTWAIT | MSG_NOSIGNAL) :
			    write(to_stderr_fd, line, length);

	return n >= 0;
}

__attribute__((format(printf, 1, 2))) static void stderr_put(const char *format, ...)
{
	char line[2048], lost[80];
	va_list arguments;
	int length;

	if (nr_lost) {
		length = snprintf(lost, sizeof(lost),
				  "p2pd: %u lines were lost, standard error didn't take them\n",
				  nr_lost);
		if (stderr_takes(lost, (size_t)length))
			nr_lost = 0;
	}
	va_start(arguments, format);
	length = vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	if (length < 0 || (size_t)length >= sizeof(line) || !stderr_takes(line, (size_t)length))
		nr_lost++;
}

const char *log_quoted(struct log_text *room, const char *text)
{
	size_t length = 0;

	for (; *text && length + 2 < sizeof(room->text); text++) {
		if (*text == '"' || *text == '\\')
			room->text[length++] = '\\';
		room->text[length++] = *text;
	}
	room->text[length] = '\0';
	return room->text;
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

static void put(int level, char *text)
{
	/* A line is a field's end to the journal, and a lie to people. */
	for (char *c = text; *c; c++)
		if (*c == '\n')
			*c = ' ';
	if (is_journal())
		journal_put("SYSLOG_IDENTIFIER=p2pd\nPRIORITY=%d\nMESSAGE=%s\n", priority_of(level),
			    text);
	else
		stderr_put("p2pd: %s\n", text);
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

void log_client(const struct client *client, int level, const char *format, ...)
{
	const struct holder *holder = client->holder;
	va_list arguments;
	char text[400];

	if ((uint32_t)level > most_verbose ||
	    !server_may_log(client->server, holder->subject.uid, AUDIT_LINE, 0))
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (is_journal())
		journal_put("SYSLOG_IDENTIFIER=p2pd\nPRIORITY=%d\nP2PD_UID=%u\nP2PD_PID=%d\n"
			    "MESSAGE=uid %u pid %d: %s\n",
			    priority_of(level), holder->subject.uid, holder->pid,
			    holder->subject.uid, holder->pid, text);
	else
		stderr_put("p2pd: uid %u pid %d: %s\n", holder->subject.uid, holder->pid, text);
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
	const char *error = event->error ? error_name(event->error) : "";
	const char *reason = lease_reason_name(event->reason);
	struct log_text provider_room, label_room;
	const char *provider = log_quoted(&provider_room, event->provider);
	const char *label = log_quoted(&label_room, event->label);
	const char *word;

	if (event->type >= sizeof(words) / sizeof(words[0]) || !words[event->type])
		return;
	word = words[event->type];
	if (is_journal()) {
		journal_put("SYSLOG_IDENTIFIER=p2pd\nPRIORITY=5\nP2PD_AUDIT=%s\nP2PD_LEASE=%llu\n"
			    "P2PD_PROVIDER=%s\nP2PD_BYTES=%llu\nP2PD_UID=%u\nP2PD_PID=%d\n"
			    "P2PD_LABEL=%s\nP2PD_REASON=%s\nP2PD_RULE=%s\nP2PD_RULE_SOURCE=%s\n"
			    "MESSAGE=audit: %s lease %llu of \"%s\", %llu bytes, uid %u "
			    "pid %d, label \"%s\"%s%s%s%s\n",
			    word, (unsigned long long)event->lease_id, event->provider,
			    (unsigned long long)event->size_bytes, event->uid, event->pid,
			    event->label, reason, rule, source, word,
			    (unsigned long long)event->lease_id, provider,
			    (unsigned long long)event->size_bytes, event->uid, event->pid, label,
			    event->reason ? ", " : "", event->reason ? reason : "",
			    *error ? ", " : "", error);
		return;
	}
	stderr_put("p2pd: audit %s lease=%llu provider=\"%s\" bytes=%llu uid=%u pid=%d "
		   "label=\"%s\" reason=%s error=%s rule=\"%s\" at=\"%s\"\n",
		   word, (unsigned long long)event->lease_id, provider,
		   (unsigned long long)event->size_bytes, event->uid, event->pid, label, reason,
		   error, rule, source);
}

void log_audit_sum(const struct audit_sum *sum)
{
	const uint64_t *count = sum->count, *bytes = sum->bytes;

	if (is_journal())
		journal_put("SYSLOG_IDENTIFIER=p2pd\nPRIORITY=5\nP2PD_AUDIT=left-out\nP2PD_UID=%u\n"
			    "P2PD_GRANTED=%" PRIu64 "\nP2PD_GRANTED_BYTES=%" PRIu64 "\n"
			    "P2PD_REVOKING=%" PRIu64 "\nP2PD_ENDED=%" PRIu64 "\n"
			    "P2PD_ENDED_BYTES=%" PRIu64 "\nP2PD_DENIED=%" PRIu64 "\n"
			    "P2PD_LINES=%" PRIu64 "\n"
			    "MESSAGE=audit: left out of uid %u: %" PRIu64 " granted, %" PRIu64
			    " bytes; %" PRIu64 " revoking; %" PRIu64 " ended, %" PRIu64
			    " bytes; %" PRIu64 " denied; %" PRIu64 " other lines\n",
			    sum->uid, count[AUDIT_GRANTED], bytes[AUDIT_GRANTED],
			    count[AUDIT_REVOKING], count[AUDIT_ENDED], bytes[AUDIT_ENDED],
			    count[AUDIT_DENIED], count[AUDIT_LINE], sum->uid, count[AUDIT_GRANTED],
			    bytes[AUDIT_GRANTED], count[AUDIT_REVOKING], count[AUDIT_ENDED],
			    bytes[AUDIT_ENDED], count[AUDIT_DENIED], count[AUDIT_LINE]);
	else
		stderr_put("p2pd: audit left-out uid=%u granted=%" PRIu64 " granted-bytes=%" PRIu64
			   " revoking=%" PRIu64 " ended=%" PRIu64 " ended-bytes=%" PRIu64
			   " denied=%" PRIu64 " lines=%" PRIu64 "\n",
			   sum->uid, count[AUDIT_GRANTED], bytes[AUDIT_GRANTED],
			   count[AUDIT_REVOKING], count[AUDIT_ENDED], bytes[AUDIT_ENDED],
			   count[AUDIT_DENIED], count[AUDIT_LINE]);
}
