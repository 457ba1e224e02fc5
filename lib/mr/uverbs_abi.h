/* SPDX-License-Identifier: MIT */
#ifndef UVERBS_ABI_H
#define UVERBS_ABI_H

/*
 * Parts of the verbs ABI that are newer than the headers of the oldest distribution we build on.
 * Numbers are the kernel's; whether the running kernel has them is found out by asking it.
 */

#define UVERBS_ABI_OBJECT_DMAH			17
#define UVERBS_ABI_METHOD_DMAH_ALLOC		0

/* Of mlx5, on UVERBS_OBJECT_DEVICE; the driver's numbers begin at 4096. */
#define UVERBS_ABI_MLX5_METHOD_DATA_DIRECT_PATH 4097
#define UVERBS_ABI_MLX5_ATTR_DATA_DIRECT_PATH	4096

/* enum rdma_driver_id */
#define UVERBS_ABI_DRIVER_MANA			20
#define UVERBS_ABI_DRIVER_IONIC			21

#endif /* UVERBS_ABI_H */
