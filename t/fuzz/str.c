/* SPDX-License-Identifier: BSD-2-Clause */
/* str: what the readers of units take is printed and read back as it was. */
#include "base/str.h"

#include <stdlib.h>

#include "target.h"

static void
read_units(const char *text)
{
	char     out[STR_UNIT_MAX];
	uint64_t value, again;
	bool     on;

	if (str_size(text, &value))
		must(str_size(str_print_size(value, out), &again) && again == value);
	if (str_time(text, &value))
		must(str_time(str_print_time(value, out), &again) && again == value);
	if (str_number(text, &value))
		must(str_size(text, &again) && again == value);
	if (str_switch(text, &on))
		must(!str_number(text, &value));
}

static void
read_words(char *text)
{
	static const char *const names[] = { "listen", "protocol", "idle_timeout", "", NULL };
	const char              *near, *word;

	while ((word = str_word(&text)) != NULL) {
		must(word[0] != '\0' && strpbrk(word, " \t") == NULL);
		near = str_nearest(word, names);
		if (near != NULL)
			must(str_distance(near, word, 100) == str_distance(word, near, 100));
	}
	must(*text == '\0');
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char  *text = malloc(size + 1), *out = malloc(size * 4 + 1);
	size_t i;

	if (text == NULL || out == NULL)
		abort();
	str_printable(span_make(data, size), out, size * 4 + 1);
	for (i = 0; out[i] != '\0'; i++)
		must(out[i] >= ' ' && out[i] <= '~');
	must(i >= size);
	str_printable(span_make(data, size), out, size / 2);

	memcpy(text, data, size);
	text[size] = '\0';
	read_units(text);
	read_words(text);
	free(text);
	free(out);
	return 0;
}
