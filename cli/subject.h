/* SPDX-License-Identifier: MIT */
#ifndef SUBJECT_H
#define SUBJECT_H

#include <stddef.h>
#include <stdint.h>

/* Somebody whom policy is asked about. */
struct subject {
	uint32_t uid;
	uint32_t gid; /* UINT32_MAX: none that is known */
	uint32_t *groups;
	size_t nr_groups;
	char *cgroup; /* NULL: unknown */
};

void subject_done(struct subject *subject);

/*
 * With all groups that the user database has. A number that is nobody's has none. -ENOENT: there is no such
 * user.
 */
int subject_of_user(const char *name, struct subject *ret_subject);
/* As it runs now. -ESRCH. */
int subject_of_process(uint64_t pid, struct subject *ret_subject);

#endif /* SUBJECT_H */
