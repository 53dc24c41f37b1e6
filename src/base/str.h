/* SPDX-License-Identifier: BSD-2-Clause */
/* str: spans of bytes, and the units of the configuration file. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "weir.h"

static inline struct weir_span
span_make(const void *data, size_t len)
{
	return (struct weir_span){ data, len };
}

static inline struct weir_span
span_of(const char *s)
{
	return span_make(s, strlen(s));
}

/* What is left of a span without its first n bytes (all of them, if fewer). */
static inline struct weir_span
span_skip(struct weir_span s, size_t n)
{
	n = n < s.len ? n : s.len;
	return span_make(s.data + n, s.len - n);
}

/*
 * Strict readers: the whole text or nothing, no sign, no white space, no
 * overflow. Return true, or false with *out untouched.
 */
bool str_number(const char *text, uint64_t *out);	/* decimal */
bool str_size(const char *text, uint64_t *out);		/* 512 4k 1m 2g: bytes, powers of 1024 */
bool str_time(const char *text, uint64_t *out);		/* 500ms 30s 5m 1h 1d, bare: seconds; ms */
bool str_switch(const char *text, bool *out);		/* on off */

/* The other way: the shortest exact form ("64k", "5m", "1500ms", "0s"). Returns out. */
#define STR_UNIT_MAX 32
char *str_print_size(uint64_t bytes, char out[STR_UNIT_MAX]);
char *str_print_time(uint64_t ms, char out[STR_UNIT_MAX]);

/*
 * Cuts the next word off *text: skips blanks and tabs, ends the word with a NUL
 * in place, moves *text behind it. Returns NULL when there is no further word.
 */
char *str_word(char **text);

/* How many single-character edits lie between two names; more than `limit`
 * comes back as limit + 1. */
unsigned str_distance(const char *a, const char *b, unsigned limit);

/* The candidate nearest to name, for "did you mean"; NULL when none is near
 * (more than a third of its letters wrong). The list ends with NULL. */
const char *str_nearest(const char *name, const char *const *candidates);

/* Copies text so that it fits one line of a log or terminal: control bytes and
 * anything outside ASCII as \xNN. Always ends with a NUL. Returns out. */
char *str_printable(struct weir_span, char *out, size_t size);

#endif
