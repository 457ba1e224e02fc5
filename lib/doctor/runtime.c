// SPDX-License-Identifier: MIT
/*
 * Runtimes whose memory can be exported: are their libraries there?
 *
 * Loading one would initialise a GPU, wake it up, take seconds. So the linker's cache is read, and the
 * folders that it searches anyway: a file of that name is what dlopen() would find. No state, no locks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "doctor.h"
#include "files/file.h"
#include "runtime/runtime.h"

static const char *const folders[] = {
	"usr/lib/x86_64-linux-gnu",
	"usr/lib/aarch64-linux-gnu",
	"usr/lib64",
	"usr/lib",
	"lib/x86_64-linux-gnu",
	"lib64",
	"opt/rocm/lib",
};

static bool is_there(const struct doctor *doctor, const char *path)
{
	/* Relative to "/", also in a test. */
	path += strspn(path, "/");
	return !faccessat(doctor->root_fd, path, F_OK, 0);
}

/*
 * The cache is a table of strings behind a table of numbers; a path is the only string there that ends in
 * "/NAME".
 */
static bool find_in_cache(const struct doctor *doctor, const char *cache, size_t length,
			  const char *library, char *ret_path, size_t size)
{
	const char *at = cache;

	/* With the NUL behind it. */
	length++;
	while ((at = memmem(at, (size_t)(cache + length - at), library, strlen(library) + 1))) {
		const char *start = at;

		while (start > cache && start[-1])
			start--;
		if (*start == '/' && at[-1] == '/' && is_there(doctor, start)) {
			snprintf(ret_path, size, "%s", start);
			return true;
		}
		at++;
	}
	return false;
}

static bool find_library(const struct doctor *doctor, const char *cache, size_t length,
			 const char *library, char *ret_path, size_t size)
{
	if (cache && find_in_cache(doctor, cache, length, library, ret_path, size))
		return true;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++) {
		snprintf(ret_path, size, "/%s/%s", folders[i], library);
		if (is_there(doctor, ret_path))
			return true;
	}
	return false;
}

#define CLASS_DISPLAY	  0x03
#define CLASS_ACCELERATOR 0x12

/* A GPU of the vendor that has more than a frame buffer. */
static bool has_gpu(const struct doctor *doctor, uint32_t vendor_id)
{
	for (size_t i = 0; i < p2pdma_topology_count(doctor->topology); i++) {
		struct p2pdma_node node = P2PDMA_NODE_INIT;

		p2pdma_topology_node(doctor->topology, i, &node);
		if (node.kind == P2PDMA_NODE_FUNCTION && node.vendor_id == vendor_id &&
		    (node.class_code >> 16 == CLASS_DISPLAY ||
		     node.class_code >> 16 == CLASS_ACCELERATOR))
			return true;
	}
	return false;
}

void doctor_check_runtimes(struct doctor *doctor)
{
	cleanup_free char *cache = NULL;
	size_t length = 0;

	if (file_load(doctor->root_fd, "etc/ld.so.cache", &cache, &length))
		cache = NULL;
	for (size_t i = 0; runtimes[i]; i++) {
		const struct runtime *runtime = runtimes[i];
		const char *library = runtime->sonames[0];
		char path[256];

		if (find_library(doctor, cache, length, library, path, sizeof(path))) {
			doctor_add(doctor, DOCTOR_RUNTIME_LIBRARY, P2PDMA_SEVERITY_OK, library,
				   "%s is at %s", runtime->title, path);
		} else if (has_gpu(doctor, runtime->vendor_id)) {
			doctor_add(doctor, DOCTOR_RUNTIME_LIBRARY, P2PDMA_SEVERITY_WARNING, library,
				   "not found, though there is a GPU of vendor %04x",
				   runtime->vendor_id);
			doctor_advise(doctor, "install %s to export what %s allocates",
				      runtime->package, runtime->title);
		} else {
			doctor_add(doctor, DOCTOR_RUNTIME_LIBRARY, P2PDMA_SEVERITY_OK, library,
				   "not here, and no GPU that needs it");
		}
	}
}
