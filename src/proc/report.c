/* SPDX-License-Identifier: BSD-2-Clause */
/* report: what comes of a start or a reload, told to all who asked for it. */
#include "proc/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define EARLY_MAX 128u

static struct node waiting = { &waiting, &waiting };
static struct node asking = { &asking, &asking };
static bool        by_nobody;
static bool        logging;

/* Said before there was a log. */
static struct {
	enum weir_level level;
	char           *text;
} early[EARLY_MAX];
static unsigned early_count;

static bool        report_has_forced(const struct node *requesters);
static void        report_note(enum weir_level, const char *text);
static void        report_keep(enum weir_level, const char *text);
static const char *report_without_level(const char *text);

void
report_wanted(struct requester *r)
{
	if (r == NULL)
		by_nobody = true;
	else
		list_append(&waiting, &r->link);
}

void
report_unwanted(struct requester *r)
{
	if (node_linked(&r->link))
		node_unlink(&r->link);
}

bool
report_is_wanted(void)
{
	return by_nobody || !list_empty(&waiting);
}

bool
report_is_forced(void)
{
	return report_has_forced(&asking);
}

bool
report_wants_force(void)
{
	return report_has_forced(&waiting);
}

static bool
report_has_forced(const struct node *requesters)
{
	struct node *n, *following;

	list_each(n, following, requesters)
		if (container_of(n, struct requester, link)->forced)
			return true;
	return false;
}

void
report_begin(void)
{
	struct node *n;

	by_nobody = false;
	while ((n = list_first(&waiting)) != NULL) {
		node_unlink(n);
		list_append(&asking, n);
	}
}

void
report_turn_away(enum weir_level level, const char *text, bool ok)
{
	by_nobody = false;
	requesters_answer(&waiting, level, text, ok);
}

void
requesters_answer(struct node *requesters, enum weir_level level, const char *text, bool ok)
{
	struct node *n;

	report_note(level, text);
	while ((n = list_first(requesters)) != NULL) {
		struct requester *r = container_of(n, struct requester, link);

		r->line(r, level, text);
		if (!node_linked(n))
			continue;	/* it does not listen, and has gone by that */
		node_unlink(n);
		r->done(r, ok);
	}
}

void
report_join(struct requester *r)
{
	list_append(&asking, &r->link);
}

void
report_end(bool ok)
{
	struct node *n;

	while ((n = list_first(&asking)) != NULL) {
		struct requester *r = container_of(n, struct requester, link);

		node_unlink(n);
		r->done(r, ok);
	}
}

void
report_say(enum weir_level level, const char *format, ...)
{
	char    text[LOG_LINE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	report_note(level, text);
	report_pass_on(level, text);
}

/* In the log, as soon as there is one. */
static void
report_note(enum weir_level level, const char *text)
{
	if (logging)
		log_write(level, "%s", report_without_level(text));
	else
		report_keep(level, report_without_level(text));
}

void
report_pass_on(enum weir_level level, const char *text)
{
	struct node *n, *following;

	list_each(n, following, &asking) {
		struct requester *r = container_of(n, struct requester, link);

		r->line(r, level, text);
	}
}

void
report_logging(void)
{
	logging = true;
	for (unsigned i = 0; i < early_count; i++) {
		log_write(early[i].level, "%s", early[i].text);
		free(early[i].text);
	}
	early_count = 0;
}

/* The log says it by itself. */
static const char *
report_without_level(const char *text)
{
	static const char *const levels[] = { "error: ", "warning: " };

	for (unsigned i = 0; i < sizeof levels / sizeof *levels; i++)
		if (strncmp(text, levels[i], strlen(levels[i])) == 0)
			return text + strlen(levels[i]);
	return text;
}

static void
report_keep(enum weir_level level, const char *text)
{
	char *copy = early_count < EARLY_MAX ? strdup(text) : NULL;

	if (copy == NULL)
		return;
	early[early_count].level = level;
	early[early_count++].text = copy;
}
