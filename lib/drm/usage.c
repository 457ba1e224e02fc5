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

#include "context/context.h"
#include "object.h"
#include "files/proc.h"

#define OLD_PREFIX "drm-memory-"

static bool begins_with(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

/* What follows a prefix of one of those that tell what is resident; NULL: another line. */
static const char *region_of(const char *line)
{
	static const char *const prefixes[] = {"drm-resident-", OLD_PREFIX};

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

bool drm_usage_take(void *data, const char *line)
{
	static const char *const device_regions[] = {"vram", "local", "stolen-local", NULL};
	static const char *const system_regions[] = {"gtt", "cpu", "system", "memory", NULL};
	const char *region = region_of(line), *colon = strchr(line, ':');
	bool is_old = begins_with(line, OLD_PREFIX);
	struct drm_usage *usage = data;
	bool is_device, is_system;
	uint64_t bytes;

	if (!region || !colon || !parse_bytes(colon + 1, &bytes))
		return false;
	is_device = begins_with_one_of(region, device_regions);
	is_system = begins_with_one_of(region, system_regions);
	/* Both names are of the same bytes. */
	if ((!is_device && !is_system) || (is_old && usage->is_new))
		return false;
	if (!is_old && !usage->is_new)
		*usage = (struct drm_usage){.is_new = true};
	usage->is_known = true;
	if (is_device)
		usage->device_bytes += bytes;
	else
		usage->system_bytes += bytes;
	return false;
}

int drm_usage_query(const struct drm_object *object, struct drm_usage *ret_usage)
{
	struct p2pdma_context *context = object->context;
	struct drm_usage usage = {.is_known = false};
	char path[40];
	int r;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", object->fd);
	r = proc_each_line(context->sys, AT_FDCWD, path, drm_usage_take, &usage);
	if (r)
		return drm_query_failed(object, "in fdinfo where its memory is", r);
	*ret_usage = usage;
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
	else if (object->is_fixed ||
		 (usage.is_known && usage.device_bytes >= empty->device_bytes + object->size_bytes))
		place = DRM_PLACE_DEVICE;
	*ret_place = place;
	return 0;
}
