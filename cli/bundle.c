// SPDX-License-Identifier: MIT
/*
 * Tar archives (POSIX ustar) of text that was written into memory.
 *
 * The first error is kept and the rest goes nowhere, so that whoever fills it need not look; the end
 * tells. A file that isn't whole is removed, from the folder that it was made in: that may be
 * somebody else's, who puts another one in its place meanwhile.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bundle.h"

#define BLOCK 512U

struct bundle {
	char *file; /* its name in: */
	int folder_fd;
	int fd;
	int error;
	time_t when;
	char name[96];
	char *text;
	size_t length;
	FILE *part;
};

struct header {
	char name[100];
	char mode[8];
	char uid[8];
	char gid[8];
	char size[12];
	char mtime[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[6];
	char version[2];
	char rest[247];
};

_Static_assert(sizeof(struct header) == BLOCK, "a block");

static void bundle_free(struct bundle *bundle)
{
	if (bundle->folder_fd >= 0)
		close(bundle->folder_fd);
	free(bundle->file);
	free(bundle);
}

static int open_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	int fd;

	if (!folder)
		errx(EXIT_FAILED, "out of memory");
	fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	return fd;
}

int bundle_open(const char *path, struct bundle **ret_bundle)
{
	struct bundle *bundle = calloc(1, sizeof(*bundle));
	const char *slash = strrchr(path, '/');

	if (!bundle || !(bundle->file = strdup(slash ? slash + 1 : path)))
		errx(EXIT_FAILED, "out of memory");
	bundle->when = time(NULL);
	bundle->fd = -1;
	bundle->folder_fd = open_folder(path);
	if (bundle->folder_fd >= 0)
		bundle->fd = openat(bundle->folder_fd, bundle->file,
				    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (bundle->fd < 0) {
		int r = -errno;

		bundle_free(bundle);
		return r;
	}
	*ret_bundle = bundle;
	return 0;
}

static void write_all(struct bundle *bundle, const void *data, size_t size)
{
	const char *from = data;

	while (size && !bundle->error) {
		ssize_t n = write(bundle->fd, from, size);

		if (n < 0 && errno != EINTR)
			bundle->error = -errno;
		if (n > 0) {
			from += n;
			size -= (size_t)n;
		}
	}
}

FILE *bundle_begin(struct bundle *bundle, const char *name)
{
	snprintf(bundle->name, sizeof(bundle->name), "p2pctl-doctor/%s", name);
	bundle->part = open_memstream(&bundle->text, &bundle->length);
	if (!bundle->part)
		errx(EXIT_FAILED, "out of memory");
	return bundle->part;
}

void bundle_end(struct bundle *bundle)
{
	static const char zeros[BLOCK];
	struct header header = {.type = '0', .magic = "ustar", .version = {'0', '0'}};
	const unsigned char *bytes = (const unsigned char *)&header;
	unsigned int sum = 0;

	if (fclose(bundle->part))
		errx(EXIT_FAILED, "out of memory");
	snprintf(header.name, sizeof(header.name), "%s", bundle->name);
	snprintf(header.mode, sizeof(header.mode), "%07o", 0600);
	snprintf(header.uid, sizeof(header.uid), "%07o", 0);
	snprintf(header.gid, sizeof(header.gid), "%07o", 0);
	snprintf(header.size, sizeof(header.size), "%011" PRIo64, (uint64_t)bundle->length);
	snprintf(header.mtime, sizeof(header.mtime), "%011" PRIo64, (uint64_t)bundle->when);
	memset(header.checksum, ' ', sizeof(header.checksum));
	for (size_t i = 0; i < sizeof(header); i++)
		sum += bytes[i];
	snprintf(header.checksum, sizeof(header.checksum), "%06o", sum);
	write_all(bundle, &header, sizeof(header));
	write_all(bundle, bundle->text, bundle->length);
	write_all(bundle, zeros, (BLOCK - bundle->length % BLOCK) % BLOCK);
	free(bundle->text);
	bundle->text = NULL;
}

int bundle_close(struct bundle *bundle)
{
	static const char end[2 * BLOCK];
	int r;

	write_all(bundle, end, sizeof(end));
	if (close(bundle->fd) && !bundle->error)
		bundle->error = -errno;
	r = bundle->error;
	if (r)
		unlinkat(bundle->folder_fd, bundle->file, 0);
	bundle_free(bundle);
	return r;
}
