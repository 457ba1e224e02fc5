/* SPDX-License-Identifier: MIT */
#ifndef FAKE_CALL_H
#define FAKE_CALL_H

#include <pthread.h>

#include "fake.h"

/* What the files of the fake kernel have in common: one call at a time, and who takes which. */

extern pthread_mutex_t fake_lock;

static inline void fake_unlock(pthread_mutex_t **lock)
{
	pthread_mutex_unlock(*lock);
}

static inline pthread_mutex_t *fake_hold(void)
{
	pthread_mutex_lock(&fake_lock);
	return &fake_lock;
}

/* Until the end of the scope. */
#define HOLD_LOCK pthread_mutex_t *held __attribute__((cleanup(fake_unlock), unused)) = fake_hold()

/* A DMABUF of ours, or one that came through a socket. */
bool fake_is_dmabuf(int fd);

/* p2pdma_export. */
int fake_export_open(void);
int fake_export_ioctl(unsigned long request, void *argument);

/* The kernel's side of verbs. */
int fake_verbs_ioctl(unsigned long request, void *argument);

#endif /* FAKE_CALL_H */
