/* SPDX-License-Identifier: MIT */
/*
 * rdma_link add NAME TYPE NETDEV, rdma_link del NAME: what `rdma link` does,
 * for a guest without iproute2.
 *
 * Two messages of the RDMA netlink family: RDMA_NLDEV_CMD_NEWLINK with three
 * strings, and RDMA_NLDEV_CMD_DELLINK with the device's index, which an
 * RDMA_NLDEV_CMD_GET dump gives. The kernel loads the driver of TYPE itself.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <rdma/rdma_netlink.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct message {
	struct nlmsghdr head;
	char body[4096];
};

static void message_init(struct message *msg, int command, int flags)
{
	memset(msg, 0, sizeof(*msg));
	msg->head.nlmsg_len = NLMSG_LENGTH(0);
	msg->head.nlmsg_type = RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, command);
	msg->head.nlmsg_flags = NLM_F_REQUEST | flags;
}

static void message_put(struct message *msg, uint16_t type, const void *data, size_t len)
{
	struct nlattr *attr = (void *)((char *)msg + NLMSG_ALIGN(msg->head.nlmsg_len));

	attr->nla_type = type;
	attr->nla_len = NLA_HDRLEN + len;
	memcpy((char *)attr + NLA_HDRLEN, data, len);
	msg->head.nlmsg_len = NLMSG_ALIGN(msg->head.nlmsg_len) + NLA_ALIGN(attr->nla_len);
}

/* Send and read the acknowledgement: 0 or -errno. */
static int message_exchange(int fd, struct message *msg)
{
	struct message reply;
	struct nlmsgerr *error = NLMSG_DATA(&reply.head);

	if (send(fd, msg, msg->head.nlmsg_len, 0) < 0)
		return -errno;
	if (recv(fd, &reply, sizeof(reply), 0) < 0)
		return -errno;
	return reply.head.nlmsg_type == NLMSG_ERROR ? error->error : -EPROTO;
}

static int link_add(int fd, const char *name, const char *type, const char *netdev)
{
	struct message msg;

	message_init(&msg, RDMA_NLDEV_CMD_NEWLINK, NLM_F_ACK);
	message_put(&msg, RDMA_NLDEV_ATTR_DEV_NAME, name, strlen(name) + 1);
	message_put(&msg, RDMA_NLDEV_ATTR_LINK_TYPE, type, strlen(type) + 1);
	message_put(&msg, RDMA_NLDEV_ATTR_NDEV_NAME, netdev, strlen(netdev) + 1);
	return message_exchange(fd, &msg);
}

/* The index of device @name in one message of a dump, or -ENOENT. */
static int index_in(struct nlmsghdr *head, const char *name)
{
	struct nlattr *attr = NLMSG_DATA(head);
	int left = head->nlmsg_len - NLMSG_LENGTH(0);
	int index = -ENOENT, is_it = 0;

	while (left >= NLA_HDRLEN && attr->nla_len >= NLA_HDRLEN && attr->nla_len <= left) {
		void *data = (char *)attr + NLA_HDRLEN;

		if (attr->nla_type == RDMA_NLDEV_ATTR_DEV_INDEX)
			memcpy(&index, data, sizeof(index));
		if (attr->nla_type == RDMA_NLDEV_ATTR_DEV_NAME)
			is_it = !strcmp(data, name);
		left -= NLA_ALIGN(attr->nla_len);
		attr = (void *)((char *)attr + NLA_ALIGN(attr->nla_len));
	}
	return is_it ? index : -ENOENT;
}

static int link_index(int fd, const char *name)
{
	struct message msg;
	int index = -ENOENT;

	message_init(&msg, RDMA_NLDEV_CMD_GET, NLM_F_DUMP);
	if (send(fd, &msg, msg.head.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		struct nlmsghdr *head = &msg.head;
		int left = recv(fd, &msg, sizeof(msg), 0);

		if (left < 0)
			return -errno;
		for (; NLMSG_OK(head, (unsigned int)left); head = NLMSG_NEXT(head, left)) {
			if (head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR)
				return index;
			if (index < 0)
				index = index_in(head, name);
		}
	}
}

static int link_del(int fd, const char *name)
{
	struct message msg;
	int index = link_index(fd, name);

	if (index < 0)
		return index;
	message_init(&msg, RDMA_NLDEV_CMD_DELLINK, NLM_F_ACK);
	message_put(&msg, RDMA_NLDEV_ATTR_DEV_INDEX, &index, sizeof(index));
	return message_exchange(fd, &msg);
}

int main(int argc, char **argv)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_RDMA);
	int err;

	if (fd < 0) {
		perror("rdma_link: socket");
		return 1;
	}
	if (argc == 5 && !strcmp(argv[1], "add")) {
		err = link_add(fd, argv[2], argv[3], argv[4]);
	} else if (argc == 3 && !strcmp(argv[1], "del")) {
		err = link_del(fd, argv[2]);
	} else {
		fprintf(stderr, "usage: rdma_link add NAME TYPE NETDEV | del NAME\n");
		err = -EINVAL;
	}
	if (err)
		fprintf(stderr, "rdma_link: %s (%s)\n", strerror(-err), strerrorname_np(-err));
	close(fd);
	return err ? 1 : 0;
}
