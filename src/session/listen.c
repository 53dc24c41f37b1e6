/* SPDX-License-Identifier: BSD-2-Clause */
/* listen: what a listen line of [server NAME] says: an address, and options behind it. */
#include "session/listen.h"

#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "conf/conf.h"
#include "net/sock.h"
#include "weir.h"

/* The addresses that an option is for. */
enum listen_where { LISTEN_ANY, LISTEN_IP, LISTEN_IPV6, LISTEN_FILE };

struct listen_option {
	const char       *name;
	const char       *value;	/* how it is written; "": it has none */
	enum listen_where where;
	/* value: "" for an option without. Returns NULL, or a phrase. */
	const char     *(*set)(struct listen_spec *, const char *value);
};

static const char *listen_parse_option(struct weir_scope *, char *word, struct listen_spec *,
    unsigned *seen);
static const char *listen_misplaced(struct weir_scope *, const struct listen_option *,
    const struct addr *);
static bool        listen_find_group(const char *name, gid_t *);

#define X(name, value, where, initial, help) \
	static const char *listen_set_##name(struct listen_spec *, const char *);
LISTEN_OPTIONS(X)
#undef X

static const struct listen_option options[] = {
#define X(name, value, where, initial, help) { #name, value, where, listen_set_##name },
	LISTEN_OPTIONS(X)
#undef X
};

#define OPTIONS (sizeof options / sizeof *options)

const struct conf_option listen_option_table[] = {
#define X(name, value, where, initial, help) { "listen", #name, value, initial, help },
	LISTEN_OPTIONS(X)
#undef X
	{ .key = NULL },
};

const char *
listen_parse(struct weir_scope *scope, const char *text, struct listen_spec *spec)
{
	char        copy[512], *rest = copy, *word;
	const char *wrong;
	unsigned    seen = 0;

	*spec = (struct listen_spec){
		.backlog = SOCK_BACKLOG,
		.mode = 0660,
		.owner = (uid_t)-1,
		.group = (gid_t)-1,
	};
	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
		return "is too long";
	if ((word = weir_word(&rest)) == NULL)
		return "is empty: write an address like 8080, 127.0.0.1:8080 or unix:run/web.sock";
	if ((wrong = addr_parse(&spec->addr, word, conf_address_base(scope_conf(scope), word))) !=
	    NULL)
		return wrong;
	spec->reuseport = spec->addr.sa.sa_family != AF_UNIX;
	while ((word = weir_word(&rest)) != NULL)
		if ((wrong = listen_parse_option(scope, word, spec, &seen)) != NULL)
			return wrong;
	addr_print(&spec->addr, spec->name);
	return NULL;
}

/* seen: a bit for each option that stood before. */
static const char *
listen_parse_option(struct weir_scope *scope, char *word, struct listen_spec *spec, unsigned *seen)
{
	const struct listen_option *o = options;
	char                       *value = strchr(word, '=');
	const char                 *wrong;

	if (value != NULL)
		*value++ = '\0';
	while (o < options + OPTIONS && strcmp(o->name, word) != 0)
		o++;
	if (o == options + OPTIONS)
		return "has an unknown option; write " LISTEN_SYNTAX;
	if ((wrong = listen_misplaced(scope, o, &spec->addr)) != NULL)
		return wrong;
	if ((value != NULL) != (*o->value != '\0'))
		return scope_phrase(scope, "has %s: write %s%s", word, o->name, o->value);
	if ((*seen & 1u << (o - options)) != 0)
		return "has an option twice: each may stand once";
	*seen |= 1u << (o - options);
	return o->set(spec, value != NULL ? value : "");
}

static const char *
listen_misplaced(struct weir_scope *scope, const struct listen_option *o, const struct addr *addr)
{
	bool local = addr->sa.sa_family == AF_UNIX;

	if (o->where == LISTEN_FILE && addr_is_abstract(addr))
		return "an abstract socket has no file, and so no mode or owner: all in its "
		       "network namespace may connect";
	if (o->where == LISTEN_FILE && !local)
		return scope_phrase(scope, "%s is for UNIX sockets only", o->name);
	if (o->where != LISTEN_FILE && o->where != LISTEN_ANY && local)
		return scope_phrase(scope, "%s is not for UNIX sockets", o->name);
	if (o->where == LISTEN_IPV6 && addr->sa.sa_family != AF_INET6)
		return scope_phrase(scope, "%s is for IPv6 addresses", o->name);
	return NULL;
}

/* ------------------------------------------------------------------- options */

static const char *
listen_set_backlog(struct listen_spec *spec, const char *value)
{
	uint64_t n;

	if (!str_number(value, &n) || n < 1 || n > INT32_MAX)
		return "backlog is a number from 1";
	spec->backlog = (uint32_t)n;
	return NULL;
}

static const char *
listen_set_reuseport(struct listen_spec *spec, const char *value)
{
	return str_switch(value, &spec->reuseport) ? NULL : "reuseport is on or off";
}

static const char *
listen_set_deferred(struct listen_spec *spec, const char *value)
{
	(void)value;
	spec->deferred = true;
	return NULL;
}

static const char *
listen_set_fastopen(struct listen_spec *spec, const char *value)
{
	uint64_t n;

	if (!str_number(value, &n) || n < 1 || n > 65535)
		return "fastopen is a number from 1 to 65535";
	spec->fastopen = (uint32_t)n;
	return NULL;
}

static const char *
listen_set_device(struct listen_spec *spec, const char *value)
{
	if (*value == '\0' || strlen(value) >= sizeof spec->device)
		return "device is the name of an interface";
	snprintf(spec->device, sizeof spec->device, "%s", value);
	return NULL;
}

static const char *
listen_set_v6only(struct listen_spec *spec, const char *value)
{
	(void)value;
	spec->v6only = true;
	return NULL;
}

static const char *
listen_set_transparent(struct listen_spec *spec, const char *value)
{
	(void)value;
	spec->transparent = true;
	return NULL;
}

static const char *
listen_set_mode(struct listen_spec *spec, const char *value)
{
	char         *end;
	unsigned long n = strtoul(value, &end, 8);

	if (*value == '\0' || *end != '\0' || n > 0777)
		return "mode is octal, like 0660";
	spec->mode = (mode_t)n;
	return NULL;
}

static const char *
listen_set_owner(struct listen_spec *spec, const char *value)
{
	char           name[64], *group;
	struct passwd *user;
	uint64_t       number;

	if ((size_t)snprintf(name, sizeof name, "%s", value) >= sizeof name)
		return "owner is too long";
	group = strchr(name, ':');
	if (group != NULL)
		*group++ = '\0';
	if ((user = getpwnam(name)) != NULL)
		spec->owner = user->pw_uid;
	else if (str_number(name, &number) && number < (uid_t)-1)
		spec->owner = (uid_t)number;
	else
		return "owner names a user that does not exist";
	if (group != NULL && !listen_find_group(group, &spec->group))
		return "owner names a group that does not exist";
	return NULL;
}

static bool
listen_find_group(const char *name, gid_t *out)
{
	struct group *g = getgrnam(name);
	uint64_t      number;

	if (g != NULL)
		*out = g->gr_gid;
	else if (str_number(name, &number) && number < (gid_t)-1)
		*out = (gid_t)number;
	else
		return false;
	return true;
}
