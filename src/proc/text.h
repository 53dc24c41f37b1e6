/* SPDX-License-Identifier: BSD-2-Clause */
/* text: text that grows, and JSON in it. */
#ifndef PROC_TEXT_H
#define PROC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TEXT_MAX (16u << 20)

/* Zeroed: empty. */
struct text {
	char    *data;		/* ends with a NUL when it is not NULL */
	size_t   size;
	size_t   room;
	bool     cut;		/* memory was short, or TEXT_MAX reached: the rest is missing */
	bool     comma;		/* JSON: the next item is not the first of its object */
};

void text_add(struct text *, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_free(struct text *);

/*
 * JSON: key NULL stands in arrays and at the top. Objects and arrays are
 * opened with '{' or '[' and closed with '}' or ']'.
 */
void text_json_open(struct text *, const char *key, char bracket);
void text_json_close(struct text *, char bracket);
void text_json_string(struct text *, const char *key, const char *value);
void text_json_number(struct text *, const char *key, uint64_t value);

#endif
