// SPDX-License-Identifier: MIT
/*
 * Files of procfs, line by line.
 *
 * They are made while they are read and may be megabytes long (a process with 65,000
 * mappings), so nothing is kept but the line at hand. A process without procfs, in a bare
 * container say, gets an error and its caller does without.
 *
 * Pure functions over the seam, no state, no locks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc.h"

struct line {
	char text[PROC_LINE_SIZE];
	size_t length;
};

/* True for a whole line. */
static bool line_add(struct line *line, char c)
{
	if (c != '\n') {
		if (line->length < sizeof(line->text) - 1)
			line->text[line->length++] = c;
		return false;
	}
	line->text[line->length] = '\0';
	line->length = 0;
	return true;
}

int proc_each_line(const struct sys_ops *sys, int root_fd, const char *path,
		   bool (*take)(void *data, const char *line), void *data)
{
	struct line line = {.length = 0};
	bool is_enough = false;
	char chunk[4096];
	ssize_t n = 0;
	int fd;

	fd = sys->open_at(root_fd, path + (root_fd != AT_FDCWD), O_RDONLY);
	if (fd < 0)
		return fd;
	while (!is_enough && (n = sys->read(fd, chunk, sizeof(chunk))) > 0) {
		for (ssize_t i = 0; i < n && !is_enough; i++)
			is_enough = line_add(&line, chunk[i]) && take(data, line.text);
	}
	sys->close(fd);
	return n < 0 ? (int)n : 0;
}

struct search {
	const char *key;
	char *value;
	size_t size;
	bool is_found;
};

static bool take_value(void *data, const char *line)
{
	struct search *search = data;
	size_t length = strlen(search->key);

	if (strncmp(line, search->key, length))
		return false;
	line += length;
	line += strspn(line, " \t");
	snprintf(search->value, search->size, "%s", line);
	search->is_found = true;
	return true;
}

int proc_find(const struct sys_ops *sys, int root_fd, const char *path, const char *key,
	      char *ret_value, size_t size)
{
	struct search search = {key, ret_value, size, false};
	int r;

	/* Once it is found nothing more is read, so that nothing can fail any more. */
	r = proc_each_line(sys, root_fd, path, take_value, &search);
	if (r)
		return r;
	return search.is_found ? 0 : -ENOENT;
}

int proc_find_u64(const struct sys_ops *sys, int root_fd, const char *path, const char *key,
		  uint64_t *ret_value)
{
	unsigned long long value;
	char text[32], *end;
	int r;

	r = proc_find(sys, root_fd, path, key, text, sizeof(text));
	if (r)
		return r;
	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *text == '-')
		return -EINVAL;
	*ret_value = value;
	return 0;
}

int proc_capabilities(const struct sys_ops *sys, int root_fd, uint64_t *ret_capabilities)
{
	unsigned long long value;
	char text[32], *end;
	int r;

	r = proc_find(sys, root_fd, "/proc/self/status", "CapEff:", text, sizeof(text));
	if (r)
		return r;
	errno = 0;
	value = strtoull(text, &end, 16);
	if (errno || end == text || *text == '-')
		return -EINVAL;
	*ret_capabilities = value;
	return 0;
}

int proc_nvidia_query(const struct sys_ops *sys, int root_fd, char *ret_version, size_t size,
		      bool *ret_is_open)
{
	char line[PROC_LINE_SIZE];
	int r;

	r = proc_find(sys, root_fd, "/proc/driver/nvidia/version", "", line, sizeof(line));
	if (r)
		return r;
	*ret_is_open = strstr(line, "Open Kernel Module");
	snprintf(ret_version, size, "%s", line);
	return 0;
}

static bool count_line(void *data, const char *line)
{
	(void)line;
	++*(uint64_t *)data;
	return false;
}

int proc_count_lines(const struct sys_ops *sys, int root_fd, const char *path, uint64_t *ret_count)
{
	uint64_t count = 0;
	int r;

	r = proc_each_line(sys, root_fd, path, count_line, &count);
	if (!r)
		*ret_count = count;
	return r;
}
