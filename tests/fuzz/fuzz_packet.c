// SPDX-License-Identifier: MIT
/*
 * Packets of two peers, one after the other, against the whole daemon without its devices: the loop
 * reads them from a socket, and what it answers is read or left. An input is a series of
 *
 *	what		whose it is, with a descriptor or without, read the answers or don't
 *	opcode, length	of the message, in bytes that the header then says
 *	body
 *
 * At the end all is let go of: nothing may be leaked, no account be out of step.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>

#include "client/client.h"
#include "provider/discovery.h"
#include "fake_broker.h"
#include "fuzz.h"
#include "report/log.h"
#include "provider/publication.h"

#define OTHER_PEER  1U
#define WITH_FD	    2U
#define UNREAD	    4U
#define HANG_UP	    8U
#define TIME_PASSES 16U
#define RAW	    32U

const char p2pd_version[] = "fuzz";

static struct fake source;
static struct server server;
static int peers[2] = {-1, -1};

/* What main.c and discovery.c are for. */
void discovery_free(struct server *s)
{
	(void)s;
}

void discovery_rescan(struct server *s)
{
	(void)s;
}

static void turn(void)
{
	event_base_loop(server.base, EVLOOP_NONBLOCK);
}

static void read_answers(int fd)
{
	struct message message;
	int r;

	while (!(r = message_receive(fd, &message))) {
		fuzz_require(message.header.serial || !message.header.error);
		message_done(&message);
	}
	/* Whatever it says is a message. */
	fuzz_require(r == -EAGAIN || r == -ECONNRESET);
}

static void say(int fd, uint16_t opcode, const void *body, size_t size, int with, int is_raw)
{
	uint8_t bytes[sizeof(struct wire_header) + 1024];
	struct wire_header header = {
		.size_bytes = (uint32_t)(sizeof(header) + size), .opcode = opcode, .serial = 1};

	memcpy(bytes, &header, sizeof(header));
	memcpy(bytes + sizeof(header), body, size);
	if (is_raw)
		message_send(fd, body, size, with);
	else
		message_send(fd, bytes, sizeof(header) + size, with);
}

static void connect_peer(int i)
{
	struct wire_hello hello = {.version_min = 1, .version_max = 1};
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds))
		abort();
	peers[i] = fds[0];
	fuzz_require(!client_new(&server, fds[1]));
	say(fds[0], WIRE_HELLO, &hello, sizeof(hello), -1, 0);
	turn();
	read_answers(fds[0]);
}

static void begin(void)
{
	struct identity identity = {.name = FAKE_NAME,
				    .backend = WIRE_BACKEND_EXPORT,
				    .address = {.bus = 1},
				    .bar = 2,
				    .generation = 7};
	struct provider *provider;
	struct policy *policy;
	struct cause cause;

	signal(SIGPIPE, SIG_IGN);
	fuzz_require(!policy_new(&policy) && !server_init(&server, policy));
	memset(&source, 0, sizeof(source));
	source.device.ops = &fake_source_ops;
	source.device.fd = STDERR_FILENO;
	list_init(&source.device.link);
	list_init(&source.device.providers);
	fuzz_require(!broker_restore(&server.broker, -1, &cause));
	fuzz_require(!broker_provider_add(&server.broker, &identity, FAKE_BYTES, &provider));
	provider->device = &source.device;
	list_append(&source.device.providers, &provider->link_of_device);
	broker_provider_ready(&server.broker, provider, true);
}

/* Porters of intake.c are still at it. */
static int is_closing(void)
{
	const struct accounts *accounts = &server.broker.accounts;

	for (size_t i = 0; i < accounts->nr_buckets; i++)
		for (const struct account *a = accounts->buckets[i]; a; a = a->next)
			if (a->used[ACCOUNT_CLOSING])
				return 1;
	return 0;
}

static void end(void)
{
	for (int i = 0; i < 2; i++)
		if (peers[i] >= 0)
			close(peers[i]);
	peers[0] = peers[1] = -1;
	turn();
	turn();
	/* Whose packet is being taken in isn't heard hanging up before that is over. */
	for (int i = 0; i < 50000 && (is_closing() || server.nr_clients); i++) {
		usleep(100);
		turn();
	}
	fuzz_require(!is_closing());
	for (struct lease *lease = lease_table_after(&server.broker.leases, 0); lease;
	     lease = lease_table_after(&server.broker.leases, lease->id))
		fuzz_require(!lease->holder || !lease->holder->client);
	fuzz_require(!server.nr_clients);
	server_done(&server);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int before = dup(STDERR_FILENO), after;

	/* The log is of no use here, and slow. */
	log_set_level(0);
	close(before);
	begin();
	while (size >= 4) {
		unsigned int what = data[0];
		size_t length = (size_t)(data[2] | data[3] << 8) % 1025;
		int i = what & OTHER_PEER ? 1 : 0;

		if (length > size - 4)
			length = size - 4;
		if (peers[i] < 0)
			connect_peer(i);
		say(peers[i], data[1], data + 4, length, what & WITH_FD ? STDERR_FILENO : -1,
		    what & RAW);
		turn();
		if (!(what & UNREAD))
			read_answers(peers[i]);
		if (what & HANG_UP) {
			close(peers[i]);
			peers[i] = -1;
			turn();
		}
		if (what & TIME_PASSES)
			broker_tick(&server.broker);
		data += 4 + length;
		size -= 4 + length;
	}
	end();
	after = dup(STDERR_FILENO);
	close(after);
	fuzz_require(before == after);
	return 0;
}
