/* SPDX-License-Identifier: MIT */
#ifndef COMMON_CAUSE_H
#define COMMON_CAUSE_H

#include "wire.h"

/* Why something failed, in one sentence, on its way to whoever asked. */
struct cause {
	char text[WIRE_TEXT_SIZE];
};

/* Keeps the sentence and is @error. */
int cause_fail(struct cause *cause, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif /* COMMON_CAUSE_H */
