// SPDX-License-Identifier: MIT
/*
 * What p2pd answers and tells, to a client that asks one thing, then gets events, then takes its
 * lease up again: whatever comes, nothing is read beyond its packet, states only go forward, no
 * descriptor is left. poll() is the harness: whoever would wait is given the next packet.
 *
 * The input: one byte for the question, then packets: a byte of flags, two of length, the bytes.
 * Flagged packets get the header that fits, so that the fuzzer need not guess serials.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <p2pdma/p2pdma.h>

#include "broker/broker.h"
#include "buffer/buffer.h"
#include "fuzz.h"

#define FLAG_HEADER 1 /* of the reply that is waited for */
#define FLAG_FD	    2
#define FLAG_EVENT  4 /* the header of an event */

static struct {
	const uint8_t *data;
	size_t size;
	int peer;
	struct broker *broker;
} input;

int __wrap_poll(struct pollfd *fds, nfds_t nr_fds, int timeout_ms);

static void set_header(uint8_t *packet, size_t size, uint8_t flags)
{
	struct wire_header header;

	if (size < sizeof(header))
		return;
	memcpy(&header, packet, sizeof(header));
	header.size_bytes = (uint32_t)size;
	header.flags = 0;
	if (flags & FLAG_EVENT) {
		header.serial = 0;
		header.error = 0;
		header.opcode = WIRE_EVENT_REVOKE_REQUESTED + header.opcode % 4;
	} else {
		header.serial = input.broker->answered + 1;
		header.error = header.error > 0 ? 0 : header.error;
		header.opcode =
			input.broker->request.serial ? input.broker->request.opcode : header.opcode;
		header.opcode |= WIRE_REPLY;
	}
	memcpy(packet, &header, sizeof(header));
}

static int next_packet(void)
{
	uint8_t packet[WIRE_MESSAGE_MAX];
	uint8_t flags;
	size_t size;
	int fd = -1;

	if (input.size < 3)
		return 0;
	flags = input.data[0];
	size = (size_t)(input.data[1] | input.data[2] << 8);
	input.data += 3;
	input.size -= 3;
	size = size > input.size ? input.size : size;
	size = size > sizeof(packet) ? sizeof(packet) : size;
	memcpy(packet, input.data, size);
	input.data += size;
	input.size -= size;
	if (flags & (FLAG_HEADER | FLAG_EVENT))
		set_header(packet, size, flags);
	if (flags & FLAG_FD) {
		fd = memfd_create("fuzz", MFD_CLOEXEC);
		fuzz_require(!ftruncate(fd, 4096));
	}
	message_send(input.peer, packet, size, fd);
	if (fd >= 0)
		close(fd);
	return 1;
}

int __wrap_poll(struct pollfd *fds, nfds_t nr_fds, int timeout_ms)
{
	uint8_t request[WIRE_MESSAGE_MAX];

	(void)fds;
	(void)nr_fds;
	(void)timeout_ms;
	while (recv(input.peer, request, sizeof(request), MSG_DONTWAIT) > 0)
		;
	if (!next_packet()) {
		shutdown(input.peer, SHUT_RDWR);
		usleep(100);
	}
	return 1;
}

static int fake_fs_type(int fd, uint64_t *ret_type)
{
	(void)fd;
	*ret_type = DMA_BUF_MAGIC;
	return 0;
}

static struct sys_ops fake_sys;

static struct p2pdma_context *open_context(void)
{
	struct p2pdma_context_options options = P2PDMA_CONTEXT_OPTIONS_INIT;
	struct context_roots roots = {.sys = &fake_sys,
				      .verbs = &verbs_real,
				      .sysfs = "/sys",
				      .dev = "/dev",
				      .socket = "/nonexistent/p2pd.sock"};
	struct p2pdma_context *context = NULL;
	int ends[2];

	fake_sys = sys_real;
	fake_sys.fs_type = fake_fs_type;
	options.flags = P2PDMA_CONTEXT_NO_HOTPLUG;
	options.broker_timeout_ms = 1;
	fuzz_require(!context_open(&options, &roots, &context));
	fuzz_require(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
	input.peer = ends[1];
	input.broker = context->broker;
	pthread_mutex_lock(&context->lock);
	fuzz_require(!broker_start(context->broker));
	context->broker->socket.fd = ends[0];
	context->broker->state = BROKER_UP;
	context->broker->is_established = true;
	pthread_mutex_unlock(&context->lock);
	return context;
}

static void ask(struct p2pdma_context *context, uint8_t what)
{
	struct p2pdma_policy_question question = {.size_bytes = sizeof(question), .selector = "*"};
	struct p2pdma_policy_answer answer = {.size_bytes = sizeof(answer)};
	struct p2pdma_broker_status status = {.size_bytes = sizeof(status)};
	struct p2pdma_broker_list *list = NULL;
	char *text = NULL;

	switch (what % 6) {
	case 1:
		p2pdma_broker_list_providers(context, NULL, &list);
		break;
	case 2:
		p2pdma_broker_list_leases(context, NULL, 0, &list);
		break;
	case 3:
		p2pdma_broker_text(context, 0, &text);
		break;
	case 4:
		if (!p2pdma_policy_test(context, &question, &answer))
			fuzz_require(strlen(answer.because) < sizeof(answer.because));
		break;
	case 5:
		if (!p2pdma_broker_query(context, &status))
			fuzz_require(strlen(status.version) < sizeof(status.version));
		break;
	default:
		break;
	}
	for (size_t i = 0; i < p2pdma_broker_list_count(list); i++)
		fuzz_require(p2pdma_broker_list_lease(list, i) ||
			     strlen(p2pdma_broker_list_provider(list, i)->cause) < 240);
	free(text);
	p2pdma_broker_list_free(list);
}

/* As after a restart: the packets that are left answer HELLO and ATTACH. */
static void restore(struct p2pdma_context *context, struct p2pdma_buffer *buffer)
{
	struct broker *broker = context->broker;

	pthread_mutex_lock(&context->lock);
	if (broker->state == BROKER_UP) {
		broker_lost_all(broker);
		broker->state = BROKER_HELLO;
		broker->sent = 1;
		broker->answered = 0;
		broker->deadline_ns = UINT64_MAX;
	}
	pthread_mutex_unlock(&context->lock);
	for (int i = 0; i < 4 && broker->state != BROKER_CLOSED && next_packet(); i++) {
		struct p2pdma_buffer_status status = P2PDMA_BUFFER_STATUS_INIT;

		p2pdma_buffer_query(buffer, &status);
		fuzz_require(status.state <= P2PDMA_BUFFER_GONE);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct p2pdma_lease_request request = P2PDMA_LEASE_REQUEST_INIT;
	struct p2pdma_event event = P2PDMA_EVENT_INIT;
	struct p2pdma_lease_info info = P2PDMA_LEASE_INFO_INIT;
	struct p2pdma_buffer *buffer = NULL;
	struct p2pdma_context *context;
	int first = dup(0), last;

	close(first);
	if (!size)
		return 0;
	context = open_context();
	input.data = data + 1;
	input.size = size - 1;
	ask(context, data[0]);
	request.length_bytes = 4096;
	if (!p2pdma_lease_acquire(context, &request, &buffer)) {
		fuzz_require(p2pdma_buffer_size_bytes(buffer) == 4096);
		restore(context, buffer);
		fuzz_require(!p2pdma_lease_query(buffer, &info));
		fuzz_require(info.state <= P2PDMA_LEASE_RELEASED && strlen(info.provider) < 64);
		while (!p2pdma_next_event(context, &event))
			fuzz_require(event.buffer == buffer ||
				     event.type == P2PDMA_EVENT_DEVICE_GONE);
		p2pdma_buffer_free(buffer);
	}
	p2pdma_context_close(context);
	close(input.peer);
	last = dup(0);
	close(last);
	fuzz_require(first == last);
	return 0;
}
