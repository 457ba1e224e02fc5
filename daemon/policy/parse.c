// SPDX-License-Identifier: MIT
/*
 * The text of a configuration file: lines and sections.
 *
 * libinih takes a line apart; lines are fed to it one by one, after a look at each, because
 * of what it doesn't tell: the number of a line, a section without settings, that a
 * second one of the same name has begun, and that a line or a name was too long for
 * it. A line that is no setting for libinih either never comes back from it; that is
 * noticed when it asks for the next one.
 *
 * An indented line goes on with the list before it, as libinih has it, unless it is
 * a setting by its looks: people indent those, too.
 *
 * The text may be anybody's: nothing here recurses, grows beyond the text, or stops
 * at the first mistake.
 */
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/message.h"
#include "parser.h"

#define COMPLAINTS_BYTES (64 * 1024)
#define NAME_CHARACTERS	 "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

static void append_line(struct complaints *complaints, const char *line)
{
	size_t length = strlen(line);
	char *grown = realloc(complaints->text, complaints->length + length + 2);

	if (!grown) {
		complaints->is_full = true;
		return;
	}
	memcpy(grown + complaints->length, line, length);
	memcpy(grown + complaints->length + length, "\n", 2);
	complaints->text = grown;
	complaints->length += length + 1;
}

static void complain_v(struct complaints *complaints, int error, const char *format,
		       va_list arguments)
{
	char line[1024];

	if (!complaints->error)
		complaints->error = error;
	if (complaints->is_full)
		return;
	if (complaints->length > COMPLAINTS_BYTES) {
		append_line(complaints, "... and more");
		complaints->is_full = true;
		return;
	}
	vsnprintf(line, sizeof(line), format, arguments);
	append_line(complaints, line);
}

void complain(struct complaints *complaints, int error, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	complain_v(complaints, error, format, arguments);
	va_end(arguments);
}

void complaints_done(struct complaints *complaints)
{
	free(complaints->text);
	*complaints = (struct complaints){0};
}

static void fail_v(struct parser *parser, unsigned int line, const char *format, va_list arguments)
{
	char text[512];

	vsnprintf(text, sizeof(text), format, arguments);
	complain(parser->complaints, -EINVAL, "%s:%u: %s", parser->file, line, text);
}

void parser_fail(struct parser *parser, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fail_v(parser, parser->line, format, arguments);
	va_end(arguments);
}

void parser_fail_at(struct parser *parser, unsigned int line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	fail_v(parser, line, format, arguments);
	va_end(arguments);
}

static void end_section(struct parser *parser)
{
	if (parser->section != SECTION_RULE)
		return;
	parser_check_rule(parser);
	if (parser->policy->nr_rules == POLICY_RULES_MAX)
		parser_fail_at(parser, parser->section_line, "more than %d rules",
			       POLICY_RULES_MAX);
	else if (policy_append(parser->policy, &parser->rule))
		complain(parser->complaints, -ENOMEM, "%s: no memory", parser->file);
	rule_done(&parser->rule);
}

static enum section begin_rule(struct parser *parser, const char *name)
{
	size_t length = strlen(name);

	if (!length || length >= sizeof(parser->rule.name) ||
	    strspn(name, NAME_CHARACTERS) != length) {
		parser_fail(parser,
			    "the name of a rule is 1 to %zu letters, digits, dots, - and _, as in "
			    "[rule gpu-users]",
			    sizeof(parser->rule.name) - 1);
		return SECTION_BAD;
	}
	rule_init(&parser->rule);
	memcpy(parser->rule.name, name, length + 1);
	if (asprintf(&parser->rule.source, "%s:%u", parser->file, parser->line) < 0) {
		parser->rule.source = NULL;
		complain(parser->complaints, -ENOMEM, "%s: no memory", parser->file);
	}
	return SECTION_RULE;
}

static enum section begin_daemon(struct parser *parser)
{
	if (parser->is_daemon_seen) {
		parser_fail(parser, "a second [daemon] in this file");
		return SECTION_BAD;
	}
	parser->is_daemon_seen = true;
	return SECTION_DAEMON;
}

/* What stands between the brackets, without what surrounds it. NULL: it isn't that. */
static char *between_brackets(char *line)
{
	char *close = strchr(line, ']');
	char *after;

	if (!close)
		return NULL;
	after = close + 1 + strspn(close + 1, " ");
	if (*after && *after != ';' && *after != '#')
		return NULL;
	while (close > line + 1 && close[-1] == ' ')
		close--;
	*close = '\0';
	return line + 1 + strspn(line + 1, " ");
}

static void begin_section(struct parser *parser, const char *line)
{
	char copy[1024];
	char *name;

	end_section(parser);
	parser->section = SECTION_BAD;
	parser->section_line = parser->line;
	parser->seen = 0;
	wire_text_set(copy, sizeof(copy), line);
	name = between_brackets(copy);
	if (!name)
		parser_fail(parser, "a section is [daemon] or [rule NAME]");
	else if (!strcmp(name, "daemon"))
		parser->section = begin_daemon(parser);
	else if (!strncmp(name, "rule ", 5))
		parser->section = begin_rule(parser, name + 5 + strspn(name + 5, " "));
	else
		parser_fail(parser, "unknown section; there are [daemon] and [rule NAME]");
}

/* By its looks: a word of small letters, digits and -, then =. */
static bool is_setting(const char *line)
{
	size_t length = strspn(line, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return length && line[length + strspn(line + length, " ")] == '=';
}

/* Copies the next line, white space as spaces. False where it can't be passed on; told. */
static bool take_line(struct parser *parser, char *line, size_t size)
{
	const char *newline = memchr(parser->text, '\n', parser->left);
	size_t length = newline ? (size_t)(newline - parser->text) : parser->left;
	const char *text = parser->text;

	parser->text += length + (newline != NULL);
	parser->left -= length + (newline != NULL);
	parser->line++;
	if (length && text[length - 1] == '\r')
		length--;
	/* libinih wants a newline, too. */
	if (length + 2 > size) {
		parser_fail(parser, "longer than %zu bytes; a list may go on in an indented line",
			    size - 2);
		return false;
	}
	if (memchr(text, '\0', length)) {
		parser_fail(parser, "a NUL character");
		return false;
	}
	memset(line, 0, size);
	for (size_t i = 0; i < length; i++)
		line[i] = text[i] == '\t' ? ' ' : text[i];
	if (!wire_text_is_sound(line, size)) {
		parser_fail(parser, "a control character, or not UTF-8");
		return false;
	}
	return true;
}

/* What libinih gets instead of a line: nothing that ends what came before. */
static char *give(char *line, const char *text)
{
	size_t length = strlen(text);

	memmove(line, text, length);
	memcpy(line + length, "\n", 2);
	return line;
}

/* One line for libinih, as fgets() would. */
static char *next_line(char *line, int size, void *data)
{
	struct parser *parser = data;
	const char *start;

	if (parser->is_setting_due)
		parser_fail(parser, "neither a section nor a setting: NAME = VALUE");
	parser->is_setting_due = false;
	if (!parser->left || size < 3)
		return NULL;
	if (!take_line(parser, line, (size_t)size))
		return give(line, "");
	start = line + strspn(line, " ");
	if (!*start || *start == ';' || *start == '#')
		return give(line, "");
	if (*start == '[') {
		begin_section(parser, start);
		/* For libinih it has no name that could be cut, and no list goes on behind it. */
		return give(line, "[section]");
	}
	parser->is_setting_due = true;
	parser->is_continuation = start > line && !is_setting(start);
	return give(line, parser->is_continuation ? line : start);
}

static int take_setting(void *data, const char *section, const char *name, const char *value)
{
	struct parser *parser = data;

	(void)section;
	parser->is_setting_due = false;
	if (parser->section == SECTION_NONE)
		parser_fail(parser, "a setting before the first section");
	else if (parser->section != SECTION_BAD)
		parser_set(parser, name, value ? value : "");
	return 1;
}

void policy_parse(struct policy *policy, const struct policy_names *names, const char *file,
		  const char *text, size_t size_bytes, struct complaints *complaints)
{
	struct parser parser = {
		.policy = policy,
		.names = names,
		.file = file,
		.complaints = complaints,
		.text = text,
		.left = size_bytes,
	};

	rule_init(&parser.rule);
	if (size_bytes >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) {
		parser.text += 3;
		parser.left -= 3;
	}
	/* What it returns, a line at most, has been told. */
	ini_parse_stream(next_line, &parser, take_setting, &parser);
	if (parser.left || parser.is_setting_due)
		parser_fail(&parser, "not understood, and nothing after it was read");
	end_section(&parser);
}
