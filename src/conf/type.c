/* SPDX-License-Identifier: BSD-2-Clause */
/* type: texts of the configuration to values, and how values are written. */
#include "conf/type.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "conf/scope.h"

static const struct {
	size_t      size;
	const char *syntax;
} types[] = {
	[WEIR_SWITCH] = { sizeof(bool), "on or off" },
	[WEIR_NUMBER] = { sizeof(uint64_t), "a number" },
	[WEIR_SIZE] = { sizeof(uint64_t), "a size (512, 4k, 1m, 2g)" },
	[WEIR_TIME] = { sizeof(uint64_t), "a time (500ms, 30s, 5m, 1h, 1d; bare: seconds)" },
	[WEIR_STRING] = { sizeof(const char *), "a text" },
	[WEIR_PATH] = { sizeof(const char *), "a path" },
	[WEIR_OWN] = { 0, "a text" },
};

static const char *read_own(struct weir_scope *, const struct weir_key *, const char *text,
    void *value);
static const char *read_amount(struct weir_scope *, const struct weir_key *, const char *text,
    uint64_t *value);
static bool        read_text(struct weir_scope *, const struct weir_key *, const char *text,
    const char **value);
static bool        is_word(const struct weir_key *, const char *text, unsigned flag);
static const char *unlike(struct weir_scope *, const struct weir_key *, const char *text);
static char       *print_amount(const struct weir_key *, uint64_t amount, char out[STR_UNIT_MAX]);
static const char *read_word(const char **text, char *out, size_t *length);
static const char *read_escape(const char **text, char *byte);
static int         hex_digit(char);

const char *
type_read(struct weir_scope *s, const struct weir_key *k, const char *text, void *value)
{
	switch (k->type) {
	case WEIR_SWITCH:
		return str_switch(text, value) ? NULL : unlike(s, k, text);
	case WEIR_NUMBER:
	case WEIR_SIZE:
	case WEIR_TIME:
		return read_amount(s, k, text, value);
	case WEIR_STRING:
	case WEIR_PATH:
		return read_text(s, k, text, value) ? NULL : unlike(s, k, text);
	case WEIR_OWN:
		return read_own(s, k, text, value);
	}
	return unlike(s, k, text);
}

size_t
type_size(enum weir_type type)
{
	return types[type].size;
}

char *
type_syntax(const struct weir_key *k, char out[TYPE_TEXT_MAX])
{
	/* The table of a key that parses for itself says all there is. */
	bool own = k->syntax != NULL;

	snprintf(out, TYPE_TEXT_MAX, "%s%s%s", own ? k->syntax : types[k->type].syntax,
	    !own && (k->flags & WEIR_OFF) ? ", or off" : "",
	    !own && (k->flags & WEIR_AUTO) ? ", or auto" : "");
	return out;
}

char *
type_bounds(const struct weir_key *k, char out[TYPE_TEXT_MAX])
{
	char least[STR_UNIT_MAX], most[STR_UNIT_MAX];

	*out = '\0';
	if (k->type != WEIR_NUMBER && k->type != WEIR_SIZE && k->type != WEIR_TIME)
		return out;
	print_amount(k, k->min, least);
	print_amount(k, k->max, most);
	if (k->min > 0 && k->max > 0)
		snprintf(out, TYPE_TEXT_MAX, "at least %s, at most %s", least, most);
	else if (k->min > 0)
		snprintf(out, TYPE_TEXT_MAX, "at least %s", least);
	else if (k->max > 0)
		snprintf(out, TYPE_TEXT_MAX, "at most %s", most);
	return out;
}

const char *
conf_words(struct weir_scope *s, const char *text, struct weir_span **words, unsigned *count)
{
	size_t size = strlen(text) + 1, length;
	const char *wrong;
	char *out;

	/* A word takes no more bytes than its text and the blank behind it; and
	 * there are at most half as many words as bytes. */
	out = weir_scope_alloc(s, size);
	*words = weir_scope_alloc(s, (size / 2 + 1) * sizeof(**words));
	for (*count = 0;;) {
		text += strspn(text, " \t");
		if (*text == '\0')
			return NULL;
		wrong = read_word(&text, out, &length);
		if (wrong != NULL)
			return wrong;
		(*words)[(*count)++] = span(out, length);
		out[length] = '\0';
		out += length + 1;
	}
}

static const char *
read_own(struct weir_scope *s, const struct weir_key *k, const char *text, void *value)
{
	const char *wrong = k->parse(s, text, value);

	if (wrong == NULL)
		return NULL;
	return arena_print(&s->conf->arena, "%s = %s: %s", k->name, text, wrong);
}

static const char *
read_amount(struct weir_scope *s, const struct weir_key *k, const char *text, uint64_t *value)
{
	static bool (*const readers[])(const char *text, uint64_t *amount) = {
		[WEIR_NUMBER] = str_number,
		[WEIR_SIZE] = str_size,
		[WEIR_TIME] = str_time,
	};
	char bounds[TYPE_TEXT_MAX];
	uint64_t amount;
	bool low;

	if (is_word(k, text, WEIR_OFF)) {
		*value = 0;
		return NULL;
	}
	if (is_word(k, text, WEIR_AUTO)) {
		*value = WEIR_AUTOMATIC;
		return NULL;
	}
	if (!readers[k->type](text, &amount))
		return unlike(s, k, text);
	low = amount < k->min;
	if (!low && (k->max == 0 ? amount != WEIR_AUTOMATIC : amount <= k->max)) {
		*value = amount;
		return NULL;
	}
	return arena_print(&s->conf->arena, "%s is %s; %s", k->name, text,
	    low || k->max > 0 ? type_bounds(k, bounds) : "that is too much");
}

static bool
read_text(struct weir_scope *s, const struct weir_key *k, const char *text, const char **value)
{
	if (*text == '\0')
		return false;
	if (is_word(k, text, WEIR_OFF))
		*value = NULL;
	else if (is_word(k, text, WEIR_AUTO))
		*value = (const char *)(uintptr_t)WEIR_AUTOMATIC;
	else if (k->type == WEIR_PATH)
		*value = conf_path(s, text);
	else
		*value = arena_copy(&s->conf->arena, text);
	return true;
}

static bool
is_word(const struct weir_key *k, const char *text, unsigned flag)
{
	return (k->flags & flag) != 0 && strcmp(text, flag == WEIR_OFF ? "off" : "auto") == 0;
}

static const char *
unlike(struct weir_scope *s, const struct weir_key *k, const char *text)
{
	char syntax[TYPE_TEXT_MAX];

	return arena_print(&s->conf->arena, "%s = %s: write %s", k->name, text,
	    type_syntax(k, syntax));
}

static char *
print_amount(const struct weir_key *k, uint64_t amount, char out[STR_UNIT_MAX])
{
	if (k->type == WEIR_SIZE)
		return str_print_size(amount, out);
	if (k->type == WEIR_TIME)
		return str_print_time(amount, out);
	snprintf(out, STR_UNIT_MAX, "%" PRIu64, amount);
	return out;
}

/* A word, up to a blank outside quotes. Returns NULL, or what is wrong. */
static const char *
read_word(const char **text, char *out, size_t *length)
{
	const char *p = *text, *wrong;
	bool quoted = false;

	*length = 0;
	for (; *p != '\0' && (quoted || (*p != ' ' && *p != '\t'));) {
		if (*p == '"') {
			quoted = !quoted;
			p++;
		} else if (quoted && *p == '\\') {
			wrong = read_escape(&p, &out[*length]);
			if (wrong != NULL)
				return wrong;
			(*length)++;
		} else {
			out[(*length)++] = *p++;
		}
	}
	*text = p;
	return quoted ? "a quote is not closed; end it with \"" : NULL;
}

static const char *
read_escape(const char **text, char *byte)
{
	static const char names[] = "nrt\\\"";
	static const char bytes[] = "\n\r\t\\\"";
	const char *p = *text + 1, *name;

	name = *p != '\0' ? strchr(names, *p) : NULL;
	if (name != NULL) {
		*byte = bytes[name - names];
		*text = p + 1;
		return NULL;
	}
	if (*p != 'x' || hex_digit(p[1]) == -1 || hex_digit(p[2]) == -1)
		return "no such \\ inside quotes; there are \\n \\r \\t \\\\ \\\" \\xNN";
	*byte = (char)(hex_digit(p[1]) << 4 | hex_digit(p[2]));
	*text = p + 3;
	return NULL;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}
