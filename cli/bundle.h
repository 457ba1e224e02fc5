/* SPDX-License-Identifier: MIT */
#ifndef BUNDLE_H
#define BUNDLE_H

#include <stdio.h>

#include "topo.h"

/*
 * A report to attach to a bug: a tar archive of text files, written part by part. The file is made
 * anew and for its owner only; one that is there already, or a link, is refused.
 */
struct bundle;

/* 0, or -errno: -EEXIST. */
int bundle_open(const char *path, struct bundle **ret_bundle);
/* The next part is written to this stream, up to bundle_end(). No memory ends the program. */
FILE *bundle_begin(struct bundle *bundle, const char *name);
void bundle_end(struct bundle *bundle);
/* Frees it. 0, or -errno of whatever failed since; then the file is removed. */
int bundle_close(struct bundle *bundle);

/* All of it but the findings; what can't be had is said in its place. */
void bundle_fill(struct bundle *bundle, const struct cli *cli, const struct topo *topo);

#endif /* BUNDLE_H */
