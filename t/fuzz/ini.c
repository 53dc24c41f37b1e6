/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ini: any bytes as a configuration file. What the reader tells must be what it
 * promises, and its values must come out the same when they are read again.
 */
#include "conf/ini.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
	char  *text;		/* what was told, written as a file */
	size_t size;
	size_t length;
	unsigned line;
	unsigned errors;
};

static void
must(int condition)
{
	if (!condition)
		abort();
}

static void
write_line(struct told *t, const char *a, const char *b, const char *c)
{
	size_t more = strlen(a) + strlen(b) + strlen(c) + 2;

	if (t->length + more > t->size) {
		t->size = (t->length + more) * 2;
		t->text = realloc(t->text, t->size);
		must(t->text != NULL);
	}
	t->length += (size_t)sprintf(t->text + t->length, "%s%s%s\n", a, b, c);
}

/* Lines come in their order, each tells one thing. */
static void
check_place(struct told *t, struct place place)
{
	must(place.file != NULL && strcmp(place.file, "fuzz") == 0);
	must(place.line > t->line);
	t->line = place.line;
}

static void *
take_section(void *context, struct place place, const char *head)
{
	struct told *t = context;

	check_place(t, place);
	must(*head != '\0' && strlen(head) <= 2 * INI_NAME_MAX + 1);
	must(strpbrk(head, "]\n") == NULL);
	write_line(t, "[", head, "]");
	return t;
}

static void
take_value(void *section, struct place place, const char *key, const char *value)
{
	struct told *t = section;
	size_t length = strlen(value);

	check_place(t, place);
	must(*key != '\0' && strlen(key) <= INI_NAME_MAX &&
	    key[strspn(key, INI_NAME_BYTES)] == '\0');
	must(length > 0 && strlen(key) + length < INI_LINE_MAX);
	must(strchr(" \t;", value[0]) == NULL && strchr(" \t\r", value[length - 1]) == NULL);
	must(strstr(value, " ;") == NULL && strpbrk(value, "\n\r") == NULL);
	write_line(t, key, "=", value);
}

static void
take_error(void *context, struct place place, const char *text)
{
	struct told *t = context;

	check_place(t, place);
	must(*text != '\0');
	t->errors++;
}

static struct told
read_it(const void *data, size_t size)
{
	struct told t = { .text = calloc(1, 1), .size = 1 };
	const struct ini_sink sink = { &t, take_section, take_value, NULL, take_error };

	must(t.text != NULL);
	ini_read_memory("fuzz", data, size, &sink);
	return t;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct told first, again;

	first = read_it(data, size);
	again = read_it(first.text, first.length);
	must(again.errors == 0);
	must(again.length == first.length && memcmp(again.text, first.text, first.length) == 0);
	free(first.text);
	free(again.text);
	return 0;
}
