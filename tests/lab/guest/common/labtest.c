/* SPDX-License-Identifier: MIT */
/*
 * TAP, error names, patterns. One thread reports; every line is flushed at
 * once, so that what was reported survives a crash of the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "labtest.h"

static unsigned int tap_count;
static unsigned int tap_failures;

const char *error_name(long long err)
{
	const char *name = err < 0 && err > -4096 ? strerrorname_np((int)-err) : NULL;

	return err == 0 ? "0" : name ? name : "no errno";
}

bool tap_ok(bool passed, const char *name, long long detail)
{
	tap_count++;
	if (passed) {
		printf("ok %u - %s\n", tap_count, name);
	} else {
		tap_failures++;
		printf("not ok %u - %s\n# got %lld (%s)\n", tap_count, name, detail,
		       error_name(detail));
	}
	fflush(stdout);
	return passed;
}

void tap_skip(const char *name, const char *reason)
{
	printf("ok %u - %s # SKIP %s\n", ++tap_count, name, reason);
	fflush(stdout);
}

int tap_done(void)
{
	printf("1..%u\n", tap_count);
	fflush(stdout);
	return tap_failures ? 1 : 0;
}

void tap_figure(const char *key, double value, const char *unit)
{
	printf("figure %s %.6g %s\n", key, value, unit);
	fflush(stdout);
}

void die(int err, const char *format, ...)
{
	va_list args;

	printf("Bail out! ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	if (err)
		printf(": %s (%s)", strerror(-err), error_name(err));
	printf("\n");
	fflush(stdout);
	exit(2);
}

long long must(long long result, const char *what)
{
	if (result < 0)
		die(result == -1 ? -errno : (int)result, "%s", what);
	return result;
}

int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int call(int fd, unsigned long request, void *arg)
{
	int ret = ioctl(fd, request, arg);

	return ret < 0 ? -errno : ret;
}

int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int err = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

uint8_t pattern_byte(unsigned int seed, uint64_t position)
{
	uint64_t x =
		(position + 1) * 0x9E3779B97F4A7C15ULL ^ (uint64_t)seed * 0xD1B54A32D192ED03ULL;

	return (uint8_t)(x >> 32 ^ x >> 56);
}

void pattern_fill(void *to, unsigned int seed, uint64_t length)
{
	uint8_t *bytes = to;
	uint64_t i;

	for (i = 0; i < length; i++)
		bytes[i] = pattern_byte(seed, i);
}

int64_t pattern_check(const volatile void *from, unsigned int seed, uint64_t length)
{
	const volatile uint8_t *bytes = from;
	uint64_t i;

	for (i = 0; i < length; i++)
		if (bytes[i] != pattern_byte(seed, i))
			return (int64_t)i;
	return -1;
}
