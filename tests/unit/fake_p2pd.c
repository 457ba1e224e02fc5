// SPDX-License-Identifier: MIT
/*
 * The fake p2pd: its connections and its misdeeds. One thread polls the listener and the
 * connections; everything is under `lock`. The real daemon's decisions are tested with the real
 * daemon: this one is for what a broken, a lying or a dying one does.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake_p2pd_state.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
struct fake_p2pd p2pd;

static enum fake_twist take_twist(uint16_t opcode, int *ret_value)
{
	for (size_t i = 0; i < MAX_TWISTS; i++) {
		if (!p2pd.twists[i].count || p2pd.twists[i].opcode != opcode)
			continue;
		p2pd.twists[i].count--;
		*ret_value = p2pd.twists[i].value;
		return p2pd.twists[i].twist;
	}
	return TWIST_NONE;
}

static void send_event_to(int client, uint16_t opcode, const void *body, size_t size)
{
	uint8_t packet[1024];
	struct wire_header header = {.opcode = opcode};

	header.size_bytes = (uint32_t)(sizeof(header) + size);
	memcpy(packet, &header, sizeof(header));
	memcpy(packet + sizeof(header), body, size);
	message_send(client, packet, header.size_bytes, -1);
}

static void send_lease_event_to(int client, uint16_t opcode, uint64_t id, uint32_t reason,
				uint64_t deadline_ns)
{
	struct wire_event_lease event = {
		.lease_id = id,
		.reason = reason,
		.deadline_ns = deadline_ns,
		.time_ns = 55,
	};

	send_event_to(client, opcode, &event, sizeof(event));
}

static void send_two_fds(int client, const void *packet, size_t size)
{
	char room[CMSG_SPACE(2 * sizeof(int))] = {0};
	struct iovec data = {.iov_base = (void *)packet, .iov_len = size};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = room,
				 .msg_controllen = sizeof(room)};
	struct cmsghdr *control = CMSG_FIRSTHDR(&message);
	int fds[2] = {p2pd_make_memfd("dmabuf", MIB), p2pd_make_memfd("dmabuf", MIB)};

	control->cmsg_level = SOL_SOCKET;
	control->cmsg_type = SCM_RIGHTS;
	control->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(control), fds, sizeof(fds));
	sendmsg(client, &message, MSG_NOSIGNAL);
	close(fds[0]);
	close(fds[1]);
}

/* The limit of the process, which the test puts back: the lowest free number is beyond it. */
static void fill_table(int last_fd)
{
	struct rlimit limit;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = (rlim_t)last_fd;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void twist_reply(struct reply *reply, enum fake_twist twist, int value)
{
	switch (twist) {
	case TWIST_ERROR:
		p2pd_fail_with(reply, value, "p2pd's own sentence");
		break;
	case TWIST_SHORT:
		reply->body_bytes = 0;
		break;
	case TWIST_LONG:
		memset(reply->body + reply->body_bytes, 0x5a, 64);
		reply->body_bytes += 64;
		break;
	case TWIST_SERIAL:
		reply->header.serial += 7;
		break;
	case TWIST_OPCODE:
		reply->header.opcode ^= 3;
		break;
	case TWIST_BODY:
		memset(reply->body, 0xff, reply->body_bytes);
		break;
	case TWIST_FD:
		if (reply->fd >= 0)
			close(reply->fd);
		reply->fd = eventfd(0, EFD_CLOEXEC);
		break;
	case TWIST_FULL:
		fill_table(reply->fd);
		break;
	case TWIST_LATE:
		pthread_mutex_unlock(&lock);
		usleep((useconds_t)value * 1000);
		pthread_mutex_lock(&lock);
		break;
	default:
		break;
	}
	if (reply->fd >= 0 && (twist == TWIST_NO_FD || reply->header.error)) {
		close(reply->fd);
		reply->fd = -1;
	}
}

/* False: the connection ends. */
static bool serve(int client)
{
	static struct message message;
	static struct reply reply;
	enum fake_twist twist;
	int value = 0, r;

	r = message_receive(client, &message);
	if (r)
		return r == -EAGAIN;
	p2pd.counts[message.header.opcode % NR_OPCODES]++;
	p2pd.last_bytes[message.header.opcode % NR_OPCODES] =
		message.size_bytes - sizeof(message.header);
	memcpy(p2pd.last[message.header.opcode % NR_OPCODES],
	       message.bytes + sizeof(message.header), message.size_bytes - sizeof(message.header));
	twist = take_twist(message.header.opcode, &value);
	memset(&reply, 0, sizeof(reply));
	reply.fd = -1;
	reply.header.opcode = message.header.opcode | WIRE_REPLY;
	reply.header.serial = message.header.serial;
	if (twist != TWIST_DROP && twist != TWIST_SILENT)
		p2pd_answer(&message, &reply);
	message_done(&message);
	if (twist == TWIST_DROP || twist == TWIST_SILENT)
		return twist == TWIST_SILENT;
	twist_reply(&reply, twist, value);
	reply.header.size_bytes = (uint32_t)(sizeof(reply.header) + reply.body_bytes);
	if (twist == TWIST_EVENT_BEFORE)
		send_lease_event_to(client, WIRE_EVENT_REVOKED, 1, WIRE_REASON_ADMIN, 0);
	if (twist == TWIST_SIZE)
		reply.header.size_bytes += 8;
	if (twist == TWIST_TWO_FDS)
		send_two_fds(client, &reply, reply.header.size_bytes);
	else
		message_send(client, &reply,
			     twist == TWIST_TRUNCATED ? 8 : sizeof(reply.header) + reply.body_bytes,
			     reply.fd);
	if (twist == TWIST_EVENT_AFTER) {
		send_lease_event_to(client, WIRE_EVENT_REVOKE_REQUESTED, reply.lease_id,
				    WIRE_REASON_DRAIN, 99);
		send_lease_event_to(client, WIRE_EVENT_REVOKED, reply.lease_id, WIRE_REASON_ADMIN,
				    0);
	}
	if (reply.fd >= 0)
		close(reply.fd);
	return true;
}

static void drop_client(size_t i)
{
	close(p2pd.clients[i]);
	p2pd.clients[i] = p2pd.clients[--p2pd.nr_clients];
}

static void *run(void *unused)
{
	for (;;) {
		struct pollfd fds[MAX_CLIENTS + 2];
		size_t nr;

		pthread_mutex_lock(&lock);
		fds[0] = (struct pollfd){.fd = p2pd.stop_fd, .events = POLLIN};
		fds[1] = (struct pollfd){.fd = p2pd.listener, .events = POLLIN};
		nr = p2pd.nr_clients;
		for (size_t i = 0; i < nr; i++)
			fds[i + 2] = (struct pollfd){.fd = p2pd.clients[i], .events = POLLIN};
		pthread_mutex_unlock(&lock);
		poll(fds, nr + 2, -1);
		pthread_mutex_lock(&lock);
		if (fds[0].revents) {
			while (p2pd.nr_clients)
				drop_client(0);
			close(p2pd.listener);
			pthread_mutex_unlock(&lock);
			return unused;
		}
		for (size_t i = nr; i-- > 0;) {
			if (fds[i + 2].revents && !serve(p2pd.clients[i]))
				drop_client(i);
		}
		if (fds[1].revents && p2pd.nr_clients < MAX_CLIENTS) {
			int client =
				accept4(p2pd.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

			if (client >= 0)
				p2pd.clients[p2pd.nr_clients++] = client;
		}
		pthread_mutex_unlock(&lock);
	}
}

void p2pd_start(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s/p2pd.sock", fake.root);
	unlink(address.sun_path);
	p2pd.listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(p2pd.listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(p2pd.listener, 64), 0);
	p2pd.stop_fd = eventfd(0, EFD_CLOEXEC);
	assert_int_equal(pthread_create(&p2pd.thread, NULL, run, NULL), 0);
	p2pd.is_running = true;
}

void p2pd_stop(void)
{
	if (!p2pd.is_running)
		return;
	eventfd_write(p2pd.stop_fd, 1);
	pthread_join(p2pd.thread, NULL);
	close(p2pd.stop_fd);
	p2pd.is_running = false;
}

void p2pd_twist(uint16_t opcode, enum fake_twist twist, int value, unsigned int count)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < MAX_TWISTS; i++) {
		if (p2pd.twists[i].count)
			continue;
		p2pd.twists[i].opcode = opcode;
		p2pd.twists[i].twist = twist;
		p2pd.twists[i].value = value;
		p2pd.twists[i].count = count;
		break;
	}
	pthread_mutex_unlock(&lock);
}

void p2pd_forget(void)
{
	pthread_mutex_lock(&lock);
	p2pd.nr_leases = 0;
	pthread_mutex_unlock(&lock);
}

void p2pd_remove_socket(void)
{
	fake_unlink("p2pd.sock");
}

void p2pd_send_event(uint16_t opcode, const void *body, size_t size_bytes)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < p2pd.nr_clients; i++)
		send_event_to(p2pd.clients[i], opcode, body, size_bytes);
	pthread_mutex_unlock(&lock);
}

void p2pd_send_lease_event(uint16_t opcode, uint64_t lease_id, uint32_t reason,
			   uint64_t deadline_ns)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < p2pd.nr_clients; i++)
		send_lease_event_to(p2pd.clients[i], opcode, lease_id, reason, deadline_ns);
	pthread_mutex_unlock(&lock);
}

void p2pd_send_raw(const void *bytes, size_t size_bytes)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < p2pd.nr_clients; i++)
		message_send(p2pd.clients[i], bytes, size_bytes, -1);
	pthread_mutex_unlock(&lock);
}

unsigned int p2pd_count(uint16_t opcode)
{
	unsigned int count;

	pthread_mutex_lock(&lock);
	count = p2pd.counts[opcode];
	pthread_mutex_unlock(&lock);
	return count;
}

size_t p2pd_last(uint16_t opcode, void *ret_body, size_t size_bytes)
{
	size_t got;

	pthread_mutex_lock(&lock);
	got = p2pd.last_bytes[opcode];
	memcpy(ret_body, p2pd.last[opcode], got < size_bytes ? got : size_bytes);
	pthread_mutex_unlock(&lock);
	return got;
}

void p2pd_set_state(uint64_t lease_id, uint32_t state, uint32_t reason, uint64_t deadline_ns)
{
	struct wire_lease *lease;

	pthread_mutex_lock(&lock);
	lease = p2pd_find_lease(lease_id);
	if (lease) {
		lease->state = state;
		lease->reason = reason;
		lease->deadline_ns = deadline_ns;
	}
	pthread_mutex_unlock(&lock);
}

void p2pd_set_records(uint32_t nr_records, uint32_t per_page)
{
	pthread_mutex_lock(&lock);
	p2pd.nr_records = nr_records;
	p2pd.per_page = per_page;
	pthread_mutex_unlock(&lock);
}

void p2pd_set_health(uint32_t nr_unavailable, bool has_good_policy)
{
	pthread_mutex_lock(&lock);
	p2pd.nr_unavailable = nr_unavailable;
	p2pd.has_good_policy = has_good_policy;
	pthread_mutex_unlock(&lock);
}
