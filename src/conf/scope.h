/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * scope: the sections of a configuration, the lines in them, and the blocks of
 * values that modules have there. Private to conf/.
 */
#ifndef CONF_SCOPE_H
#define CONF_SCOPE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/hash.h"
#include "conf/arena.h"
#include "conf/conf.h"
#include "conf/messages.h"
#include "conf/place.h"
#include "conf/registry.h"

/* A line: key = text. */
struct entry {
	struct entry          *next;
	const char            *name;
	const char            *text;
	struct place           place;
	struct key_ref         key;	/* key NULL: refused, or not yet looked up */
	bool                   refused;	/* the line, its key or its value: that has been told */
};

struct weir_scope {
	struct weir_scope     *next;	/* in the order of the files */
	struct conf           *conf;
	enum scope_kind        kind;
	const char            *name;	/* "" for [weir] and defaults */
	char                  *title;	/* "[server web]" */
	struct place           place;	/* of the head; file NULL: there is none */
	bool                   defaults;
	bool                   spare;	/* a duplicate: its keys are looked up, no more */
	struct entry          *entries;
	struct entry         **entries_end;
	unsigned               errors;	/* that concern it */
	/* By the number of a module: */
	void                 **blocks;
	bool                  *used;
};

struct conf {
	struct arena           arena;
	struct messages        messages;
	struct registry        registry;
	const char            *prefix;
	const char            *state;
	const char            *module_dir;
	struct weir_scope     *first;	/* as they stand in the files */
	struct weir_scope    **end;
	struct weir_scope     *defaults[SCOPE_KINDS];
	struct weir_scope    **scopes[SCOPE_KINDS];	/* without defaults and spares */
	unsigned               scope_count[SCOPE_KINDS];
	bool                   partial;	/* a section head or a file was refused */
	bool                   lacks_module;	/* one could not be loaded */
	struct snapshot       *snapshot;	/* or NULL */
	const struct conf_option *const *options;	/* or NULL */
	struct hash            names[SCOPE_KINDS];	/* of the first section of each name */
	const struct entry    *parsing;	/* the value in hand */
};

extern const char *const scope_kind_names[SCOPE_KINDS];

/* A kind as a bit of weir_key.where. */
static inline unsigned
scope_where(enum scope_kind kind)
{
	return 1u << kind;
}

/* The first section of a kind with this name, which defaults have not ("").
 * NULL: there is none. */
struct weir_scope *scope_by_name(const struct conf *, enum scope_kind, const char *name);

/* Gives it its blocks, when all modules are known. */
void scope_prepare(struct weir_scope *);

struct entry *scope_add(struct weir_scope *, const char *key, const char *text, struct place);
/* The section's first line with the key, and the next one; NULL: none. */
struct entry *scope_entry(const struct weir_scope *, const char *key);
struct entry *scope_entry_next(const struct entry *);
/* The same in its defaults when the section has none of its own. */
struct entry *scope_effective(const struct weir_scope *, const char *key);

/* "weir.conf:12", or "-g" without a line. In the configuration's memory. */
const char *place_text(struct conf *, struct place);

void conf_say(struct conf *, bool warning, struct place, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif
