/* SPDX-License-Identifier: MIT */
#ifndef SOURCE_VFIO_STATE_H
#define SOURCE_VFIO_STATE_H

#include "vfio.h"

/* What vfio.c and vfio_request.c share. */

enum vfio_state {
	CLOSED,
	OPENING,
	OPEN,
	CLOSING,
};

struct vfio_source {
	struct device device; /* its fd: the open device, -1 where it isn't OPEN */
	const struct source_vfio_owner *owner;
	enum vfio_state state;
	struct vfio_job job;
	uint32_t epoch;
	int request_fd;
	struct event *request;
	bool is_wanted;	 /* by the kernel: not opened again */
	bool is_removed; /* freed as soon as it is CLOSED */
	int open_error;	 /* while those who waited for an opening hear of it */
};

/* From now on the kernel's requests are heard, by request_fd; and no more. */
int vfio_requests_make(struct vfio_source *vfio);
void vfio_requests_ignore(struct vfio_source *vfio);

/* It is wanted by the kernel, whoever says so: its leases are asked for. */
void vfio_give_back(struct vfio_source *vfio);

#endif /* SOURCE_VFIO_STATE_H */
