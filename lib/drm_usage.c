// SPDX-License-Identifier: MIT
/*
 * Where the objects of a DRM file are, by what the kernel tells in the file's fdinfo:
 *
 *     drm-resident-vram0:     2048 KiB
 *     drm-resident-gtt:       0
 *
 * One line a region, named by the driver: amdgpu says vram, gtt and cpu, xe vram0, gtt and system,
 * i915 local0 and system0. An older amdgpu says drm-memory-vram for the same. Lines that make no
 * sense are as good as missing, and then nothing is known.
 *
 * A file without objects has something, too: page tables, and what amdgpu maps for each of its own.
 * So it is asked once before the object is there, and what is more afterwards is the object. That is
 * in one place as a whole. Regions that are neither (doorbells, on-chip memories) are left out.
 *
 * No state; only the file is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "context.h"
#include "drm_object.h"

static bool begins_with(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

/* What follows a prefix of one of those that tell what is resident; NULL: another line. */
static const char *region_of(const char *line)
{
	static const char *const prefixes[] = {"drm-resident-", "drm-memory-"};

	for (size_t i = 0; i < sizeof(prefixes) / sizeof(*prefixes); i++) {
		if (begins_with(line, prefixes[i]))
			return line + strlen(prefixes[i]);
	}
	return NULL;
}

/* "2048 KiB" */
static bool parse_bytes(const char *text, uint64_t *ret_bytes)
{
	unsigned int shift = 0;
	uint64_t bytes;
	char *end;

	text += strspn(text, " \t");
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	bytes = strtoull(text, &end, 10);
	if (errno)
		return false;
	end += strspn(end, " ");
	if (begins_with(end, "KiB"))
		shift = 10;
	else if (begins_with(end, "MiB"))
		shift = 20;
	else if (*end)
		return false;
	if (bytes << shift >> shift != bytes)
		return false;
	*ret_bytes = bytes << shift;
	return true;
}

static bool begins_with_one_of(const char *text, const char *const *starts)
{
	for (; *starts; starts++) {
		if (begins_with(text, *starts))
			return true;
	}
	return false;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void drm_usage_parse(const char *text, struct drm_usage *ret_usage)
{
	static const char *const device_regions[] = {"vram", "local", "stolen-local", NULL};
	static const char *const system_regions[] = {"gtt", "cpu", "system", "memory", NULL};
	/* By either prefix; both name the same bytes. */
	uint64_t device[2] = {0}, system[2] = {0};
	struct drm_usage usage = {.is_known = false};
	char line[128];

	for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
		bool is_old = begins_with(text, "drm-memory-");
		const char *region, *colon;
		uint64_t bytes;

		snprintf(line, sizeof(line), "%.*s", (int)strcspn(text, "\n"), text);
		region = region_of(line);
		colon = strchr(line, ':');
		if (!region || !colon || !parse_bytes(colon + 1, &bytes))
			continue;
		if (begins_with_one_of(region, device_regions))
			device[is_old] += bytes;
		else if (begins_with_one_of(region, system_regions))
			system[is_old] += bytes;
		else
			continue;
		usage.is_known = true;
	}
	usage.device_bytes = larger(device[0], device[1]);
	usage.system_bytes = larger(system[0], system[1]);
	*ret_usage = usage;
}

int drm_usage_query(const struct drm_object *object, struct drm_usage *ret_usage)
{
	const struct p2pdma_context *context = object->context;
	char path[40], text[8192];
	size_t length = 0;
	ssize_t n = 1;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", object->fd);
	fd = context->sys->open_at(AT_FDCWD, path, O_RDONLY);
	if (fd < 0)
		return context_fail(context, fd, "can't read %s: %s", path, error_name(fd));
	while (n > 0 && length < sizeof(text) - 1) {
		n = context->sys->read(fd, text + length, sizeof(text) - 1 - length);
		if (n > 0)
			length += (size_t)n;
	}
	context->sys->close(fd);
	if (n < 0)
		return context_fail(context, (int)n, "can't read %s: %s", path, error_name((int)n));
	text[length] = '\0';
	drm_usage_parse(text, ret_usage);
	return 0;
}

int drm_usage_place(const struct drm_object *object, enum drm_place *ret_place)
{
	const struct drm_usage *empty = &object->empty;
	enum drm_place place = DRM_PLACE_UNKNOWN;
	struct drm_usage usage;
	int r;

	r = drm_usage_query(object, &usage);
	if (r)
		return r;
	usage.is_known = usage.is_known && empty->is_known;
	if (usage.is_known && usage.system_bytes >= empty->system_bytes + object->size_bytes)
		place = DRM_PLACE_SYSTEM;
	else if (usage.is_known && usage.device_bytes >= empty->device_bytes + object->size_bytes)
		place = DRM_PLACE_DEVICE;
	*ret_place = place;
	return 0;
}
