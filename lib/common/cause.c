// SPDX-License-Identifier: MIT
/*
 * The sentence that goes with an error. It may quote what a client sent, so it is
 * cut at its room and cleaned of what isn't sound text before it goes out
 * (wire_text_set() and the checks on the way in).
 */
#include <stdarg.h>
#include <stdio.h>

#include "cause.h"

int cause_fail(struct cause *cause, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(cause->text, sizeof(cause->text), format, arguments);
	va_end(arguments);
	return error;
}
