// SPDX-License-Identifier: MIT
/*
 * What is done with a function of VFIO, and may wait for the kernel or for others.
 *
 * A node that is busy may be free in a moment: systemd closes its copy of a group behind the answer that
 * it has forgotten it. So it is tried for a while before somebody is told that another has it.
 */
#include <errno.h>
#include <unistd.h>

#include "common/vfio_abi.h"
#include "vfio_work.h"

#define BUSY_TRIES    20
#define BUSY_PAUSE_US 10000

static int open_function(struct vfio_nodes *nodes, struct vfio_job *job)
{
	int r = vfio_open(nodes, &job->function, &job->why, &job->open);

	for (int i = 1; r == -EBUSY && i < BUSY_TRIES; i++) {
		usleep(BUSY_PAUSE_US);
		r = vfio_open(nodes, &job->function, &job->why, &job->open);
	}
	return r;
}

void vfio_work_open(struct vfio_nodes *nodes, struct vfio_job *job)
{
	const struct sys_ops *sys = nodes->sys;
	int r;

	r = job->error = open_function(nodes, job);
	if (r)
		return;
	r = vfio_can_export(sys, job->open.fd);
	if (r)
		cause_fail(&job->why, r, "VFIO of this kernel can't export DMABUFs");
	else
		r = vfio_decode_set(sys, job->open.fd, true);
	job->error = r;
	if (r) {
		vfio_decode_set(sys, job->open.fd, false);
		vfio_close(nodes, &job->open);
		return;
	}
	/* A kernel that doesn't tell waits until somebody revokes. */
	job->is_deaf = vfio_irq_set(sys, job->open.fd, VFIO_PCI_REQ_IRQ_INDEX, job->request_fd) < 0;
}

void vfio_work_silence(struct vfio_nodes *nodes, struct vfio_job *job)
{
	job->decode_error = vfio_decode_set(nodes->sys, job->open.fd, false);
}

void vfio_work_close(struct vfio_nodes *nodes, struct vfio_job *job)
{
	job->has_shared = job->open.group;
	vfio_close(nodes, &job->open);
}
