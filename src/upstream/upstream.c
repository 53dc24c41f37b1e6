/* SPDX-License-Identifier: BSD-2-Clause */
/* upstream: [upstream NAME] scopes: settings, read and checked in the template. */
#include "upstream/upstream.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/str.h"
#include "conf/conf.h"
#include "upstream/idle.h"
#include "upstream/name.h"
#include "upstream/peer_tls.h"
#include "upstream/sock_keys.h"

#define ADDRESSES_MAX 64u	/* of one name */

/* The options of server =, each at most once: its constant; name; how the value is written,
 * "" for one without; what holds without it; what it does; what is wrong with a value that
 * cannot be read, or with one where none may be. */
#define PEER_OPTIONS(X)                                                                       \
	X(WEIGHT, "weight", "=N", "1", "its share",                                           \
	    "write weight=N, a number from 1 to 65535")                                       \
	X(MAX_CONNS, "max_conns", "=N", "0, no limit", "most connections, all workers together", \
	    "write max_conns=N, a number; 0: no limit")                                       \
	X(MAX_FAILS, "max_fails", "=N", "1",                                                  \
	    "so many failures within fail_timeout, and it counts as failed; 0: never",        \
	    "write max_fails=N, a number; 0: failures are not counted")                       \
	X(FAIL_TIMEOUT, "fail_timeout", "=T", "10s", "for how long it then is left alone",    \
	    "write fail_timeout=T, a time like 10s (small letters)")                          \
	X(BACKUP, "backup", "", NULL, "is used only when no other can be",                    \
	    "write backup, without a value")                                                  \
	X(DOWN, "down", "", NULL, "is not used at all", "write down, without a value")        \
	X(RESOLVE, "resolve", "", NULL, "its addresses are looked up again and again",        \
	    "write resolve, without a value")                                                 \
	X(SERVICE, "service", "=NAME", NULL, "which SRV records name hosts and ports",        \
	    "write service=NAME, like service=_memcache._tcp")

#define PEER_OPTION_SYNTAX(constant, name, value, initial, help, form) " [" name value "]"

enum peer_option {
#define X(constant, name, value, initial, help, form) OPTION_##constant,
	PEER_OPTIONS(X)
#undef X
	PEER_OPTION_COUNT
};

static const char *upstream_parse_balance(struct weir_scope *, const char *, void *);
static const char *upstream_parse_pool(struct weir_scope *, const char *, void *);
static const char *upstream_parse_send_proxy(struct weir_scope *, const char *, void *);
static const char *upstream_parse_server(struct weir_scope *, const char *, void *);
static const char *upstream_parse_server_option(struct weir_scope *, struct weir_peer *,
    const char **service, char *word, unsigned *seen);
static bool upstream_set_server_option(struct weir_peer *, const char **service,
    enum peer_option, const char *value);
static const char *upstream_phrase(struct weir_scope *, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static const char *upstream_add_peer(struct weir_scope *, struct weir_upstream *,
    const struct weir_peer *);
static void upstream_add_name(struct weir_scope *, struct weir_upstream *,
    const struct weir_peer *);
static unsigned upstream_name_place(const struct weir_upstream *, const char *name);
static void upstream_check_balance(struct weir_scope *, struct weir_upstream *);
static const char *upstream_check(struct weir_scope *);

#define UPSTREAM_TIME_MAX (UINT64_C(365) * 24 * 3600 * 1000)	/* ms: no deadline overflows */
#define HERE(member) offsetof(struct weir_upstream, member)

static const struct weir_key keys[] = {
	{ .name = "server", .where = WEIR_IN_UPSTREAM, .type = WEIR_OWN, .offset = HERE(peers),
	  .flags = WEIR_REPEATED | WEIR_NOT_INHERITED | WEIR_WORDS, .parse = upstream_parse_server,
	  .syntax = "ADDRESS" PEER_OPTIONS(PEER_OPTION_SYNTAX),
	  .help = "a backend; a name stands for each of its addresses" },
	{ .name = "balance", .where = WEIR_IN_UPSTREAM, .type = WEIR_OWN,
	  .offset = HERE(balance), .initial = "round_robin", .flags = WEIR_WORDS,
	  .parse = upstream_parse_balance, .syntax = "NAME of a balancer module [WORD ...]",
	  .help = "how a peer is chosen; the words are the balancer's" },
	{ .name = "slow_start", .where = WEIR_IN_UPSTREAM, .type = WEIR_TIME,
	  .offset = HERE(slow_start), .initial = "off", .min = 1, .max = UPSTREAM_TIME_MAX,
	  .flags = WEIR_OFF,
	  .help = "a peer that comes back, or joins others, gets its full share after this" },
	{ .name = "health_check", .where = WEIR_IN_UPSTREAM, .type = WEIR_OWN,
	  .offset = HERE(health), .initial = "off", .flags = WEIR_WORDS, .parse = health_key_parse,
	  .syntax = health_syntax,
	  .help = "each peer is connected to from time to time, and left out while it is down" },
	{ .name = "resolve_peers", .where = WEIR_IN_UPSTREAM, .type = WEIR_NUMBER,
	  .offset = HERE(resolve_peers), .initial = "128", .min = 1,
	  .max = UPSTREAM_PEERS_MAX / NAME_PLACES / 2,
	  .help = "most peers that a name with resolve stands for" },
	{ .name = "resolve_min", .where = WEIR_IN_UPSTREAM, .type = WEIR_TIME,
	  .offset = HERE(resolve_min), .initial = "1s", .min = 10, .max = 3600000,
	  .help = "a name is not looked up more often, however short its TTL is" },
	{ .name = "resolve_max", .where = WEIR_IN_UPSTREAM, .type = WEIR_TIME,
	  .offset = HERE(resolve_max), .initial = "5m", .min = 10, .max = 86400000,
	  .help = "a name is looked up again after this, however long its TTL is" },
	{ .name = "connect_timeout", .where = WEIR_IN_UPSTREAM, .type = WEIR_TIME,
	  .offset = HERE(connect_timeout), .initial = "2s", .min = 1, .max = 3600000,
	  .help = "how long a connection to a peer may take" },
	{ .name = "retries", .where = WEIR_IN_UPSTREAM, .type = WEIR_NUMBER,
	  .offset = HERE(retries), .initial = "1", .max = UPSTREAM_RETRIES_MAX,
	  .help = "other peers tried, while nothing has been sent" },
	{ .name = "tls", .where = WEIR_IN_UPSTREAM, .type = WEIR_STRING,
	  .offset = HERE(tls_name), .initial = "off", .flags = WEIR_OFF,
	  .syntax = "off | NAME of a [tls]",
	  .help = "TLS is spoken with the peers, which are checked as that section says" },
	{ .name = "handshake_timeout", .where = WEIR_IN_UPSTREAM, .type = WEIR_TIME,
	  .offset = HERE(handshake_timeout), .initial = "5s", .min = 1, .max = 3600000,
	  .help = "how long a TLS handshake with a peer may take, once it is connected" },
	{ .name = "pool", .where = WEIR_IN_UPSTREAM, .type = WEIR_OWN, .offset = HERE(mode),
	  .initial = "pipeline", .flags = WEIR_FRAMED, .parse = upstream_parse_pool,
	  .syntax = "pipeline | request | session",
	  .help = "how clients share the connections to a peer" },
	{ .name = "pool_size", .where = WEIR_IN_UPSTREAM, .type = WEIR_NUMBER,
	  .offset = HERE(pool_size), .initial = "16", .min = 1, .max = 65535,
	  .flags = WEIR_FRAMED,
	  .help = "most pooled connections to one peer, all workers together" },
	{ .name = "pool_min_idle", .where = WEIR_IN_UPSTREAM, .type = WEIR_NUMBER,
	  .offset = HERE(pool_min_idle), .initial = "0", .max = 65535,
	  .flags = WEIR_FRAMED,
	  .help = "pooled connections to one peer kept ready, all workers together" },
	{ .name = "pool_idle_timeout", .where = WEIR_IN_UPSTREAM, .type = WEIR_TIME,
	  .offset = HERE(pool_idle_timeout), .initial = "60s", .min = 1, .max = UPSTREAM_TIME_MAX,
	  .flags = WEIR_OFF | WEIR_FRAMED,
	  .help = "a pooled connection that nobody needs is closed after this" },
	{ .name = "pool_idle_check", .where = WEIR_IN_UPSTREAM, .type = WEIR_TIME,
	  .offset = HERE(pool_idle_check), .initial = "10s", .min = IDLE_LEAST,
	  .max = UPSTREAM_TIME_MAX, .flags = WEIR_OFF | WEIR_FRAMED,
	  .help = "a pooled connection of which nothing was heard for this long is checked" },
	{ .name = "pool_lifetime", .where = WEIR_IN_UPSTREAM, .type = WEIR_TIME,
	  .offset = HERE(pool_lifetime), .initial = "1h", .min = 1, .max = UPSTREAM_TIME_MAX,
	  .flags = WEIR_OFF | WEIR_FRAMED,
	  .help = "a pooled connection is closed after this, when it has answered" },
	{ .name = "pool_queue", .where = WEIR_IN_UPSTREAM, .type = WEIR_NUMBER,
	  .offset = HERE(pool_queue), .initial = "auto", .min = 0, .max = 1 << 30,
	  .flags = WEIR_AUTO | WEIR_FRAMED,
	  .help = "requests that may wait for a connection in one worker; auto: "
		  "worker_connections" },
	{ .name = "pool_wait", .where = WEIR_IN_UPSTREAM, .type = WEIR_TIME,
	  .offset = HERE(pool_wait), .initial = "2s", .min = 1, .max = 3600000,
	  .flags = WEIR_FRAMED,
	  .help = "how long a request may wait for a connection" },
	{ .name = "pipeline_spread", .where = WEIR_IN_UPSTREAM, .type = WEIR_NUMBER,
	  .offset = HERE(pipeline_spread), .initial = "16", .min = 1, .max = 65535,
	  .flags = WEIR_FRAMED,
	  .help = "requests on one connection before another is opened" },
	{ .name = "pipeline_depth", .where = WEIR_IN_UPSTREAM, .type = WEIR_NUMBER,
	  .offset = HERE(pipeline_depth), .initial = "128", .min = 1, .max = 65535,
	  .flags = WEIR_FRAMED,
	  .help = "most requests in flight on one connection" },
	{ .name = "reply_max", .where = WEIR_IN_UPSTREAM, .type = WEIR_SIZE,
	  .offset = HERE(reply_max), .initial = "1m", .min = 1024, .max = 1 << 29,
	  .flags = WEIR_FRAMED,
	  .help = "most reply bytes that wait for one slow client before it is closed" },
	{ .name = "reply_timeout", .where = WEIR_IN_UPSTREAM, .type = WEIR_TIME,
	  .offset = HERE(reply_timeout), .initial = "10s", .min = 1, .max = UPSTREAM_TIME_MAX,
	  .flags = WEIR_OFF | WEIR_FRAMED, .help = "a request is answered within this" },
	{ .name = "source", .where = WEIR_IN_UPSTREAM, .type = WEIR_OWN, .offset = HERE(sources),
	  .flags = WEIR_REPEATED | WEIR_WORDS, .parse = source_key, .syntax = "ADDRESS ...",
	  .help = "local addresses to connect from, without ports, used in turn" },
	{ .name = "send_proxy_protocol", .where = WEIR_IN_UPSTREAM, .type = WEIR_OWN,
	  .offset = HERE(send_proxy), .initial = "off", .parse = upstream_parse_send_proxy,
	  .syntax = "off | v1 | v2",
	  .help = "peers are told of each client by a PROXY header: stream_proxy, pool = session" },
	SOCK_KEYS(WEIR_IN_UPSTREAM, HERE(options)),
	{ .name = NULL },
};

const struct weir_module upstream_module = {
	.name      = "upstream",
	.keys      = keys,
	.conf_size = sizeof(struct weir_upstream),
	.check     = upstream_check,
};

#define FAILED(why, name) [UPSTREAM_FAILED + WEIR_FAILED_##why] = { "failed_" name, BOARD_COUNTER }

static const struct board_field upstream_fields[UPSTREAM_FIELDS] = {
	[UPSTREAM_WAITING] = { "waiting", BOARD_OPTIONAL_GAUGE },
	[UPSTREAM_REQUESTS] = { "requests", BOARD_COUNTER },
	[UPSTREAM_WAITED] = { "waited", BOARD_COUNTER },
	[UPSTREAM_MOVED] = { "moved", BOARD_COUNTER },
	[UPSTREAM_ORPHANED] = { "orphaned", BOARD_COUNTER },
	FAILED(NO_PEER, "no_peer"),
	FAILED(CONNECT, "connect"),
	FAILED(POOL_QUEUE, "pool_queue"),
	FAILED(POOL_WAIT, "pool_wait"),
	FAILED(REPLY_TIMEOUT, "reply_timeout"),
	FAILED(PEER_CLOSED, "peer_closed"),
	FAILED(BAD_REPLY, "bad_reply"),
	FAILED(NO_MEMORY, "no_memory"),
	FAILED(SHUTDOWN, "shutdown"),
	[UPSTREAM_NO_PEER] = { "no_peer", BOARD_COUNTER },
	[UPSTREAM_RETRIED] = { "retried", BOARD_COUNTER },
	[UPSTREAM_LOOKUPS] = { "lookups", BOARD_COUNTER },
	[UPSTREAM_LOOKUPS_FAILED] = { "lookups_failed", BOARD_COUNTER },
	[UPSTREAM_LEFT_OUT] = { "left_out", BOARD_OPTIONAL_GAUGE },
};
static const struct board_field peer_fields[PEER_FIELDS] = {
	[PEER_CONNS] = { "connections", BOARD_GAUGE },
	[PEER_ARRIVING] = { "arriving", BOARD_ARRIVING },
	[PEER_ANNOUNCED] = { "announced", BOARD_ANNOUNCED },
	[PEER_CONNECTS] = { "connected", BOARD_COUNTER },
	[PEER_CONNECT_FAILED] = { "connect_failed", BOARD_COUNTER },
	[PEER_CONNECT_TIMED_OUT] = { "connect_timed_out", BOARD_COUNTER },
	[PEER_FULL] = { "full", BOARD_COUNTER },
	[PEER_BYTES_SENT] = { "bytes_sent", BOARD_COUNTER },
	[PEER_BYTES_RECEIVED] = { "bytes_received", BOARD_COUNTER },
	[PEER_LINKS] = { "links", BOARD_OPTIONAL_GAUGE },
	[PEER_LINKS_ARRIVING] = { "links_arriving", BOARD_ARRIVING },
	[PEER_LINKS_ANNOUNCED] = { "links_announced", BOARD_ANNOUNCED },
	[PEER_IN_FLIGHT] = { "in_flight", BOARD_OPTIONAL_GAUGE },
	[PEER_REQUESTS] = { "requests", BOARD_COUNTER },
	[PEER_LINKS_GIVEN_UP] = { "links_given_up", BOARD_COUNTER },
	[PEER_LINKS_CLOSED_IDLE] = { "links_closed_idle", BOARD_COUNTER },
	[PEER_LINKS_CLOSED_LIFETIME] = { "links_closed_lifetime", BOARD_COUNTER },
	[PEER_LINKS_WITHDRAWN] = { "links_withdrawn", BOARD_COUNTER },
	[PEER_LINKS_CLOSED_BY_PEER] = { "links_closed_by_peer", BOARD_COUNTER },
	[PEER_LINKS_FOUND_DEAD] = { "links_found_dead", BOARD_COUNTER },
	[PEER_UNSOLICITED] = { "unsolicited", BOARD_COUNTER },
	[PEER_REPLY_TIMEOUTS] = { "reply_timeouts", BOARD_COUNTER },
	[PEER_BAD_REPLIES] = { "bad_replies", BOARD_COUNTER },
	[PEER_STARVES] = { "starves", BOARD_PRIVATE },
	[PEER_ALLOWED] = { "allowed", BOARD_PRIVATE },
	[PEER_LINKS_STUFFED] = { "links_stuffed", BOARD_COUNTER },
	[PEER_TLS_FULL] = { "tls_full", BOARD_COUNTER },
	[PEER_TLS_RESUMED] = { "tls_resumed", BOARD_COUNTER },
	[PEER_TLS_FAILED] = { "tls_failed", BOARD_COUNTER },
	[PEER_TLS_WAITED] = { "tls_waited", BOARD_COUNTER },
	[PEER_TLS_OVERLOAD] = { "tls_overload", BOARD_COUNTER },
	[PEER_CHECKS] = { "checks", BOARD_COUNTER },
	[PEER_CHECKS_FAILED] = { "checks_failed", BOARD_COUNTER },
};
static const struct board_schema upstream_schema = { "upstream", upstream_fields, UPSTREAM_FIELDS };
const struct board_schema upstream_peer_schema = { "peer", peer_fields, PEER_FIELDS };

const char *
upstream_failure_name(enum weir_failure why)
{
	return upstream_fields[UPSTREAM_FAILED + why].name + strlen("failed_");
}

struct weir_upstream *
upstream_find(const struct conf *conf, const char *name)
{
	struct weir_scope *scope = conf_find(conf, SCOPE_UPSTREAM, name);

	return scope != NULL ? weir_scope_conf(scope, &upstream_module) : NULL;
}

struct weir_peer *
upstream_peer(const struct weir_upstream *u, const char *name)
{
	unsigned at = upstream_name_place(u, name);

	return u->names_size > 0 && u->names[at] != 0 ? &u->peers[u->names[at] - 1] : NULL;
}

/* Where the name stands in the table, or would. */
static unsigned
upstream_name_place(const struct weir_upstream *u, const char *name)
{
	unsigned at = hash_text(HASH_START, name) & (u->names_size - 1);

	while (u->names_size > 0 && u->names[at] != 0 &&
	    strcmp(u->peers[u->names[at] - 1].name, name) != 0)
		at = (at + 1) & (u->names_size - 1);
	return at;
}

struct weir_upstream *
upstream_at(const struct conf *conf, unsigned index)
{
	struct weir_scope *scope = conf_scope(conf, SCOPE_UPSTREAM, index);

	return scope != NULL ? weir_scope_conf(scope, &upstream_module) : NULL;
}

uint64_t
upstreams_entries(const struct conf *conf)
{
	const struct weir_upstream *u;
	uint64_t                    count = 0;

	for (unsigned i = 0; (u = upstream_at(conf, i)) != NULL; i++)
		count += 1 + u->peer_count;	/* members, and those that have left */
	return count;
}

int
upstreams_enter(const struct conf *conf, unsigned generation)
{
	struct weir_upstream *u;
	char                  name[BOARD_NAME_MAX];

	for (unsigned i = 0; (u = upstream_at(conf, i)) != NULL; i++) {
		if ((u->board = board_enter(&upstream_schema, u->name, generation)) < 0)
			return -1;
		for (unsigned k = 0; k < u->fixed; k++) {
			snprintf(name, sizeof name, "%s/%s", u->name, u->peers[k].name);
			u->peers[k].board = board_enter(&upstream_peer_schema, name, generation);
			if (u->peers[k].board < 0)
				return -1;
		}
	}
	return 0;
}

/* The words are read when all modules are known: upstream_check. */
static const char *
upstream_parse_balance(struct weir_scope *scope, const char *text, void *value)
{
	struct weir_upstream *u = weir_scope_conf(scope, &upstream_module);
	char                 *rest = weir_scope_alloc(scope, strlen(text) + 1);

	strcpy(rest, text);
	if ((*(const char **)value = weir_word(&rest)) == NULL)
		return "is empty: write the name of a balancer";
	u->balance_words = rest;
	return NULL;
}

static const char *
upstream_parse_pool(struct weir_scope *scope, const char *text, void *value)
{
	static const char *const names[] = {
		[POOL_PIPELINE] = "pipeline",
		[POOL_REQUEST] = "request",
		[POOL_SESSION] = "session",
	};

	(void)scope;
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(text, names[i]) == 0) {
			*(enum pool_mode *)value = (enum pool_mode)i;
			return NULL;
		}
	return "write pipeline, request or session";
}

static const char *
upstream_parse_send_proxy(struct weir_scope *scope, const char *text, void *value)
{
	static const char *const names[] = {
		[PROXY_OFF] = "off",
		[PROXY_V1] = "v1",
		[PROXY_V2] = "v2",
	};

	(void)scope;
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(text, names[i]) == 0) {
			*(enum proxy_version *)value = (enum proxy_version)i;
			return NULL;
		}
	return "write off, v1 or v2";
}

static const char *
upstream_parse_server(struct weir_scope *scope, const char *text, void *value)
{
	struct weir_upstream *u = weir_scope_conf(scope, &upstream_module);
	struct weir_peer      peer = { .weight = 1, .max_fails = 1, .fail_timeout = 10000 };
	struct addr           addresses[ADDRESSES_MAX];
	unsigned              n, seen = 0;
	char                  copy[512], *rest = copy, *word, *address;
	const char           *wrong, *service = NULL;

	(void)value;
	peer.place = scope_value_place(scope);
	if ((size_t)snprintf(copy, sizeof copy, "%s", text) >= sizeof copy)
		return "is too long";
	if ((address = weir_word(&rest)) == NULL)
		return "is empty: write an address like 127.0.0.1:6379, db.example:5432 or "
		       "unix:run/app.sock";
	while ((word = weir_word(&rest)) != NULL)
		if ((wrong = upstream_parse_server_option(scope, &peer, &service, word, &seen)) !=
		    NULL)
			return wrong;
	if ((seen & 1u << OPTION_RESOLVE) != 0)
		return name_add(scope, u, address, service, &peer);
	if (service != NULL)
		return "has service=, which needs resolve";
	peer.host = peer_tls_host(scope, address);
	wrong = addr_resolve(addresses, ADDRESSES_MAX, &n, address,
	    conf_address_base(scope_conf(scope), address));
	for (unsigned i = 0; wrong == NULL && i < n; i++) {
		peer.addr = addresses[i];
		wrong = upstream_add_peer(scope, u, &peer);
	}
	return wrong;
}

static const char *
upstream_add_peer(struct weir_scope *scope, struct weir_upstream *u, const struct weir_peer *peer)
{
	struct weir_peer *added;
	char              name[ADDR_TEXT_MAX];

	if (u->peer_count == UPSTREAM_PEERS_MAX)
		return "is one too many: an upstream has at most 16384 peers";
	if (upstream_peer(u, addr_print(&peer->addr, name)) != NULL)
		return "is there already; use weight=N to give a peer more";
	u->peers = scope_grow(scope, u->peers, u->peer_count, sizeof *u->peers);
	added = &u->peers[u->peer_count];
	*added = *peer;
	added->index = u->peer_count++;
	strcpy(added->name, name);
	upstream_add_name(scope, u, added);
	return NULL;
}

/* The table is at most half full; one that is too small is made anew. */
static void
upstream_add_name(struct weir_scope *scope, struct weir_upstream *u, const struct weir_peer *peer)
{
	unsigned from = peer->index;

	if (u->peer_count * 2 > u->names_size) {
		u->names_size = u->names_size > 0 ? u->names_size * 4 : 8;
		u->names = weir_scope_alloc(scope, u->names_size * sizeof *u->names);
		from = 0;
	}
	for (unsigned i = from; i <= peer->index; i++)
		u->names[upstream_name_place(u, u->peers[i].name)] = (uint16_t)(i + 1);
}

void
upstream_rename(struct weir_upstream *u)
{
	memset(u->names, 0, u->names_size * sizeof *u->names);
	for (unsigned i = 0; i < u->peer_count; i++)
		if (u->peers[i].name[0] != '\0')
			u->names[upstream_name_place(u, u->peers[i].name)] = (uint16_t)(i + 1);
}

static const char *const peer_option_forms[PEER_OPTION_COUNT] = {
#define X(constant, name, value, initial, help, form) form,
	PEER_OPTIONS(X)
#undef X
};

const struct conf_option peer_option_table[] = {
#define X(constant, name, value, initial, help, form) { "server", name, value, initial, help },
	PEER_OPTIONS(X)
#undef X
	{ .key = NULL },
};

/* seen: bits of enum peer_option. */
static const char *
upstream_parse_server_option(struct weir_scope *scope, struct weir_peer *peer,
    const char **service, char *word, unsigned *seen)
{
	char    *value = strchr(word, '=');
	unsigned option = 0;

	if (value != NULL)
		*value++ = '\0';
	while (option < PEER_OPTION_COUNT && strcmp(word, peer_option_table[option].name) != 0)
		option++;
	if (option == PEER_OPTION_COUNT)
		return upstream_phrase(scope, "has no option %s; write ADDRESS%s", word,
		    PEER_OPTIONS(PEER_OPTION_SYNTAX));
	if ((*seen & 1u << option) != 0)
		return upstream_phrase(scope, "has %s twice; leave one", word);
	*seen |= 1u << option;
	if ((value != NULL) != (*peer_option_table[option].value != '\0') ||
	    !upstream_set_server_option(peer, service, (enum peer_option)option, value))
		return peer_option_forms[option];
	return NULL;
}

/* False: that is no value for it. */
static bool
upstream_set_server_option(struct weir_peer *peer, const char **service, enum peer_option option,
    const char *value)
{
	uint64_t n;

	switch (option) {
	case OPTION_WEIGHT:
		if (!str_number(value, &n) || n < 1 || n > 65535)
			return false;
		peer->weight = (unsigned)n;
		return true;
	case OPTION_MAX_CONNS:
		return str_number(value, &peer->max_conns);
	case OPTION_MAX_FAILS:
		return str_number(value, &peer->max_fails);
	case OPTION_FAIL_TIMEOUT:
		return str_time(value, &peer->fail_timeout) && peer->fail_timeout > 0;
	case OPTION_BACKUP:
		peer->backup = true;
		return true;
	case OPTION_RESOLVE:
		return true;
	case OPTION_SERVICE:
		*service = value;
		return *value != '\0';
	default:
		peer->down = true;
		return true;
	}
}

static const char *
upstream_phrase(struct weir_scope *scope, const char *format, ...)
{
	const size_t size = 256;
	char        *text = weir_scope_alloc(scope, size);
	va_list      args;

	va_start(args, format);
	vsnprintf(text, size, format, args);
	va_end(args);
	return text;
}

static const char *
upstream_check(struct weir_scope *scope)
{
	struct weir_upstream *u = weir_scope_conf(scope, &upstream_module);
	const char           *wrong;

	u->name = weir_scope_name(scope);
	if ((wrong = name_make_places(scope, u)) != NULL)
		conf_error(scope, "resolve_peers", "%s", wrong);
	else if (u->line_count > 0)
		upstream_rename(u);
	for (unsigned i = 0; i < u->peer_count; i++)
		u->peers[i].upstream = u;
	if (u->peer_count == 0 && !scope_sets(scope, "server"))
		conf_error(scope, "server", "no backend: add server = ADDRESS");
	if (u->resolve_min > u->resolve_max && !scope_is_wrong(scope, "resolve_max"))
		conf_error(scope, "resolve_min",
		    "resolve_min is more than resolve_max: raise that, or lower this");
	if (u->pool_min_idle > u->pool_size && !scope_is_wrong(scope, "pool_size"))
		conf_error(scope, "pool_min_idle",
		    "pool_min_idle is more than pool_size: raise that, or lower this");
	if (u->send_proxy != PROXY_OFF && u->pool_min_idle > 0)
		conf_error(scope, "pool_min_idle",
		    "a PROXY header (send_proxy_protocol) names a client, and connections that are "
		    "opened ahead have none: leave pool_min_idle out");
	if ((wrong = source_check(scope, u)) != NULL && !scope_is_wrong(scope, "source"))
		conf_error(scope, "source", "%s", wrong);
	for (unsigned i = 0; u->health.port != 0 && i < u->peer_count; i++)
		if (u->peers[i].addr.sa.sa_family == AF_UNIX)
			conf_error_at(scope, u->peers[i].place,
			    "health_check has port=N, and a UNIX socket has no ports");
	peer_tls_check(scope, u);
	if (!scope_is_wrong(scope, "balance"))
		upstream_check_balance(scope, u);
	return NULL;
}

static void
upstream_check_balance(struct weir_scope *scope, struct weir_upstream *u)
{
	const struct weir_balancer *b;
	const char                 *wrong;

	u->balancer = conf_role(scope_conf(scope), ROLE_BALANCER, u->balance);
	if (u->balancer == NULL) {
		if (!conf_lacks_module(scope_conf(scope)))
			conf_error(scope, "balance", "there is no balancer %s: there are %s",
			    u->balance, conf_role_names(scope, ROLE_BALANCER));
		return;
	}
	scope_uses(scope, u->balancer);
	u->balancer_conf = weir_scope_conf(scope, u->balancer);
	b = u->balancer->balancer;
	if (b->words != NULL)
		wrong = b->words(scope, u->balance_words);
	else
		wrong = *u->balance_words != '\0' ? "has no words behind its name" : NULL;
	if (wrong != NULL)
		conf_error(scope, "balance", "balance = %s: %s", u->balance, wrong);
}

void
weir_scope_want_keys(struct weir_scope *scope)
{
	weir_scope_upstream(scope)->keyed = true;
}

struct weir_upstream *
weir_scope_upstream(struct weir_scope *scope)
{
	return weir_scope_conf(scope, &upstream_module);
}
