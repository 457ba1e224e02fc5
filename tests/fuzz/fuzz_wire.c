// SPDX-License-Identifier: MIT
/*
 * Packets from a peer: headers, bodies that are shorter or longer than known, texts. What
 * is loaded is what came, and zero after it; a text that is sound stays so.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/message.h"
#include "fuzz.h"

/* As known now and as first published, for structures with and without something new. */
static const struct {
	size_t known, first;
} bodies[] = {
	{sizeof(struct wire_hello), sizeof(struct wire_hello)},
	{sizeof(struct wire_acquire), sizeof(struct wire_acquire)},
	{sizeof(struct wire_lease), 8},
	{sizeof(struct wire_lease_id), sizeof(struct wire_lease_id)},
	{64, 1},
	{64, 64},
};

static void check_body(const struct message *message, size_t known, size_t first)
{
	const uint8_t *body = message->bytes + sizeof(struct wire_header);
	size_t got = message->size_bytes - sizeof(struct wire_header);
	size_t both = got < known ? got : known;
	uint8_t *loaded = malloc(known);
	int strict = wire_load(message, loaded, known, first, 1);
	int lax = wire_load(message, loaded, known, first, 0);

	fuzz_require(lax == (got < first ? -EINVAL : 0));
	fuzz_require(strict == lax || strict == -E2BIG);
	fuzz_require(strict != -E2BIG || got > known);
	if (!lax) {
		fuzz_require(!memcmp(loaded, body, both));
		for (size_t i = both; i < known; i++)
			fuzz_require(!loaded[i]);
	}
	free(loaded);
}

static void check_text(const uint8_t *data, size_t size)
{
	char *field = malloc(size ? size : 1), *text = fuzz_string(data, size);
	char shortened[8];
	int is_sound;

	memcpy(field, data, size);
	is_sound = wire_text_is_sound(field, size);
	if (is_sound) {
		char *again = malloc(size);

		fuzz_require(size && strlen(field) < size);
		wire_text_set(again, size, field);
		fuzz_require(!memcmp(again, field, size));
		free(again);
	}
	wire_text_set(shortened, sizeof(shortened), text);
	fuzz_require(shortened[7] == '\0' && !strncmp(shortened, text, strlen(shortened)));
	fuzz_require(!is_sound || wire_text_is_sound(shortened, sizeof(shortened)));
	free(field);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message *message;

	check_text(data, size);
	if (wire_check_header(data, size)) {
		/* Whatever it is, with the right size and no flags it is a message. */
		if (size < sizeof(struct wire_header) || size > WIRE_MESSAGE_MAX)
			return 0;
	}
	/* As long as the packet: reading past it is seen. */
	message = calloc(1, offsetof(struct message, bytes) + size);
	memcpy(message->bytes, data, size);
	message->header.size_bytes = (uint32_t)size;
	message->header.flags = 0;
	message->size_bytes = size;
	fuzz_require(!wire_check_header(message->bytes, size));
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
		check_body(message, bodies[i].known, bodies[i].first);
	free(message);
	return 0;
}
