/* SPDX-License-Identifier: BSD-2-Clause */
/* text: text that grows, and JSON in it. */
#include "proc/text.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static bool text_reserve(struct text *, size_t more);
static void text_add_key(struct text *, const char *key);
static void text_add_quoted(struct text *, const char *);
static size_t text_utf8_length(const unsigned char *);

void
text_add(struct text *t, const char *format, ...)
{
	va_list args;
	size_t  room;
	int     len;

	if (!text_reserve(t, 0))
		return;
	room = t->room - t->size;
	va_start(args, format);
	len = vsnprintf(t->data + t->size, room, format, args);
	va_end(args);
	if (len < 0 || ((size_t)len >= room && !text_reserve(t, (size_t)len))) {
		t->data[t->size] = '\0';
		return;
	}
	if ((size_t)len >= room) {
		va_start(args, format);
		vsnprintf(t->data + t->size, (size_t)len + 1, format, args);
		va_end(args);
	}
	t->size += (size_t)len;
}

void
text_free(struct text *t)
{
	free(t->data);
	*t = (struct text){ 0 };
}

void
text_json_open(struct text *t, const char *key, char bracket)
{
	text_add_key(t, key);
	text_add(t, "%c", bracket);
	t->comma = false;
}

void
text_json_close(struct text *t, char bracket)
{
	text_add(t, "%c", bracket);
	t->comma = true;
}

void
text_json_string(struct text *t, const char *key, const char *value)
{
	text_add_key(t, key);
	text_add_quoted(t, value);
}

void
text_json_number(struct text *t, const char *key, uint64_t value)
{
	text_add_key(t, key);
	text_add(t, "%" PRIu64, value);
}

static bool
text_reserve(struct text *t, size_t more)
{
	size_t need = t->size + more + 1, room = t->room == 0 ? 1024 : t->room;
	char  *grown;

	if (t->cut || need > TEXT_MAX) {
		t->cut = true;
		return false;
	}
	while (room < need)
		room *= 2;
	if (room == t->room)
		return true;
	grown = realloc(t->data, room);
	if (grown == NULL) {
		t->cut = true;
		return false;
	}
	t->data = grown;
	t->room = room;
	return true;
}

static void
text_add_key(struct text *t, const char *key)
{
	if (t->comma)
		text_add(t, ",");
	t->comma = true;
	if (key == NULL)
		return;
	text_add_quoted(t, key);
	text_add(t, ":");
}

/* Names come from files: what is no UTF-8 becomes U+FFFD. */
static void
text_add_quoted(struct text *t, const char *value)
{
	const unsigned char *s = (const unsigned char *)value;
	size_t               len;

	text_add(t, "\"");
	while (*s != '\0') {
		if (*s == '"' || *s == '\\') {
			text_add(t, "\\%c", *s++);
		} else if (*s < 0x20 || *s == 0x7f) {
			text_add(t, "\\u%04x", (unsigned)*s++);
		} else if ((len = text_utf8_length(s)) > 0) {
			text_add(t, "%.*s", (int)len, (const char *)s);
			s += len;
		} else {
			text_add(t, "\\ufffd");
			s++;
		}
	}
	text_add(t, "\"");
}

/* Of the well-formed character at s (RFC 3629), or 0. */
static size_t
text_utf8_length(const unsigned char *s)
{
	size_t        len = *s < 0x80 ? 1
	    : *s < 0xc2	       ? 0
	    : *s < 0xe0	       ? 2
	    : *s < 0xf0	       ? 3
	    : *s < 0xf5	       ? 4
			       : 0;
	unsigned char low = 0x80, high = 0xbf;

	if (*s == 0xe0)
		low = 0xa0;
	else if (*s == 0xed)
		high = 0x9f;
	else if (*s == 0xf0)
		low = 0x90;
	else if (*s == 0xf4)
		high = 0x8f;
	for (size_t i = 1; i < len; i++) {
		if (s[i] < low || s[i] > high)
			return 0;
		low = 0x80;
		high = 0xbf;
	}
	return len;
}
