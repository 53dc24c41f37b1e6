/* SPDX-License-Identifier: BSD-2-Clause */
/* read: files to sections and their lines. */
#include "conf/read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "conf/ini.h"
#include "conf/scope.h"
#include "conf/word.h"

#define GLOBAL_FILE "-g"

/* What may stand between brackets. */
static const struct form {
	const char     *head;
	enum scope_kind kind;
	bool            defaults;
	bool            named;
	const char     *shown;
} forms[] = {
	{ "weir", SCOPE_WEIR, false, false, "[weir]" },
	{ "defaults server", SCOPE_SERVER, true, false, "[defaults server]" },
	{ "defaults upstream", SCOPE_UPSTREAM, true, false, "[defaults upstream]" },
	{ "defaults tls", SCOPE_TLS, true, false, "[defaults tls]" },
	{ "server", SCOPE_SERVER, false, true, "[server NAME]" },
	{ "upstream", SCOPE_UPSTREAM, false, true, "[upstream NAME]" },
	{ "tls", SCOPE_TLS, false, true, "[tls NAME]" },
};

#define FORMS (sizeof forms / sizeof forms[0])

static void              *read_take_section(void *context, struct place, const char *head);
static void               read_take_value(void *, struct place, const char *key, const char *value);
static void               read_take_include(void *, struct place, const char *pattern);
static void               read_take_error(void *context, struct place, const char *text);
static void               read_take_refused(void *, void *section, struct place, const char *key);
static const struct form *form_find(struct conf *, struct place, const char *head,
    const char **name);
static void form_unknown(struct conf *, struct place, const char *head, const char *first);
static struct weir_scope *read_scope_create(struct conf *, const struct form *, const char *name,
    struct place);
static void               read_global(struct conf *, struct weir_scope *weir, const char *text);
static void               read_replace_entries(struct weir_scope *,
    const struct weir_scope *globals);
static void               read_index_scopes(struct conf *);

void
read_scopes(struct conf *c, const char *path, const char *const *globals)
{
	const struct ini_sink sink = { c, read_take_section, read_take_value, read_take_include,
		read_take_error, c->snapshot, read_take_refused };
	struct weir_scope    *weir, given = { .conf = c };

	if (path != NULL)
		ini_read(path, &sink);
	weir = scope_by_name(c, SCOPE_WEIR, "");
	if (weir == NULL)
		weir = read_scope_create(c, &forms[0], "", (struct place){ NULL, 0 });
	given.entries_end = &given.entries;
	for (; globals != NULL && *globals != NULL; globals++)
		read_global(c, &given, *globals);
	read_replace_entries(weir, &given);
	read_index_scopes(c);
}

/* ---------------------------------------------------------- the reader's sink */

static void *
read_take_section(void *context, struct place place, const char *head)
{
	struct conf       *c = context;
	const struct form *form;
	struct weir_scope *s, *first;
	const char        *name;

	messages_file(&c->messages, place.file);
	form = form_find(c, place, head, &name);
	if (form == NULL) {
		c->partial = true;
		return NULL;
	}
	first = scope_by_name(c, form->kind, name);
	s = read_scope_create(c, form, name, place);
	if (first != NULL) {
		s->spare = true;
		conf_say(c, false, place, "%s stands twice, first at %s; %s", s->title,
		    place_text(c, first->place),
		    form->named ? "rename one of them" : "put their keys together");
	}
	return s;
}

static void
read_take_value(void *section, struct place place, const char *key, const char *value)
{
	struct weir_scope *s = section;

	messages_file(&s->conf->messages, place.file);
	scope_add(s, key, value, place);
}

/* Known to -T and explain as any other key. */
static void
read_take_include(void *section, struct place place, const char *pattern)
{
	read_take_value(section, place, "include", pattern);
}

static void
read_take_error(void *context, struct place place, const char *text)
{
	conf_say(context, false, place, "%s", text);
}

static void
read_take_refused(void *context, void *section, struct place place, const char *key)
{
	struct conf *c = context;

	if (key == NULL)
		c->partial = true;
	else
		scope_add(section, key, "", place)->refused = true;
}

/* --------------------------------------------------------------- section heads */

/* The form of a head, and the name in it ("": there is none). NULL: it has been
 * said what is wrong. */
static const struct form *
form_find(struct conf *c, struct place place, const char *head, const char **name)
{
	char              *rest = arena_copy(&c->arena, head);
	const struct form *form = NULL;
	const char        *first, *more;
	size_t             i;

	first = str_word(&rest);
	*name = str_word(&rest);
	more = str_word(&rest);
	for (i = 0; i < FORMS && form == NULL; i++)
		if (strcmp(forms[i].head, forms[i].named ? first : head) == 0)
			form = &forms[i];
	if (form == NULL) {
		form_unknown(c, place, head, first);
		return NULL;
	}
	if (!form->named) {
		*name = "";
		return form;
	}
	if (*name == NULL)
		conf_say(c, false, place, "[%s] needs a name; write %s", head, form->shown);
	else if (more != NULL)
		conf_say(c, false, place, "[%s] has a word too many; a name has no blanks", head);
	else if ((*name)[strspn(*name, INI_NAME_BYTES)] != '\0')
		conf_say(c, false, place, "[%s] has a bad name; letters, digits and _ - . make one",
		    head);
	else
		return form;
	return NULL;
}

static void
form_unknown(struct conf *c, struct place place, const char *head, const char *first)
{
	const char *names[FORMS + 1] = { NULL }, *near;
	size_t      i;

	if (strcmp(first, "weir") == 0) {
		conf_say(c, false, place, "[%s] takes no name; write [weir]", head);
		return;
	}
	for (i = 0; i < FORMS; i++)
		names[i] = forms[i].head;
	near = str_nearest(head, names);
	if (near == NULL)
		near = str_nearest(first, names);
	for (i = 0; near != NULL && names[i] != near;)
		i++;
	if (near != NULL)
		conf_say(c, false, place, "unknown section [%s]; did you mean %s?", head,
		    forms[i].shown);
	else
		conf_say(c, false, place,
		    "unknown section [%s]; there are [weir], [server NAME], [upstream NAME], "
		    "[tls NAME], [defaults server], [defaults upstream] and [defaults tls]",
		    head);
}

static struct weir_scope *
read_scope_create(struct conf *c, const struct form *form, const char *name, struct place place)
{
	struct weir_scope *s = arena_alloc(&c->arena, sizeof *s);

	s->conf = c;
	s->kind = form->kind;
	s->defaults = form->defaults;
	s->name = arena_copy(&c->arena, name);
	s->title = arena_print(&c->arena, form->named ? "[%s %s]" : "[%s]", form->head, name);
	s->place = place;
	s->entries_end = &s->entries;
	if (c->end == NULL)
		c->end = &c->first;
	*c->end = s;
	c->end = &s->next;
	if (scope_by_name(c, s->kind, s->name) == NULL &&
	    hash_add(&c->names[s->kind], hash_text(HASH_START, s->name), (uintptr_t)s) < 0)
		arena_exhausted();
	return s;
}

/* ------------------------------------------------------------------------- -g */

static void *
read_take_global_section(void *context, struct place place, const char *head)
{
	(void)place, (void)head;
	return context;
}

static void
read_take_global(void *section, struct place place, const char *key, const char *value)
{
	scope_add(section, key, value, (struct place){ place.file, 0 });
}

static void
read_take_global_error(void *context, struct place place, const char *text)
{
	struct weir_scope *given = context;

	conf_error_at(given, (struct place){ place.file, 0 }, "%s", text);
}

static void
read_take_global_refused(void *context, void *section, struct place place, const char *key)
{
	if (section != NULL)
		scope_add(context, key, "", (struct place){ place.file, 0 })->refused = true;
}

/* As a file of its own, so that the same rules hold. */
static void
read_global(struct conf *c, struct weir_scope *given, const char *text)
{
	const struct ini_sink sink = { given, read_take_global_section, read_take_global, NULL,
		read_take_global_error, NULL, read_take_global_refused };
	struct entry        **end = given->entries_end;
	unsigned              errors = given->errors;
	const char           *file;

	text += strspn(text, " \t");
	file = arena_print(&c->arena, "[weir]\n%s", text);
	if (*text != '[' && strchr(text, '\n') == NULL)
		ini_read_memory(GLOBAL_FILE, file, strlen(file), &sink);
	if (given->entries_end == end && given->errors == errors)
		read_take_global_error(given, (struct place){ GLOBAL_FILE, 0 },
		    "this sets no key; write -g 'key = value', once for each key of [weir]");
}

/* Takes the lines of the same keys out of [weir] and puts these behind. */
static void
read_replace_entries(struct weir_scope *weir, const struct weir_scope *given)
{
	const struct entry *own;
	struct entry      **link = &weir->entries, *e;

	while ((e = *link) != NULL) {
		own = scope_entry(given, e->name);
		if (own != NULL && !own->refused)
			*link = e->next;
		else
			link = &e->next;
	}
	*link = given->entries;
	weir->entries_end = given->entries != NULL ? given->entries_end : link;
}

static void
read_index_scopes(struct conf *c)
{
	unsigned           total[SCOPE_KINDS] = { 0 };
	struct weir_scope *s;
	unsigned           kind;

	for (s = c->first; s != NULL; s = s->next)
		total[s->kind]++;
	for (kind = 0; kind < SCOPE_KINDS; kind++)
		c->scopes[kind] = arena_alloc(&c->arena, total[kind] * sizeof *c->scopes[kind]);
	for (s = c->first; s != NULL; s = s->next) {
		if (s->spare)
			continue;
		if (s->defaults)
			c->defaults[s->kind] = s;
		else
			c->scopes[s->kind][c->scope_count[s->kind]++] = s;
	}
}

/* ------------------------------------------------------------------------ peek */

struct peek {
	const char *key;
	char       *value;
};

static void *
peek_section(void *context, struct place place, const char *head)
{
	(void)place;
	return strcmp(head, "weir") == 0 ? context : NULL;
}

static void
peek_value(void *section, struct place place, const char *key, const char *value)
{
	struct peek *p = section;

	(void)place;
	if (p->value != NULL || strcmp(key, p->key) != 0)
		return;
	p->value = strdup(value);
	/* What is wrong with it is told by conf_load. */
	if (p->value != NULL && word_whole(value, p->value) != NULL)
		strcpy(p->value, value);
}

static void
peek_error(void *context, struct place place, const char *text)
{
	(void)context, (void)place, (void)text;
}

char *
conf_peek(const struct conf_request *request, const char *key)
{
	struct peek           peek = { .key = key };
	const struct ini_sink sink = { &peek, peek_section, peek_value, NULL, peek_error, NULL,
		NULL };
	const char    *const *global;
	char                 *file;

	for (global = request->globals; global != NULL && *global != NULL; global++) {
		if (asprintf(&file, "[weir]\n%s", *global) < 0)
			return NULL;
		ini_read_memory(GLOBAL_FILE, file, strlen(file), &sink);
		free(file);
	}
	if (peek.value == NULL && request->path != NULL)
		ini_read(request->path, &sink);
	return peek.value;
}
