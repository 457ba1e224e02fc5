// SPDX-License-Identifier: MIT
/*
 * The sentence that goes with an error. It may quote what a client sent, so it is
 * cut at its room and cleaned of what isn't sound text before it goes out
 * (wire_text_set() and the checks on the way in).
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "cause.h"
#include "sys.h"

int cause_fail(struct cause *cause, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(cause->text, sizeof(cause->text), format, arguments);
	va_end(arguments);
	cause->node[0] = '\0';
	return error;
}

int cause_fail_node(struct cause *cause, int error, const char *node)
{
	cause_fail(cause, error, "can't open /dev/%s: %s", node,
		   error == -EBUSY ? "somebody else has it" : error_name(error));
	snprintf(cause->node, sizeof(cause->node), "%s", node);
	return error;
}
