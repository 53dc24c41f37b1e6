/* SPDX-License-Identifier: BSD-2-Clause */
/* type: texts to values, bounds and their messages, quotes. */
#include "conf/type.h"

#include "conf/conf.h"
#include "conf/module.h"
#include "unit/tap.h"

static struct weir_scope *scope;

static const char *
parse_even(struct weir_scope *s, const char *text, void *value)
{
	(void)s;
	*(uint64_t *)value = strlen(text);
	return strlen(text) % 2 == 0 ? NULL : "its length is odd";
}

static const struct weir_key number = { .name = "n", .type = WEIR_NUMBER };
static const struct weir_key small = { .name = "n", .type = WEIR_NUMBER, .min = 2, .max = 9 };
static const struct weir_key size = { .name = "s", .type = WEIR_SIZE, .max = 1 << 30 };
static const struct weir_key least = { .name = "s", .type = WEIR_SIZE, .min = 1024 };
static const struct weir_key time_off = {
	.name = "t", .type = WEIR_TIME, .min = 1000, .flags = WEIR_OFF
};
static const struct weir_key both = { .name = "b",
	.type = WEIR_SIZE,
	.flags = WEIR_OFF | WEIR_AUTO };
static const struct weir_key own = {
	.name = "o", .type = WEIR_OWN, .parse = parse_even, .syntax = "EVEN"
};

static const struct {
	const struct weir_key *key;
	const char            *text;
	uint64_t               value;
	const char            *wrong;
} amounts[] = {
	{ &number, "0", 0, NULL },
	{ &number, "18446744073709551614", UINT64_MAX - 1, NULL },
	{ &number, "18446744073709551615", 0, "n is 18446744073709551615; that is too much" },
	{ &number, "18446744073709551616", 0, "n = 18446744073709551616: write a number" },
	{ &number, "4k", 0, "n = 4k: write a number" },
	{ &number, "-1", 0, "n = -1: write a number" },
	{ &number, "off", 0, "n = off: write a number" },
	{ &small, "2", 2, NULL },
	{ &small, "9", 9, NULL },
	{ &small, "1", 0, "n is 1; at least 2, at most 9" },
	{ &small, "10", 0, "n is 10; at least 2, at most 9" },
	{ &size, "1g", 1 << 30, NULL },
	{ &size, "99g", 0, "s is 99g; at most 1g" },
	{ &size, "1x", 0, "s = 1x: write a size (512, 4k, 1m, 2g)" },
	{ &least, "1k", 1024, NULL },
	{ &least, "1023", 0, "s is 1023; at least 1k" },
	{ &time_off, "off", 0, NULL },
	{ &time_off, "1", 1000, NULL },
	{ &time_off, "999ms", 0, "t is 999ms; at least 1s" },
	{ &time_off, "0", 0, "t is 0; at least 1s" },
	{ &time_off, "5x", 0,
	    "t = 5x: write a time (500ms, 30s, 5m, 1h, 1d; bare: seconds), or off" },
	{ &both, "auto", WEIR_AUTOMATIC, NULL },
	{ &both, "off", 0, NULL },
	{ &both, "Auto", 0, "b = Auto: write a size (512, 4k, 1m, 2g), or off, or auto" },
	{ &own, "abcd", 4, NULL },
	{ &own, "abc", 0, "o = abc: its length is odd" },
};

static void
test_amounts(void)
{
	uint64_t value;
	size_t   i;

	for (i = 0; i < sizeof amounts / sizeof amounts[0]; i++) {
		value = 4711;
		is_string(type_read(scope, amounts[i].key, amounts[i].text, &value),
		    amounts[i].wrong, "%s = %s", amounts[i].key->name, amounts[i].text);
		if (amounts[i].wrong == NULL)
			is_number(value, amounts[i].value, "its value");
		else if (amounts[i].key->type != WEIR_OWN)
			is_number(value, 4711, "the value is left alone");
	}
}

static void
test_others(void)
{
	const struct weir_key on = { .name = "x", .type = WEIR_SWITCH };
	const struct weir_key text = { .name = "x", .type = WEIR_STRING, .flags = WEIR_OFF };
	const struct weir_key path = { .name = "x", .type = WEIR_PATH, .flags = WEIR_AUTO };
	const char           *string = "";
	bool                  flag = false;

	ok(type_read(scope, &on, "on", &flag) == NULL && flag, "on");
	ok(type_read(scope, &on, "off", &flag) == NULL && !flag, "off");
	is_string(type_read(scope, &on, "yes", &flag), "x = yes: write on or off", "yes");
	ok(type_read(scope, &text, "a b", &string) == NULL, "a text");
	is_string(string, "a b", "is kept as it is");
	ok(type_read(scope, &text, "off", &string) == NULL && string == NULL, "or off");
	ok(type_read(scope, &path, "run/x", &string) == NULL, "a path");
	is_string(string, "/prefix/run/x", "is put behind the prefix");
	ok(type_read(scope, &path, "/run/x", &string) == NULL, "an absolute path");
	is_string(string, "/run/x", "is left");
	ok(type_read(scope, &path, "auto", &string) == NULL &&
		(uintptr_t)string == (uintptr_t)WEIR_AUTOMATIC,
	    "auto");
}

static void
test_descriptions(void)
{
	char out[TYPE_TEXT_MAX];

	is_string(type_bounds(&small, out), "at least 2, at most 9", "both bounds");
	is_string(type_bounds(&size, out), "at most 1g", "an upper bound");
	is_string(type_bounds(&time_off, out), "at least 1s", "a lower bound");
	is_string(type_bounds(&number, out), "", "none");
	is_string(type_bounds(&own, out), "", "none of a text");
	is_string(type_syntax(&own, out), "EVEN", "a syntax of its own");
	is_string(type_syntax(&both, out), "a size (512, 4k, 1m, 2g), or off, or auto", "words");
}

/* Quotes are off when a value is read, whatever its type; messages show them. */
static void
test_quotes(void)
{
	const struct weir_key on = { .name = "x", .type = WEIR_SWITCH };
	const struct weir_key text = { .name = "x", .type = WEIR_STRING, .flags = WEIR_OFF };
	const struct weir_key path = { .name = "x", .type = WEIR_PATH };
	const struct weir_key list = {
		.name = "x", .type = WEIR_OWN, .parse = parse_even, .flags = WEIR_WORDS
	};
	const char           *string = "";
	uint64_t              value = 0;
	bool                  flag = false;

	ok(type_read(scope, &on, "\"on\"", &flag) == NULL && flag, "a switch in quotes");
	ok(type_read(scope, &small, "\"9\"", &value) == NULL && value == 9, "a number");
	ok(type_read(scope, &time_off, "\"off\"", &value) == NULL && value == 0, "off");
	is_string(type_read(scope, &small, "\"10\"", &value), "n is \"10\"; at least 2, at most 9",
	    "one out of bounds");
	is_string(type_read(scope, &small, "\"\"", &value), "n = \"\": write a number", "none");
	ok(type_read(scope, &text, "\"a ; \\\"b\\x23\\\" \"", &string) == NULL, "a text");
	is_string(string, "a ; \"b#\" ", "is what the quotes hold");
	ok(type_read(scope, &text, "a\\n", &string) == NULL, "a backslash outside quotes");
	is_string(string, "a\\n", "is itself");
	is_string(type_read(scope, &text, "\"\"", &string), "x = \"\": write a text, or off",
	    "an empty text is none");
	is_string(type_read(scope, &text, "a \"b\"", &string),
	    "x = a \"b\": quotes stand around all of this value or not at all; "
	    "in them a quote is \\\"",
	    "quotes around a part of a text");
	is_string(type_read(scope, &text, "\"a\" b", &string),
	    "x = \"a\" b: quotes stand around all of this value or not at all; "
	    "in them a quote is \\\"",
	    "and around another");
	ok(type_read(scope, &path, "\"a b\"", &string) == NULL, "a path");
	is_string(string, "/prefix/a b", "with a blank");
	ok(type_read(scope, &own, "\"abcd\"", &value) == NULL && value == 4,
	    "a module is given what the quotes hold");
	is_string(type_read(scope, &own, "\"abc\"", &value), "o = \"abc\": its length is odd",
	    "what it refuses is told as it is written");
	ok(type_read(scope, &list, "\"ab c\"", &value) == NULL && value == 6,
	    "but a list as it is written");
}

int
main(void)
{
	const struct conf_request request = { .prefix = "/prefix", .module_dir = "/modules" };
	struct conf              *conf = conf_load(&request);

	scope = conf_scope(conf, SCOPE_WEIR, 0);
	test_amounts();
	test_others();
	test_descriptions();
	test_quotes();
	is_string(conf_role_names(scope, ROLE_PROTOCOL), "none loaded", "there are no protocols");
	conf_free(conf);
	return done_testing();
}
