/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cycle: a search, depth first, over
 *
 *	server ─► its upstream's peers ─► the listener that a peer reaches ─► server
 *
 * A server that is still on the path closes a cycle. Listeners are found by what
 * stands at the end of their address: a port, or the last part of a UNIX path.
 */
#include "session/cycle.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/hash.h"
#include "conf/conf.h"
#include "net/local.h"
#include "session/server.h"
#include "upstream/upstream.h"

#define CYCLE_BUCKETS 65536u	/* one a port */
#define CYCLE_TOLD    6u	/* steps of a cycle that its message tells */
#define CYCLE_TEXT    2048u

/* How well a listener fits: the kernel takes the one that says most. */
enum cycle_match {
	MATCH_NONE,
	MATCH_ANY6,		/* *:PORT, which covers IPv4, too */
	MATCH_ANY,		/* 0.0.0.0:PORT, or [::]:PORT for IPv6 alone */
	MATCH_ADDRESS,
};

struct cycle_listener {
	struct cycle_listener      *next;	/* in its bucket */
	struct cycle_node          *node;
	const struct server_listen *listen;
};

struct cycle_node {
	const struct server         *server;
	bool                         done;	/* all that it leads to has been followed */
	struct cycle_node           *from, *to;	/* the path, while it is on it */
	bool                         on_path;
	unsigned                     upstream;	/* of its server, whose … */
	unsigned                     peer;	/* … next peer is to be followed */
	const struct cycle_listener *entered;	/* that the path came in by */
};

struct cycle {
	const struct conf      *conf;
	struct weir_scope      *scope;	/* whose memory is used */
	struct local            local;
	struct cycle_node      *nodes;
	unsigned                count;
	struct cycle_listener **buckets;
};

static void  cycle_add_listeners(struct cycle *, struct cycle_node *);
static void  cycle_follow(const struct cycle *, struct cycle_node *);
static const struct weir_upstream  *cycle_upstream(struct cycle_node *);
static const struct cycle_listener *cycle_find(const struct cycle *, const struct addr *);
static unsigned         cycle_bucket(const struct addr *);
static enum cycle_match cycle_match(const struct cycle *, const struct listen_spec *,
    const struct addr *);
static bool             cycle_same_socket(const struct addr *, const struct addr *);
static bool             cycle_is_any(const struct addr_packed *);
static void             cycle_make_loopback(struct addr_packed *);
static bool             cycle_other_link(const struct addr *, const struct addr *);
static void             cycle_tell(const struct conf *, const struct cycle_node *last,
    const struct cycle_listener *reached);
static const struct weir_peer *cycle_peer(const struct cycle_node *);

void
cycles_check(const struct conf *conf, struct server *const *servers, unsigned count)
{
	struct cycle c = { .conf = conf, .count = count };

	if (conf_scope_count(conf, SCOPE_UPSTREAM) == 0)
		return;
	c.scope = conf_scope(conf, SCOPE_SERVER, 0);
	c.nodes = weir_scope_alloc(c.scope, c.count * sizeof *c.nodes);
	c.buckets = weir_scope_alloc(c.scope, CYCLE_BUCKETS * sizeof *c.buckets);
	if (local_read(&c.local) < 0)
		conf_warn(c.scope, NULL,
		    "the addresses of this machine are not known (%s): not all servers that are "
		    "their own peers may be found",
		    strerror(errno));
	for (unsigned i = 0; i < c.count; i++) {
		c.nodes[i].server = servers[i];
		cycle_add_listeners(&c, &c.nodes[i]);
	}
	for (unsigned i = 0; i < c.count; i++)
		if (!c.nodes[i].done)
			cycle_follow(&c, &c.nodes[i]);
	local_free(&c.local);
}

static void
cycle_add_listeners(struct cycle *c, struct cycle_node *node)
{
	const struct server   *s = node->server;
	struct cycle_listener *own, **bucket;

	own = weir_scope_alloc(c->scope, s->listen_count * sizeof *own);
	for (unsigned i = 0; i < s->listen_count; i++) {
		bucket = &c->buckets[cycle_bucket(&s->listens[i].spec.addr)];
		own[i] = (struct cycle_listener){ *bucket, node, &s->listens[i] };
		*bucket = &own[i];
	}
}

/* Without recursion: a chain may be as long as there are servers. */
static void
cycle_follow(const struct cycle *c, struct cycle_node *start)
{
	const struct cycle_listener *reached;
	struct cycle_node           *node = start, *next;
	const struct weir_upstream  *u;

	start->on_path = true;
	while (node != NULL) {
		u = cycle_upstream(node);
		if (u == NULL) {
			node->done = true;
			node->on_path = false;
			node = node->from;
			continue;
		}
		if (u->peers[node->peer++].down)
			continue;
		reached = cycle_find(c, &u->peers[node->peer - 1].addr);
		next = reached != NULL ? reached->node : NULL;
		if (next == NULL || next->done)
			continue;
		if (next->on_path) {
			cycle_tell(c->conf, node, reached);
			continue;
		}
		next->on_path = true;
		next->from = node;
		node->to = next;
		next->entered = reached;
		node = next;
	}
}

/* The one of which a peer is to be followed. NULL: of none any more, or it opens no
 * connections. */
static const struct weir_upstream *
cycle_upstream(struct cycle_node *n)
{
	const struct server        *s = n->server;
	const struct weir_upstream *u;

	if (s->protocol == NULL || !server_needs_upstream(s->protocol))
		return NULL;
	for (; n->upstream < server_upstreams(s); n->upstream++, n->peer = 0) {
		u = server_upstream(s, n->upstream);
		if (u != NULL && n->peer < u->peer_count)
			return u;
	}
	return NULL;
}

static const struct cycle_listener *
cycle_find(const struct cycle *c, const struct addr *peer)
{
	const struct cycle_listener *l, *best = NULL;
	enum cycle_match             match, most = MATCH_NONE;

	for (l = c->buckets[cycle_bucket(peer)]; l != NULL; l = l->next) {
		match = cycle_match(c, &l->listen->spec, peer);
		if (match > most) {
			most = match;
			best = l;
		}
	}
	return best;
}

static unsigned
cycle_bucket(const struct addr *a)
{
	char text[ADDR_TEXT_MAX], *name;

	if (a->sa.sa_family != AF_UNIX)
		return ntohs(a->sa.sa_family == AF_INET ? a->in.sin_port : a->in6.sin6_port);
	name = strrchr(addr_print(a, text), '/');
	return hash_text(HASH_START, name != NULL ? name + 1 : text) % CYCLE_BUCKETS;
}

static enum cycle_match
cycle_match(const struct cycle *c, const struct listen_spec *spec, const struct addr *peer)
{
	struct addr_packed l, p;

	if (spec->addr.sa.sa_family == AF_UNIX || peer->sa.sa_family == AF_UNIX)
		return cycle_same_socket(&spec->addr, peer) ? MATCH_ADDRESS : MATCH_NONE;
	addr_pack(&l, &spec->addr);
	addr_pack(&p, peer);
	/* What goes to an address of one's own comes in by lo. */
	if (l.port != p.port || (spec->device[0] != '\0' && strcmp(spec->device, "lo") != 0))
		return MATCH_NONE;
	if (!cycle_is_any(&l)) {
		cycle_make_loopback(&p);
		if (l.family != p.family || memcmp(l.ip, p.ip, sizeof l.ip) != 0 ||
		    cycle_other_link(&spec->addr, peer))
			return MATCH_NONE;
		/* Of others' addresses it takes what the kernel brings, not what goes there. */
		return spec->transparent && !local_has(&c->local, peer) ? MATCH_NONE
									: MATCH_ADDRESS;
	}
	if ((l.family == AF_INET || spec->v6only) && l.family != p.family)
		return MATCH_NONE;
	if (!local_has(&c->local, peer))
		return MATCH_NONE;
	return l.family == p.family ? MATCH_ANY : MATCH_ANY6;
}

/* The same path, or the same name in what is the same folder. */
static bool
cycle_same_socket(const struct addr *a, const struct addr *b)
{
	struct stat x, y;
	char        folders[2][sizeof a->un.sun_path + 1], *names[2];

	if (addr_equal(a, b))
		return true;
	if (a->sa.sa_family != b->sa.sa_family || addr_is_abstract(a) || addr_is_abstract(b))
		return false;
	snprintf(folders[0], sizeof folders[0], "%s", a->un.sun_path);
	snprintf(folders[1], sizeof folders[1], "%s", b->un.sun_path);
	for (unsigned i = 0; i < 2; i++) {
		if ((names[i] = strrchr(folders[i], '/')) == NULL)
			return false;
		*names[i]++ = '\0';
	}
	return strcmp(names[0], names[1]) == 0 && stat(folders[0], &x) == 0 &&
	    stat(folders[1], &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static bool
cycle_is_any(const struct addr_packed *p)
{
	static const uint8_t any[sizeof p->ip];

	return memcmp(p->ip, any, sizeof any) == 0;
}

/* Where a connection to the wildcard goes. */
static void
cycle_make_loopback(struct addr_packed *p)
{
	if (!cycle_is_any(p))
		return;
	if (p->family == AF_INET)
		p->ip[0] = 127;
	p->ip[p->family == AF_INET ? 3 : 15] = 1;
}

/* Link-local addresses are others on each interface. */
static bool
cycle_other_link(const struct addr *a, const struct addr *b)
{
	uint32_t x = a->sa.sa_family == AF_INET6 ? a->in6.sin6_scope_id : 0;
	uint32_t y = b->sa.sa_family == AF_INET6 ? b->in6.sin6_scope_id : 0;

	return x != 0 && y != 0 && x != y;
}

/* last: whose peer is the listener of a server that is on the path already. */
static void
cycle_tell(const struct conf *conf, const struct cycle_node *last,
    const struct cycle_listener *reached)
{
	const struct server_listen *listen = reached->listen;
	const struct cycle_node    *n = reached->node;
	const struct weir_peer     *peer = cycle_peer(last);
	struct weir_scope          *scope = conf_find(conf, SCOPE_UPSTREAM, peer->upstream->name);
	char                        text[CYCLE_TEXT];
	size_t                      used = 0;

	for (unsigned told = 0; n != last; n = n->to, told++) {
		peer = cycle_peer(n);
		if (told < CYCLE_TOLD)
			used += (size_t)snprintf(text + used, sizeof text - used,
			    ", its peer %s (%s:%u) is [server %s] (%s:%u)", peer->name,
			    peer->place.file, peer->place.line, n->to->server->name,
			    n->to->entered->listen->place.file, n->to->entered->listen->place.line);
		else if (n->to == last)
			used += (size_t)snprintf(text + used, sizeof text - used, ", and so on");
		if (used >= sizeof text)
			used = sizeof text - 1;
	}
	text[used] = '\0';
	peer = cycle_peer(last);
	conf_error_at(scope, peer->place,
	    "server = %s leads back: [server %s] listens there (%s:%u)%s%s; each session would "
	    "open another without end: write the address of the service behind",
	    peer->name, reached->node->server->name, listen->place.file, listen->place.line,
	    last == reached->node ? ", and uses this upstream itself" : text,
	    last == reached->node ? "" : ", which uses this upstream");
}

/* The one that was followed last. */
static const struct weir_peer *
cycle_peer(const struct cycle_node *n)
{
	return &server_upstream(n->server, n->upstream)->peers[n->peer - 1];
}
