/* SPDX-License-Identifier: MIT */
/*
 * lib_share PROVIDER COMMAND...: exports a slice with the library and lets an
 * unrelated program use it.
 *
 * COMMAND is run with the number of the inherited DMABUF descriptor and the
 * slice's size added to its arguments; it must fill the slice with bytes
 * i * 7 + 3. After a revoke the same command with "revoked" added must find
 * that registering is refused.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <p2pdma/p2pdma.h>

#include "common/labtest.h"

#define OFFSET	 0x300000
#define BYTES	 0x10000
#define MAX_ARGS 16

static int run_command(char **command, int fd, const char *last)
{
	char *args[MAX_ARGS] = {NULL}, number[16], size[16];
	int i, status = -1;
	pid_t pid;

	for (i = 0; command[i] && i < MAX_ARGS - 4; i++)
		args[i] = command[i];
	snprintf(number, sizeof(number), "%d", fd);
	snprintf(size, sizeof(size), "%d", BYTES);
	args[i++] = number;
	args[i++] = size;
	args[i++] = (char *)last;
	pid = fork();
	if (pid == 0) {
		fcntl(fd, F_SETFD, 0);
		execvp(args[0], args);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int64_t wrong_byte(const volatile uint8_t *window)
{
	int64_t i;

	for (i = 0; i < BYTES; i++)
		if (window[i] != (uint8_t)(i * 7 + 3))
			return i;
	return -1;
}

int main(int argc, char **argv)
{
	struct p2pdma_range range = {.offset_bytes = OFFSET, .length_bytes = BYTES};
	struct p2pdma_context *context;
	struct p2pdma_provider *provider;
	struct p2pdma_buffer *buffer;
	void *window;
	int status;

	if (argc < 3) {
		fprintf(stderr, "usage: lib_share PROVIDER COMMAND...\n");
		return 2;
	}
	must(p2pdma_context_open(NULL, &context), "opening the library");
	must(p2pdma_provider_find(context, argv[1], &provider), argv[1]);
	must(p2pdma_buffer_new(context, provider, &range, 1, NULL, &buffer), "exporting");
	must(p2pdma_buffer_map(buffer, 0, BYTES, P2PDMA_MAP_READ, &window), "mapping");
	status = run_command(argv + 2, p2pdma_buffer_fd(buffer), NULL);
	tap_ok(status == 0, "the_other_program_writes_and_reads", status);
	tap_ok(wrong_byte(window) < 0, "its_bytes_are_in_the_bar", wrong_byte(window));
	must(p2pdma_buffer_revoke(buffer, 0, 0, NULL), "revoking");
	status = run_command(argv + 2, p2pdma_buffer_fd(buffer), "revoked");
	tap_ok(status == 0, "the_other_program_is_refused_after_a_revoke", status);
	p2pdma_buffer_free(buffer);
	p2pdma_provider_unref(provider);
	p2pdma_context_close(context);
	return tap_done();
}
