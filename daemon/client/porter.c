// SPDX-License-Identifier: MIT
/*
 * The porter: a process that has peers' descriptors instead of p2pd.
 *
 * It takes one packet after the other, and waits for nothing but p2pd: it looks at what came without
 * asking any file system (dmabuf.c), and it closes nothing but DMABUFs. What is none it has; that costs a
 * place in its table. Some closers do nothing but close what is there, one after the other. They are
 * processes that share the porter's table: where close() never returns, one of them has got stuck, and
 * the porter goes on. When all are stuck, what comes is kept, and that is all.
 *
 * A packet is taken with all its descriptors. What is left to the kernel it would close here, if this
 * process had the last reference; so would the last close() of a connection with packets in it. Of one
 * that is to be closed p2pd must have let go before a closer does: that is why it takes two orders.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/message.h"
#include "dmabuf.h"
#include "intake.h"
#include "porter.h"

#define MOST_CLOSERS 4

/* One descriptor, for a closer. Smaller than PIPE_BUF: whole or not at all. */
struct job {
	int32_t fd;
	uint32_t slot;
};

static struct {
	int fd;	    /* p2pd */
	int in, to; /* a pipe of jobs */
	unsigned int nr_closers;
	int connection; /* kept */
} porter;

/* p2pd reads on; it may just have something else to do. */
static int tell(const struct porter_said *said, int fd)
{
	struct pollfd poll_fd = {.fd = porter.fd, .events = POLLOUT};
	int r;

	while ((r = message_send(porter.fd, said, PORTER_SAID_BYTES + said->size_bytes, fd)) ==
	       -EAGAIN)
		poll(&poll_fd, 1, -1);
	return r;
}

/* -- closing -- */

static _Noreturn void close_jobs(pid_t parent)
{
	struct porter_said said = {.news = PORTER_CLOSED, .fd = -1};
	struct job job;

	prctl(PR_SET_NAME, "p2pd-closer");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	while (read(porter.in, &job, sizeof(job)) == sizeof(job)) {
		/* From here on it may take for ever. */
		close(job.fd);
		said.slot = job.slot;
		if (tell(&said, -1))
			break;
	}
	_exit(0);
}

/* fork(), but with one table of descriptors for both. */
static long fork_with_table(void)
{
#ifdef __s390__
	return syscall(SYS_clone, 0, CLONE_FILES | SIGCHLD, 0, 0, 0);
#else
	return syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
#endif
}

/* As soon as the present ones have something to do. */
static void start_closer(void)
{
	pid_t parent = getpid();
	int waiting_bytes = 0;
	long child;

	if (porter.nr_closers == MOST_CLOSERS ||
	    (porter.nr_closers && (ioctl(porter.in, FIONREAD, &waiting_bytes) || !waiting_bytes)))
		return;
	child = fork_with_table();
	if (child == 0)
		close_jobs(parent);
	porter.nr_closers += child > 0;
}

/* Where the pipe is full, or there is no closer, it stays here. */
static void leave_to_closers(int fd, uint32_t slot)
{
	struct job job = {.fd = fd, .slot = slot};

	start_closer();
	if (write(porter.to, &job, sizeof(job)) < 0)
		return;
}

/* -- orders -- */

static bool next_order(struct porter_order *ret_order, int *ret_connection)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec data = {.iov_base = ret_order, .iov_len = sizeof(*ret_order)};
	struct msghdr header = {.msg_iov = &data,
				.msg_iovlen = 1,
				.msg_control = &control,
				.msg_controllen = sizeof(control.room)};
	struct cmsghdr *c;

	*ret_connection = -1;
	if (recvmsg(porter.fd, &header, MSG_CMSG_CLOEXEC) != sizeof(*ret_order))
		return false;
	c = CMSG_FIRSTHDR(&header);
	if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(ret_connection, CMSG_DATA(c), sizeof(*ret_connection));
	return (*ret_connection < 0) == (ret_order->task == PORTER_CLOSE);
}

static int take(int connection, uint32_t slot)
{
	struct porter_said said = {.news = PORTER_DONE, .slot = slot, .fd = -1};
	struct message message = {.fd = -1};
	int fds[MESSAGE_KERNEL_FDS];
	bool is_dmabuf;
	size_t count;
	int r;

	said.error = message_receive_all(connection, &message, fds, &count);
	/* Not the last of it: p2pd waits for us. */
	close(connection);
	is_dmabuf = !said.error && count && fd_is_dmabuf(fds[0]);
	if (count)
		said.fd = is_dmabuf ? 0 : INTAKE_NO_DMABUF;
	said.nr_kept = is_dmabuf ? 0 : (uint32_t)count;
	said.size_bytes = (uint32_t)message.size_bytes;
	memcpy(said.bytes, message.bytes, message.size_bytes);
	r = tell(&said, is_dmabuf ? fds[0] : -1);
	if (is_dmabuf)
		close(fds[0]);
	else
		for (size_t i = 0; i < count; i++)
			leave_to_closers(fds[i], slot);
	return r;
}

static int close_kept(uint32_t slot)
{
	struct porter_said said = {.news = PORTER_DONE, .slot = slot, .fd = -1, .nr_kept = 1};
	int r = tell(&said, -1);

	leave_to_closers(porter.connection, slot);
	return r;
}

static int follow(const struct porter_order *order, int connection)
{
	switch (order->task) {
	case PORTER_TAKE:
		return take(connection, order->slot);
	case PORTER_KEEP:
		porter.connection = connection;
		return 0;
	default:
		return close_kept(order->slot);
	}
}

static int make_pipe(void)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	porter.in = fds[0];
	porter.to = fds[1];
	/* A page has place for 512; more where we may. */
	fcntl(porter.to, F_SETPIPE_SZ, 1024 * 1024);
	return fcntl(porter.to, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
}

void porter_run(int fd, pid_t parent)
{
	struct porter_order order;
	int connection, r = 0;

	/* Nothing of p2pd's may live on in here. */
	if (fd > 0)
		close_range(0, (unsigned int)fd - 1, 0);
	close_range((unsigned int)fd + 1, UINT_MAX, 0);
	signal(SIGTERM, SIG_DFL);
	signal(SIGINT, SIG_DFL);
	signal(SIGHUP, SIG_IGN);
	signal(SIGUSR1, SIG_IGN);
	prctl(PR_SET_NAME, "p2pd-porter");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	porter.fd = fd;
	if (getppid() == parent && !make_pipe())
		while (!r && next_order(&order, &connection))
			r = follow(&order, connection);
	_exit(0);
}
