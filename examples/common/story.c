// SPDX-License-Identifier: MIT
/*
 * How the examples talk: one line a step, with the time since the start, so
 * that a run reads as a story. One thread, but story_tell() may be called from any.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "story.h"

static double clock_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

static double start_us;

/* Before main(), so that the first line isn't always at 0. */
__attribute__((constructor)) static void start_clock(void)
{
	start_us = clock_us();
	setvbuf(stdout, NULL, _IOLBF, 0);
}

double story_now_us(void)
{
	return clock_us() - start_us;
}

void story_tell(const char *format, ...)
{
	char text[512];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	printf("%9.3f ms  %s\n", story_now_us() / 1e3, text);
}

int story_fail(const struct p2pdma_context *context, const char *what, int error)
{
	const char *cause = p2pdma_context_error(context);

	printf("%9.3f ms  FAILED: %s: %s%s%s\n", story_now_us() / 1e3, what, strerror(-error),
	       *cause ? ": " : "", cause);
	return 1;
}

const char *story_size(uint64_t bytes)
{
	static _Thread_local char text[32];

	if (bytes >= 1 << 20 && bytes % (1 << 20) == 0)
		snprintf(text, sizeof(text), "%llu MiB", (unsigned long long)bytes >> 20);
	else if (bytes >= 1 << 10 && bytes % (1 << 10) == 0)
		snprintf(text, sizeof(text), "%llu KiB", (unsigned long long)bytes >> 10);
	else
		snprintf(text, sizeof(text), "%llu bytes", (unsigned long long)bytes);
	return text;
}

static uint8_t pattern(size_t i, uint8_t seed)
{
	return (uint8_t)(i * 7 + i / 4096 * 13 + seed);
}

void story_fill(uint8_t *memory, size_t bytes, uint8_t seed)
{
	for (size_t i = 0; i < bytes; i++)
		memory[i] = pattern(i, seed);
}

long story_check(const volatile uint8_t *memory, size_t bytes, uint8_t seed)
{
	for (size_t i = 0; i < bytes; i++) {
		if (memory[i] != pattern(i, seed))
			return (long)i;
	}
	return -1;
}

int story_compare(const char *where, const volatile uint8_t *memory, size_t bytes, uint8_t seed)
{
	long wrong = story_check(memory, bytes, seed);

	if (wrong < 0)
		story_tell("%s: all %zu bytes are right", where, bytes);
	else
		story_tell("FAILED: %s: byte %ld is wrong", where, wrong);
	return wrong >= 0;
}

static void tell_provider(const struct p2pdma_provider *provider)
{
	const char *driver = p2pdma_provider_driver(provider);
	uint64_t bytes = p2pdma_provider_size_bytes(provider);
	char bar[16] = "memory";

	if (p2pdma_provider_kind(provider) == P2PDMA_PROVIDER_KIND_BAR)
		snprintf(bar, sizeof(bar), "BAR %u", p2pdma_provider_bar(provider));
	story_tell("%s: %s of device %04x:%04x, %s, bound to %s", p2pdma_provider_name(provider),
		   bar, p2pdma_provider_vendor_id(provider), p2pdma_provider_device_id(provider),
		   bytes ? story_size(bytes) : "of a size that nobody tells",
		   *driver ? driver : "no driver");
}

int story_open(const char *name, struct p2pdma_context **ret_context,
	       struct p2pdma_provider **ret_provider)
{
	struct p2pdma_context *context;
	int r;

	r = p2pdma_context_open(NULL, &context);
	if (r)
		return story_fail(NULL, "opening libp2pdma", r);
	r = p2pdma_provider_find(context, name, ret_provider);
	if (r) {
		story_fail(context, name, r);
		p2pdma_context_close(context);
		return 1;
	}
	*ret_context = context;
	tell_provider(*ret_provider);
	return 0;
}
