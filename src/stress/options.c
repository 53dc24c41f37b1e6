/* SPDX-License-Identifier: BSD-2-Clause */
/* options: a command line, read by a table. */
#include "stress/options.h"

#include <assert.h>
#include <ctype.h>
#include <getopt.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

#define LONG 0x100	/* for getopt_long: behind all letters */

static const struct option_rule *stress_options_rule(const struct stress_options *, int code);
static void stress_options_take(struct stress_options *, const struct option_rule *, char *text);
static void stress_options_unknown(struct stress_options *, const char *text);
static void stress_options_read_value(struct stress_options *, const struct option_rule *,
    char *text);
static bool stress_options_is_large(const struct option_rule *, const char *text, double *value);
static double stress_options_most(const struct option_rule *);
static const char *stress_options_print(const struct option_rule *, double, char out[STR_UNIT_MAX]);
static bool stress_options_read_number(const struct option_rule *, const char *text, double *value,
    uint64_t *n);
static void stress_options_store(void *at, enum option_kind, double value, uint64_t n);
static unsigned stress_options_index(const struct stress_options *, const char *name);

void
stress_options_read(struct stress_options *o, int argc, char **argv)
{
	struct option             longs[OPTIONS_MAX + 1] = { { 0 } };
	char                      shorts[2 * OPTIONS_MAX + 2] = ":", name[OPTION_NAME_MAX];
	char                      dash[3] = "-", *s = shorts + 1;
	const struct option_rule *rule;
	int                       code;

	assert(o->count <= OPTIONS_MAX);
	for (unsigned i = 0; i < o->count; i++) {
		rule = &o->rules[i];
		longs[i] = (struct option){ rule->name, rule->value != NULL, NULL, LONG + (int)i };
		if (rule->letter != 0)
			*s++ = rule->letter;
		if (rule->letter != 0 && rule->value != NULL)
			*s++ = ':';
	}
	opterr = 0;
	while (!o->answered && (code = getopt_long(argc, argv, shorts, longs, NULL)) >= 0) {
		rule = stress_options_rule(o, code == '?' || code == ':' ? optopt : code);
		dash[1] = (char)optopt;
		if (code == ':')
			stress_options_wrong(o, "%s: %s is expected behind it",
			    stress_option_call(rule, name), rule->value);
		else if (code != '?')
			stress_options_take(o, rule, optarg);
		else if (rule != NULL)
			stress_options_wrong(o, "%s takes no value",
			    stress_option_call(rule, name));
		else
			stress_options_unknown(o, optopt != 0 ? dash : argv[optind - 1]);
	}
}

bool
stress_options_given(const struct stress_options *o, const char *name)
{
	return o->given[stress_options_index(o, name)];
}

bool
stress_options_bad(const struct stress_options *o, const char *name)
{
	return o->bad[stress_options_index(o, name)];
}

void
stress_options_wrong(struct stress_options *o, const char *format, ...)
{
	va_list args;

	fputs("weir-stress: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	o->wrong++;
}

const char *
stress_option_call(const struct option_rule *rule, char out[OPTION_NAME_MAX])
{
	if (rule->letter != 0)
		snprintf(out, OPTION_NAME_MAX, "-%c", rule->letter);
	else
		snprintf(out, OPTION_NAME_MAX, "--%s", rule->name);
	return out;
}

void
stress_options_help(const struct option_rule *rules, unsigned count, FILE *out)
{
	char left[64], letter[5];

	for (unsigned i = 0; i < count; i++) {
		const struct option_rule *rule = &rules[i];

		snprintf(letter, sizeof letter, rule->letter != 0 ? "-%c, " : "    ",
		    rule->letter);
		snprintf(left, sizeof left, "%s--%s %s", letter, rule->name,
		    rule->value != NULL ? rule->value : "");
		fprintf(out, "  %-32s %s\n", left, rule->help);
	}
}

bool
stress_option_decimal(const char *text, double *out)
{
	char  *end;
	double value;

	if (!isdigit((unsigned char)text[0]) || text[strspn(text, "0123456789.")] != '\0')
		return false;
	value = strtod(text, &end);
	if (*end != '\0')
		return false;
	*out = value;
	return true;
}

bool
stress_option_time_us(const char *text, uint64_t *us)
{
	char     digits[24];
	size_t   len = strlen(text);
	uint64_t n;

	if (len > 2 && len < sizeof digits && strcmp(text + len - 2, "us") == 0) {
		memcpy(digits, text, len - 2);
		digits[len - 2] = '\0';
		return str_number(digits, us);
	}
	if (!str_time(text, &n) || n > UINT64_MAX / 1000)
		return false;
	*us = n * 1000;
	return true;
}

/* NULL: none. */
static const struct option_rule *
stress_options_rule(const struct stress_options *o, int code)
{
	if (code >= LONG)
		return &o->rules[code - LONG];
	for (unsigned i = 0; code != 0 && i < o->count; i++) {
		if (o->rules[i].letter == code)
			return &o->rules[i];
	}
	return NULL;
}

/* Of two the second would be taken, and the first be lost in silence: a condition, say. */
static void
stress_options_take(struct stress_options *o, const struct option_rule *rule, char *text)
{
	unsigned i = (unsigned)(rule - o->rules), before = o->wrong;
	char     name[OPTION_NAME_MAX];

	if (o->given[i] && rule->value != NULL && !rule->again)
		stress_options_wrong(o, "%s is given twice", stress_option_call(rule, name));
	o->given[i] = true;
	if (rule->value != NULL && text[0] == '\0')
		stress_options_wrong(o, "%s: %s is expected behind it",
		    stress_option_call(rule, name), rule->value);
	else if (rule->kind == OPTION_READ)
		rule->read(o, text);
	else
		stress_options_read_value(o, rule, text);
	o->bad[i] = o->bad[i] || o->wrong > before;
}

static void
stress_options_unknown(struct stress_options *o, const char *text)
{
	const char *names[OPTIONS_MAX + 1] = { NULL }, *near = NULL;

	for (unsigned i = 0; i < o->count; i++)
		names[i] = o->rules[i].name;
	if (strncmp(text, "--", 2) == 0)
		near = str_nearest(text + 2, names);
	if (near != NULL)
		stress_options_wrong(o, "there is no option %s: did you mean --%s?", text, near);
	else
		stress_options_wrong(o, "there is no option %s", text);
}

static void
stress_options_read_value(struct stress_options *o, const struct option_rule *rule, char *text)
{
	static const char *const wanted[] = {
		[OPTION_COUNT] = "a number",
		[OPTION_NUMBER] = "a number",
		[OPTION_DECIMAL] = "a number",
		[OPTION_SIZE] = "a size like 64, 4k or 1m (small letters)",
		[OPTION_TIME] = "a time like 500ms, 30s or 5m (small letters)",
		[OPTION_TIME_US] = "a time like 500us, 20ms or 2s (small letters)",
	};
	char                     limit[STR_UNIT_MAX];
	char                     name[OPTION_NAME_MAX];
	uint64_t                 n = 0;
	double                   value = 0;

	stress_option_call(rule, name);
	if (rule->kind == OPTION_FLAG) {
		*((bool *)o->into + rule->at) = true;
	} else if (rule->kind == OPTION_TEXT) {
		*(const char **)(void *)((char *)o->into + rule->at) = text;
	} else if (!stress_options_read_number(rule, text, &value, &n) &&
	    !stress_options_is_large(rule, text, &value)) {
		stress_options_wrong(o, "%s %s: %s is expected", name, text, wanted[rule->kind]);
	} else if (rule->kind == OPTION_COUNT && (value < rule->least || value > rule->most)) {
		stress_options_wrong(o, "%s %s: a number from %.0f to %.0f is expected", name, text,
		    rule->least, rule->most);
	} else if (value < rule->least) {
		stress_options_wrong(o, "%s %s: that is too little: at least %s", name, text,
		    stress_options_print(rule, rule->least, limit));
	} else if (value > stress_options_most(rule)) {
		stress_options_wrong(o, "%s %s: that is too much: at most %s", name, text,
		    stress_options_print(rule, stress_options_most(rule), limit));
	} else {
		stress_options_store((char *)o->into + rule->at, rule->kind, value, n);
	}
}

/* A number that has no room: with another in its place it would be one. */
static bool
stress_options_is_large(const struct option_rule *rule, const char *text, double *value)
{
	size_t   digits = strspn(text, "0123456789");
	char     small[16];
	uint64_t n = 0;

	if (digits == 0 ||
	    (size_t)snprintf(small, sizeof small, "1%s", text + digits) >= sizeof small ||
	    !stress_options_read_number(rule, small, value, &n))
		return false;
	*value = HUGE_VAL;
	return true;
}

static double
stress_options_most(const struct option_rule *rule)
{
	return rule->most > 0 ? rule->most : (double)UINT64_MAX;
}

static const char *
stress_options_print(const struct option_rule *rule, double value, char out[STR_UNIT_MAX])
{
	if (rule->kind == OPTION_SIZE)
		return str_print_size((uint64_t)value, out);
	if (rule->kind == OPTION_TIME)
		return str_print_time((uint64_t)value, out);
	if (rule->kind == OPTION_TIME_US && value >= 1000)
		return str_print_time((uint64_t)(value / 1000), out);
	snprintf(out, STR_UNIT_MAX, value < 1 ? "%g%s" : "%.0f%s", value,
	    rule->kind == OPTION_TIME_US ? "us" : "");
	return out;
}

static bool
stress_options_read_number(const struct option_rule *rule, const char *text, double *value,
    uint64_t *n)
{
	bool good;

	if (rule->kind == OPTION_DECIMAL)
		return stress_option_decimal(text, value);
	if (rule->kind == OPTION_SIZE)
		good = str_size(text, n);
	else if (rule->kind == OPTION_TIME)
		good = str_time(text, n);
	else if (rule->kind == OPTION_TIME_US)
		good = stress_option_time_us(text, n);
	else
		good = str_number(text, n);
	*value = (double)*n;
	return good;
}

static void
stress_options_store(void *at, enum option_kind kind, double value, uint64_t n)
{
	if (kind == OPTION_DECIMAL)
		*(double *)at = value;
	else if (kind == OPTION_COUNT)
		*(unsigned *)at = (unsigned)n;
	else
		*(uint64_t *)at = n;
}

static unsigned
stress_options_index(const struct stress_options *o, const char *name)
{
	unsigned i = 0;

	while (strcmp(o->rules[i].name, name) != 0)
		i++;
	assert(i < o->count);
	return i;
}
