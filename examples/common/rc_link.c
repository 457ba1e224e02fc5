// SPDX-License-Identifier: MIT
/*
 * Two machines with an RDMA connection between them.
 *
 * A TCP connection carries what the ends have to tell each other: first their
 * addresses and keys, one message of fixed-width big-endian numbers each way,
 * then words by which a program keeps its two halves in step. Used by one
 * thread at a time.
 */
#include <endian.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "rc_link.h"

#define RETRY_MS 200
#define READY	 0x52454459

struct hello {
	uint8_t gid[16];
	uint64_t address;
	uint64_t length_bytes;
	uint32_t rkey;
	uint32_t qp_num;
	uint32_t lid;
	uint32_t mtu;
};

int rc_link_open(struct rc_link *link, const char *device, uint32_t depth)
{
	int r;

	memset(link, 0, sizeof(*link));
	link->socket = -1;
	r = rc_port_open(&link->port, device);
	if (r)
		return r;
	link->pd = ibv_alloc_pd(link->port.verbs);
	if (link->pd)
		link->cq = ibv_create_cq(link->port.verbs, (int)depth, NULL, NULL, 0);
	if (link->cq)
		link->qp = rc_qp_create(link->pd, link->cq, depth);
	if (link->qp)
		return 0;
	r = errno ? -errno : -ENOMEM;
	rc_link_close(link);
	return r;
}

void rc_link_close(struct rc_link *link)
{
	if (link->socket >= 0)
		close(link->socket);
	if (link->qp)
		ibv_destroy_qp(link->qp);
	if (link->cq)
		ibv_destroy_cq(link->cq);
	if (link->pd)
		ibv_dealloc_pd(link->pd);
	rc_port_close(&link->port);
	memset(link, 0, sizeof(*link));
	link->socket = -1;
}

static int listen_on(const char *service)
{
	const struct addrinfo hints = {
		.ai_family = AF_INET, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *found;
	int fd, r, one = 1;

	if (getaddrinfo(NULL, service, &hints, &found))
		return -EADDRNOTAVAIL;
	fd = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, 0);
	r = fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, 1);
	r = r ? -errno : 0;
	freeaddrinfo(found);
	if (r && fd >= 0)
		close(fd);
	return r ? r : fd;
}

int rc_link_accept(struct rc_link *link, const char *service)
{
	int fd = listen_on(service);

	if (fd < 0)
		return fd;
	link->socket = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	if (link->socket < 0)
		link->socket = -errno;
	close(fd);
	return link->socket < 0 ? link->socket : 0;
}

static int dial(const char *host, const char *service)
{
	const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found;
	int fd, r = 0;

	if (getaddrinfo(host, service, &hints, &found))
		return -EADDRNOTAVAIL;
	fd = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen))
		r = -errno;
	freeaddrinfo(found);
	if (r && fd >= 0)
		close(fd);
	return r ? r : fd;
}

int rc_link_dial(struct rc_link *link, const char *host, const char *service, int timeout_ms)
{
	const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};

	/* The peer may not be there yet, nor its network. */
	for (;;) {
		link->socket = dial(host, service);
		timeout_ms -= RETRY_MS;
		if (link->socket >= 0 || link->socket == -EADDRNOTAVAIL || timeout_ms <= 0)
			break;
		nanosleep(&pause, NULL);
	}
	return link->socket < 0 ? link->socket : 0;
}

static int send_all(int fd, const void *data, size_t bytes)
{
	return send(fd, data, bytes, MSG_NOSIGNAL) == (ssize_t)bytes ? 0 : errno ? -errno : -EPIPE;
}

static int receive_all(int fd, void *data, size_t bytes)
{
	ssize_t n = recv(fd, data, bytes, MSG_WAITALL);

	return n == (ssize_t)bytes ? 0 : n < 0 ? -errno : -ECONNRESET;
}

int rc_link_tell(struct rc_link *link, uint32_t word)
{
	word = htobe32(word);
	return send_all(link->socket, &word, sizeof(word));
}

int rc_link_hear(struct rc_link *link, uint32_t *ret_word)
{
	uint32_t word;
	int r;

	r = receive_all(link->socket, &word, sizeof(word));
	if (!r)
		*ret_word = be32toh(word);
	return r;
}

static int say_hello(struct rc_link *link, const struct rc_memory *mine)
{
	struct rc_address address;
	struct hello hello;

	rc_port_address(&link->port, link->qp, &address);
	memcpy(hello.gid, address.gid.raw, sizeof(hello.gid));
	hello.address = htobe64(mine->address);
	hello.length_bytes = htobe64(mine->length_bytes);
	hello.rkey = htobe32(mine->rkey);
	hello.qp_num = htobe32(address.qp_num);
	hello.lid = htobe32(address.lid);
	hello.mtu = htobe32((uint32_t)address.mtu);
	return send_all(link->socket, &hello, sizeof(hello));
}

static int hear_hello(struct rc_link *link, struct rc_address *ret_address,
		      struct rc_memory *ret_memory)
{
	struct hello hello;
	int r;

	r = receive_all(link->socket, &hello, sizeof(hello));
	if (r)
		return r;
	memcpy(ret_address->gid.raw, hello.gid, sizeof(hello.gid));
	ret_address->qp_num = be32toh(hello.qp_num);
	ret_address->lid = (uint16_t)be32toh(hello.lid);
	ret_address->mtu = (enum ibv_mtu)be32toh(hello.mtu);
	ret_memory->address = be64toh(hello.address);
	ret_memory->length_bytes = be64toh(hello.length_bytes);
	ret_memory->rkey = be32toh(hello.rkey);
	return 0;
}

int rc_link_connect(struct rc_link *link, const struct rc_memory *mine,
		    struct rc_memory *ret_theirs)
{
	struct rc_memory theirs;
	struct rc_address peer;
	uint32_t word = 0;
	int r;

	r = say_hello(link, mine);
	if (!r)
		r = hear_hello(link, &peer, &theirs);
	if (!r)
		r = rc_qp_connect(&link->port, link->qp, &peer);
	/* Who posts before the peer can receive has its first packets sent again. */
	if (!r)
		r = rc_link_tell(link, READY);
	if (!r)
		r = rc_link_hear(link, &word);
	if (!r && word != READY)
		r = -EPROTO;
	if (!r)
		*ret_theirs = theirs;
	return r;
}

int rc_link_post(struct rc_link *link, enum ibv_wr_opcode opcode, const struct ibv_sge *local,
		 const struct rc_memory *theirs, uint64_t offset_bytes)
{
	struct ibv_sge sge = *local;
	struct ibv_send_wr wr = {.sg_list = &sge, .num_sge = 1, .opcode = opcode};
	struct ibv_send_wr *bad;

	wr.wr.rdma.remote_addr = theirs->address + offset_bytes;
	wr.wr.rdma.rkey = theirs->rkey;
	return -ibv_post_send(link->qp, &wr, &bad);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

int rc_link_wait(struct rc_link *link, int timeout_ms)
{
	int64_t deadline = now_ms() + timeout_ms;
	struct ibv_wc wc;
	int n;

	while (!(n = ibv_poll_cq(link->cq, 1, &wc))) {
		if (now_ms() > deadline)
			return -ETIMEDOUT;
	}
	return n < 0 ? -EIO : (int)wc.status;
}
