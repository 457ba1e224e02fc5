/* SPDX-License-Identifier: MIT */
#ifndef VFIO_JOBS_H
#define VFIO_JOBS_H

#include "common/vfio.h"

struct event_base;
struct vfio_jobs;

/*
 * Opens and closes functions of VFIO, one after the other, in a thread: the kernel may reset the
 * function, for seconds. The owner's answer comes in the loop.
 */
struct vfio_job {
	struct list link;
	bool is_opening; /* else closing */
	struct pci_function function;
	char name[64];	/* what its descriptor is kept as */
	int request_fd; /* for opening: an eventfd for when the kernel wants it back, borrowed */
	struct vfio_open open; /* what was opened, or is to be closed */
	/* It is the owner's again, who may begin another. Never called from vfio_jobs_begin(). */
	void (*done)(struct vfio_job *job);
	/* It takes longer than it should, for this reason; NULL: it goes on. Not from vfio_jobs_begin(). */
	void (*late)(struct vfio_job *job, const char *why);
	void *owner;
	/* What became of an opening. */
	int error;
	struct cause why;
	int keep_error; /* 0: it is kept */
	bool is_deaf;	/* the kernel doesn't tell when it wants it back */
	/* Of closing. */
	int decode_error; /* memory decode stayed on until it was closed */
	bool has_shared;  /* it was opened through what other functions may have open still */
};

/* How what was kept is taken up, see vfio_keeper; only before vfio_jobs_go(). */
typedef int (*vfio_take_fn)(const char *name, void *data);

int vfio_jobs_new(struct event_base *base, int dev_fd, vfio_take_fn take, void *data,
		  struct vfio_jobs **ret_jobs);
/* There is a function of VFIO: from now on there is a thread. */
int vfio_jobs_start(struct vfio_jobs *jobs);
/* What has begun until now, and will begin, is done. */
void vfio_jobs_go(struct vfio_jobs *jobs);

/*
 * Whoever opens and closes by itself may use them: before vfio_jobs_go(). After the end NULL: they
 * are not at rest.
 */
struct vfio_nodes *vfio_jobs_nodes(struct vfio_jobs *jobs);
const struct sys_ops *vfio_jobs_sys(const struct vfio_jobs *jobs);

/* -ESHUTDOWN: this p2pd ends. */
int vfio_jobs_begin(struct vfio_jobs *jobs, struct vfio_job *job);

/*
 * Nothing begins any more. What is being closed has @ms; what is being opened stays behind,
 * with the job.
 */
void vfio_jobs_end(struct vfio_jobs *jobs, uint32_t ms);
/* After that. */
void vfio_jobs_free(struct vfio_jobs *jobs);

#endif /* VFIO_JOBS_H */
