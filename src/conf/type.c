/* SPDX-License-Identifier: BSD-2-Clause */
/* type: texts of the configuration to values, and how values are written. */
#include "conf/type.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "conf/scope.h"
#include "conf/word.h"

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

static const char *type_read_own(struct weir_scope *, const struct weir_key *, const char *text,
    const char *plain, void *value);
static const char *type_read_amount(struct weir_scope *, const struct weir_key *, const char *text,
    const char *plain, uint64_t *value);
static void        type_read_text(struct weir_scope *, const struct weir_key *, const char *text,
    const char **value);
static bool        type_is_word(const struct weir_key *, const char *text, unsigned flag);
static const char *type_unlike(struct weir_scope *, const struct weir_key *, const char *text);
static char       *type_print_amount(const struct weir_key *, uint64_t amount,
    char out[STR_UNIT_MAX]);

const char *
type_read(struct weir_scope *s, const struct weir_key *k, const char *text, void *value)
{
	const char *plain = text, *wrong = NULL;
	char       *copy;

	if ((k->flags & WEIR_WORDS) == 0 && strchr(text, '"') != NULL) {
		plain = copy = weir_scope_alloc(s, strlen(text) + 1);
		wrong = word_whole(text, copy);
	}
	if (wrong != NULL)
		return arena_print(&s->conf->arena, "%s = %s: %s", k->name, text, wrong);
	if (k->type == WEIR_OWN)
		return type_read_own(s, k, text, plain, value);
	if (*plain == '\0')
		return type_unlike(s, k, text);
	switch (k->type) {
	case WEIR_SWITCH:
		return str_switch(plain, value) ? NULL : type_unlike(s, k, text);
	case WEIR_NUMBER:
	case WEIR_SIZE:
	case WEIR_TIME:
		return type_read_amount(s, k, text, plain, value);
	default:
		type_read_text(s, k, plain, value);
		return NULL;
	}
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
	type_print_amount(k, k->min, least);
	type_print_amount(k, k->max, most);
	if (k->min > 0 && k->max > 0)
		snprintf(out, TYPE_TEXT_MAX, "at least %s, at most %s", least, most);
	else if (k->min > 0)
		snprintf(out, TYPE_TEXT_MAX, "at least %s", least);
	else if (k->max > 0)
		snprintf(out, TYPE_TEXT_MAX, "at most %s", most);
	return out;
}

/* text: as it is written; plain: without quotes, but of a list. */
static const char *
type_read_own(struct weir_scope *s, const struct weir_key *k, const char *text, const char *plain,
    void *value)
{
	const char *wrong = k->parse(s, plain, value);

	if (wrong == NULL)
		return NULL;
	return arena_print(&s->conf->arena, "%s = %s: %s", k->name, text, wrong);
}

static const char *
type_read_amount(struct weir_scope *s, const struct weir_key *k, const char *text,
    const char *plain, uint64_t *value)
{
	static bool (*const readers[])(const char *text, uint64_t *amount) = {
		[WEIR_NUMBER] = str_number,
		[WEIR_SIZE] = str_size,
		[WEIR_TIME] = str_time,
	};
	char bounds[TYPE_TEXT_MAX];
	uint64_t amount;
	bool low;

	if (type_is_word(k, plain, WEIR_OFF)) {
		*value = 0;
		return NULL;
	}
	if (type_is_word(k, plain, WEIR_AUTO)) {
		*value = WEIR_AUTOMATIC;
		return NULL;
	}
	if (!readers[k->type](plain, &amount))
		return type_unlike(s, k, text);
	low = amount < k->min;
	if (!low && (k->max == 0 ? amount != WEIR_AUTOMATIC : amount <= k->max)) {
		*value = amount;
		return NULL;
	}
	return arena_print(&s->conf->arena, "%s is %s; %s", k->name, text,
	    low || k->max > 0 ? type_bounds(k, bounds) : "that is too much");
}

static void
type_read_text(struct weir_scope *s, const struct weir_key *k, const char *text, const char **value)
{
	if (type_is_word(k, text, WEIR_OFF))
		*value = NULL;
	else if (type_is_word(k, text, WEIR_AUTO))
		*value = (const char *)(uintptr_t)WEIR_AUTOMATIC;
	else if (k->type == WEIR_PATH)
		*value = conf_path(s, text);
	else
		*value = arena_copy(&s->conf->arena, text);
}

static bool
type_is_word(const struct weir_key *k, const char *text, unsigned flag)
{
	return (k->flags & flag) != 0 && strcmp(text, flag == WEIR_OFF ? "off" : "auto") == 0;
}

static const char *
type_unlike(struct weir_scope *s, const struct weir_key *k, const char *text)
{
	char     syntax[TYPE_TEXT_MAX], small[STR_UNIT_MAX];
	size_t   len = strlen(text);
	uint64_t amount;

	/* 10K and 5M are what other programs take. */
	if ((k->type == WEIR_SIZE || k->type == WEIR_TIME) && len < sizeof small) {
		for (size_t i = 0; i <= len; i++)
			small[i] = (char)tolower((unsigned char)text[i]);
		if (k->type == WEIR_SIZE ? str_size(small, &amount) : str_time(small, &amount))
			return arena_print(&s->conf->arena, "%s = %s: units are small letters: %s",
			    k->name, text, small);
	}
	return arena_print(&s->conf->arena, "%s = %s: write %s", k->name, text,
	    type_syntax(k, syntax));
}

static char *
type_print_amount(const struct weir_key *k, uint64_t amount, char out[STR_UNIT_MAX])
{
	if (k->type == WEIR_SIZE)
		return str_print_size(amount, out);
	if (k->type == WEIR_TIME)
		return str_print_time(amount, out);
	snprintf(out, STR_UNIT_MAX, "%" PRIu64, amount);
	return out;
}
