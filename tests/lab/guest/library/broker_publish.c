/* SPDX-License-Identifier: MIT */
/*
 * broker_publish SELECTOR NAME BYTES: has a slice from p2pd and hands its DMABUF on under a name.
 *
 * Prints "READY" and waits for SIGTERM; then the name is withdrawn before the slice is released.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <p2pdma/p2pdma.h>

#include "common/labtest.h"

static volatile sig_atomic_t is_over;

static void on_term(int number)
{
	(void)number;
	is_over = 1;
}

int main(int argc, char **argv)
{
	struct p2pdma_publish_options options = P2PDMA_PUBLISH_OPTIONS_INIT;
	struct p2pdma_lease_request request = P2PDMA_LEASE_REQUEST_INIT;
	struct p2pdma_publication *publication;
	struct sigaction action = {.sa_handler = on_term};
	struct p2pdma_context *context;
	struct p2pdma_buffer *buffer;
	struct p2pdma_event event = P2PDMA_EVENT_INIT;
	int r, nr_lost = 0;

	if (argc != 4) {
		fprintf(stderr, "usage: broker_publish SELECTOR NAME BYTES\n");
		return 2;
	}
	sigaction(SIGTERM, &action, NULL);
	request.selector = argv[1];
	request.length_bytes = strtoull(argv[3], NULL, 0);
	options.name = argv[2];
	must(p2pdma_context_open(NULL, &context), "opening the library");
	r = p2pdma_lease_acquire(context, &request, &buffer);
	if (!r)
		r = p2pdma_publish(context, p2pdma_buffer_fd(buffer), &options, &publication);
	if (r)
		die(r, "%s", p2pdma_context_error(context));
	printf("# READY\n");
	fflush(stdout);
	/* Connections that break are made anew from here. */
	while (!is_over) {
		while (!p2pdma_next_event(context, &event))
			nr_lost += event.type == P2PDMA_EVENT_REVOKED;
		usleep(10000);
	}
	tap_ok(!nr_lost, "its_own_slice_stays", nr_lost);
	p2pdma_publication_free(publication);
	p2pdma_buffer_free(buffer);
	p2pdma_context_close(context);
	return tap_done();
}
