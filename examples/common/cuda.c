// SPDX-License-Identifier: MIT
/*
 * CUDA's driver library, loaded when an example runs, so that nobody needs it to build them.
 */
#include <dlfcn.h>
#include <string.h>

#include "cuda.h"
#include "story.h"

struct cuda cuda;

int cuda_open(void)
{
	static const struct {
		const char *name;
		void *slot;
	} functions[] = {
		{"cuInit", &cuda.init},
		{"cuDeviceGet", &cuda.device_get},
		{"cuDevicePrimaryCtxRetain", &cuda.context_retain},
		{"cuCtxPushCurrent_v2", &cuda.context_push},
		{"cuMemAlloc_v2", &cuda.allocate},
		{"cuMemFree_v2", &cuda.free},
		{"cuMemcpyHtoD_v2", &cuda.copy_in},
		{"cuMemcpyDtoH_v2", &cuda.copy_out},
	};
	void *library = dlopen("libcuda.so.1", RTLD_NOW), *primary;
	int device;

	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		void *function = library ? dlsym(library, functions[i].name) : NULL;

		if (!function) {
			story_tell("no CUDA here: %s", dlerror());
			return 77;
		}
		memcpy(functions[i].slot, &function, sizeof(function));
	}
	if (cuda.init(0) || cuda.device_get(&device, 0) || cuda.context_retain(&primary, device) ||
	    cuda.context_push(primary)) {
		story_tell("CUDA finds no GPU");
		return 77;
	}
	return 0;
}
