/* SPDX-License-Identifier: MIT */
#ifndef EMULATED_H
#define EMULATED_H

#include <stdint.h>

/*
 * A device for tests without a kernel module: one file stands for the function's device file, and
 * holds what the kernel would: which exports there are. The file outlives p2pd like a kept
 * device file does; opened anew it is empty, as a new one is.
 *
 * $P2PD_EMULATED names the file, $P2PD_EMULATED_BYTES the size of its BAR. A DMABUF is a memfd
 * with the export's id in it.
 */

#define EMULATED_EXPORTS 131072

enum emulated_state {
	EMULATED_FREE = 0,
	EMULATED_ACTIVE = 1,
	EMULATED_STUBBORN = 2, /* revoked, and an importer that can't be revoked maps it */
};

struct emulated_export {
	uint32_t id;
	uint32_t state;
	uint64_t offset_bytes;
	uint64_t length_bytes;
};

struct emulated_kernel {
	uint32_t next_id;
	uint32_t nr_revoked;
	uint32_t fail_export; /* the next that many exports fail */
	int32_t fail_errno;
	uint32_t stubborn; /* revocations leave mappings as long as this is set */
	uint32_t is_gone;  /* the function has left */
	struct emulated_export exports[EMULATED_EXPORTS];
};

#endif /* EMULATED_H */
