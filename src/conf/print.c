/* SPDX-License-Identifier: BSD-2-Clause */
/* print: weir -T: the effective configuration, in the syntax it was read in. */
#include "conf/conf.h"

#include <string.h>

#include "conf/ini.h"
#include "conf/scope.h"

static void print_scope(const struct weir_scope *, FILE *);
static void print_key(const struct weir_scope *, const struct weir_key *, FILE *);
static void print_line(const char *key, const char *text, const char *place, FILE *);

void
conf_print(const struct conf *c, FILE *out)
{
	const struct weir_scope *weir = conf_scope(c, SCOPE_WEIR, 0), *s;

	print_scope(weir, out);
	for (s = c->first; s != NULL; s = s->next) {
		if (s == weir || s->defaults || s->spare)
			continue;
		fputc('\n', out);
		print_scope(s, out);
	}
}

static void
print_scope(const struct weir_scope *s, FILE *out)
{
	const struct conf_module *m;
	const struct weir_key    *k;

	fprintf(out, "%s   ; %s\n", s->title, place_text(s->conf, s->place));
	for (m = s->conf->registry.first; m != NULL; m = m->next)
		for (k = conf_module_struct(m)->keys; k != NULL && k->name != NULL; k++)
			if ((k->where & scope_where(s->kind)) != 0 && s->used[m->number])
				print_key(s, k, out);
}

static void
print_key(const struct weir_scope *s, const struct weir_key *k, FILE *out)
{
	const struct entry *e = scope_effective(s, k->name);
	bool                included = strcmp(k->name, "include") == 0;
	const char         *place, *defaults = "";

	if (e == NULL) {
		if (k->initial != NULL)
			print_line(k->name, k->initial, "default", out);
		else if (!included)
			fprintf(out, "; %s =   ; not set\n", k->name);
		return;
	}
	if (scope_entry(s, k->name) == NULL)
		defaults = s->conf->defaults[s->kind]->title;
	for (; e != NULL; e = scope_entry_next(e)) {
		place = arena_print(&s->conf->arena, "%s%s%s", place_text(s->conf, e->place),
		    *defaults != '\0' ? " " : "", defaults);
		/* What it included is here in its place. */
		if (included)
			fprintf(out, "; include = %s   ; %s\n", e->text, place);
		else
			print_line(k->name, e->text, place, out);
	}
}

/* The comment goes to a line of its own when both are too long for one. */
static void
print_line(const char *key, const char *text, const char *place, FILE *out)
{
	size_t length = strlen(key) + strlen(text) + strlen(place) + strlen(" =    ; ");

	if (length <= INI_LINE_MAX)
		fprintf(out, "%s = %s   ; %s\n", key, text, place);
	else
		fprintf(out, "; %.*s\n%s = %s\n", (int)(INI_LINE_MAX - 2), place, key, text);
}
