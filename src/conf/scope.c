/* SPDX-License-Identifier: BSD-2-Clause */
/* scope: the sections of a configuration, and what modules see of them. */
#include "conf/scope.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/snapshot.h"

const char *const scope_kind_names[SCOPE_KINDS] = { "weir", "server", "upstream", "tls" };

_Static_assert(1u << SCOPE_WEIR == WEIR_IN_WEIR && 1u << SCOPE_SERVER == WEIR_IN_SERVER &&
	1u << SCOPE_UPSTREAM == WEIR_IN_UPSTREAM && 1u << SCOPE_TLS == WEIR_IN_TLS,
    "scope_where turns one into the other");

static struct place scope_key_place(const struct weir_scope *, const char *key);

void
scope_prepare(struct weir_scope *s)
{
	const struct registry    *r = &s->conf->registry;
	const struct weir_module *module;
	const struct conf_module *m;
	bool                      roleless;

	s->blocks = arena_alloc(&s->conf->arena, r->count * sizeof *s->blocks);
	s->used = arena_alloc(&s->conf->arena, r->count * sizeof *s->used);
	for (m = r->first; m != NULL; m = m->next) {
		module = conf_module_struct(m);
		if (!module_stands_in(module, s->kind))
			continue;
		if (module->conf_size > 0)
			s->blocks[m->number] = arena_alloc(&s->conf->arena, module->conf_size);
		roleless = !module_has_role(module, ROLE_PROTOCOL) &&
		    !module_has_role(module, ROLE_BALANCER);
		s->used[m->number] = m->core || roleless || s->kind == SCOPE_WEIR;
	}
}

struct entry *
scope_add(struct weir_scope *s, const char *key, const char *text, struct place place)
{
	struct entry *e = arena_alloc(&s->conf->arena, sizeof *e);

	e->name = arena_copy(&s->conf->arena, key);
	e->text = arena_copy(&s->conf->arena, text);
	e->place = place;
	*s->entries_end = e;
	s->entries_end = &e->next;
	return e;
}

struct entry *
scope_entry(const struct weir_scope *s, const char *key)
{
	struct entry *e;

	for (e = s->entries; e != NULL; e = e->next)
		if (strcmp(e->name, key) == 0)
			return e;
	return NULL;
}

struct entry *
scope_entry_next(const struct entry *e)
{
	const char   *key = e->name;
	struct entry *next;

	for (next = e->next; next != NULL; next = next->next)
		if (strcmp(next->name, key) == 0)
			return next;
	return NULL;
}

struct entry *
scope_effective(const struct weir_scope *s, const char *key)
{
	const struct weir_scope *defaults = s->conf->defaults[s->kind];
	struct entry            *e;

	e = scope_entry(s, key);
	if (e == NULL && defaults != NULL && defaults != s && strcmp(key, "include") != 0)
		e = scope_entry(defaults, key);
	return e;
}

/* ------------------------------------------------------------ for the core */

struct conf *
scope_conf(const struct weir_scope *s)
{
	return s->conf;
}

struct weir_scope *
conf_scope(const struct conf *c, enum scope_kind kind, unsigned index)
{
	return index < c->scope_count[kind] ? c->scopes[kind][index] : NULL;
}

unsigned
conf_scope_count(const struct conf *c, enum scope_kind kind)
{
	return c->scope_count[kind];
}

static bool
scope_is_named(uintptr_t value, const void *name)
{
	return strcmp(((const struct weir_scope *)value)->name, name) == 0;
}

struct weir_scope *
scope_by_name(const struct conf *c, enum scope_kind kind, const char *name)
{
	return (struct weir_scope *)hash_find(&c->names[kind], hash_text(HASH_START, name),
	    scope_is_named, name);
}

struct weir_scope *
conf_find(const struct conf *c, enum scope_kind kind, const char *name)
{
	struct weir_scope *s = scope_by_name(c, kind, name);

	return s != NULL && !s->defaults ? s : NULL;
}

bool
scope_sets(const struct weir_scope *s, const char *key)
{
	return scope_effective(s, key) != NULL;
}

bool
scope_is_wrong(const struct weir_scope *s, const char *key)
{
	const struct entry *e;

	for (e = scope_effective(s, key); e != NULL; e = scope_entry_next(e))
		if (e->refused)
			return true;
	return false;
}

bool
conf_is_partial(const struct conf *c)
{
	return c->partial;
}

bool
conf_lacks_module(const struct conf *c)
{
	return c->lacks_module;
}

const char *
scope_place(const struct weir_scope *s, const char *key, char *out, size_t size)
{
	const struct entry *e = scope_effective(s, key);
	const char         *defaults;

	if (e == NULL) {
		snprintf(out, size, "default");
		return out;
	}
	defaults = scope_entry(s, key) == NULL ? s->conf->defaults[s->kind]->title : NULL;
	snprintf(out, size, "%s%s%s", place_text(s->conf, e->place), defaults ? " " : "",
	    defaults ? defaults : "");
	return out;
}

const char *
place_text(struct conf *c, struct place place)
{
	if (place.file == NULL)
		return "default";
	if (place.line == 0)
		return place.file;
	return arena_print(&c->arena, "%s:%u", place.file, place.line);
}

const char *
conf_request_base(const struct conf_request *r, const char *path)
{
	bool changes = strncmp(path, "run/", 4) == 0 || strncmp(path, "logs/", 5) == 0;

	return changes && r->state != NULL ? r->state : r->prefix;
}

const char *
conf_base(const struct conf *c, const char *path)
{
	const struct conf_request r = { .prefix = c->prefix, .state = c->state };

	return conf_request_base(&r, path);
}

const char *
conf_address_base(const struct conf *c, const char *address)
{
	return conf_base(c, strncmp(address, "unix:", 5) == 0 ? address + 5 : address);
}

const char *
conf_state(const struct conf *c)
{
	return c->state;
}

const char *
conf_path(struct weir_scope *s, const char *path)
{
	if (*path == '/')
		return arena_copy(&s->conf->arena, path);
	return arena_print(&s->conf->arena, "%s/%s", conf_base(s->conf, path), path);
}

const char *
conf_read_file(const struct weir_scope *s, const char *path, struct file *file)
{
	return snapshot_read_file(s->conf->snapshot, path, file);
}

const struct weir_module *
conf_role(const struct conf *c, enum module_role role, const char *name)
{
	const struct conf_module *m;

	for (m = c->registry.first; m != NULL; m = m->next)
		if (module_has_role(conf_module_struct(m), role) &&
		    strcmp(conf_module_struct(m)->name, name) == 0)
			return conf_module_struct(m);
	return NULL;
}

void
scope_uses(struct weir_scope *s, const struct weir_module *module)
{
	const struct conf_module *m = registry_module(&s->conf->registry, module);

	if (m != NULL)
		s->used[m->number] = true;
}

const char *
conf_role_names(struct weir_scope *s, enum module_role role)
{
	const struct conf_module *m;
	const char               *names = "";

	for (m = s->conf->registry.first; m != NULL; m = m->next)
		if (module_has_role(conf_module_struct(m), role))
			names = arena_print(&s->conf->arena, "%s%s%s", names, *names ? ", " : "",
			    conf_module_struct(m)->name);
	return *names != '\0' ? names : "none loaded";
}

/* --------------------------------------------------------------- messages */

void
conf_say(struct conf *c, bool warning, struct place place, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	messages_add(&c->messages, warning, place, format, ap);
	va_end(ap);
}

void
conf_error(struct weir_scope *s, const char *key, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	messages_add(&s->conf->messages, false, scope_key_place(s, key), format, ap);
	va_end(ap);
	s->errors++;
}

void
conf_warn(struct weir_scope *s, const char *key, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	messages_add(&s->conf->messages, true, scope_key_place(s, key), format, ap);
	va_end(ap);
}

void
conf_warn_flagged(struct weir_scope *s, unsigned flag, const char *format, ...)
{
	const char *why;
	va_list     ap;

	va_start(ap, format);
	why = arena_vprint(&s->conf->arena, format, ap);
	va_end(ap);
	for (const struct entry *e = s->entries; e != NULL; e = e->next)
		if (e->key.key != NULL && (e->key.key->flags & flag) != 0)
			conf_say(s->conf, true, e->place, "%s %s", e->name, why);
}

struct place
scope_value_place(const struct weir_scope *s)
{
	const struct entry *e = s->conf->parsing;

	return e != NULL ? e->place : s->place;
}

void
conf_error_at(struct weir_scope *s, struct place place, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	messages_add(&s->conf->messages, false, place, format, ap);
	va_end(ap);
	s->errors++;
}

void
conf_warn_at(struct weir_scope *s, struct place place, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	messages_add(&s->conf->messages, true, place, format, ap);
	va_end(ap);
}

static struct place
scope_key_place(const struct weir_scope *s, const char *key)
{
	const struct entry *e = s->conf->parsing;

	/* The value in hand: a list has several of the same key. */
	if (key != NULL && e != NULL && strcmp(e->name, key) == 0)
		return e->place;
	e = key != NULL ? scope_entry(s, key) : NULL;
	return e != NULL ? e->place : s->place;
}

const char *
scope_phrase(struct weir_scope *s, const char *format, ...)
{
	va_list     ap;
	const char *text;

	va_start(ap, format);
	text = arena_vprint(&s->conf->arena, format, ap);
	va_end(ap);
	return text;
}

void *
scope_grow(struct weir_scope *s, void *list, unsigned count, size_t element)
{
	return arena_grow(&s->conf->arena, list, count, element);
}

/* ------------------------------------------------------------- for modules */

void *
weir_scope_conf(struct weir_scope *s, const struct weir_module *module)
{
	const struct conf_module *m = registry_module(&s->conf->registry, module);

	return m != NULL ? s->blocks[m->number] : NULL;
}

const char *
weir_scope_name(const struct weir_scope *s)
{
	return s->name;
}

void *
weir_scope_alloc(struct weir_scope *s, size_t size)
{
	return arena_alloc(&s->conf->arena, size);
}
