// SPDX-License-Identifier: MIT
/*
 * Does the processor forward requests between peers whatever its host bridge is? The kernel says so
 * of AMD's from Zen on, by vendor and family, and of Hygon's, which are Zens, too, not.
 *
 * /proc/cpuinfo has both as the kernel sees them. A service may have a /proc without it
 * (ProcSubset=); then the processor itself is asked, as the kernel did. No state, no locks.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

#include "cleanup.h"
#include "path.h"

/* Zen; the kernel's x86 family, "cpu family : 23". */
#define ZEN_FAMILY 0x17

/* The value of "key<blanks>: value" of the first processor; NULL. */
static const char *cpu_value(const char *text, const char *key)
{
	for (const char *line = text; line && *line;) {
		if (!strncmp(line, key, strlen(key))) {
			const char *value = line + strlen(key);

			value += strspn(value, " \t");
			if (*value == ':')
				return value + 1 + strspn(value + 1, " \t");
		}
		line = strchr(line, '\n');
		if (line)
			line++;
	}
	return NULL;
}

enum path_answer path_cpu_parse(const char *text)
{
	const char *vendor = cpu_value(text, "vendor_id");
	const char *family = cpu_value(text, "cpu family");

	if (!vendor || strncmp(vendor, "AuthenticAMD", strlen("AuthenticAMD")))
		return PATH_NO;
	if (!family)
		return PATH_MAYBE;
	return strtoul(family, NULL, 10) >= ZEN_FAMILY ? PATH_YES : PATH_NO;
}

enum path_answer path_cpu_query(const char *file)
{
	cleanup_fd int fd = open(file, O_RDONLY | O_CLOEXEC);
	char text[4096];
	ssize_t length;

	if (fd < 0)
		return PATH_MAYBE;
	/* The first processor is at its beginning. */
	length = read(fd, text, sizeof(text) - 1);
	if (length < 0)
		return PATH_MAYBE;
	text[length] = '\0';
	return path_cpu_parse(text);
}

#if defined(__x86_64__) || defined(__i386__)
static enum path_answer ask_processor(void)
{
	unsigned int eax, ebx, ecx, edx, family;
	char vendor[12];

	if (!__get_cpuid(0, &eax, &ebx, &ecx, &edx))
		return PATH_MAYBE;
	memcpy(vendor, &ebx, 4);
	memcpy(vendor + 4, &edx, 4);
	memcpy(vendor + 8, &ecx, 4);
	if (memcmp(vendor, "AuthenticAMD", sizeof(vendor)))
		return PATH_NO;
	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
		return PATH_MAYBE;
	family = eax >> 8 & 0xf;
	if (family == 0xf)
		family += eax >> 20 & 0xff;
	return family >= ZEN_FAMILY ? PATH_YES : PATH_NO;
}
#else
static enum path_answer ask_processor(void)
{
	return PATH_NO;
}
#endif

enum path_answer path_cpu_here(void)
{
	enum path_answer answer = path_cpu_query("/proc/cpuinfo");

	return answer == PATH_MAYBE ? ask_processor() : answer;
}
