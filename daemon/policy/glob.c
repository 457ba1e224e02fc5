// SPDX-License-Identifier: MIT
/*
 * Patterns for control groups and units.
 *
 * Not fnmatch(3): its time can grow exponentially with the number of stars, and the
 * text is the path of a control group that its user may have named. Here it is enough
 * to go back to the last star: what comes after it is found as early as possible, and
 * nothing is lost by that. A single star can't grow over a slash; where that stops it, the
 * last double star grows by one.
 */
#include "glob.h"

struct star {
	const char *after; /* the pattern behind it, NULL: none yet */
	size_t at;	   /* where it ends in the text */
};

bool glob_matches(const char *pattern, const char *text, size_t length)
{
	struct star one = {0}, two = {0};
	size_t at = 0;

	for (;;) {
		if (*pattern == '*') {
			struct star *star = pattern[1] == '*' ? &two : &one;

			pattern += star == &two ? 2 : 1;
			star->after = pattern;
			star->at = at;
			/* What is before a double star has found its place. */
			if (star == &two)
				one.after = NULL;
			continue;
		}
		if (at == length ? !*pattern :
				   *pattern == text[at] || (*pattern == '?' && text[at] != '/')) {
			if (at == length)
				return true;
			pattern++;
			at++;
			continue;
		}
		if (one.after && one.at < length && text[one.at] != '/') {
			at = ++one.at;
			pattern = one.after;
		} else if (two.after && two.at < length) {
			at = ++two.at;
			pattern = two.after;
			one.after = NULL;
		} else {
			return false;
		}
	}
}
