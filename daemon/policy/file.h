/* SPDX-License-Identifier: MIT */
#ifndef POLICY_FILE_H
#define POLICY_FILE_H

#include <stdint.h>

struct policy;

/*
 * Reads @path and then @path's directory's conf.d/ *.conf in the order of their names into a
 * new policy. Everything that is wrong is told, one line each with file:line, not only the
 * first. A missing @path and an empty or missing conf.d are the default policy. Files must be
 * regular, at most 1 MiB, belong to root or to this process' user, and be writable by nobody
 * else; conf.d, too. The syntax: p2pd.conf(5).
 *
 * @required: POLICY_FOUND_*, what was there the last time (policy_settings()->found) and may not
 * be missing now, so that a file that got lost is a mistake and not another policy. Files in
 * conf.d come and go. 0 at the start.
 *
 * Blocking: reads files and asks NSS for the names of users and groups: call it at start-up
 * or in a thread or process of its own, never in the loop. It touches nothing but what
 * it returns.
 *
 * 0, or -EINVAL with the complaints; -ENOENT: what is required is gone; -ENOMEM; -EIO and what
 * open() says, also with complaints. @ret_complaints: to be freed; NULL where it returns 0, or
 * without memory.
 */
int policy_load(const char *path, uint32_t required, struct policy **ret_policy,
		char **ret_complaints);

#endif /* POLICY_FILE_H */
