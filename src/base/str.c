/* SPDX-License-Identifier: BSD-2-Clause */
/* str: strict readers and printers for the units of the configuration file. */
#include "base/str.h"

#include <inttypes.h>
#include <stdio.h>

#define DISTANCE_LEN_MAX 64u	/* no name that is compared is longer */

struct unit {
	const char *suffix;
	uint64_t    factor;
};

/* From small to large: printing takes the last one that divides the value. */
static const struct unit size_units[] = {
	{ "", 1 },
	{ "k", UINT64_C(1) << 10 },
	{ "m", UINT64_C(1) << 20 },
	{ "g", UINT64_C(1) << 30 },
	{ NULL, 0 },
};

static const struct unit time_units[] = {
	{ "ms", 1 },
	{ "s", 1000 },
	{ "m", 60 * 1000 },
	{ "h", 60 * 60 * 1000 },
	{ "d", 24 * 60 * 60 * 1000 },
	{ NULL, 0 },
};

static const char *
str_read_digits(const char *text, uint64_t *out)
{
	uint64_t    value = 0;
	const char *p;

	for (p = text; *p >= '0' && *p <= '9'; p++) {
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return NULL;
	}
	if (p == text)
		return NULL;
	*out = value;
	return p;
}

static bool
str_read_with_unit(const char *text, const struct unit *units, const char *bare, uint64_t *out)
{
	const struct unit *u;
	uint64_t           value;
	const char        *suffix;

	suffix = str_read_digits(text, &value);
	if (suffix == NULL)
		return false;
	if (*suffix == '\0')
		suffix = bare;
	for (u = units; u->suffix != NULL; u++) {
		if (strcmp(suffix, u->suffix) == 0)
			break;
	}
	if (u->suffix == NULL || __builtin_mul_overflow(value, u->factor, &value))
		return false;
	*out = value;
	return true;
}

static char *
str_print_with_unit(uint64_t value, const struct unit *units, char *out)
{
	const struct unit *u, *best = units;

	for (u = units; u->suffix != NULL; u++) {
		if (value % u->factor == 0)
			best = u;
	}
	if (value == 0)
		snprintf(out, STR_UNIT_MAX, "0");
	else
		snprintf(out, STR_UNIT_MAX, "%" PRIu64 "%s", value / best->factor, best->suffix);
	return out;
}

bool
str_number(const char *text, uint64_t *out)
{
	uint64_t    value;
	const char *end;

	end = str_read_digits(text, &value);
	if (end == NULL || *end != '\0')
		return false;
	*out = value;
	return true;
}

bool
str_size(const char *text, uint64_t *out)
{
	return str_read_with_unit(text, size_units, "", out);
}

bool
str_time(const char *text, uint64_t *out)
{
	return str_read_with_unit(text, time_units, "s", out);
}

bool
str_switch(const char *text, bool *out)
{
	if (strcmp(text, "on") == 0)
		*out = true;
	else if (strcmp(text, "off") == 0)
		*out = false;
	else
		return false;
	return true;
}

char *
str_print_size(uint64_t bytes, char out[STR_UNIT_MAX])
{
	return str_print_with_unit(bytes, size_units, out);
}

char *
str_print_time(uint64_t ms, char out[STR_UNIT_MAX])
{
	if (ms == 0)
		return strcpy(out, "0s");
	return str_print_with_unit(ms, time_units, out);
}

char *
str_word(char **text)
{
	char *word, *end;

	word = *text + strspn(*text, " \t");
	if (*word == '\0') {
		*text = word;
		return NULL;
	}
	end = word + strcspn(word, " \t");
	*text = end;
	if (*end != '\0') {
		*end = '\0';
		*text = end + 1;
	}
	return word;
}

static unsigned
str_least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* Levenshtein's table, one row at a time. */
unsigned
str_distance(const char *a, const char *b, unsigned limit)
{
	unsigned row[DISTANCE_LEN_MAX + 1];
	unsigned above, corner, low;
	size_t   i, j, len;

	len = strlen(b);
	if (strlen(a) > DISTANCE_LEN_MAX || len > DISTANCE_LEN_MAX)
		return strcmp(a, b) == 0 ? 0 : limit + 1;
	for (j = 0; j <= len; j++)
		row[j] = (unsigned)j;
	for (i = 0; a[i] != '\0'; i++) {
		corner = row[0];
		low = row[0] = (unsigned)i + 1;
		for (j = 1; j <= len; j++) {
			above = row[j];
			row[j] = str_least(str_least(above, row[j - 1]) + 1,
			    corner + (a[i] != b[j - 1]));
			corner = above;
			low = str_least(low, row[j]);
		}
		if (low > limit)
			return limit + 1;
	}
	return str_least(row[len], limit + 1);
}

const char *
str_nearest(const char *name, const char *const *candidates)
{
	const char *nearest = NULL;
	unsigned    best = 0, distance, limit;
	size_t      len;

	for (; *candidates != NULL; candidates++) {
		len = strlen(*candidates);
		if (len < strlen(name))
			len = strlen(name);
		limit = (unsigned)(len / 3);
		distance = str_distance(name, *candidates, limit);
		if (distance <= limit && (nearest == NULL || distance < best)) {
			nearest = *candidates;
			best = distance;
		}
	}
	return nearest;
}

char *
str_printable(struct weir_span text, char *out, size_t size)
{
	static const char hex[] = "0123456789abcdef";
	size_t            i, n = 0;
	unsigned char     c;

	for (i = 0; i < text.len; i++) {
		c = (unsigned char)text.data[i];
		if (c >= ' ' && c <= '~') {
			if (n + 1 >= size)
				break;
			out[n++] = (char)c;
			continue;
		}
		if (n + 4 >= size)
			break;
		out[n++] = '\\';
		out[n++] = 'x';
		out[n++] = hex[c >> 4];
		out[n++] = hex[c & 15];
	}
	if (size > 0)
		out[n] = '\0';
	return out;
}
