/* SPDX-License-Identifier: BSD-2-Clause */
/* options: what the command line says about where things are. */
#include "proc/options.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "conf/module.h"
#include "config.h"
#include "proc/settings.h"
#include "proc/text.h"
#include "session/listen.h"
#include "session/server.h"
#include "upstream/tls_scope.h"
#include "upstream/naming.h"
#include "upstream/upstream.h"

#define FIELDS_MAX 96u	/* of what is written; the command line has fewer */

/* What options_write has written, taken apart. */
struct field_list {
	const char *fields[FIELDS_MAX];
	unsigned    count;
};

enum field { FIELD_PATH, FIELD_PREFIX, FIELD_GLOBALS };

static void options_write_file(struct text *, const char *path);
static void options_write_global(struct text *, const char *global);
static void options_write_bytes(struct text *, const char *, size_t);
static void field_list_read(struct field_list *, char *written);
static bool field_list_compare(const struct field_list *own, const struct field_list *others,
    struct text *answer);
static bool field_list_has_globals(const struct field_list *, const struct field_list *others);
static void field_list_print_globals(const struct field_list *, struct text *);

/* A reload leaves them as they are; some of them only say where weir is found. */
static const char *const not_reloaded[] = { "control", "pid", "daemon", NULL };

static const struct conf_option *const option_tables[] = {
	listen_option_table,
	peer_option_table,
	health_option_table,
	NULL,
};

static const struct weir_module *const core_modules[] = {
	&settings_module,
	&tls_scope_module,
	&upstream_module,
	&naming_module,
	&server_module,
	NULL,
};

struct conf_request
options_request(const struct options *o)
{
	return (struct conf_request){
		.path = o->path,
		.prefix = o->prefix,
		.state = o->state,
		.module_dir = MODULEDIR,
		.globals = o->globals,
		.core = core_modules,
		.options = option_tables,
		.builtin = builtin_modules,
	};
}

char *
options_file(const struct options *o, const char *key, const char *otherwise)
{
	struct conf_request request = options_request(o);
	char               *said = conf_peek(&request, key);
	const char         *name = said != NULL ? said : otherwise;
	char               *path;

	if (asprintf(&path, "%s%s%s", *name == '/' ? "" : conf_request_base(&request, name),
		*name == '/' ? "" : "/", name) < 0)
		path = NULL;
	free(said);
	return path;
}

void
options_write(const struct options *o, struct text *t)
{
	options_write_file(t, o->path);
	options_write_file(t, *o->prefix == '\0' ? "/" : o->prefix);
	for (const char *const *global = o->globals; *global != NULL; global++)
		options_write_global(t, *global);
}

bool
options_match(const struct options *o, const char *written, struct text *answer)
{
	struct text       text = { 0 };
	struct field_list own, others;
	char             *copy = strdup(written);
	bool              same = false;

	options_write(o, &text);
	if (copy == NULL || text.cut) {
		text_add(answer, "!error: memory is short\n");
	} else {
		field_list_read(&own, text.data);
		field_list_read(&others, copy);
		same = others.count == 0 || field_list_compare(&own, &others, answer);
	}
	free(copy);
	text_free(&text);
	return same;
}

/* One file may have several names. */
static void
options_write_file(struct text *t, const char *path)
{
	char whole[PATH_MAX];

	if (realpath(path, whole) != NULL)
		path = whole;
	text_add(t, "\t");
	options_write_bytes(t, path, strlen(path));
}

/* Blanks around the key and the value mean nothing. */
static void
options_write_global(struct text *t, const char *global)
{
	const char *value;
	size_t      key, len;

	global += strspn(global, " \t");
	key = strcspn(global, " \t=");
	for (unsigned i = 0; not_reloaded[i] != NULL; i++)
		if (strlen(not_reloaded[i]) == key && strncmp(global, not_reloaded[i], key) == 0)
			return;
	value = global + key + strspn(global + key, " \t=");
	for (len = strlen(value); len > 0 && strchr(" \t", value[len - 1]) != NULL;)
		len--;
	text_add(t, "\t");
	options_write_bytes(t, global, key);
	text_add(t, " = ");
	options_write_bytes(t, value, len);
}

static void
options_write_bytes(struct text *t, const char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)bytes[i];

		text_add(t, c < ' ' || c == '%' || c == 0x7f ? "%%%02X" : "%c", c);
	}
}

static void
field_list_read(struct field_list *l, char *written)
{
	char *field;

	l->count = 0;
	if (*written == '\t')
		written++;
	while (l->count < FIELDS_MAX && (field = strsep(&written, "\t")) != NULL)
		if (*field != '\0')
			l->fields[l->count++] = field;
}

static bool
field_list_compare(const struct field_list *own, const struct field_list *others,
    struct text *answer)
{
	const char *option;
	bool        same = true;

	for (unsigned i = FIELD_PATH; i < FIELD_GLOBALS && i < others->count; i++)
		if (strcmp(own->fields[i], others->fields[i]) != 0) {
			option = i == FIELD_PATH ? "-c" : "-p";
			text_add(answer,
			    "!error: the weir that runs, process %d, was started with %s %s, not "
			    "with %s %s\n",
			    (int)getpid(), option, own->fields[i], option, others->fields[i]);
			same = false;
		}
	if (!field_list_has_globals(own, others) || !field_list_has_globals(others, own)) {
		text_add(answer, "!error: the weir that runs, process %d, was started",
		    (int)getpid());
		field_list_print_globals(own, answer);
		text_add(answer, "; this command comes");
		field_list_print_globals(others, answer);
		text_add(answer, "\n");
		same = false;
	}
	if (!same)
		text_add(answer,
		    "!nothing was done: weir reads what it was started with: repeat its "
		    "-c, -p and -g; for others, stop weir and start it\n");
	return same;
}

static bool
field_list_has_globals(const struct field_list *l, const struct field_list *others)
{
	unsigned k;

	for (unsigned i = FIELD_GLOBALS; i < others->count; i++) {
		for (k = FIELD_GLOBALS; k < l->count; k++)
			if (strcmp(l->fields[k], others->fields[i]) == 0)
				break;
		if (k >= l->count)
			return false;
	}
	return true;
}

static void
field_list_print_globals(const struct field_list *l, struct text *answer)
{
	if (l->count <= FIELD_GLOBALS)
		text_add(answer, " without -g");
	for (unsigned i = FIELD_GLOBALS; i < l->count; i++)
		text_add(answer, "%s -g '%s'", i == FIELD_GLOBALS ? " with" : "", l->fields[i]);
}
