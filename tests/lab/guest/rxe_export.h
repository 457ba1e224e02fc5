/* SPDX-License-Identifier: MIT */
/*
 * Exports of p2pdma_export that are registered with soft-RoCE and taken back: what
 * rxe_revoke, rxe_race and rxe_hold do it with.
 */
#ifndef RXE_EXPORT_H
#define RXE_EXPORT_H

#include "rxe_buffer.h"

#define IOVA 0x5000000000ULL

/* Where the exports come from; all of them show the same pages of the BAR. */
struct source {
	const char *bdf;
	unsigned int bar;
	int owner;
	volatile uint8_t *cpu;
};

static inline struct source source_open(const char *bdf, unsigned int bar)
{
	return (struct source){
		.bdf = bdf,
		.bar = bar,
		.owner = export_open(bdf),
		.cpu = export_cpu(bdf, bar),
	};
}

static inline struct buffer export_or_die(const struct source *source, uint32_t open_flags,
					  uint32_t flags)
{
	struct buffer buf = {.fd = -1};

	must(export_make(&buf, source->owner, source->bar, open_flags, flags), "export");
	buf.cpu = source->cpu;
	return buf;
}

static inline int take_back(const struct buffer *buf)
{
	struct p2pdma_export_revoke arg = {.argsz = sizeof(arg), .export_id = buf->export_id};

	return call(buf->owner, P2PDMA_EXPORT_REVOKE, &arg);
}

static inline struct p2pdma_export_status status_of(const struct buffer *buf)
{
	struct p2pdma_export_status arg = {.argsz = sizeof(arg), .export_id = buf->export_id};

	must(call(buf->owner, P2PDMA_EXPORT_STATUS, &arg), "status");
	return arg;
}

static inline void mark(const struct buffer *buf, uint32_t seed, uint8_t *ret_marks)
{
	pattern_fill(ret_marks, seed, buf->size);
	buffer_write(buf, 0, ret_marks, buf->size);
}

static inline int reg(struct rig *rig, const struct buffer *buf, uint32_t access,
		      struct dmabuf_mr *ret_mr)
{
	struct mr_request range = buffer_request(buf, IOVA, access);

	return dmabuf_mr_register(&rig->pair, MR_IOCTL, &range, ret_mr);
}

static inline struct dmabuf_mr reg_or_die(struct rig *rig, const struct buffer *buf)
{
	struct mr_request range = buffer_request(buf, IOVA, MR_ATOMIC_ACCESS);

	return rig_register(rig, &range);
}

static inline int dereg(struct rig *rig, struct dmabuf_mr *mr)
{
	return dmabuf_mr_deregister(&rig->pair, mr);
}

static inline int write_to(struct rig *rig, const struct dmabuf_mr *mr, uint32_t length)
{
	return rig_do(rig, IBV_WR_RDMA_WRITE, host_at(rig, 0), mr_at(mr, IOVA), length);
}

static inline int read_from(struct rig *rig, const struct dmabuf_mr *mr, uint32_t length)
{
	return rig_do(rig, IBV_WR_RDMA_READ, host_at(rig, 0), mr_at(mr, IOVA), length);
}

#endif /* RXE_EXPORT_H */
