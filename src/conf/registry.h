/* SPDX-License-Identifier: BSD-2-Clause */
/* registry: the modules that a configuration may use, and all their keys. Private to conf/. */
#ifndef CONF_REGISTRY_H
#define CONF_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/arena.h"
#include "conf/conf.h"
#include "conf/module.h"

struct conf_module {
	struct conf_module *next;
	struct module       loaded;
	unsigned            number;
	bool                core;	/* a part of weir: its keys may always stand */
};

struct registry {
	struct conf_module  *first;	/* core, built in, loaded */
	struct conf_module **end;
	unsigned             count;
};

struct key_ref {
	const struct conf_module *module;
	const struct weir_key    *key;
};

static inline const struct weir_module *
conf_module_struct(const struct conf_module *m)
{
	return m->loaded.module;
}

/*
 * Adds a module that is built in or was loaded; who frees the arena unloads it
 * first. Returns it, or NULL with a sentence in error: its name is taken, or one of
 * its keys.
 */
struct conf_module *registry_add(struct registry *, struct arena *, const struct module *,
    char *error, size_t size);

/* By the struct that its own code or the core knows it by; NULL: not there. */
const struct conf_module *registry_module(const struct registry *, const struct weir_module *);

/* The key of this name in a kind of section. False: there is none. */
bool registry_key(const struct registry *, enum scope_kind, const char *name, struct key_ref *);

/* The name nearest to one that does not exist, among the keys of a kind
 * (SCOPE_KINDS: of all); NULL: none is near. */
const char *registry_nearest(const struct registry *, enum scope_kind, const char *name,
    struct arena *);

/* Whether it has a block in sections of the kind. */
bool module_stands_in(const struct weir_module *, enum scope_kind);

static inline bool
module_has_role(const struct weir_module *m, enum module_role role)
{
	if (role == ROLE_BALANCER)
		return m->balancer != NULL;
	return m->protocol != NULL || m->exchange != NULL;
}

#endif
