/* SPDX-License-Identifier: MIT */
/*
 * explain_container PART RDMADEV PROVIDER: puts itself where containers put programs, runs against
 * it, and compares what the library says. PARTs are
 *
 *	sandbox		a seccomp filter before the RDMA device
 *	cgroup		rdma.max
 *	devices		the cgroup's device rules
 */
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <rdma/rdma_user_ioctl.h>
#include <stddef.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "library/explain.h"

#define CGROUP "/tmp/cgroup"

static void test_sandbox(void)
{
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, RDMA_VERBS_IOCTL, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(*filter), filter};
	int r;

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs");
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), "seccomp");
	r = try_library(buffer);
	told(r, -EPERM, "a seccomp filter of this process", "library_says_sandbox");
	ask_register(p2pdma_buffer_fd(buffer));
	explained(try_register(MR_IOCTL), -EPERM, P2PDMA_CAUSE_SANDBOX, SEEN, "a seccomp filter");
	p2pdma_buffer_free(buffer);
	/* The filter stays, and the protection domain with it, until the end. */
}

static void open_cgroup(void)
{
	mkdir(CGROUP, 0755);
	must(mount("cgroup", CGROUP, "cgroup2", 0, NULL) ? -errno : 0, "mounting cgroup2");
	mkdir(CGROUP "/none", 0755);
}

static void join_cgroup(void)
{
	must(write_file(CGROUP "/none/cgroup.procs", "0"), "joining the group");
}

static void close_cgroup(void)
{
	must(write_file(CGROUP "/cgroup.procs", "0"), "leaving the group");
	rmdir(CGROUP "/none");
	umount2(CGROUP, MNT_DETACH);
}

static void test_cgroup(void)
{
	struct p2pdma_buffer *buffer = lab_buffer(0, 0);
	char text[64];

	open_cgroup();
	must(write_file(CGROUP "/cgroup.subtree_control", "+rdma"), "the rdma controller");
	snprintf(text, sizeof(text), "%s hca_object=0",
		 ibv_get_device_name(lab.pair.context->device));
	must(write_file(CGROUP "/none/rdma.max", text), "rdma.max");
	join_cgroup();
	told(try_library(buffer), -EAGAIN, "has no objects of", "library_says_cgroup");
	ask_register(p2pdma_buffer_fd(buffer));
	explained(try_register(MR_IOCTL), -EAGAIN, P2PDMA_CAUSE_CGROUP, LIKELY,
		  "has no objects of");
	ask_memory(text);
	request.length_bytes = sizeof(text);
	explained(try_register_memory(), -EAGAIN, P2PDMA_CAUSE_CGROUP, LIKELY, "has no objects of");
	close_cgroup();
	p2pdma_buffer_free(buffer);
}

/* A program that says no to every device, for those in the group. */
static void forbid_devices(void)
{
	static const struct bpf_insn no[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE};
	union bpf_attr attach = {.attach_type = BPF_CGROUP_DEVICE};

	load.insns = (uintptr_t)no;
	load.insn_cnt = sizeof(no) / sizeof(*no);
	load.license = (uintptr_t) "GPL";
	attach.attach_bpf_fd = (uint32_t)must(syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load)),
					      "device rules");
	attach.target_fd = (uint32_t)must(open(CGROUP "/none", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
					  "the group");
	must(syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof(attach)), "the group's rules");
	close((int)attach.target_fd);
	close((int)attach.attach_bpf_fd);
}

static void test_devices(void)
{
	struct p2pdma_buffer *buffer = NULL;
	char node[64];
	int r;

	snprintf(node, sizeof(node), "/dev/p2pdma/%s", p2pdma_provider_function(lab.provider));
	open_cgroup();
	forbid_devices();
	join_cgroup();
	r = p2pdma_buffer_new(lab.context, lab.provider, NULL, 0, NULL, &buffer);
	told(r, -EPERM, "the device rules of this container", "library_says_devices");
	ask_register(-1);
	request.operation = P2PDMA_OPERATION_OPEN;
	request.node = node;
	r = open(node, O_RDWR | O_CLOEXEC);
	explained(r < 0 ? -errno : 0, -EPERM, P2PDMA_CAUSE_SANDBOX, LIKELY,
		  "the device rules of this container");
	close_cgroup();
}

int main(int argc, char **argv)
{
	if (argc != 4)
		die(0, "usage: explain_container PART RDMADEV PROVIDER");
	lab_open(argv[2], argv[3]);
	if (!strcmp(argv[1], "sandbox"))
		test_sandbox();
	else if (!strcmp(argv[1], "cgroup"))
		test_cgroup();
	else
		test_devices();
	lab_close();
	return tap_done();
}
