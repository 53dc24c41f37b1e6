/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ini: any bytes as a configuration file. What the reader tells must be what it
 * promises, and its values must come out the same when they are read again, their
 * words when they are quoted.
 */
#include "conf/ini.h"
#include "conf/word.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

struct told {
	char  *text;		/* what was told, written as a file */
	size_t size;
	size_t length;
	unsigned line;
	unsigned errors;
};

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

/* A word that is written in quotes is the same again, and so is a whole value. */
static void
check_word(const char *word)
{
	size_t length = strlen(word), end, i;
	char  *quoted = malloc(4 * length + 3), *rest, *again;

	must(quoted != NULL && length < INI_LINE_MAX);
	quoted[0] = '"';
	for (i = 0; i < length; i++)
		sprintf(quoted + 1 + 4 * i, "\\x%02x", (unsigned char)word[i]);
	strcpy(quoted + 1 + 4 * length, "\"");
	must(word_fault(quoted, &end) == NULL && quoted[end] == '\0');
	again = strdup(quoted);
	must(again != NULL && word_whole(quoted, again) == NULL && strcmp(again, word) == 0);
	rest = quoted;
	must(strcmp(weir_word(&rest), word) == 0 && weir_word(&rest) == NULL);
	free(quoted);
	free(again);
}

static void
check_words(const char *value)
{
	char  *copy = strdup(value), *rest = copy, *word;
	size_t count = 0;

	must(copy != NULL);
	for (; (word = weir_word(&rest)) != NULL; count++)
		check_word(word);
	must(count > 0 && count <= strlen(value) / 2 + 1 && rest == copy + strlen(value));
	memcpy(copy, value, strlen(value) + 1);
	if (word_whole(value, copy) == NULL)
		check_word(copy);
	free(copy);
}

static void
take_value(void *section, struct place place, const char *key, const char *value)
{
	struct told *t = section;
	size_t       length = strlen(value), end, i;

	check_place(t, place);
	must(*key != '\0' && strlen(key) <= INI_NAME_MAX &&
	    key[strspn(key, INI_NAME_BYTES)] == '\0');
	must(length > 0 && strlen(key) + length < INI_LINE_MAX);
	must(strchr(" \t;#", value[0]) == NULL && strchr(" \t\r;", value[length - 1]) == NULL);
	for (i = 0; i < length; i++)
		must((unsigned char)value[i] >= ' ' || value[i] == '\t');
	must(word_fault(value, &end) == NULL && end == length);
	write_line(t, key, "=", value);
	check_words(value);
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
	struct told           t = { .text = calloc(1, 1), .size = 1 };
	const struct ini_sink sink = { .context = &t,
		.section = take_section,
		.value = take_value,
		.error = take_error };

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
