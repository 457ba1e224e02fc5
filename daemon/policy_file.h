/* SPDX-License-Identifier: MIT */
#ifndef POLICY_FILE_H
#define POLICY_FILE_H

#include <stddef.h>

struct policy;

/*
 * Reads @path and then @path's directory's conf.d/ *.conf in the order of their names into a
 * new policy. Everything that is wrong is told, one line each with file:line, not only the
 * first. A missing @path and an empty conf.d are the default policy.
 *
 * Blocking: reads files and asks NSS for the names of users and groups: call it at start-up
 * or from a child process, never in the loop.
 *
 * 0, or -EINVAL with the complaints; -ENOMEM; -EIO and what open() says.
 */
int policy_load(const char *path, struct policy **ret_policy, char **ret_complaints);

#endif /* POLICY_FILE_H */
