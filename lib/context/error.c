// SPDX-License-Identifier: MIT
/*
 * Causes and messages.
 *
 * Every failure of a public call leaves one sentence in a place of the calling
 * thread, together with the serial number of the context it was about. The
 * number, not the address: a context opened where a closed one was has another.
 * Serial 0 stands for contexts that could not be opened. The place is
 * thread-local, so no lock is needed and no thread sees another's cause.
 *
 * Two errors have one cause each, wherever they come from: that is added to what the caller
 * says. Those with several are explained (explain/explain.c).
 *
 * A failure is logged at debug level as well; the caller decides whether it is
 * worth more.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "context.h"
#include "explain/explain.h"

static _Thread_local struct told cause;

const char *cause_get(uint64_t serial)
{
	return cause.serial == serial ? cause.text : "";
}

void cause_save(struct told *ret_told)
{
	*ret_told = cause;
}

void cause_restore(const struct told *told)
{
	cause = *told;
}

static void log_text(const struct p2pdma_context *context, int level, const char *text)
{
	if (context->log_handler && level <= (int)context->log_level)
		context->log_handler(context->log_data, level, text);
}

static void tell(const struct p2pdma_context *context, int error, const char *text)
{
	cause.serial = context ? context->serial : 0;
	snprintf(cause.text, sizeof(cause.text), "%s", text);
	if (context) {
		char line[sizeof(cause.text) + 32];

		snprintf(line, sizeof(line), "%s: %s", error_name(error), text);
		log_text(context, P2PDMA_LOG_DEBUG, line);
	}
}

void context_tell_cause(const struct p2pdma_context *context, int error, const char *format, ...)
{
	struct p2pdma_explanation files;
	char text[sizeof(cause.text)];
	va_list arguments;
	int length;

	/* Through a copy: an argument may be the cause before. */
	va_start(arguments, format);
	length = vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if ((error == -EMFILE || error == -ENFILE) && length > 0 && length < (int)sizeof(text)) {
		explain_files(context ? context->sys : &sys_real, error, &files);
		snprintf(text + length, sizeof(text) - (size_t)length, ": %.200s; %.200s",
			 files.sentence, files.remedy);
	}
	tell(context, error, text);
}

void context_tell_explained(const struct p2pdma_context *context, int error, const char *format,
			    ...)
{
	char text[sizeof(cause.text)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	tell(context, error, text);
}

void context_log(const struct p2pdma_context *context, int level, const char *format, ...)
{
	char text[sizeof(cause.text)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	log_text(context, level, text);
}
