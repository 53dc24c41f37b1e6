/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ports: whether this machine has ports for what the configuration allows.
 *
 * A connection needs a port that no other between the same two addresses has:
 * an upstream can have as many as there are ports, for each peer and each
 * source. Sessions that find none are refused one by one, under load; better
 * said before.
 */
#include "proc/ports.h"

#include <stddef.h>

#include "conf/check.h"
#include "conf/conf.h"
#include "net/ports.h"
#include "session/server.h"
#include "upstream/upstream.h"

/* The peers that carry the load when nothing fails. */
struct survey {
	uint64_t peers;
	uint64_t tcp;		/* of them */
	uint64_t pairs;		/* of these and the sources that reach them */
	uint64_t links;		/* of their pools */
	uint64_t limit;		/* max_conns of all of these; UINT64_MAX: one has none */
};

/* What the servers of an upstream ask of it. */
struct ports_demand {
	uint64_t relayed;	/* connections, one for each session */
	bool     framed;	/* pooled connections as well */

	const struct server *last;	/* that was counted */
};

static void          ports_check_upstream(struct weir_scope *, const struct weir_upstream *,
    const struct ports_demand *, struct check_ports);
static struct survey survey_upstream(const struct weir_upstream *);
static bool          ports_has_primary(const struct weir_upstream *);
static void          ports_count_demand(const struct conf *, uint64_t sessions,
    struct ports_demand *);
static void          ports_demand_add(struct ports_demand *, const struct server *,
    const struct weir_module *protocol, uint64_t sessions);
static void          ports_warn(void *scope, const char *key, const char *text);

void
ports_check(const struct conf *conf, uint64_t sessions)
{
	unsigned              count = conf_scope_count(conf, SCOPE_UPSTREAM);
	struct check_ports    machine = { .halved = !ports_have_windows() };
	struct ports_demand  *demands;
	struct weir_upstream *u;

	if (count == 0)
		return;
	for (unsigned i = 0; i < count; i++)
		upstream_at(conf, i)->index = i;
	if (!check_local_ports(NULL, &machine.ports))
		return;
	demands = weir_scope_alloc(conf_scope(conf, SCOPE_UPSTREAM, 0), count * sizeof *demands);
	ports_count_demand(conf, sessions, demands);
	for (unsigned i = 0; (u = upstream_at(conf, i)) != NULL; i++)
		ports_check_upstream(conf_scope(conf, SCOPE_UPSTREAM, i), u, &demands[i], machine);
}

static void
ports_check_upstream(struct weir_scope *scope, const struct weir_upstream *u,
    const struct ports_demand *demand, struct check_ports ports)
{
	const struct survey s = survey_upstream(u);

	if (s.tcp == 0)
		return;
	ports.peers = s.tcp;
	ports.pairs = s.pairs;
	ports.pooled = demand->relayed == 0;
	/* Others are reached by UNIX sockets: they have their part of the sessions. */
	ports.connections = demand->relayed * s.tcp / s.peers + (demand->framed ? s.links : 0);
	if (ports.connections > s.limit)
		ports.connections = s.limit;
	check_ports(&ports, ports_warn, scope);
}

static struct survey
survey_upstream(const struct weir_upstream *u)
{
	const bool              primary = ports_has_primary(u);
	struct survey           s = { .peers = 0 };
	const struct weir_peer *peer;
	unsigned                sources;
	bool                    bounded = true;

	for (unsigned i = 0; i < u->peer_count; i++) {
		peer = &u->peers[i];
		if (peer->down || (peer->backup && primary))
			continue;
		s.peers++;
		if (peer->addr.sa.sa_family == AF_UNIX)
			continue;
		sources = source_count(&u->sources, &peer->addr);
		s.tcp++;
		s.pairs += sources > 0 ? sources : 1;
		s.links += u->pool_size;
		bounded = bounded && peer->max_conns > 0;
		if (__builtin_add_overflow(s.limit, peer->max_conns, &s.limit))
			bounded = false;
	}
	if (!bounded)
		s.limit = UINT64_MAX;
	return s;
}

static bool
ports_has_primary(const struct weir_upstream *u)
{
	for (unsigned i = 0; i < u->peer_count; i++)
		if (!u->peers[i].down && !u->peers[i].backup)
			return true;
	return false;
}

/* This is before the checks of servers, so nothing but their values is there. */
static void
ports_count_demand(const struct conf *conf, uint64_t sessions, struct ports_demand *demands)
{
	const struct weir_module   *protocol;
	const struct weir_upstream *u;
	const struct server        *server;
	unsigned                    k;

	for (unsigned i = 0; (server = server_at(conf, i)) != NULL; i++) {
		if (server->protocol_name == NULL ||
		    (protocol = conf_role(conf, ROLE_PROTOCOL, server->protocol_name)) == NULL)
			continue;
		for (k = 0; k < server_upstreams(server); k++)
			if ((u = upstream_find(conf, server_upstream_name(server, k))) != NULL)
				ports_demand_add(&demands[u->index], server, protocol, sessions);
	}
}

/* A server that uses the upstream, be it for some of its clients. */
static void
ports_demand_add(struct ports_demand *d, const struct server *server,
    const struct weir_module *protocol, uint64_t sessions)
{
	uint64_t most = server->max_connections;

	if (protocol->exchange != NULL)
		d->framed = true;
	if (protocol->exchange != NULL || !server_needs_upstream(protocol) || d->last == server)
		return;
	d->last = server;
	d->relayed += most > 0 && most < sessions ? most : sessions;
	if (d->relayed > sessions)	/* all servers together take no more */
		d->relayed = sessions;
}

static void
ports_warn(void *scope, const char *key, const char *text)
{
	conf_warn(scope, key, "%s", text);
}
