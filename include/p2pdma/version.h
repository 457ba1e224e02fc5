/* SPDX-License-Identifier: MIT */
#ifndef P2PDMA_VERSION_H
#define P2PDMA_VERSION_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Three numbers that change for three reasons: the package version with each
 * release, the ABI level when symbols are added, the SONAME when they break.
 */
#define P2PDMA_VERSION_MAJOR 0
#define P2PDMA_VERSION_MINOR 1
#define P2PDMA_VERSION_PATCH 0
#define P2PDMA_ABI_LEVEL     1

/* The package version as one number that can be compared: 0x00MMmmpp. */
#define P2PDMA_VERSION_NUMBER                                                                      \
	((uint32_t)((P2PDMA_VERSION_MAJOR << 16) | (P2PDMA_VERSION_MINOR << 8) |                   \
		    P2PDMA_VERSION_PATCH))

/* Marks what the library exports; nothing else is visible. */
#define P2PDMA_API __attribute__((visibility("default")))

/**
 * p2pdma_version_number() - the package version of the library that is loaded
 *
 * Compare it with P2PDMA_VERSION_NUMBER, the version compiled against.
 *
 * Blocking: no
 * Threads:  any; safe in a signal handler and in a forked child
 * Kernel:   none
 * Since:    0.1
 *
 * Return: 0x00MMmmpp
 */
P2PDMA_API uint32_t p2pdma_version_number(void);

/**
 * p2pdma_version_string() - the package version of the library, to print
 *
 * Blocking: no
 * Threads:  any; safe in a signal handler and in a forked child
 * Kernel:   none
 * Since:    0.1
 *
 * Return: a string such as "0.1.0", which is never freed
 */
P2PDMA_API const char *p2pdma_version_string(void);

#ifdef __cplusplus
}
#endif

#endif /* P2PDMA_VERSION_H */
