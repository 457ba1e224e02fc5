/* SPDX-License-Identifier: MIT */
#ifndef DMABUF_H
#define DMABUF_H

#include <linux/magic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct export_result;
struct p2pdma_context;
struct sys_ops;

#define DMABUF_EXPORTER_SIZE 32

/* Proves that a descriptor is a DMABUF; its size. */
int dmabuf_query(struct p2pdma_context *context, int fd, struct export_result *ret_result);

/* Why it can't be taken for one: tells the cause and returns the error. */
int dmabuf_query_failed(struct p2pdma_context *context, int fd, int error);

/* Who exported it, as its fdinfo says; -errno where there is no procfs. */
int dmabuf_exporter_query(const struct sys_ops *sys, int fd,
			  char ret_exporter[DMABUF_EXPORTER_SIZE]);

/* Is this exporter's memory the machine's own RAM, whoever maps it? */
bool dmabuf_exporter_is_system(const char *exporter);

#endif /* DMABUF_H */
