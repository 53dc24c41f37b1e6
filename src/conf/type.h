/* SPDX-License-Identifier: BSD-2-Clause */
/* type: texts of the configuration to values, and how values are written. */
#ifndef CONF_TYPE_H
#define CONF_TYPE_H

#include <stddef.h>

#include "weir.h"

/*
 * Reads text, with its quotes, into the value that the key's type describes (at block + offset).
 * Returns NULL, or the whole of what is wrong, in the configuration's memory:
 * "read_buffer is 99g; at most 1g".
 */
const char *type_read(struct weir_scope *, const struct weir_key *, const char *text, void *value);

/* The bytes that a value of the type takes in its block; WEIR_OWN: 0, for
 * nobody but its parse knows. */
size_t type_size(enum weir_type);

/* For people: "a time (500ms, 30s …) or off"; "at least 1s, at most 1d", which
 * is empty without bounds. Return out. */
#define TYPE_TEXT_MAX 160
char *type_syntax(const struct weir_key *, char out[TYPE_TEXT_MAX]);
char *type_bounds(const struct weir_key *, char out[TYPE_TEXT_MAX]);

#endif
