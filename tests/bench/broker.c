// SPDX-License-Identifier: MIT
/*
 * p2pd as the benchmarks run it, and their client.
 *
 * p2pd is the one that is installed but for its device, which is emulated: a DMABUF is a memfd.
 * Its log goes nowhere, but it is written. All runs on one processor: what is compared is
 * work, not how well two processors wake each other.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"

#define BAR_BYTES   "0x10000000"
#define START_TRIES 2000

static const char policy[] = "[daemon]\n"
			     "max-connections = unlimited\n"
			     "max-leases = unlimited\n"
			     "requests-per-second = unlimited\n"
			     "hello-time = 60s\n"
			     "stall-time = 60s\n"
			     "reattach-time = %s\n"
			     "admin-group = %u\n"
			     "[rule everybody]\n"
			     "allow = yes\n";

__attribute__((noreturn)) static void fail(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

size_t broker_prepare(void)
{
	struct rlimit limit;
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	sched_setaffinity(0, sizeof(one), &one);
	if (getrlimit(RLIMIT_NOFILE, &limit))
		fail("limit of open files");
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	signal(SIGPIPE, SIG_IGN);
	return limit.rlim_max;
}

/* -- p2pd -- */

static void write_policy(const char *path, const char *reattach_time)
{
	FILE *file = fopen(path, "we");

	if (!file || fprintf(file, policy, reattach_time, (unsigned int)getgid()) < 0 ||
	    fclose(file))
		fail(path);
}

__attribute__((noreturn)) static void run_daemon(const struct broker_daemon *daemon,
						 const char *config)
{
	int nowhere = open("/dev/null", O_WRONLY);
	char device[96];

	/* With whoever measures, also where that fails. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	snprintf(device, sizeof(device), "%s/device", daemon->folder);
	setenv("P2PD_EMULATED", device, 1);
	setenv("P2PD_EMULATED_BYTES", BAR_BYTES, 1);
	dup2(nowhere, STDOUT_FILENO);
	dup2(nowhere, STDERR_FILENO);
	execl(BENCH_KEEPER, BENCH_KEEPER, BENCH_P2PD, "--config", config, "--socket",
	      daemon->socket, (char *)NULL);
	_exit(127);
}

void broker_start(struct broker_daemon *daemon, const char *reattach_time)
{
	const char *parent = getenv("TMPDIR");
	char config[96];
	int fd = -1;

	snprintf(daemon->folder, sizeof(daemon->folder), "%.40s/p2pd-bench-XXXXXX",
		 parent ? parent : "/tmp");
	if (!mkdtemp(daemon->folder))
		fail(daemon->folder);
	snprintf(daemon->socket, sizeof(daemon->socket), "%s/socket", daemon->folder);
	snprintf(config, sizeof(config), "%s/conf", daemon->folder);
	write_policy(config, reattach_time);
	daemon->keeper = fork();
	if (daemon->keeper < 0)
		fail("fork");
	if (daemon->keeper == 0)
		run_daemon(daemon, config);
	for (int i = 0; i < START_TRIES && fd < 0; i++) {
		fd = broker_try_hello(daemon->socket);
		if (fd < 0)
			usleep(5000);
	}
	if (fd < 0) {
		fprintf(stderr, "p2pd does not start\n");
		broker_stop(daemon);
		exit(1);
	}
	close(fd);
}

void broker_stop(struct broker_daemon *daemon)
{
	static const char *const files[] = {"socket", "socket.lock", "conf", "device"};
	char path[128];

	kill(daemon->keeper, SIGTERM);
	waitpid(daemon->keeper, NULL, 0);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", daemon->folder, files[i]);
		unlink(path);
	}
	rmdir(daemon->folder);
}

pid_t broker_pid(const struct broker_daemon *daemon)
{
	char path[64];
	FILE *file;
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)daemon->keeper,
		 (int)daemon->keeper);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%d", &pid) != 1)
		fail(path);
	fclose(file);
	return pid;
}

/* -- the client -- */

static int try_connect(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (fd < 0)
		fail("socket");
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (connect(fd, (const void *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

int broker_connect(const char *path)
{
	int fd = try_connect(path);

	if (fd < 0)
		fail(path);
	return fd;
}

static int send_request(int fd, uint16_t opcode, const void *body, size_t size_bytes)
{
	struct wire_header header = {.size_bytes = (uint32_t)(sizeof(header) + size_bytes),
				     .opcode = opcode,
				     .serial = 1};
	struct iovec parts[] = {{&header, sizeof(header)}, {(void *)(uintptr_t)body, size_bytes}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};

	return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Closes what comes along. 0, or -errno; -EBADMSG: it is another message, or an error. */
static int receive(int fd, uint16_t opcode, void *ret_packet, size_t size_bytes, int flags)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec data = {.iov_base = ret_packet, .iov_len = size_bytes};
	struct msghdr message = {.msg_iov = &data,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	const struct wire_header *header = ret_packet;
	struct cmsghdr *first;
	ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | flags);
	int came;

	if (n < 0)
		return -errno;
	if (n < (ssize_t)sizeof(*header))
		return -ECONNRESET;
	first = CMSG_FIRSTHDR(&message);
	if (first && first->cmsg_type == SCM_RIGHTS) {
		memcpy(&came, CMSG_DATA(first), sizeof(came));
		close(came);
	}
	return header->opcode == opcode && !header->error ? 0 : -EBADMSG;
}

static void call(int fd, uint16_t opcode, const void *body, size_t size_bytes, void *ret_reply,
		 size_t reply_bytes)
{
	int r = send_request(fd, opcode, body, size_bytes);

	if (!r)
		r = receive(fd, opcode | WIRE_REPLY, ret_reply, reply_bytes, 0);
	if (!r)
		return;
	errno = -r;
	fprintf(stderr, "request %u: ", opcode);
	fail("no good answer");
}

int broker_try_hello(const char *path)
{
	struct wire_hello hello = {.version_min = 1, .version_max = 1, .program = "bench"};
	uint64_t reply[64];
	int fd = try_connect(path);

	if (fd < 0)
		return -1;
	if (!send_request(fd, WIRE_HELLO, &hello, sizeof(hello)) &&
	    !receive(fd, WIRE_HELLO | WIRE_REPLY, reply, sizeof(reply), 0))
		return fd;
	close(fd);
	return -1;
}

void broker_hello(int fd)
{
	struct wire_hello hello = {.version_min = 1, .version_max = 1, .program = "bench"};
	uint64_t reply[64];

	call(fd, WIRE_HELLO, &hello, sizeof(hello), reply, sizeof(reply));
}

uint64_t broker_acquire(int fd)
{
	struct wire_acquire acquire = {.selector = "*",
				       .mode = WIRE_MODE_EXCLUSIVE,
				       .access = WIRE_ACCESS_READ | WIRE_ACCESS_WRITE,
				       .length_bytes = BROKER_LEASE_BYTES};
	struct {
		struct wire_header header;
		struct wire_lease lease;
	} reply;

	call(fd, WIRE_ACQUIRE, &acquire, sizeof(acquire), &reply, sizeof(reply));
	return reply.lease.id;
}

void broker_release(int fd, uint64_t lease_id)
{
	struct wire_lease_id body = {.lease_id = lease_id};
	uint64_t reply[64];

	call(fd, WIRE_RELEASE, &body, sizeof(body), reply, sizeof(reply));
}

uint32_t broker_nr_leases(int fd)
{
	struct {
		struct wire_header header;
		struct wire_status_reply status;
	} reply;

	call(fd, WIRE_STATUS, NULL, 0, &reply, sizeof(reply));
	return reply.status.nr_leases;
}

void broker_send_revoke_all(int fd, uint64_t deadline_ms)
{
	struct wire_revoke body = {.scope = WIRE_SCOPE_ALL, .deadline_ms = deadline_ms};

	if (send_request(fd, WIRE_REVOKE, &body, sizeof(body)))
		fail("revoking");
}

int broker_take(int fd, uint16_t opcode, int flags)
{
	uint64_t packet[128];

	return receive(fd, opcode, packet, sizeof(packet), flags);
}
