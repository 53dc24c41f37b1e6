/* SPDX-License-Identifier: BSD-2-Clause */
/* health_key: the text of `health_check =`. */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "conf/conf.h"
#include "upstream/health.h"

#define HEALTH_TIME_MAX (UINT64_C(24) * 3600 * 1000)	/* ms */
#define HEALTH_TEXT_MAX 1024u				/* bytes of send, and of expect */

/* Its options, each at most once: its constant; name; how the value is written; what holds
 * without it; what it does; what is wrong with a value that cannot be read. */
#define HEALTH_OPTIONS(X)                                                                      \
	X(INTERVAL, "interval", "=T", "2s", "from one check to the next",                      \
	    "write interval=T, a time from 10ms to 1d")                                        \
	X(TIMEOUT, "timeout", "=T", "2s", "all of a check is over within this",                \
	    "write timeout=T, a time from 1ms to 1d")                                          \
	X(RISE, "rise", "=N", "2", "good ones in a row that bring a peer back",                \
	    "write rise=N, a number from 1 to 1000")                                           \
	X(FALL, "fall", "=N", "3", "bad ones in a row that take a peer out",                   \
	    "write fall=N, a number from 1 to 1000")                                           \
	X(SEND, "send", "=\"...\"", NULL, "is sent when the peer is connected",                \
	    "write send=\"TEXT\", with \\r \\n \\xNN in it; at most 1024 bytes, not \\x00")    \
	X(EXPECT, "expect", "=\"...\"", NULL, "has to be in what the peer sends",              \
	    "write expect=\"TEXT\", with \\r \\n \\xNN in it; at most 1024 bytes, not \\x00")  \
	X(PORT, "port", "=N", NULL, "another port of the peer's address is connected to",      \
	    "write port=N, a number from 1 to 65535")

enum health_option {
#define X(constant, name, value, initial, help, form) HEALTH_OPTION_##constant,
	HEALTH_OPTIONS(X)
#undef X
	    HEALTH_OPTION_COUNT
};

static const char *const health_option_forms[HEALTH_OPTION_COUNT] = {
#define X(constant, name, value, initial, help, form) form,
	HEALTH_OPTIONS(X)
#undef X
};

const struct conf_option health_option_table[] = {
#define X(constant, name, value, initial, help, form)                                           \
	{ "health_check", name, value, initial, help },
	HEALTH_OPTIONS(X)
#undef X
	{ .key = NULL },
};

#define HEALTH_OPTION_SYNTAX(constant, name, value, initial, help, form) " [" name value "]"
const char health_syntax[] = "off | on" HEALTH_OPTIONS(HEALTH_OPTION_SYNTAX);

static const char *health_key_option(struct weir_scope *, struct health_check *, char *word,
    unsigned *seen);
static bool health_key_set(struct weir_scope *, struct health_check *, enum health_option,
    const char *value);
static bool health_key_number(const char *text, uint64_t most, uint64_t *number);
static bool health_key_time(const char *text, uint64_t least, uint64_t *time);
static bool health_key_text(struct weir_scope *, const char *text, struct weir_span *);

const char *
health_key_parse(struct weir_scope *scope, const char *text, void *value)
{
	struct health_check *check = value;
	char                *rest = weir_scope_alloc(scope, strlen(text) + 1), *word;
	const char          *wrong;
	unsigned             seen = 0;

	*check = (struct health_check){ .interval = 2000, .timeout = 2000, .rise = 2, .fall = 3 };
	strcpy(rest, text);
	word = weir_word(&rest);
	if (word == NULL || (strcmp(word, "on") != 0 && strcmp(word, "off") != 0))
		return "write off, or on and what is to be checked";
	check->on = strcmp(word, "on") == 0;
	while ((word = weir_word(&rest)) != NULL) {
		if (!check->on)
			return "has options behind off: write on, or leave them out";
		if ((wrong = health_key_option(scope, check, word, &seen)) != NULL)
			return wrong;
	}
	return NULL;
}

/* seen: bits of enum health_option. */
static const char *
health_key_option(struct weir_scope *scope, struct health_check *check, char *word, unsigned *seen)
{
	char    *value = strchr(word, '=');
	unsigned option = 0;

	if (value != NULL)
		*value++ = '\0';
	while (option < HEALTH_OPTION_COUNT &&
	    strcmp(word, health_option_table[option].name) != 0)
		option++;
	if (option == HEALTH_OPTION_COUNT)
		return scope_phrase(scope, "has no option %s; write %s", word, health_syntax);
	if ((*seen & 1u << option) != 0)
		return scope_phrase(scope, "has %s twice; leave one", word);
	*seen |= 1u << option;
	if (value == NULL || !health_key_set(scope, check, (enum health_option)option, value))
		return health_option_forms[option];
	return NULL;
}

/* False: that is no value for it. */
static bool
health_key_set(struct weir_scope *scope, struct health_check *check, enum health_option option,
    const char *value)
{
	switch (option) {
	case HEALTH_OPTION_INTERVAL:
		return health_key_time(value, 10, &check->interval);
	case HEALTH_OPTION_TIMEOUT:
		return health_key_time(value, 1, &check->timeout);
	case HEALTH_OPTION_RISE:
		return health_key_number(value, 1000, &check->rise);
	case HEALTH_OPTION_FALL:
		return health_key_number(value, 1000, &check->fall);
	case HEALTH_OPTION_SEND:
		return health_key_text(scope, value, &check->send);
	case HEALTH_OPTION_EXPECT:
		return health_key_text(scope, value, &check->expect);
	default:
		return health_key_number(value, 65535, &check->port);
	}
}

static bool
health_key_number(const char *text, uint64_t most, uint64_t *number)
{
	return str_number(text, number) && *number >= 1 && *number <= most;
}

static bool
health_key_time(const char *text, uint64_t least, uint64_t *time)
{
	return str_time(text, time) && *time >= least && *time <= HEALTH_TIME_MAX;
}

static bool
health_key_text(struct weir_scope *scope, const char *text, struct weir_span *span)
{
	size_t length = strlen(text);
	char  *copy;

	if (length == 0 || length > HEALTH_TEXT_MAX)
		return false;
	copy = weir_scope_alloc(scope, length + 1);
	memcpy(copy, text, length);
	*span = span_make(copy, length);
	return true;
}
