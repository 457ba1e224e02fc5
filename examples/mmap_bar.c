// SPDX-License-Identifier: MIT
/*
 * mmap_bar PROVIDER: the CPU's own view of a slice, and what a revocation does
 * to it.
 *
 *	mmap_bar 0000:01:00.0/2
 *
 * Two slices that don't touch become one buffer; mapped, they follow each other.
 * After a revocation touching the mapping raises SIGBUS, which a program that
 * maps device memory has to expect at any moment.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "common/story.h"

#define PIECE (64U << 10)

static struct p2pdma_context *context;
static struct p2pdma_provider *provider;
static struct p2pdma_buffer *buffer;
static uint8_t *window;
static sigjmp_buf before_touch;

static void on_sigbus(int signal_number)
{
	(void)signal_number;
	siglongjmp(before_touch, 1);
}

/* Does touching the memory raise SIGBUS? */
static int raises_sigbus(const volatile uint8_t *memory)
{
	if (sigsetjmp(before_touch, 1))
		return 1;
	(void)*memory;
	return 0;
}

static int map_two_pieces(void)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_range ranges[2] = {{PIECE, PIECE}, {3 * PIECE, PIECE}};
	void *address;
	int r;

	options.flags = P2PDMA_BUFFER_MMAP_WC;
	r = p2pdma_buffer_new(context, provider, ranges, 2, &options, &buffer);
	if (r)
		return story_fail(context, "exporting", r);
	r = p2pdma_buffer_map(buffer, 0, 2 * PIECE, P2PDMA_MAP_READ | P2PDMA_MAP_WRITE, &address);
	if (r)
		return story_fail(context, "mapping", r);
	window = address;
	story_tell("two pieces of %s, %s apart in the BAR, are %s in a row for the CPU",
		   story_size(PIECE), "64 KiB", "128 KiB");
	return 0;
}

static int write_and_compare(void)
{
	double start = story_now_us(), wrote;
	long wrong;

	story_fill(window, 2 * PIECE, 5);
	wrote = story_now_us();
	wrong = story_check(window, 2 * PIECE, 5);
	if (wrong >= 0)
		return story_fail(NULL, "comparing", -EIO);
	story_tell("the CPU wrote it in %.0f us and read it back right in %.0f us", wrote - start,
		   story_now_us() - wrote);
	return 0;
}

static int check_bar_order(void)
{
	struct p2pdma_buffer_options options = P2PDMA_BUFFER_OPTIONS_INIT;
	struct p2pdma_range range = {3 * PIECE, PIECE};
	struct p2pdma_buffer *other;
	void *address;
	int r;

	/* All mappings of one page must be cached alike, so this one is write-combining too. */
	options.flags = P2PDMA_BUFFER_MMAP_WC;
	r = p2pdma_buffer_new(context, provider, &range, 1, &options, &other);
	if (!r)
		r = p2pdma_buffer_map(other, 0, PIECE, P2PDMA_MAP_READ, &address);
	if (r)
		return story_fail(context, "looking through another buffer", r);
	r = memcmp(address, window + PIECE, PIECE);
	p2pdma_buffer_free(other);
	if (r)
		return story_fail(NULL, "another buffer of the second piece differs", -EIO);
	story_tell("another buffer of the second piece alone shows the same bytes");
	return 0;
}

static int revoke_and_touch(void)
{
	struct p2pdma_revoke_result result = P2PDMA_REVOKE_RESULT_INIT;
	int r;

	if (raises_sigbus(window))
		return story_fail(NULL, "SIGBUS before the revocation", -EIO);
	r = p2pdma_buffer_revoke(buffer, 0, 1000, &result);
	if (r)
		return story_fail(context, "revoking", r);
	story_tell("revoked in %.0f us", (double)result.duration_ns / 1e3);
	if (!raises_sigbus(window) || !raises_sigbus(window + 2 * PIECE - 1))
		return story_fail(NULL, "the mapping still reaches the device", -EIO);
	story_tell("touching the mapping now raises SIGBUS, in both pieces");
	r = p2pdma_buffer_map(buffer, 0, PIECE, P2PDMA_MAP_READ, (void **)&window);
	if (r != -ESTALE)
		return story_fail(context, "a new mapping was not refused", -EIO);
	story_tell("a new mapping is refused: %s", p2pdma_context_error(context));
	return 0;
}

int main(int argc, char **argv)
{
	struct sigaction action = {.sa_handler = on_sigbus};
	int rc;

	if (argc < 2)
		return story_tell("usage: mmap_bar PROVIDER"), 2;
	sigaction(SIGBUS, &action, NULL);
	rc = story_open(argv[1], &context, &provider) || map_two_pieces() || write_and_compare() ||
	     check_bar_order() || revoke_and_touch();
	p2pdma_buffer_free(buffer);
	p2pdma_provider_unref(provider);
	p2pdma_context_close(context);
	if (!rc)
		story_tell("done: device memory for the CPU, until it is taken back");
	return rc;
}
