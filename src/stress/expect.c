/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * expect: conditions on an outcome.
 *
 *	name  comparison  value	 «p99 < 5ms»
 */
#include "stress/expect.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "stress/outcome.h"
#include "stress/mode.h"
#include "stress/run.h"

#define NAMES_MAX 128u		/* of all figures, for messages */

static int condition_parse(struct condition *, const struct mode *, const char *, char *error);
static int expect_no_figure(const char *name, const struct mode *, char *error);
static int condition_parse_value(struct condition *, const char *, char *error);
static int condition_check_needs(const struct condition *, const struct run *, char *error);
static int expect_fail(char *error, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Those with two characters first: "<" is the beginning of "<=". */
static const struct {
	const char    *text;
	enum expect_op op;
} comparisons[] = {
	{ "==", OP_EQ },
	{ "!=", OP_NE },
	{ "<=", OP_LE },
	{ ">=", OP_GE },
	{ "<", OP_LT },
	{ ">", OP_GT },
};

/* What may stand behind a value: how many of the figure's units it is. */
static const struct {
	enum unit   unit;
	const char *text;
	double      factor;
} suffixes[] = {
	{ UNIT_TIME, "us", 1 },
	{ UNIT_TIME, "ms", 1e3 },
	{ UNIT_TIME, "s", 1e6 },
	{ UNIT_TIME, "m", 60e6 },
	{ UNIT_TIME, "h", 3600e6 },
	{ UNIT_SIZE, "k", 1024 },
	{ UNIT_SIZE, "m", 1024 * 1024 },
	{ UNIT_SIZE, "g", 1024 * 1024 * 1024 },
};

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

/* Copies [from, to) without the blanks around it; cut when it is too long. */
static char *
expect_trim(const char *from, const char *to, char *out, size_t size)
{
	size_t n;

	while (from < to && isspace((unsigned char)*from))
		from++;
	while (to > from && isspace((unsigned char)to[-1]))
		to--;
	n = (size_t)(to - from) < size - 1 ? (size_t)(to - from) : size - 1;
	memcpy(out, from, n);
	out[n] = '\0';
	return out;
}

int
stress_expect_parse(struct expect *e, const struct run *run, const char *text,
    char error[EXPECT_ERROR_MAX])
{
	const char *at = text, *end;
	char        one[sizeof e->of[0].text];

	e->count = 0;
	for (;;) {
		end = strchrnul(at, ',');
		if ((size_t)(end - at) >= sizeof one)
			return expect_fail(error,
			    "%.*s...: a condition is NAME COMPARISON VALUE, as in p99<5ms", 20, at);
		expect_trim(at, end, one, sizeof one);
		if (one[0] == '\0')
			return expect_fail(error,
			    "a condition is missing %s: say NAME COMPARISON VALUE, "
			    "as in errors==0,p99<5ms",
			    text[0] == '\0' ? "" : "before or behind a comma");
		if (e->count == EXPECT_MAX)
			return expect_fail(error, "more than %u conditions", EXPECT_MAX);
		if (condition_parse(&e->of[e->count], run->mode, one, error) != 0 ||
		    condition_check_needs(&e->of[e->count++], run, error) != 0)
			return -1;
		if (*end == '\0')
			return 0;
		at = end + 1;
	}
}

bool
stress_expect_holds(const struct expect *e, const struct outcome *o)
{
	for (unsigned i = 0; i < e->count; i++) {
		if (!stress_condition_holds(&e->of[i], stress_figure_value(&e->of[i].figure, o)))
			return false;
	}
	return true;
}

void
stress_expect_print(FILE *out, const struct expect *e, const struct outcome *o, bool broken)
{
	bool any = false;

	for (unsigned i = 0; i < e->count; i++) {
		const struct condition *c = &e->of[i];
		double                  value = stress_figure_value(&c->figure, o);
		bool                    holds = stress_condition_holds(c, value);
		char                    shown[FIGURE_TEXT_MAX];

		if (holds && broken)
			continue;
		if (!any)
			fputc('\n', out);
		any = true;
		fprintf(out, "  %-6s  %-24s %s", holds ? "holds" : "BROKEN", c->text,
		    stress_figure_print(&c->figure, value, shown));
		if (isnan(value) && c->figure.needs != NULL)
			fprintf(out, ": it needs %s", c->figure.needs);
		else if (isnan(value))
			fputs(": nothing was measured", out);
		fputc('\n', out);
	}
}

static int
condition_parse(struct condition *c, const struct mode *mode, const char *text, char *error)
{
	const char *op = strpbrk(text, "=!<>");
	char        name[sizeof c->text], value[sizeof c->text];

	if (op == NULL)
		return expect_fail(error,
		    "%s: no comparison in it; there are ==, !=, <, <=, > and >=", text);
	expect_trim(text, op, name, sizeof name);
	if (!stress_figure_find(&c->figure, name, mode))
		return expect_no_figure(name, mode, error);
	for (size_t i = 0;; i++) {
		size_t n;

		if (i == COUNT(comparisons))
			return expect_fail(error,
			    "%s: %.1s is no comparison; there are ==, !=, <, <=, > "
			    "and >=",
			    text, op);
		n = strlen(comparisons[i].text);
		if (strncmp(op, comparisons[i].text, n) != 0)
			continue;
		c->op = comparisons[i].op;
		op += n;
		break;
	}
	snprintf(c->text, sizeof c->text, "%s", text);
	return condition_parse_value(c, expect_trim(op, op + strlen(op), value, sizeof value),
	    error);
}

/* A condition that cannot but be broken is none. */
static int
condition_check_needs(const struct condition *c, const struct run *run, char *error)
{
	const char *needs = c->figure.needs;

	if (needs == NULL || (strcmp(needs, "--watch") == 0 && run->watch != 0) ||
	    (strcmp(needs, "--across") == 0 && run->across != NULL) ||
	    (strcmp(needs, "--tls") == 0 && run->tls.on) ||
	    (strcmp(needs, "--rate") == 0 && run->pacing != PACE_CLOSED) ||
	    (strcmp(needs, "--failure") == 0 && run->failure != NULL))
		return 0;
	if (run->slo != NULL && strcmp(needs, "--across") == 0)
		return expect_fail(error, "%s: it needs --across, which does not go with --slo",
		    c->text);
	return expect_fail(error, "%s: it needs %s, which is missing", c->text, needs);
}

/* With a suggestion, or all there are. */
static int
expect_no_figure(const char *name, const struct mode *mode, char *error)
{
	struct figure figures[NAMES_MAX];
	const char   *names[NAMES_MAX + 1], *near;
	unsigned      n = 0;
	size_t        at;

	for (unsigned i = 0; stress_mode_at(i) != NULL; i++) {
		const struct mode *other = stress_mode_at(i);

		if (stress_figure_find(&figures[0], name, other))
			return expect_fail(error, "%s: mode %s has no such figure, but mode %s has",
			    name, mode->name, other->name);
	}
	while (n < NAMES_MAX && stress_figure_at(&figures[n], n, mode)) {
		names[n] = figures[n].name;
		n++;
	}
	names[n] = NULL;
	near = name[0] != '\0' ? str_nearest(name, names) : NULL;
	expect_fail(error, "%s: no such name%s%s%s; there are",
	    name[0] != '\0' ? name : "(nothing)", near != NULL ? ", did you mean " : "",
	    near != NULL ? near : "", near != NULL ? "?" : "");
	for (unsigned i = 0; i < n; i++) {
		at = strlen(error);
		snprintf(error + at, EXPECT_ERROR_MAX - at, "%s %s", i > 0 ? "," : "", names[i]);
	}
	at = strlen(error);
	snprintf(error + at, EXPECT_ERROR_MAX - at, ", and any other percentile");
	return -1;
}

static int
condition_parse_value(struct condition *c, const char *text, char *error)
{
	size_t n = strspn(text, "0123456789.");	/* "1e3" and "0x10" are none of ours */
	char   digits[sizeof c->text], *end;

	memcpy(digits, text, n);
	digits[n] = '\0';
	c->bound = strtod(digits, &end);
	if (!isdigit((unsigned char)text[0]) || *end != '\0')
		return expect_fail(error, "%s: a number has to follow the comparison", c->text);
	text += n;
	for (size_t i = 0; i < COUNT(suffixes); i++) {
		if (suffixes[i].unit == c->figure.unit && strcmp(suffixes[i].text, text) == 0) {
			c->bound *= suffixes[i].factor;
			return 0;
		}
	}
	if (*text == '\0' && (c->figure.unit != UNIT_TIME || c->bound == 0))
		return 0;
	switch (c->figure.unit) {
	case UNIT_TIME:
		return expect_fail(error,
		    "%s: %s is a time: put us, ms, s, m or h behind the number", c->text,
		    c->figure.name);
	case UNIT_SIZE:
		return expect_fail(error,
		    "%s: %s is in bytes: k, m, g or nothing may stand behind "
		    "the number",
		    c->text, c->figure.name);
	default:
		return expect_fail(error, "%s: %s is a number: nothing may stand behind it",
		    c->text, c->figure.name);
	}
}

bool
stress_condition_holds(const struct condition *c, double value)
{
	if (isnan(value))
		return false;
	switch (c->op) {
	case OP_EQ: return value == c->bound;
	case OP_NE: return value != c->bound;
	case OP_LT: return value < c->bound;
	case OP_LE: return value <= c->bound;
	case OP_GT: return value > c->bound;
	case OP_GE: return value >= c->bound;
	}
	return false;
}

static int
expect_fail(char *error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(error, EXPECT_ERROR_MAX, format, args);
	va_end(args);
	return -1;
}
