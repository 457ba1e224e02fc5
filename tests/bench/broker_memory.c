// SPDX-License-Identifier: MIT
/*
 * memory_client: bytes that p2pd takes for one more connection that has said HELLO.
 *
 * memory_lease (BENCH_OF_LEASES): for one more lease on a connection.
 *
 * What is counted is its anonymous memory and the pages of its journal, the room that is kept
 * there for what must still be written included; not what the kernel has for a socket or a DMABUF.
 * The figure is the growth by many of them, after as many others that the allocator has already
 * grown for. The floor is no measurement here but the aim, 1 KiB.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "broker.h"

#define AIM_BYTES   1024
#define NR_MOST	    10000
#define NR_LEAST    1000
#define SPARE_FILES 200

static double anonymous_bytes(pid_t pid)
{
	char path[64], line[128];
	double kib = -1;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		if (!strncmp(line, "Pss_Anon:", 9))
			kib = strtod(line + 9, NULL);
	if (file)
		fclose(file);
	if (kib < 0) {
		printf("%s doesn't say Pss_Anon\n", path);
		exit(77);
	}
	return kib * 1024;
}

/* All memfds of p2pd but DMABUFs, of which it keeps none. */
static double journal_bytes(pid_t pid)
{
	char path[64], entry_path[350], target[128];
	struct dirent *entry;
	struct stat status;
	double bytes = 0;
	DIR *folder;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	folder = opendir(path);
	while (folder && (entry = readdir(folder))) {
		ssize_t n;

		snprintf(entry_path, sizeof(entry_path), "%s/%s", path, entry->d_name);
		n = readlink(entry_path, target, sizeof(target) - 1);
		target[n < 0 ? 0 : n] = '\0';
		if (!strncmp(target, "/memfd:p2pd-journal", 19) && !stat(entry_path, &status))
			bytes += (double)status.st_blocks * 512;
	}
	if (folder)
		closedir(folder);
	if (!(bytes > 0)) {
		fprintf(stderr, "p2pd has no journal\n");
		exit(1);
	}
	return bytes;
}

static double bytes_of(const struct broker_daemon *daemon)
{
	pid_t pid = broker_pid(daemon);

	return anonymous_bytes(pid) + journal_bytes(pid);
}

#ifdef BENCH_OF_LEASES
#define BENCH_NAME "memory_lease"

static int fd;

static void begin(const struct broker_daemon *daemon)
{
	fd = broker_connect(daemon->socket);
	broker_hello(fd);
}

static void add(const struct broker_daemon *daemon, size_t i)
{
	(void)daemon;
	(void)i;
	broker_acquire(fd);
}

static void end(void)
{
	close(fd);
}
#else
#define BENCH_NAME "memory_client"

static int fds[NR_MOST];

static void begin(const struct broker_daemon *daemon)
{
	(void)daemon;
}

static void add(const struct broker_daemon *daemon, size_t i)
{
	fds[i] = broker_connect(daemon->socket);
	broker_hello(fds[i]);
}

static void end(void)
{
	for (size_t i = 0; i < NR_MOST && fds[i]; i++)
		close(fds[i]);
}
#endif

static double bytes_each(size_t count)
{
	size_t nr_first = count / 5;
	struct broker_daemon daemon;
	double before, after;

	broker_start(&daemon, "0");
	begin(&daemon);
	for (size_t i = 0; i < nr_first; i++)
		add(&daemon, i);
	before = bytes_of(&daemon);
	for (size_t i = nr_first; i < count; i++)
		add(&daemon, i);
	after = bytes_of(&daemon);
	end();
	broker_stop(&daemon);
	return (after - before) / (double)(count - nr_first);
}

int main(int argc, char **argv)
{
	struct figure figure = {.bench = BENCH_NAME, .unit = "bytes", .floor = AIM_BYTES};
	struct bench_options options = {.rounds = 3};
	size_t nr_files, count = NR_MOST;
	double *samples;

	bench_parse(&options, argc, argv, 0);
	samples = calloc(options.rounds, sizeof(*samples));
	if (!samples)
		return 1;
	nr_files = broker_prepare();
	if (nr_files < NR_LEAST + SPARE_FILES) {
		printf("%zu files are too few for that many connections\n", nr_files);
		return 77;
	}
	if (count > nr_files - SPARE_FILES)
		count = nr_files - SPARE_FILES;
	for (size_t i = 0; i < options.rounds; i++)
		samples[i] = bytes_each(count);
	figure.value = bench_median(samples, options.rounds);
	bench_print(&options, &figure);
	free(samples);
	return 0;
}
