/* SPDX-License-Identifier: BSD-2-Clause */
/* conf: loads a configuration: files to lines, lines to values, values checked. */
#include "conf/conf.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "conf/read.h"
#include "conf/scope.h"
#include "conf/snapshot.h"
#include "conf/type.h"
#include "conf/word.h"

static void conf_modules(struct conf *, const struct conf_request *);
static void conf_load_modules(struct conf *);
static bool conf_load_module(struct conf *, const struct entry *);
static void conf_keep_module(struct conf *, const struct entry *, const char *path);
static void conf_find_keys(struct weir_scope *);
static const char *conf_misplaced_key(struct weir_scope *, const struct entry *);
static const char *conf_unknown_key(struct weir_scope *, struct entry *);
static void conf_fill_all(struct conf *, bool core);
static void conf_fill_scope(struct weir_scope *, bool core);
static void conf_fill_key(struct weir_scope *, const struct key_ref *);
static bool conf_fill_value(struct weir_scope *, const struct key_ref *, struct entry *);
static void conf_refuse_unused(struct weir_scope *);
static bool conf_uses_another(const struct weir_scope *, const struct weir_module *);
static void conf_check_all(struct conf *, bool core);
static void conf_check_scope(struct weir_scope *, bool core);
static void conf_say_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The keys that the reader and the loader understand by themselves: here they
 * have their place in tables, -T and explain. */
static const char *
conf_parse_nothing(struct weir_scope *s, const char *text, void *value)
{
	(void)s, (void)text, (void)value;
	return NULL;
}

static const struct weir_key reader_keys[] = {
	{
	    .name = "load_module",
	    .where = WEIR_IN_WEIR,
	    .type = WEIR_OWN,
	    .flags = WEIR_REPEATED | WEIR_WORDS,
	    .parse = conf_parse_nothing,
	    .syntax = "FILE",
	    .help = "a module to load; in the module directory unless it has a /",
	},
	{
	    .name = "include",
	    .where = WEIR_IN_WEIR | WEIR_IN_SERVER | WEIR_IN_UPSTREAM | WEIR_IN_TLS,
	    .type = WEIR_OWN,
	    .flags = WEIR_REPEATED | WEIR_WORDS,
	    .parse = conf_parse_nothing,
	    .syntax = "FILE or pattern",
	    .help = "more files to read, from the folder of this one; the section goes on",
	},
	{ 0 },
};

static const struct weir_module reader_module = {
	.name = "conf",
	.keys = reader_keys,
	.conf_size = 1,
};

static struct conf_progress *progress;

void
conf_progress(struct conf_progress *where)
{
	progress = where;
}

struct conf *
conf_load(const struct conf_request *request)
{
	struct arena       first = { 0 };
	struct weir_scope *s;
	struct conf       *c;

	c = arena_alloc(&first, sizeof *c);
	c->arena = first;
	c->messages.arena = &c->arena;
	c->prefix = arena_copy(&c->arena, request->prefix);
	c->state = request->state == NULL ? c->prefix : arena_copy(&c->arena, request->state);
	c->module_dir = arena_copy(&c->arena, request->module_dir);
	c->snapshot = request->snapshot;
	c->options = request->options;
	conf_modules(c, request);
	read_scopes(c, request->path, request->globals);
	conf_load_modules(c);
	for (s = c->first; s != NULL; s = s->next) {
		scope_prepare(s);
		conf_find_keys(s);
	}
	if (request->path != NULL) {
		conf_fill_all(c, true);
		conf_check_all(c, true);
		conf_fill_all(c, false);
		conf_check_all(c, false);
	}
	conf_say_progress("%s", "");
	return c;
}

bool
conf_has_read(const struct conf *c, const char *path)
{
	const struct weir_scope *s;
	const struct entry      *e;
	const char              *file = NULL;
	struct stat              st, wanted;

	if (stat(path, &wanted) < 0)
		return false;
	for (s = c->first; s != NULL; s = s->next)
		for (e = s->entries; e != NULL; e = e->next) {
			if (e->place.file == NULL || e->place.file == file)
				continue;
			file = e->place.file;	/* lines of one follow each other */
			if (stat(file, &st) == 0 && st.st_dev == wanted.st_dev &&
			    st.st_ino == wanted.st_ino)
				return true;
		}
	return false;
}

void
conf_free(struct conf *c)
{
	struct conf_module *m;
	struct arena        arena;

	if (c == NULL)
		return;
	for (m = c->registry.first; m != NULL; m = m->next)
		module_unload(&m->loaded);
	for (unsigned kind = 0; kind < SCOPE_KINDS; kind++)
		hash_free(&c->names[kind]);
	/* It lies in its own memory. */
	arena = c->arena;
	arena_free(&arena);
}

unsigned
conf_errors(const struct conf *c)
{
	return c->messages.errors;
}

const struct conf_message *
conf_messages(const struct conf *c, unsigned *count)
{
	/* The list is made when it is asked for: no part of what is loaded. */
	return messages_list(&((struct conf *)(uintptr_t)c)->messages, count);
}

/* ------------------------------------------------------------------ modules */

static void
conf_add_builtin(struct conf *c, const struct weir_module *module, bool core)
{
	const struct place  nowhere = { NULL, 0 };
	struct conf_module *m = NULL;
	struct module       builtin;
	char                error[512];

	module_builtin(&builtin, module);
	if (module_fault(module, error, sizeof error) == NULL)
		m = registry_add(&c->registry, &c->arena, &builtin, error, sizeof error);
	if (m != NULL)
		m->core = core;
	else
		conf_say(c, false, nowhere, "built-in %s", error);
}

static void
conf_modules(struct conf *c, const struct conf_request *request)
{
	const struct weir_module *const *m;

	conf_add_builtin(c, &reader_module, true);
	for (m = request->core; m != NULL && *m != NULL; m++)
		conf_add_builtin(c, *m, true);
	for (m = request->builtin; m != NULL && *m != NULL; m++)
		conf_add_builtin(c, *m, false);
}

static void
conf_load_modules(struct conf *c)
{
	struct entry *e;

	e = scope_entry(conf_scope(c, SCOPE_WEIR, 0), "load_module");
	for (; e != NULL; e = scope_entry_next(e)) {
		conf_say_progress("loading module %s", e->text);
		e->refused = e->refused || !conf_load_module(c, e);
		c->lacks_module |= e->refused;
	}
	conf_say_progress("%s", "");
}

/* False: it has been said why not. */
static bool
conf_load_module(struct conf *c, const struct entry *e)
{
	char         *file = arena_copy(&c->arena, e->text);
	const char   *wrong = word_whole(e->text, file);
	struct module module;
	char          error[1024];

	if (wrong == NULL && *file == '\0')
		wrong = "no file is named";
	if (wrong != NULL) {
		conf_say(c, false, e->place, "load_module = %s: %s", e->text, wrong);
		return false;
	}
	if (strchr(file, '/') != NULL && *file != '/')
		file = arena_print(&c->arena, "%s/%s", c->prefix, file);
	if (module_load(&module, file, c->module_dir, error, sizeof error) < 0) {
		conf_say(c, false, e->place, "load_module = %s", error);
		return false;
	}
	if (registry_add(&c->registry, &c->arena, &module, error, sizeof error) == NULL) {
		conf_say(c, false, e->place, "load_module = %s: %s", e->text, error);
		module_unload(&module);
		return false;
	}
	conf_keep_module(c, e, module.path);
	return true;
}

/* Modules are read from their files each time: it is told when one is not the same. */
static void
conf_keep_module(struct conf *c, const struct entry *e, const char *path)
{
	struct snapshot_record        record = { .kind = SNAPSHOT_MODULE, .name = path };
	const struct snapshot_record *kept;
	struct stat                   st;

	if (c->snapshot == NULL || stat(path, &st) < 0)
		return;
	record.device = st.st_dev;
	record.inode = st.st_ino;
	record.changed = (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec;
	if (!c->snapshot->replays) {
		if (snapshot_add(c->snapshot, &record) == NULL)
			conf_say(c, false, e->place, "%s", strerror(errno));
		return;
	}
	kept = snapshot_next(c->snapshot, SNAPSHOT_MODULE, path);
	if (kept == NULL || kept->device != record.device || kept->inode != record.inode ||
	    kept->changed != record.changed)
		conf_say(c, true, e->place,
		    "load_module = %s: this is not the file that was loaded before; what is in it "
		    "now is used",
		    e->text);
}

/* ------------------------------------------------------------------- values */

/* Looks up what each line of the section sets, and says which may not. */
static void
conf_find_keys(struct weir_scope *s)
{
	const char   *wrong;
	struct entry *e;

	for (e = s->entries; e != NULL; e = e->next) {
		if (e->refused && e->text[0] == '\0')
			continue;	/* by the reader */
		if (registry_key(&s->conf->registry, s->kind, e->name, &e->key))
			wrong = conf_misplaced_key(s, e);
		else
			wrong = conf_unknown_key(s, e);
		if (wrong == NULL)
			continue;
		if (*wrong != '\0')
			conf_error_at(s, e->place, "%s", wrong);
		e->key.key = NULL;
		e->refused = true;
	}
}

/* NULL, or why a key of this section may not stand at this line. */
static const char *
conf_misplaced_key(struct weir_scope *s, const struct entry *e)
{
	const struct entry *first = scope_entry(s, e->name);

	while (first != e && first->key.key == NULL)
		first = scope_entry_next(first);
	if (s->defaults && (e->key.key->flags & WEIR_NOT_INHERITED) != 0)
		return arena_print(&s->conf->arena,
		    "%s may not stand in %s; set it in each [%s NAME]", e->name, s->title,
		    scope_kind_names[s->kind]);
	if (first != e && (e->key.key->flags & WEIR_REPEATED) == 0)
		return arena_print(&s->conf->arena,
		    "%s is set twice in %s, first at %s; keep one of them", e->name, s->title,
		    place_text(s->conf, first->place));
	return NULL;
}

/* A key that is nearly one of this section is taken for that one from here on: then no
 * check finds it missing. "": that it is unknown may follow from another error. */
static const char *
conf_unknown_key(struct weir_scope *s, struct entry *e)
{
	const struct registry *registry = &s->conf->registry;
	struct arena          *arena = &s->conf->arena;
	struct key_ref         other;
	const char            *near, *name = e->name;
	unsigned               kind;

	for (kind = 0; kind < SCOPE_KINDS; kind++)
		if (registry_key(registry, kind, e->name, &other))
			return arena_print(arena, "%s is a key of [%s%s]; it may not stand in %s",
			    e->name, scope_kind_names[kind], kind == SCOPE_WEIR ? "" : " NAME",
			    s->title);
	if (s->conf->messages.count >= MESSAGES_KEPT)
		return "unknown key";
	near = registry_nearest(registry, s->kind, e->name, arena);
	if (near != NULL) {
		s->conf->lacks_module |= strcmp(near, "load_module") == 0;
		s->conf->partial |= strcmp(near, "include") == 0;
		e->name = near;
	} else
		near = registry_nearest(registry, SCOPE_KINDS, e->name, arena);
	if (near == NULL && conf_lacks_module(s->conf))
		return "";
	return arena_print(arena, "unknown key %s in %s; %s%s%s", name, s->title,
	    near != NULL ? "did you mean " : "\"weir explain\" lists all keys",
	    near != NULL ? near : "", near != NULL ? "?" : "");
}

/* Reads the values: those of the core, which say what modules a section uses;
 * or those of the modules. */
static void
conf_fill_all(struct conf *c, bool core)
{
	struct weir_scope *s;

	for (s = c->first; s != NULL; s = s->next) {
		conf_fill_scope(s, core);
		if (!core && !s->spare)
			conf_refuse_unused(s);
	}
}

static void
conf_fill_scope(struct weir_scope *s, bool core)
{
	const struct conf_module *m;
	const struct weir_key    *k;

	for (m = s->conf->registry.first; m != NULL; m = m->next) {
		/* Defaults are for all modules: each line in them is read once. */
		if (m->core != core || (!s->used[m->number] && !s->defaults))
			continue;
		for (k = conf_module_struct(m)->keys; k != NULL && k->name != NULL; k++)
			if ((k->where & scope_where(s->kind)) != 0)
				conf_fill_key(s, &(struct key_ref){ m, k });
	}
}

/* The section's own lines, or those of its defaults, or the initial value. */
static void
conf_fill_key(struct weir_scope *s, const struct key_ref *ref)
{
	const struct weir_key *k = ref->key;
	struct entry           initial = { .name = k->name, .text = k->initial, .key = *ref };
	bool                   repeated = (k->flags & WEIR_REPEATED) != 0, filled = false;
	struct entry          *e = scope_effective(s, k->name);

	/* Where a line was wrong a check still finds something that can be. */
	if (e == NULL)
		repeated = false;
	/* There is one with its key, or it is repeated. */
	for (; e != NULL; e = scope_entry_next(e))
		if (e->key.key == k)
			filled |= conf_fill_value(s, ref, e);
	if (!filled && !repeated && k->initial != NULL)
		conf_fill_value(s, ref, &initial);
}

static bool
conf_fill_value(struct weir_scope *s, const struct key_ref *ref, struct entry *e)
{
	const struct weir_module *module = conf_module_struct(ref->module);
	char                     *block = s->blocks[ref->module->number];
	const char               *wrong;

	if (ref->module->core)
		conf_say_progress("reading \"%s = %s\" in %s", e->name, e->text, s->title);
	else
		conf_say_progress("reading \"%s = %s\" in %s with module %s", e->name, e->text,
		    s->title, module->name);
	if (progress != NULL)
		progress->own_value = ref->module->core;
	s->conf->parsing = e->place.file != NULL ? e : NULL;
	wrong = type_read(s, ref->key, e->text, block + ref->key->offset);
	s->conf->parsing = NULL;
	if (wrong == NULL)
		return true;
	e->refused = true;
	if (e->place.file != NULL)
		conf_error_at(s, e->place, "%s", wrong);
	else
		conf_error_at(s, s->place, "the default of module %s: %s", module->name, wrong);
	return false;
}

/* Keys of a protocol that this server does not have are a mistake; but not when
 * it has none at all, which is told as the mistake that it is. */
static void
conf_refuse_unused(struct weir_scope *s)
{
	struct entry *e;

	if (s->defaults)
		return;
	for (e = s->entries; e != NULL; e = e->next)
		if (e->key.key != NULL && !s->used[e->key.module->number] &&
		    conf_uses_another(s, conf_module_struct(e->key.module)))
			conf_error_at(s, e->place, "%s is a key of module %s, not used by %s",
			    e->name, conf_module_struct(e->key.module)->name, s->title);
}

/* Whether the section uses a module of the same role. */
static bool
conf_uses_another(const struct weir_scope *s, const struct weir_module *module)
{
	const struct conf_module *m;
	enum module_role          role;

	for (m = s->conf->registry.first; m != NULL; m = m->next)
		for (role = ROLE_PROTOCOL; role <= ROLE_BALANCER; role++)
			if (s->used[m->number] && module_has_role(module, role) &&
			    module_has_role(conf_module_struct(m), role))
				return true;
	return false;
}

/* ------------------------------------------------------------------- checks */

static void
conf_check_all(struct conf *c, bool core)
{
	static const enum scope_kind order[] = { SCOPE_WEIR, SCOPE_TLS, SCOPE_UPSTREAM,
		SCOPE_SERVER };
	unsigned                     k, i;

	for (k = 0; k < SCOPE_KINDS; k++)
		for (i = 0; i < c->scope_count[order[k]]; i++)
			conf_check_scope(c->scopes[order[k]][i], core);
}

static void
conf_check_scope(struct weir_scope *s, bool core)
{
	const struct weir_module *module;
	const struct conf_module *m;
	const char               *wrong;

	for (m = s->conf->registry.first; m != NULL; m = m->next) {
		module = conf_module_struct(m);
		if (m->core != core || module->check == NULL || !s->used[m->number])
			continue;
		/* A module may trust that its values are what its table says. */
		if (!core && s->errors > 0)
			continue;
		if (core)
			conf_say_progress("checking %s", s->title);
		else
			conf_say_progress("checking %s with module %s", s->title, module->name);
		wrong = module->check(s);
		if (wrong != NULL)
			conf_error(s, NULL, "%s: %s", s->title, wrong);
	}
}

static void
conf_say_progress(const char *format, ...)
{
	va_list ap;

	if (progress == NULL)
		return;
	progress->own_value = false;
	va_start(ap, format);
	vsnprintf(progress->doing, sizeof progress->doing, format, ap);
	va_end(ap);
}
