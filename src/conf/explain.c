/* SPDX-License-Identifier: BSD-2-Clause */
/* explain: weir explain: what the tables of keys say, for people. */
#include "conf/conf.h"

#include <string.h>

#include "conf/scope.h"
#include "conf/type.h"

static const char *const section_names[SCOPE_KINDS] = {
	"[weir]",
	"[server NAME]",
	"[upstream NAME]",
	"[tls NAME]",
};

static void explain_key(const struct key_ref *, FILE *);
static void explain_options(const struct conf *, const char *key, FILE *);
static bool explain_option(const struct conf *, const char *name, bool more, FILE *);
static void explain_section(const struct conf *, enum scope_kind, FILE *);
static void explain_sections(const struct weir_key *, FILE *);

bool
conf_explain(const struct conf *c, const char *key, FILE *out)
{
	const struct conf_module *m;
	const struct weir_key    *k;
	const char               *near;
	bool                      found = false;
	unsigned                  kind;

	if (key == NULL) {
		for (kind = 0; kind < SCOPE_KINDS; kind++)
			explain_section(c, kind, out);
		return true;
	}
	for (m = c->registry.first; m != NULL; m = m->next) {
		for (k = conf_module_struct(m)->keys; k != NULL && k->name != NULL; k++) {
			if (strcmp(k->name, key) != 0)
				continue;
			if (found)
				fputc('\n', out);
			explain_key(&(struct key_ref){ m, k }, out);
			if (m->core)
				explain_options(c, key, out);
			found = true;
		}
	}
	if (explain_option(c, key, found, out) || found)
		return true;
	near = registry_nearest(&c->registry, SCOPE_KINDS, key, c->messages.arena);
	fprintf(out, "there is no key %s", key);
	if (near != NULL)
		fprintf(out, "; did you mean %s?\n", near);
	else
		fprintf(out, "; \"weir explain\" lists all keys\n");
	return false;
}

static void
explain_key(const struct key_ref *ref, FILE *out)
{
	const struct weir_module *module = conf_module_struct(ref->module);
	char                      text[TYPE_TEXT_MAX];
	const struct weir_key    *k = ref->key;

	fprintf(out, "%s\n", k->name);
	if (k->help != NULL)
		fprintf(out, "    %s\n\n", k->help);
	fprintf(out, "    section   ");
	explain_sections(k, out);
	fprintf(out, "\n    value     %s\n", type_syntax(k, text));
	if (*type_bounds(k, text) != '\0')
		fprintf(out, "    bounds    %s\n", text);
	fprintf(out, "    default   %s\n", k->initial != NULL ? k->initial : "none");
	if ((k->flags & WEIR_REPEATED) != 0)
		fprintf(out, "    repeated  may stand several times%s\n",
		    k->flags & WEIR_NOT_INHERITED ? ""
						  : "; a section's lines replace the defaults'");
	if (ref->module->loaded.path != NULL)
		fprintf(out, "    module    %s, from %s\n", module->name, ref->module->loaded.path);
	else if (!ref->module->core)
		fprintf(out, "    module    %s, built in\n", module->name);
}

static void
explain_sections(const struct weir_key *k, FILE *out)
{
	const char *comma = "";
	unsigned    kind;

	for (kind = 0; kind < SCOPE_KINDS; kind++) {
		if ((k->where & scope_where(kind)) == 0)
			continue;
		fprintf(out, "%s%s", comma, section_names[kind]);
		if (kind != SCOPE_WEIR && (k->flags & WEIR_NOT_INHERITED) == 0)
			fprintf(out, ", [defaults %s]", scope_kind_names[kind]);
		comma = ", ";
	}
}

static void
explain_options(const struct conf *c, const char *key, FILE *out)
{
	const struct conf_option *const *table;
	const struct conf_option        *o;
	const char                      *head = "options";
	int                              width;

	for (table = c->options; table != NULL && *table != NULL; table++)
		for (o = *table; o->key != NULL; o++) {
			if (strcmp(o->key, key) != 0)
				continue;
			width = 20 - (int)strlen(o->name);
			fprintf(out, "    %-9s %s%-*s %s%s%s%s\n", head, o->name, width, o->value,
			    o->help, o->initial != NULL ? " (" : "",
			    o->initial != NULL ? o->initial : "", o->initial != NULL ? ")" : "");
			head = "";
		}
}

/* more: something of that name has been explained. */
static bool
explain_option(const struct conf *c, const char *name, bool more, FILE *out)
{
	const struct conf_option *const *table;
	const struct conf_option        *o;
	bool                             found = false;

	for (table = c->options; table != NULL && *table != NULL; table++)
		for (o = *table; o->key != NULL; o++) {
			if (strcmp(o->name, name) != 0)
				continue;
			fprintf(out, "%s%s\n    %s\n\n", more || found ? "\n" : "", o->name,
			    o->help);
			fprintf(out, "    option    of %s = ADDRESS, behind the address\n", o->key);
			fprintf(out, "    value     %s%s\n", o->name, o->value);
			fprintf(out, "    default   %s\n",
			    o->initial != NULL ? o->initial : "none");
			found = true;
		}
	return found;
}

/* KEY DEFAULT HELP, in columns. */
static void
explain_section(const struct conf *c, enum scope_kind kind, FILE *out)
{
	const struct conf_module *m;
	const struct weir_key    *k;

	fprintf(out, "%s%s\n", kind > 0 ? "\n" : "", section_names[kind]);
	for (m = c->registry.first; m != NULL; m = m->next) {
		for (k = conf_module_struct(m)->keys; k != NULL && k->name != NULL; k++) {
			if ((k->where & scope_where(kind)) == 0)
				continue;
			fprintf(out, "  %-24s %-22s %s%s", k->name,
			    k->initial != NULL ? k->initial : "-",
			    k->flags & WEIR_REPEATED ? "(+) " : "", k->help != NULL ? k->help : "");
			if (m->core)
				fputc('\n', out);
			else
				fprintf(out, " (module %s)\n", conf_module_struct(m)->name);
		}
	}
}
