// SPDX-License-Identifier: MIT
/*
 * The libraries of GPU runtimes, without linking to any.
 *
 * An address that a runtime gave to this program means something to that very copy of the
 * library alone. So for a pointer nothing is ever loaded: the copy that the program has loaded
 * is found by its soname (RTLD_NOLOAD), and if there is none, the address isn't that runtime's.
 * What is in the environment or the working directory thereby decides nothing that the program
 * hasn't decided already.
 *
 * Only who asks what the machine offers may load a library, and not in a program that runs with
 * more privileges than its caller: there the question isn't answered. Loading initialises no
 * device.
 *
 * A library that has been found stays: its count is taken once and never given back, because
 * GPU runtimes don't survive being unloaded. The tables of functions are filled under one lock
 * and constant afterwards.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#include "explain/explain.h"
#include "runtime.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

const struct runtime *const runtimes[] = {&runtime_cuda, &runtime_hsa, &runtime_ze, NULL};

const struct runtime *runtime_find(uint32_t id)
{
	for (size_t i = 0; runtimes[i]; i++) {
		if (runtimes[i]->backend->id == id)
			return runtimes[i];
	}
	return NULL;
}

int runtime_failed(struct p2pdma_context *context, uint32_t backend,
		   const struct runtime_request *request, int error, const char *what)
{
	struct p2pdma_explain_request failed = P2PDMA_EXPLAIN_REQUEST_INIT;

	failed.operation = P2PDMA_OPERATION_RUNTIME_EXPORT;
	failed.length_bytes = request->length_bytes;
	failed.iova = request->address;
	failed.object = backend;
	return explain_failure(context, error, &failed, "%s", what);
}

static void *open_loaded(const struct runtime *runtime)
{
	void *library = NULL;

	for (size_t i = 0; !library && runtime->sonames[i]; i++)
		library = dlopen(runtime->sonames[i], RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
	return library;
}

static void *open_library(const struct runtime *runtime, bool may_load, char *why)
{
	const char *name = runtime->backend->name, *soname = runtime->sonames[0];
	void *library = open_loaded(runtime);
	const char *error;

	if (library)
		return library;
	if (!may_load) {
		snprintf(why, BACKEND_WHY_SIZE, "%s: this process hasn't loaded %s", name, soname);
		return NULL;
	}
	if (getauxval(AT_SECURE)) {
		snprintf(why, BACKEND_WHY_SIZE,
			 "%s: %s isn't looked for by a program that runs with others' privileges",
			 name, soname);
		return NULL;
	}
	library = dlopen(soname, RTLD_LAZY | RTLD_LOCAL);
	if (library)
		return library;
	error = dlerror();
	snprintf(why, BACKEND_WHY_SIZE, "%s: can't load the runtime: %s", name,
		 error ? error : soname);
	return NULL;
}

/* Nothing is written before all are there. */
static int find_symbols(const struct runtime *runtime, void *library, char *why)
{
	const struct runtime_symbol *symbol;
	void *address;

	for (symbol = runtime->symbols; symbol->name; symbol++) {
		if (symbol->is_optional || dlsym(library, symbol->name))
			continue;
		snprintf(why, BACKEND_WHY_SIZE, "%s: %s has no %s, which %s has",
			 runtime->backend->name, runtime->sonames[0], symbol->name,
			 runtime->needed);
		return -EOPNOTSUPP;
	}
	for (symbol = runtime->symbols; symbol->name; symbol++) {
		address = dlsym(library, symbol->name);
		memcpy(symbol->slot, &address, sizeof(address));
	}
	return 0;
}

static int load_locked(const struct runtime *runtime, bool may_load, char *why)
{
	void *library;
	int r;

	if (*runtime->is_ready)
		return 0;
	library = open_library(runtime, may_load, why);
	if (!library)
		return -EOPNOTSUPP;
	r = find_symbols(runtime, library, why);
	*runtime->is_ready = !r;
	return r;
}

int runtime_load(const struct runtime *runtime, bool may_load, char why[BACKEND_WHY_SIZE])
{
	char version[64] = "";
	int r;

	pthread_mutex_lock(&lock);
	r = load_locked(runtime, may_load, why);
	pthread_mutex_unlock(&lock);
	if (r)
		return r;
	if (runtime->describe)
		runtime->describe(version, sizeof(version));
	snprintf(why, BACKEND_WHY_SIZE, "%s: %s is there%s%s", runtime->backend->name,
		 runtime->sonames[0], *version ? ", " : "", version);
	return 0;
}
