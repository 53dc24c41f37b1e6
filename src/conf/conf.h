/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conf: a loaded configuration.
 *
 *	files ─ini─► lines ─module─► modules loaded ─type─► values in blocks
 *	                                                       │
 *	                        constant from here on ◄─check──┘
 *
 * All files are read first, then modules are loaded, then values are read and
 * checked: each step goes on behind an error, so that one run tells them all.
 */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "conf/place.h"
#include "weir.h"

struct conf;
struct file;
struct snapshot;

enum scope_kind { SCOPE_WEIR, SCOPE_SERVER, SCOPE_UPSTREAM, SCOPE_TLS, SCOPE_KINDS };

/* An option that may stand behind the value of a key of weir's own: for weir explain. */
struct conf_option {
	const char *key;	/* NULL ends a table */
	const char *name;
	const char *value;	/* "=N"; "": it has none */
	const char *initial;	/* what holds without it; NULL: nothing to say */
	const char *help;	/* one line */
};

struct conf_request {
	/* The main file; absolute, or of the working directory. NULL: nothing is
	 * read, there are only tables to explain. */
	const char        *path;
	const char        *prefix;	/* absolute, ends with no slash */
	const char        *state;	/* where run/ and logs/ are; NULL: below the prefix */
	const char        *module_dir;	/* absolute */
	/* The others end with NULL, or are NULL. */
	const char *const *globals;	/* -g: "key = value" of [weir], in place of the file's */
	/* Pseudo-modules of the core: their keys may stand wherever they say. */
	const struct weir_module *const *core;
	const struct conf_option *const *options;	/* tables; NULL ends them */
	const struct weir_module *const *builtin;
	/* What is read is added to it, or it is what is read instead of files. */
	struct snapshot                 *snapshot;
};

/*
 * Loads and checks. Returns the configuration; conf_errors of it is 0 when it
 * may be used. Never NULL (out of memory ends the process with a message).
 */
struct conf *conf_load(const struct conf_request *);
void         conf_free(struct conf *);

/*
 * What conf_load does while it runs; zeroed before it. It may lie in memory that another
 * process sees.
 */
struct conf_progress {
	char doing[512];	/* completes "… crashed while": "checking [server web] with
				 * module foo"; empty: nothing that takes long */
	bool own_value;		/* it reads a value of weir's own, which may hold a name
				 * that the system has to look up */
};

/* Where to say so; NULL: nowhere. */
void conf_progress(struct conf_progress *);

/*
 * Messages, in the order of files and lines, at most 100; then one says how
 * many more there are. An error without a place has file NULL, one about a file
 * as a whole (or -g, with that for a file) has line 0. Texts say what is wrong
 * and what to do, and begin with a small letter.
 */
struct conf_message {
	const char *file;
	unsigned    line;
	bool        warning;
	const char *text;
};
unsigned                   conf_errors(const struct conf *);
const struct conf_message *conf_messages(const struct conf *, unsigned *count);
/* "weir.conf:12: error: unknown key …", without a newline. Returns out. */
char *conf_message_print(const struct conf_message *, char *out, size_t size);

/* For what checks find out themselves. The scope's section head is the place;
 * with a key that the section sets, its line is. key may be NULL. */
void conf_error(struct weir_scope *, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void conf_warn(struct weir_scope *, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A warning at each line of the section itself whose key has the flag (WEIR_FRAMED):
 * «KEY WHY», with words that say why it has no effect there. */
void conf_warn_flagged(struct weir_scope *, unsigned flag, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The place of the value that parse is called for, to be kept with what it
 * makes of it; and an error, or a warning, at a place that was kept. */
struct place scope_value_place(const struct weir_scope *);
void conf_error_at(struct weir_scope *, struct place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void conf_warn_at(struct weir_scope *, struct place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Scopes of a kind in the order of the file, without [defaults …]; [weir] is
 * always there, once. NULL behind the last. */
struct weir_scope *conf_scope(const struct conf *, enum scope_kind, unsigned index);
unsigned           conf_scope_count(const struct conf *, enum scope_kind);
struct weir_scope *conf_find(const struct conf *, enum scope_kind, const char *name);
struct conf       *scope_conf(const struct weir_scope *);

/* Whether the section itself (or its defaults) sets the key; its line as a
 * place: "weir.conf:12", "weir.conf:4 [defaults server]", "-g", or "default". */
bool        scope_sets(const struct weir_scope *, const char *key);
const char *scope_place(const struct weir_scope *, const char *key, char *out, size_t size);

/* For parse and check, in the configuration's memory: a phrase about a value; room for
 * one more element in an array that has so many (arena_grow). */
const char *scope_phrase(struct weir_scope *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void *scope_grow(struct weir_scope *, void *list, unsigned count, size_t element)
    __attribute__((warn_unused_result));

/*
 * For checks, which tell no errors that only follow from another: a line that sets the
 * key (or seems to be meant for it) was refused, so its value is not the one that was
 * written; a section head or a file was refused, so a section that is not there may
 * have been written; a module could not be loaded.
 */
bool scope_is_wrong(const struct weir_scope *, const char *key);
bool conf_is_partial(const struct conf *);
bool conf_lacks_module(const struct conf *);

/* The folder that a relative path begins at: the prefix, or that of run/ and
 * logs/. Of an address: that of "unix:PATH". Of a request:
 * before anything is loaded. */
const char *conf_base(const struct conf *, const char *path);
const char *conf_address_base(const struct conf *, const char *address);
const char *conf_request_base(const struct conf_request *, const char *path);

/* Whether that is one of the files that it was read from, under whatever name. */
bool conf_has_read(const struct conf *, const char *path);

/* Where run/ and logs/ are. */
const char *conf_state(const struct conf *);

/* "x/y" → prefix/x/y, in the configuration's memory. */
const char *conf_path(struct weir_scope *, const char *path);

/* A file that a value names, as a whole: as it was when this configuration was loaded first,
 * if it is loaded again from a snapshot. Results as of file_read. */
const char *conf_read_file(const struct weir_scope *, const char *path, struct file *);

/*
 * A module by name that has the role (protocol, by its hooks or its exchange; or
 * balancer); NULL when there is none. scope_uses says that the scope uses it:
 * only then may its keys stand in that section, and its check is called. To be
 * called by parse or check of the core, for other scopes too. A module without a
 * role is used wherever its keys may stand, and every module in [weir].
 */
enum module_role { ROLE_PROTOCOL, ROLE_BALANCER };
const struct weir_module *conf_role(const struct conf *, enum module_role, const char *name);
void scope_uses(struct weir_scope *, const struct weir_module *);
/* "echo, stream_proxy", or "none loaded": for errors, behind "there are". In the
 * configuration's memory. */
const char *conf_role_names(struct weir_scope *, enum module_role);

/* -T: the effective configuration, each value with where it came from. */
void conf_print(const struct conf *, FILE *);

/* weir explain [KEY]: from the tables of core and builtin (and loaded) modules;
 * KEY NULL: all of them. Returns false when there is no such key (and says what
 * is near). */
bool conf_explain(const struct conf *, const char *key, FILE *);

/* Reads just one key of [weir] as it is written, whatever else is wrong with
 * the file: how the commands find a running weir. -g comes first. Returns
 * malloc'ed text, or NULL when it is not set (or there is no such file). */
char *conf_peek(const struct conf_request *, const char *key) __attribute__((warn_unused_result));

#endif
