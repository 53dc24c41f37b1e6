/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * module: modules built in and loaded.
 *
 * A loaded module's structs may be shorter than ours (built for an older minor
 * version): they are copied into full ones, so that nobody else has to know.
 */
#ifndef CONF_MODULE_H
#define CONF_MODULE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "weir.h"

struct module_copy;

/* The table that configure writes; ends with NULL. */
extern const struct weir_module *const builtin_modules[];

struct module {
	const struct weir_module *module;	/* with full structs; NULL: not loaded */
	const struct weir_module *own;		/* as its own code knows it */
	const char               *path;		/* NULL: built in */
	uint16_t                  major;	/* of the ABI */
	uint16_t                  minor;
	void                     *handle;
	struct module_copy       *copy;		/* what module points to; NULL: built in */
};

/* A module that is built in. */
void module_builtin(struct module *, const struct weir_module *);

/*
 * NULL, or what is wrong with the module's own tables (in error). Modules that
 * are loaded have been checked.
 */
const char *module_fault(const struct weir_module *, char *error, size_t size);

/*
 * Loads FILE (dlopen(3), RTLD_NOW | RTLD_LOCAL) and checks its ABI record
 * before anything else in it is touched. A name without a slash is looked for
 * in `dir`. Returns 0, or -1 with a sentence in error that says what is wrong
 * and what to do: no such file, not a module, another ABI (which it has, which
 * is needed), a missing symbol (which).
 */
int  module_load(struct module *, const char *file, const char *dir, char *error, size_t size)
    __attribute__((warn_unused_result));
void module_unload(struct module *);

/* weir modinfo: name, roles, ABI, sizes, keys with their help. */
void module_print(const struct module *, FILE *);

#endif
