/* SPDX-License-Identifier: BSD-2-Clause */
/* server: [server NAME] scopes: settings, read and checked in the template. */
#include "session/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/str.h"
#include "conf/conf.h"
#include "net/cidr.h"
#include "session/cycle.h"
#include "session/listen.h"
#include "session/session.h"
#include "upstream/sock_keys.h"
#include "upstream/tls_scope.h"
#include "upstream/upstream.h"

static const char *server_parse_listen(struct weir_scope *, const char *, void *);
static const char *server_parse_ranges(struct weir_scope *, const char *, void *);
static const char *server_check(struct weir_scope *);
static void        server_check_protocol(struct weir_scope *, struct server *);
static void        server_check_upstream(struct weir_scope *, struct server *);
static void        server_check_keys(struct weir_scope *, const struct server *);
static void        server_check_tls(struct weir_scope *, struct server *);
static void        server_check_routes(struct weir_scope *, struct server *);
static void        server_check_proxies(struct weir_scope *, const struct server *);
static bool        server_is_reachable(const struct server *);
static bool        server_is_last(struct weir_scope *);
static void        server_check_listens(const struct conf *);
static void        server_check_overlaps(const struct conf *, const struct server *,
    const struct server_listen *);
static void        server_check_cycles(const struct conf *);
static bool        server_may_frame(const struct server *);
static void        server_check_effects(const struct conf *);

#define HERE(member) offsetof(struct server, member)
#define YEAR         (UINT64_C(365) * 24 * 3600 * 1000)	/* ms: no deadline overflows */

static const struct weir_key keys[] = {
	{ .name = "listen", .where = WEIR_IN_SERVER, .type = WEIR_OWN, .offset = HERE(listens),
	  .flags = WEIR_REPEATED | WEIR_NOT_INHERITED | WEIR_WORDS, .parse = server_parse_listen,
	  .syntax = LISTEN_SYNTAX, .help = "where clients connect" },
	{ .name = "protocol", .where = WEIR_IN_SERVER, .type = WEIR_STRING,
	  .offset = HERE(protocol_name), .syntax = "NAME of a protocol module",
	  .help = "what is spoken with clients" },
	{ .name = "upstream", .where = WEIR_IN_SERVER, .type = WEIR_STRING,
	  .offset = HERE(upstream_name), .syntax = "NAME of an [upstream]",
	  .help = "the services behind, for the protocols that need them" },
	{ .name = "tls", .where = WEIR_IN_SERVER, .type = WEIR_STRING, .offset = HERE(tls_name),
	  .initial = "off", .flags = WEIR_OFF, .syntax = "off | NAME of a [tls]",
	  .help = "clients speak TLS, with the certificates of that section" },
	{ .name = "route", .where = WEIR_IN_SERVER, .type = WEIR_OWN, .offset = HERE(routes),
	  .flags = WEIR_REPEATED | WEIR_WORDS, .parse = route_key,
	  .syntax = "sni:NAME | alpn:NAME | default, then NAME of an [upstream]",
	  .help = "instead of upstream, by what a client's TLS asks for, without ending it" },
	{ .name = "read_buffer", .where = WEIR_IN_SERVER, .type = WEIR_SIZE,
	  .offset = HERE(read_buffer), .initial = "64k", .min = 1024, .max = 16 << 20,
	  .help = "most bytes that one read takes" },
	{ .name = "write_buffer", .where = WEIR_IN_SERVER, .type = WEIR_SIZE,
	  .offset = HERE(write_buffer), .initial = "64k", .min = 1024, .max = 1 << 29,
	  .help = "most bytes that wait for a slow reader before its source is paused" },
	{ .name = "idle_timeout", .where = WEIR_IN_SERVER, .type = WEIR_TIME,
	  .offset = HERE(idle_timeout), .initial = "5m", .min = 1, .max = YEAR,
	  .flags = WEIR_OFF,
	  .help = "no byte either way" },
	{ .name = "read_timeout", .where = WEIR_IN_SERVER, .type = WEIR_TIME,
	  .offset = HERE(read_timeout), .initial = "60s", .min = 1, .max = YEAR,
	  .flags = WEIR_OFF,
	  .help = "a message, once begun, is whole within this" },
	{ .name = "write_timeout", .where = WEIR_IN_SERVER, .type = WEIR_TIME,
	  .offset = HERE(write_timeout), .initial = "60s", .min = 1, .max = YEAR,
	  .flags = WEIR_OFF,
	  .help = "bytes wait and the reader takes none" },
	{ .name = "half_close_timeout", .where = WEIR_IN_SERVER, .type = WEIR_TIME,
	  .offset = HERE(half_close_timeout), .initial = "60s", .min = 1, .max = YEAR,
	  .flags = WEIR_OFF,
	  .help = "one side has ended, the other has not and is silent" },
	{ .name = "handshake_timeout", .where = WEIR_IN_SERVER, .type = WEIR_TIME,
	  .offset = HERE(handshake_timeout), .initial = "10s", .min = 1, .max = 3600000,
	  .help = "a PROXY header and a TLS handshake are over within this" },
	{ .name = "max_lifetime", .where = WEIR_IN_SERVER, .type = WEIR_TIME,
	  .offset = HERE(max_lifetime), .initial = "off", .min = 1, .max = YEAR,
	  .flags = WEIR_OFF,
	  .help = "a session ends after this, whatever it does" },
	{ .name = "pipeline_per_client", .where = WEIR_IN_SERVER, .type = WEIR_NUMBER,
	  .offset = HERE(pipeline_per_client), .initial = "64", .min = 1, .max = 65535,
	  .flags = WEIR_FRAMED,
	  .help = "requests of one client in flight; reading it pauses there" },
	{ .name = "max_connections", .where = WEIR_IN_SERVER, .type = WEIR_NUMBER,
	  .offset = HERE(max_connections), .initial = "off", .min = 1, .max = 1 << 30,
	  .flags = WEIR_OFF, .help = "most sessions of this server, all workers together" },
	{ .name = "proxy_protocol", .where = WEIR_IN_SERVER, .type = WEIR_SWITCH,
	  .offset = HERE(proxy_protocol), .initial = "off",
	  .help = "every client begins with a PROXY header, of version 1 or 2" },
	{ .name = "proxy_protocol_from", .where = WEIR_IN_SERVER, .type = WEIR_OWN,
	  .offset = HERE(proxies), .initial = "all", .flags = WEIR_REPEATED | WEIR_WORDS,
	  .parse = server_parse_ranges, .syntax = "ADDRESS | ADDRESS/BITS | unix: | all ...",
	  .help = "who may send a PROXY header; others are sent away" },
	SOCK_KEYS(WEIR_IN_SERVER, HERE(options)),
	{ .name = NULL },
};

const struct weir_module server_module = {
	.name      = "server",
	.keys      = keys,
	.conf_size = sizeof(struct server),
	.check     = server_check,
};

static const struct board_field fields[] = {
	[SERVER_SESSIONS] = { "sessions", BOARD_GAUGE },
	[SERVER_ARRIVING] = { "arriving", BOARD_ARRIVING },
	[SERVER_ANNOUNCED] = { "announced", BOARD_ANNOUNCED },
	[SERVER_ENDING] = { "ending", BOARD_OPTIONAL_GAUGE },
	[SERVER_ACCEPTED] = { "accepted", BOARD_COUNTER },
	[SERVER_BYTES_IN] = { "bytes_in", BOARD_COUNTER },
	[SERVER_BYTES_OUT] = { "bytes_out", BOARD_COUNTER },
	[SERVER_PAUSED] = { "paused", BOARD_COUNTER },
	[SERVER_STARVED] = { "starved", BOARD_COUNTER },
	[SERVER_REFUSED_MAX_CONNECTIONS] = { "refused_max_connections", BOARD_COUNTER },
	[SERVER_PIPELINE_FULL] = { "pipeline_full", BOARD_COUNTER },
	[SERVER_HANDSHAKES] = { "handshakes", BOARD_OPTIONAL_GAUGE },
	[SERVER_HANDSHAKES_FULL] = { "handshakes_full", BOARD_COUNTER },
	[SERVER_HANDSHAKES_RESUMED] = { "handshakes_resumed", BOARD_COUNTER },
	[SERVER_HANDSHAKES_WAITED] = { "handshakes_waited", BOARD_COUNTER },
	[SERVER_KTLS_FALLBACKS] = { "ktls_fallbacks", BOARD_COUNTER },
#define X(name, counter)                                                       \
	[SERVER_END + SESSION_##name] = { "end_" counter,                      \
		SESSION_##name == SESSION_WORKER_DIED ? BOARD_LOST : BOARD_COUNTER },
	SESSION_REASONS(X)
#undef X
};

static const struct board_schema server_schema = {
	"server", fields, sizeof fields / sizeof *fields
};
static const struct board_field  listener_fields[] = {
	[LISTENER_ACCEPTED] = { "accepted", BOARD_COUNTER },
};
static const struct board_schema listener_schema = { "listener", listener_fields, 1 };

struct server *
server_at(const struct conf *conf, unsigned index)
{
	struct weir_scope *scope = conf_scope(conf, SCOPE_SERVER, index);

	return scope != NULL ? weir_scope_conf(scope, &server_module) : NULL;
}

uint64_t
servers_entries(const struct conf *conf)
{
	const struct server *s;
	uint64_t             count = upstreams_entries(conf);

	for (unsigned i = 0; (s = server_at(conf, i)) != NULL; i++)
		count += 1 + s->listen_count;
	return count;
}

int
servers_enter(const struct conf *conf, unsigned generation)
{
	struct server *s;

	if (upstreams_enter(conf, generation) < 0)
		return -1;
	for (unsigned i = 0; (s = server_at(conf, i)) != NULL; i++) {
		if ((s->board = board_enter(&server_schema, s->name, generation)) < 0)
			return -1;
		for (unsigned k = 0; k < s->listen_count; k++)
			if ((s->listens[k].board = board_enter(&listener_schema,
				 s->listens[k].spec.name, generation)) < 0)
				return -1;
	}
	return 0;
}

uint64_t
weir_scope_read_buffer(struct weir_scope *scope)
{
	const struct server *s = weir_scope_conf(scope, &server_module);

	return s->read_buffer;
}

/* ------------------------------------------------------------------- listen */

static const char *
server_parse_listen(struct weir_scope *scope, const char *text, void *value)
{
	struct server *s = weir_scope_conf(scope, &server_module);
	const char    *wrong;

	(void)value;
	if (s->listen_count == SERVER_LISTENS_MAX)
		return "is one too many: a server listens on at most 64 addresses";
	s->listens = scope_grow(scope, s->listens, s->listen_count, sizeof *s->listens);
	if ((wrong = listen_parse(scope, text, &s->listens[s->listen_count].spec)) != NULL)
		return wrong;
	s->listens[s->listen_count++].place = scope_value_place(scope);
	return NULL;
}

/* ranges: a struct server_ranges. */
static const char *
server_parse_ranges(struct weir_scope *scope, const char *text, void *ranges)
{
	struct server_ranges *r = ranges;
	char                  copy[4096], *rest = copy, *word;
	const char           *wrong;

	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
		return "is too long; the key may be repeated";
	if ((word = weir_word(&rest)) == NULL)
		return "is empty: write ranges of addresses like 192.0.2.0/24, unix: or all";
	do {
		r->list = scope_grow(scope, r->list, r->count, sizeof *r->list);
		if ((wrong = cidr_parse(&r->list[r->count++], word)) != NULL)
			return wrong;
	} while ((word = weir_word(&rest)) != NULL);
	return NULL;
}

/* -------------------------------------------------------------------- checks */

static const char *
server_check(struct weir_scope *scope)
{
	struct server *s = weir_scope_conf(scope, &server_module);

	s->scope = scope;
	s->name = weir_scope_name(scope);
	if (s->listen_count == 0 && !scope_sets(scope, "listen"))
		conf_error(scope, "listen", "nothing to listen on: add listen = ADDRESS");
	if (s->write_buffer < s->read_buffer && !scope_is_wrong(scope, "write_buffer") &&
	    !scope_is_wrong(scope, "read_buffer"))
		conf_error(scope, "write_buffer",
			"write_buffer is smaller than read_buffer: a read could not be passed on; "
			"raise it to at least that");
	server_check_protocol(scope, s);
	server_check_upstream(scope, s);
	server_check_keys(scope, s);
	server_check_tls(scope, s);
	server_check_routes(scope, s);
	if (s->proxy_protocol)
		server_check_proxies(scope, s);
	for (unsigned k = 0; k < s->listen_count; k++)
		s->listens[k].spec.options = s->options;
	if (server_is_last(scope)) {
		server_check_listens(scope_conf(scope));
		server_check_cycles(scope_conf(scope));
		server_check_effects(scope_conf(scope));
	}
	return NULL;
}

static void
server_check_protocol(struct weir_scope *scope, struct server *s)
{
	if (s->protocol_name == NULL) {
		if (!scope_sets(scope, "protocol"))
			conf_error(scope, "protocol",
			    "no protocol: add protocol = NAME; there are %s",
			    conf_role_names(scope, ROLE_PROTOCOL));
		return;
	}
	s->protocol = conf_role(scope_conf(scope), ROLE_PROTOCOL, s->protocol_name);
	if (s->protocol == NULL) {
		if (!conf_lacks_module(scope_conf(scope)))
			conf_error(scope, "protocol",
			    "there is no protocol %s: there are %s; others come with load_module",
			    s->protocol_name, conf_role_names(scope, ROLE_PROTOCOL));
		return;
	}
	scope_uses(scope, s->protocol);
	s->conf = weir_scope_conf(scope, s->protocol);
	if (server_needs_upstream(s->protocol) && s->upstream_name == NULL &&
	    !scope_sets(scope, "upstream") && !scope_sets(scope, "route"))
		conf_error(scope, "protocol",
		    "protocol %s needs an upstream: add upstream = NAME%s", s->protocol_name,
		    s->protocol->exchange == NULL ? ", or routes" : "");
}

/* Of all that it may lead to: whether what its clients send is enough for their balancers. */
static void
server_check_keys(struct weir_scope *scope, const struct server *s)
{
	const struct weir_upstream *u;

	if (s->protocol == NULL || (s->protocol->exchange != NULL && s->protocol->exchange->keyed))
		return;
	for (unsigned i = 0; i < server_upstreams(s); i++) {
		u = upstream_find(scope_conf(scope), server_upstream_name(s, i));
		if (u != NULL && u->keyed)
			conf_error(conf_find(scope_conf(scope), SCOPE_UPSTREAM, u->name), "balance",
			    "protocol %s of [server %s] has no keys to go by: write hash client",
			    s->protocol_name, s->name);
	}
}

static void
server_check_upstream(struct weir_scope *scope, struct server *s)
{
	if (s->upstream_name == NULL)
		return;
	s->upstream = upstream_find(scope_conf(scope), s->upstream_name);
	if (s->upstream == NULL) {
		if (!conf_is_partial(scope_conf(scope)))
			conf_error(scope, "upstream", "there is no [upstream %s]",
			    s->upstream_name);
		return;
	}
	if (s->protocol == NULL || s->protocol->exchange == NULL)
		return;
	s->framing = (struct framing){ s->protocol->exchange, s->conf };
	if (s->upstream->send_proxy != PROXY_OFF && s->upstream->mode != POOL_SESSION)
		conf_error(conf_find(scope_conf(scope), SCOPE_UPSTREAM, s->upstream_name),
		    "send_proxy_protocol",
		    "a PROXY header names one client, and here many share a connection (pool, "
		    "[server %s]): it needs pool = session",
		    s->name);
	if (s->upstream->framed_by == NULL)
		s->upstream->framed_by = s->protocol;
	else if (s->upstream->framed_by != s->protocol)
		conf_error(scope, "upstream",
		    "the connections to %s are shared by servers of protocol %s: give the servers "
		    "of protocol %s an [upstream] of their own",
		    s->upstream_name, s->upstream->framed_by->name, s->protocol->name);
}

static void
server_check_tls(struct weir_scope *scope, struct server *s)
{
	const struct tls_scope *t;

	if (s->tls_name == NULL)
		return;
	t = tls_scope_find(scope_conf(scope), s->tls_name);
	s->ktls = t != NULL && t->ktls;
	if (t == NULL)
		conf_error(scope, "tls", "there is no [tls %s]", s->tls_name);
	else if (t->certificate_count == 0)
		conf_error(scope, "tls",
		    "[tls %s] has no certificate to show to clients: add certificate = CHAIN KEY",
		    s->tls_name);
	else
		s->tls = t->server;
}

static void
server_check_routes(struct weir_scope *scope, struct server *s)
{
	if (routes_count(&s->routes) == 0)
		return;
	if (s->upstream_name != NULL)
		conf_error(scope, "route",
		    "there is upstream = %s, too: what no other route takes goes to "
		    "route = default %s",
		    s->upstream_name, s->upstream_name);
	if (s->protocol != NULL &&
	    (s->protocol->exchange != NULL || !server_needs_upstream(s->protocol)))
		conf_error(scope, "route",
		    "protocol %s reads what clients send, and cannot pass their TLS on: routes are "
		    "for stream_proxy",
		    s->protocol_name);
	if (s->tls_name != NULL)
		conf_error(scope, "route",
		    "tls = %s ends the clients' TLS here: routes pass it on to whoever ends it",
		    s->tls_name);
	routes_check(scope, &s->routes);
}

/* Who may state any address should be a few. The default says nothing where only this
 * machine's programs come. */
static void
server_check_proxies(struct weir_scope *scope, const struct server *s)
{
	bool said = scope_sets(scope, "proxy_protocol_from");

	for (unsigned i = 0; i < s->proxies.count; i++)
		if (cidr_is_everybody(&s->proxies.list[i]) && (said || server_is_reachable(s))) {
			conf_warn(scope, said ? "proxy_protocol_from" : "proxy_protocol",
			    "proxy_protocol_from trusts everybody: whoever connects can state any "
			    "address as his own; list the proxies alone, like 192.0.2.0/24");
			return;
		}
}

/* Whether others than this machine's programs can connect to it. */
static bool
server_is_reachable(const struct server *s)
{
	for (unsigned k = 0; k < s->listen_count; k++)
		if (!addr_is_inside(&s->listens[k].spec.addr))
			return true;
	return false;
}

/* A server's address, while they are compared. */
struct listen_taken {
	const struct server        *server;
	const struct server_listen *listen;
};

static bool
listen_taken_is(uintptr_t value, const void *addr)
{
	return addr_equal(&((const struct listen_taken *)value)->listen->spec.addr, addr);
}

/* An address belongs to one server: the later one is told. */
static void
server_check_listens(const struct conf *conf)
{
	struct hash                taken = { 0 };
	const struct listen_taken *first;
	struct listen_taken       *own;
	struct weir_scope         *scope;
	struct server             *s;
	uint32_t                   hash;

	for (unsigned i = 0; (s = server_at(conf, i)) != NULL; i++) {
		scope = conf_scope(conf, SCOPE_SERVER, i);
		own = weir_scope_alloc(scope, s->listen_count * sizeof *own);
		for (unsigned k = 0; k < s->listen_count; k++) {
			own[k] = (struct listen_taken){ s, &s->listens[k] };
			hash = hash_text(HASH_START, s->listens[k].spec.name);
			first = (const struct listen_taken *)hash_find(&taken, hash,
			    listen_taken_is, &s->listens[k].spec.addr);
			if (first != NULL)
				conf_error_at(scope, s->listens[k].place,
				    "%s is listened on twice: by [server %s] (%s:%u), too",
				    s->listens[k].spec.name, weir_scope_name(first->server->scope),
				    first->listen->place.file, first->listen->place.line);
			else if (hash_add(&taken, hash, (uintptr_t)&own[k]) < 0)
				conf_error(scope, NULL, "%s", strerror(errno));
			if (!s->listens[k].spec.reuseport && first == NULL)
				server_check_overlaps(conf, s, &s->listens[k]);
		}
	}
	hash_free(&taken);
}

/* Of one that all workers share, and another that covers it, only one can be bound. */
static void
server_check_overlaps(const struct conf *conf, const struct server *s,
    const struct server_listen *own)
{
	const struct server        *other;
	const struct server_listen *l;
	bool                        behind = false;

	for (unsigned i = 0; (other = server_at(conf, i)) != NULL; i++)
		for (unsigned k = 0; k < other->listen_count; k++) {
			l = &other->listens[k];
			behind = behind || l == own;
			if ((behind && !l->spec.reuseport) || !sock_collides(&own->spec, &l->spec))
				continue;
			conf_error_at(s->scope, own->place,
			    "%s with reuseport=off cannot be listened on beside %s of [server %s] "
			    "(%s:%u): drop one of them, or the option",
			    own->spec.name, l->spec.name, weir_scope_name(other->scope),
			    l->place.file, l->place.line);
			return;
		}
}

static void
server_check_cycles(const struct conf *conf)
{
	unsigned        count = conf_scope_count(conf, SCOPE_SERVER);
	struct server **all;

	all = weir_scope_alloc(conf_scope(conf, SCOPE_SERVER, 0), count * sizeof *all);
	for (unsigned i = 0; i < count; i++)
		all[i] = server_at(conf, i);
	cycles_check(conf, all, count);
}

/* Whether it speaks requests and replies, or may: its protocol is an error. */
static bool
server_may_frame(const struct server *s)
{
	return s->protocol == NULL || s->protocol->exchange != NULL;
}

/* Warns of what is set for requests and replies where nobody has any. */
static void
server_check_effects(const struct conf *conf)
{
	unsigned               count = conf_scope_count(conf, SCOPE_UPSTREAM);
	struct weir_scope     *first = conf_scope(conf, SCOPE_SERVER, 0);
	const struct server  **users, **user;	/* of each upstream: one, that frames if any does */
	struct server         *s;
	struct weir_upstream  *u;

	users = weir_scope_alloc(first, count * sizeof *users);
	for (unsigned i = 0; (s = server_at(conf, i)) != NULL; i++) {
		if (!server_may_frame(s))
			conf_warn_flagged(s->scope, WEIR_FRAMED,
			    "is for requests and replies: it has no effect in [server %s], whose "
			    "protocol is %s",
			    s->name, s->protocol_name);
		for (unsigned k = 0; k < server_upstreams(s); k++) {
			if ((u = server_upstream(s, k)) == NULL)
				continue;
			user = &users[u->index];
			if (*user == NULL || server_may_frame(s))
				*user = s;
		}
	}
	for (unsigned i = 0; i < count; i++)
		if (users[i] != NULL && !server_may_frame(users[i]))
			conf_warn_flagged(conf_scope(conf, SCOPE_UPSTREAM, i), WEIR_FRAMED,
			    "is for requests and replies: it has no effect in [upstream %s], as no "
			    "server speaks any with it ([server %s]: %s)",
			    upstream_at(conf, i)->name, users[i]->name, users[i]->protocol_name);
}

static bool
server_is_last(struct weir_scope *scope)
{
	const struct conf *conf = scope_conf(scope);
	unsigned           count = conf_scope_count(conf, SCOPE_SERVER);

	return conf_scope(conf, SCOPE_SERVER, count - 1) == scope;
}
