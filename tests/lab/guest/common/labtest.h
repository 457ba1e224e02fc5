/* SPDX-License-Identifier: MIT */
/*
 * What the guest's test programs share: TAP on stdout, errors with their names.
 *
 * A program reports each case with tap_ok() and ends with `return tap_done()`;
 * whatever is no case but must work goes through must() or die().
 */
#ifndef LAB_LABTEST_H
#define LAB_LABTEST_H

#include <stdbool.h>
#include <stdint.h>

/* One test case. @detail is shown when it failed: a value, or a -errno. */
bool tap_ok(bool passed, const char *name, long long detail);
/* A case that can't be run here, and why. */
void tap_skip(const char *name, const char *reason);
/* The plan; the program's exit status. */
int tap_done(void);
/* A measured figure for the result file. */
void tap_figure(const char *key, double value, const char *unit);

/* End the program: "Bail out!", the sentence, the name of @err (a -errno, or 0 for none). */
__attribute__((format(printf, 2, 3), noreturn)) void die(int err, const char *format, ...);
/* @result, or the end of the program when it is a -errno, or -1 with errno. */
long long must(long long result, const char *what);

/* The name of a -errno, "0" for success. */
const char *error_name(long long err);

int64_t now_ns(void);

/* ioctl() as -errno or the call's result. */
int call(int fd, unsigned long request, void *arg);
/* Write a string to a file of /sys or /proc: 0 or -errno. */
int write_file(const char *path, const char *text);

/* The byte at @position of a test pattern; different seeds differ nearly everywhere. */
uint8_t pattern_byte(unsigned int seed, uint64_t position);
void pattern_fill(void *to, unsigned int seed, uint64_t length);
/* The first wrong byte, or -1 where all are right. */
int64_t pattern_check(const volatile void *from, unsigned int seed, uint64_t length);

#endif /* LAB_LABTEST_H */
