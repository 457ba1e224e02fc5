/* SPDX-License-Identifier: MIT */
#ifndef COMMON_CAUSE_H
#define COMMON_CAUSE_H

#include "wire.h"

/* Why something failed, in one sentence, on its way to whoever asked. */
struct cause {
	char text[WIRE_TEXT_SIZE];
	char node[64]; /* below /dev, where it is that this one can't be opened; "": it isn't */
};

/* Keeps the sentence and is @error. */
int cause_fail(struct cause *cause, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The same of a node below /dev that can't be opened. */
int cause_fail_node(struct cause *cause, int error, const char *node);

#endif /* COMMON_CAUSE_H */
