/* SPDX-License-Identifier: MIT */
#ifndef POLICY_VALUES_H
#define POLICY_VALUES_H

#include <stdbool.h>
#include <stdint.h>

/* Values as people write them in a configuration. 0, -EINVAL, or -ERANGE: it doesn't fit. */

/* "42". */
int value_number(const char *text, uint64_t *ret_value);
/* "4096", "64K", "64M", "1G", "2T", also "64MiB". */
int value_bytes(const char *text, uint64_t *ret_bytes);
/* "0", "500ms", "30s", "5min", "2h", "1d", "1h 30min". */
int value_ms(const char *text, uint64_t *ret_ms);
/* yes, true, on, 1; no, false, off, 0. */
int value_bool(const char *text, bool *ret_value);

#endif /* POLICY_VALUES_H */
