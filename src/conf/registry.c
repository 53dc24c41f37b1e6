/* SPDX-License-Identifier: BSD-2-Clause */
/* registry: the modules that a configuration may use, and all their keys. */
#include "conf/registry.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "conf/scope.h"

static bool registry_module_fits(const struct registry *, const struct module *, char *error,
    size_t size);
static bool registry_keys_collide(const struct registry *, const struct weir_module *, char *error,
    size_t size);

struct conf_module *
registry_add(struct registry *r, struct arena *arena, const struct module *module, char *error,
    size_t size)
{
	struct conf_module *m;

	if (!registry_module_fits(r, module, error, size))
		return NULL;
	m = arena_alloc(arena, sizeof *m);
	m->loaded = *module;
	m->number = r->count++;
	if (r->end == NULL)
		r->end = &r->first;
	*r->end = m;
	r->end = &m->next;
	return m;
}

const struct conf_module *
registry_module(const struct registry *r, const struct weir_module *module)
{
	const struct conf_module *m;

	for (m = r->first; m != NULL; m = m->next)
		if (m->loaded.module == module || m->loaded.own == module)
			return m;
	return NULL;
}

bool
registry_key(const struct registry *r, enum scope_kind kind, const char *name, struct key_ref *ref)
{
	const struct conf_module *m;
	const struct weir_key    *k;

	for (m = r->first; m != NULL; m = m->next) {
		for (k = conf_module_struct(m)->keys; k != NULL && k->name != NULL; k++) {
			if ((k->where & scope_where(kind)) != 0 && strcmp(k->name, name) == 0) {
				*ref = (struct key_ref){ m, k };
				return true;
			}
		}
	}
	return false;
}

const char *
registry_nearest(const struct registry *r, enum scope_kind kind, const char *name,
    struct arena *arena)
{
	unsigned                  where = kind == SCOPE_KINDS ? ~0u : scope_where(kind);
	const struct conf_module *m;
	const struct weir_key    *k;
	const char              **names;
	size_t                    n = 0;

	for (m = r->first; m != NULL; m = m->next)
		for (k = conf_module_struct(m)->keys; k != NULL && k->name != NULL; k++)
			n++;
	names = arena_alloc(arena, (n + 1) * sizeof *names);
	n = 0;
	for (m = r->first; m != NULL; m = m->next)
		for (k = conf_module_struct(m)->keys; k != NULL && k->name != NULL; k++)
			if ((k->where & where) != 0)
				names[n++] = k->name;
	return str_nearest(name, names);
}

bool
module_stands_in(const struct weir_module *module, enum scope_kind kind)
{
	const struct weir_key *k;

	if (kind == SCOPE_SERVER && module_has_role(module, ROLE_PROTOCOL))
		return true;
	if (kind == SCOPE_UPSTREAM && module_has_role(module, ROLE_BALANCER))
		return true;
	for (k = module->keys; k != NULL && k->name != NULL; k++)
		if ((k->where & scope_where(kind)) != 0)
			return true;
	return false;
}

static bool
registry_module_fits(const struct registry *r, const struct module *module, char *error,
    size_t size)
{
	const char               *name = module->module->name;
	const struct conf_module *m;

	for (m = r->first; m != NULL; m = m->next) {
		if (strcmp(conf_module_struct(m)->name, name) != 0)
			continue;
		if (m->loaded.path != NULL)
			snprintf(error, size, "a module %s is loaded already, from %s; keep one",
			    name, m->loaded.path);
		else
			snprintf(error, size,
			    "a module %s is built in; take the load_module away, or build weir "
			    "without it",
			    name);
		return false;
	}
	return !registry_keys_collide(r, module->module, error, size);
}

static bool
registry_keys_collide(const struct registry *r, const struct weir_module *module, char *error,
    size_t size)
{
	const struct weir_key *k;
	struct key_ref         taken;
	unsigned               kind;

	for (k = module->keys; k != NULL && k->name != NULL; k++) {
		for (kind = 0; kind < SCOPE_KINDS; kind++) {
			if ((k->where & scope_where(kind)) == 0 ||
			    !registry_key(r, kind, k->name, &taken))
				continue;
			snprintf(error, size,
			    "the key %s of module %s is one of %s already, in the same section; "
			    "rename one of them",
			    k->name, module->name, conf_module_struct(taken.module)->name);
			return true;
		}
	}
	return false;
}
