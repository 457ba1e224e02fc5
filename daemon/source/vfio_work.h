/* SPDX-License-Identifier: MIT */
#ifndef VFIO_WORK_H
#define VFIO_WORK_H

#include "vfio_jobs.h"

/* The steps of a job that may take their time: in the thread of vfio_jobs.c. */
typedef void (*vfio_work_fn)(struct vfio_nodes *nodes, struct vfio_job *job);

/* With memory decode on, and able to export; else job->error. */
void vfio_work_open(struct vfio_nodes *nodes, struct vfio_job *job);
/* Memory decode off. */
void vfio_work_silence(struct vfio_nodes *nodes, struct vfio_job *job);
void vfio_work_close(struct vfio_nodes *nodes, struct vfio_job *job);

#endif /* VFIO_WORK_H */
